/* search_explain.h - for explain=1: how the text of a search was read. Pure. Thread: any. */
#pragma once
#include "query-api/text/search_text.h"

/* One object; null without a text. */
void search_explain_write(struct json_write *w, const struct search_text *text);
