/* similar.h - products that share words, categories, attributes and the brand with one: as a query clause. Pure. */
#pragma once
#include "core/json_write.h"

void similar_write(struct json_write *w, const char *index, struct slice id);
