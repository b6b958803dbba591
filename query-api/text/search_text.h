/* search_text.h - the words of a search -> the scoring part of the query. Pure. Thread: any.
 *
 * Layers, and no score of one reaches into the layer above: pinned products; the whole text as a code; the whole text
 * as a code in a name; every word found; what was probably meant (other keyboard layout, initials, a begun syllable);
 * every word found with a letter or two wrong; in a second request, some of the words. */
#pragma once
#include "core/json_write.h"
#include "query-api/admin/override_list.h"
#include "query-api/browse/category_list.h"
#include "query-api/text/search_rank.h"
#include "query-api/text/search_words.h"

enum {
    SEARCH_TYPO_WORDS_MAX = 6, /* more: no tolerance for typing mistakes, it would cost too much */
    SEARCH_TYPO_BYTES_MAX = 96,
    SEARCH_CATEGORY_BOOST_MAX = 512,
    SEARCH_PINS_MAX = 50,
    SEARCH_EFFECTS_MAX = 20,
};

/* Steps between the layers. Words reach some hundreds (12 words x a rare one's 12 x some weights, and the category),
 * times a boost of at most 10; what was meant some tens, mistakes and some of the words a few: each stays below the next. */
enum { LAYER_PIN = 1000000, LAYER_CODE = 100000, LAYER_CODE_IN_NAME = 50000, LAYER_WORDS = 100, LAYER_MEANT = 20, LAYER_TYPO = 10 };

/* Weights of what is found by its words, in hundredths; the name's is 100. bench/run relevance measures them. */
struct search_ranking {
    int64_t description, brand, category_names;
    int64_t joined;    /* two or three words of the name or the text joined to one */
    int64_t attribute; /* a word of an attribute's value */
    int64_t tie;       /* of a word's other fields, beside its best one */
    int64_t accessory; /* of being no accessory of what is asked for */
    int64_t category;  /* of standing in the category that is asked for */
    int64_t type;      /* of being of the type that is asked for, as an attribute says it */
    int64_t brand_asked; /* of the brand that is the whole text */
    struct search_signal_weights signals; /* search_rank.h */
};
extern const struct search_ranking search_ranking_default;

/* Words first..first+count-1, and texts that may stand in their place. */
struct search_group {
    size_t first, count;
    struct search_words *alternatives;
    size_t alternative_count;
};

enum search_reason { REASON_NONE, REASON_KEYBOARD, REASON_INITIALS, REASON_SYLLABLE, REASON_SPELLING, REASON_SOME_WORDS, REASON_COUNT };
extern const char *const search_reason_names[REASON_COUNT]; /* "keyboard", …; also the names of their clauses */

struct search_text {
    struct slice q; /* folded, without blanks at its ends */
    const struct search_ranking *ranking;
    bool typo;
    bool whole; /* one word or too many: matched as it is */
    struct search_words words;
    struct search_group *groups;
    size_t group_count;
    int64_t *categories; /* named by the last words that name any, their subcategories included */
    size_t category_count;
    struct search_text *flipped;  /* typed in the other layout; NULL: it makes no sense */
    bool flip_now;                /* it makes so much sense that the first request asks for it */
    struct search_text *spelled;  /* repaired by the engine's spelling; second request only */
    bool initials, begun;         /* ㄴㅌㅂ, 노트ㅂ */
    bool split;  /* second request: a long word is cut in two, wherever that finds something */
    bool some;   /* second request: products with some of the words behind those with all */
    bool again;                   /* second request: everything that may have been meant */
    const struct search_text *first; /* as it was asked for first; NULL: this is it */
    struct slice pins[SEARCH_PINS_MAX];
    size_t pin_count;
    struct override_effect effects[SEARCH_EFFECTS_MAX];
    size_t effect_count;
};

struct search_text_context {
    struct arena *arena;
    const struct category_list *categories; /* may be NULL */
    const struct override_list *overrides;  /* may be NULL */
    const struct search_ranking *ranking;   /* NULL: search_ranking_default */
    const struct slice *contexts;           /* that rules may name */
    size_t context_count;
};

/* q is valid UTF-8. NULL without memory. */
struct search_text *search_text_read(const struct search_text_context *context, struct slice q, bool typo);
/* The same for a second request after one that found nothing: with the text as the engine would spell it, or without.
 * False if there is nothing else to ask for. */
bool search_text_repair(const struct search_text_context *context, struct search_text *text, struct slice spelled);

/* Fewer products than this have all words: those with some of them are shown behind. */
enum { SEARCH_FEW = 10 };
/* The same search with that layer. False if it would be no other. */
bool search_text_relax(struct search_text *text);

/* May the whole text be a SKU or another code? It has a digit. t may be NULL: no. */
bool search_text_may_be_code(const struct search_text *t);
/* Is it this one? Letters and digits count, as in the index's field of codes. */
bool search_text_is_code(const struct search_text *t, struct slice code);

/* What is marked in the names of hits. */
struct slice search_text_marked(const struct search_text *text);
/* Writes one query clause. search_text_write_codes: that of products one of whose codes is meant. */
void search_text_write(struct json_write *w, const struct search_text *text);
void search_text_write_codes(struct json_write *w, const struct search_text *text);
