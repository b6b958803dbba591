/* override_list.h - what shop people set by hand: synonyms, stop words, and rules that pin, boost or bury products. An
 * immutable snapshot of the index of overrides, held by each loop like the categories; applied to the words of a search
 * when it is asked, so that a change needs no reindex. Pure: no I/O. Thread: one owner.
 *
 * Terms are compared by their key (search_name_key): case, blanks, punctuation and an English plural do not count. */
#pragma once
#include "core/arena.h"
#include "core/field_error.h"
#include "core/json_read.h"
#include "query-api/text/search_words.h"

enum {
    OVERRIDE_TERMS_MAX = 64,
    OVERRIDE_SYNONYMS_MAX = 16, /* that are searched for in the place of a term */
    OVERRIDE_TEXT_MAX_BYTES = 256,
    OVERRIDE_PINS_MAX = 50,
    OVERRIDE_EFFECTS_MAX = 20,
    OVERRIDE_CONTEXTS_MAX = 10,
    OVERRIDE_ERRORS_MAX = 16,
    OVERRIDES_MAX = 10000, /* of all kinds together */
};

enum override_kind { OVERRIDE_SYNONYM, OVERRIDE_STOPWORD, OVERRIDE_RULE, OVERRIDE_KINDS };
extern const char *const override_kind_names[OVERRIDE_KINDS]; /* "synonyms", "stopwords", "rules": as in the paths */

/* One product, the products of a brand, or of a category with its subcategories. */
struct override_effect {
    const char *field; /* "id", "brand", "category_paths" */
    struct slice value;
    double weight;
};

struct override_rule {
    struct slice id;
    struct slice key;
    bool contains; /* else the whole text must be it */
    struct slice *contexts; /* it holds in these only; none: everywhere */
    size_t context_count;
    struct slice *pins;
    size_t pin_count;
    struct override_effect *effects;
    size_t effect_count;
};

struct override_list;

struct override_list *override_list_new(void);
void override_list_free(struct override_list *list);
/* Adds the hits of one search page (hits.hits[]). What is no valid override is skipped. *ret_last: the greatest sort
 * value for search_after, valid as long as hits. False without memory. */
bool override_list_add(struct override_list *list, const struct json *hits, size_t *ret_added, struct slice *ret_last);
bool override_list_finish(struct override_list *list); /* after this it is complete and read-only */
size_t override_list_count(const struct override_list *list);
/* May this one be set? A new one must find room below OVERRIDES_MAX. list: NULL if there are none. */
bool override_list_has_room(const struct override_list *list, enum override_kind kind, struct slice id);

/* Whatever else may stand for the term with this key: texts of one or several words, in `ret`, at most max. */
size_t override_list_synonyms(const struct override_list *list, struct slice key, struct slice *ret, size_t max);
bool override_list_is_stopword(const struct override_list *list, struct slice key);
/* Those of the words that are no stop words, with a blank between; empty if all are, or none. At most SEARCH_WORDS_MAX. */
bool override_list_without_stopwords(const struct override_list *list, struct arena *arena, const struct search_words *words,
                                     struct slice *ret);
/* Rules in the order of their ids. */
size_t override_list_rule_count(const struct override_list *list);
const struct override_rule *override_list_rule(const struct override_list *list, size_t index);

struct override_errors {
    struct field_error items[OVERRIDE_ERRORS_MAX];
    size_t count;
};
/* Is this the body of such an override? Mistakes name their fields. */
bool override_check(struct arena *arena, enum override_kind kind, const struct json *body, struct override_errors *ret);
/* The same of what is stored: it may be older than a limit. */
bool override_check_stored(struct arena *arena, enum override_kind kind, const struct json *body);
