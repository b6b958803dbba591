/* suggest.h - what somebody who is still typing may want: whole searches, categories, products.
 *
 * The last word counts as begun: a prefix, a syllable that lacks a letter (노틉 -> 노트북), initials (ㄴㅌ), all of them in
 * either keyboard layout. Products come from one Elasticsearch request; whole searches are made of the words in the names
 * and brands of the first of them that go on from what is typed; categories come from the snapshot. Pure. Thread: any. */
#pragma once
#include "query-api/text/search_text.h"

enum { SUGGEST_HITS = 30, SUGGEST_SIZE_MAX = 20, SUGGEST_CATEGORIES_MAX = 256 };

struct suggest {
    struct arena *arena;
    struct slice q;
    const struct search_text *text; /* read without typing mistakes */
    const struct category_list *categories; /* may be NULL */
    const char *lang;
    unsigned size; /* of each list */
    const char *degraded; /* NULL: there is an answer */
    uint64_t took_ms;
    const char *query_id;
    size_t *ret_common_len; /* may be NULL; as in search_result.h */
};

/* Writes the request body. False only if out failed. */
bool suggest_query_write(const struct suggest *s, struct buf *out);
/* answer: a complete one (search_result_check), or NULL: what is known without one. False: no memory. */
bool suggest_result_write(const struct suggest *s, const struct json *answer, struct buf *out);

/* Is it nothing but consonants, which begin syllables: ㄴ, ㄴㅌㅂ? */
bool suggest_is_initials(struct slice text);
/* Ids of the categories whose names begin with the words, at most max. */
size_t suggest_categories(const struct suggest *s, int64_t *ret, size_t max);
