/* search_text.h - the words of a search -> the scoring part of the query. Pure. Thread: any. */
#pragma once
#include "core/json_write.h"

enum {
    SEARCH_WORDS_MAX = 12,      /* more: the text is matched as a whole, each language for itself */
    SEARCH_TYPO_WORDS_MAX = 6,  /* more: no tolerance for typing mistakes, it would cost too much */
    SEARCH_TYPO_BYTES_MAX = 96,
};

/* Writes one query clause. In layers that no score of a lower one can cross: the whole text as a code; every word
 * found, each in Korean or in English or as a code, in any of name, brand, category and description; then (typo)
 * every word found with a letter or two wrong. */
void search_text_write(struct json_write *w, struct slice q, bool typo);
