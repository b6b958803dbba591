/* search_thing.h - the thing that a text asks for, before what belongs to it: no accessory of it, of its type, of its maker.
 * Each adds a constant to the score of what its words find. Pure. Thread: any. */
#pragma once
#include "query-api/text/search_text.h"

/* Writes clauses of a list of `should`. t is not `whole`. */
void search_thing_write(struct json_write *w, const struct search_text *t);
