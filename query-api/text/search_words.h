/* search_words.h - a search text taken apart: words, numbers with their units, keys to compare names by. Pure; all
 * memory is in the arena given. Thread: any. */
#pragma once
#include "core/arena.h"

enum {
    SEARCH_WORDS_MAX = 12, /* more: the text is matched as a whole, each language for itself */
    SEARCH_RUN_MAX = 3,    /* words in a row that may be one word together: cut by blanks where they need not be */
};

struct search_word {
    struct slice text;       /* as it was typed, folded */
    struct slice key;        /* its letters and digits, ASCII in lower case; 13.3 keeps its point */
    bool hangul;             /* Korean syllables and nothing else */
    bool optional;           /* of, for, 용: need not be there */
    struct slice *spellings; /* of a number with a unit: 13.3", 13.3 inch, 13.3인치 are one thing, 1.5L and 1500ml too */
    size_t spelling_count;
};

struct search_words {
    struct search_word *items;
    size_t count; /* more than SEARCH_WORDS_MAX: items are the first ones */
};

/* text is folded (core/text_fold.h). Splits at blanks, and where Hangul and Latin letters touch; a number and its unit
 * are one word. Words without a letter or a digit are left out. False without memory. */
bool search_words_read(struct arena *arena, struct slice text, struct search_words *ret);

/* The key of words first..last: what they are without the blanks. Empty without memory. */
struct slice search_words_key(struct arena *arena, const struct search_words *words, size_t first, size_t last);

/* The key of a name, for comparing: as search_word.key, and an English plural becomes a singular at its end:
 * "Running shoes" -> runningshoe. Empty without memory. */
struct slice search_name_key(struct arena *arena, struct slice name);

/* Spellings of a number with a unit ("13.3인치", "500 ml"), or none. False without memory. */
bool search_units_read(struct arena *arena, struct slice text, struct slice **ret, size_t *ret_count);
