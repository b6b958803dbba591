/* search_text.h - the words of a search -> the scoring part of the query. Pure. Thread: any. */
#pragma once
#include "core/json_write.h"

/* Writes one query clause: an exact code first, then every word in Korean or in English, over name, brand, category
 * and description as if they were one field, then (typo) names with a letter or two wrong, which never outrank a
 * match without a mistake. */
void search_text_write(struct json_write *w, struct slice q, bool typo);
