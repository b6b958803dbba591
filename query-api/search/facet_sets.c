#include "query-api/search/facet_sets.h"

uint64_t facet_count(const struct json *v) {
    int64_t n;
    return json_int64(v, &n) && n > 0 ? (uint64_t)n : 0;
}

struct bucket facet_bucket(const struct json *bucket) {
    if (json_is(bucket, JSON_BUCKET))
        return (struct bucket){bucket->text, bucket->count};
    static const struct slice names[] = {{"key", 3}, {"doc_count", 9}, {"p", 1}};
    const struct json *at[3];
    json_pick(bucket, names, 3, at);
    return (struct bucket){json_is(at[0], JSON_STRING) ? at[0]->text : (struct slice){"", 0},
                           facet_count(at[2] ? json_get(at[2], "doc_count") : at[1])};
}

static const struct json *first_of(const struct json *list, enum sets_lack *ret_lack) {
    const struct json *buckets = json_get(list, "buckets");
    const struct json *first = json_is(buckets, JSON_ARRAY) ? buckets->child : NULL;
    *ret_lack = facet_count(json_get(list, "sum_other_doc_count")) > 0 ? SETS_CUT : list && !first ? SETS_MISSING : SETS_WHOLE;
    return first;
}

/* What comes before `end`, which *rest goes on behind. */
static struct slice cut(struct slice *rest, char end) {
    const char *at = rest->len ? memchr(rest->data, end, rest->len) : NULL;
    struct slice part = {rest->data, at ? (size_t)(at - rest->data) : rest->len};
    size_t taken = at ? part.len + 1 : part.len;
    *rest = (struct slice){rest->data + taken, rest->len - taken};
    return part;
}

/* Paths of a set are in order, so what two of them share stands in neighbours. */
static bool add_set(struct category_forest *forest, struct bucket set) {
    struct slice before = {"", 0};
    while (set.key.len) {
        struct slice path = cut(&set.key, ',');
        if (!category_forest_add_line(forest, path, before, set.count))
            return false;
        before = path;
    }
    return true;
}

bool facet_sets_categories(const struct json *list, struct category_forest *forest, enum sets_lack *ret_lack) {
    for (const struct json *b = first_of(list, ret_lack); b; b = b->next) {
        struct bucket set = facet_bucket(b);
        if (slice_eq(set.key, SLICE("*")))
            *ret_lack = SETS_CUT;
        else if (!add_set(forest, set))
            return false;
    }
    return true;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* "in,out 11,12": those before the blank. */
static void add_states(uint64_t counts[2], struct bucket set) {
    struct slice states = cut(&set.key, ' ');
    bool in_stock = false;
    while (states.len) {
        bool out = slice_eq(cut(&states, ','), SLICE("out"));
        counts[1] += out ? set.count : 0;
        in_stock |= !out;
    }
    counts[0] += in_stock ? set.count : 0;
}

/* Those behind it. */
static void add_steps(uint64_t counts[PRICE_STEP_COUNT], struct bucket set) {
    cut(&set.key, ' ');
    while (set.key.len) {
        struct slice step = cut(&set.key, ',');
        size_t i = step.len == 2 && is_digit(step.data[0]) && is_digit(step.data[1])
                       ? (size_t)(step.data[0] - '0') * 10 + (size_t)(step.data[1] - '0')
                       : PRICE_STEP_COUNT;
        if (i < PRICE_STEP_COUNT)
            counts[i] += set.count;
    }
}

enum sets_lack facet_offers_stock(struct facet_offer_lists lists, uint64_t ret[2]) {
    static const char *const names[] = {"true", "false"};
    enum sets_lack lack;
    for (size_t i = 0; i < 2; i++)
        ret[i] = facet_bucket(json_get(lists.flat, names[i])).count + facet_bucket(json_get(lists.varied, names[i])).count;
    for (const struct json *b = first_of(lists.sets, &lack); b; b = b->next)
        add_states(ret, facet_bucket(b));
    return lack;
}

/* Takes the next bucket of a list, and its count. */
static uint64_t next_count(const struct json **at) {
    uint64_t count = facet_bucket(*at).count;
    *at = *at ? (*at)->next : NULL;
    return count;
}

enum sets_lack facet_offers_steps(struct facet_offer_lists lists, uint64_t ret[PRICE_STEP_COUNT]) {
    const struct json *flat = json_is(lists.flat, JSON_ARRAY) ? lists.flat->child : NULL,
                      *varied = json_is(lists.varied, JSON_ARRAY) ? lists.varied->child : NULL;
    enum sets_lack lack;
    for (size_t i = 0; i < PRICE_STEP_COUNT; i++)
        ret[i] = next_count(&flat) + next_count(&varied);
    for (const struct json *b = first_of(lists.sets, &lack); b; b = b->next)
        add_steps(ret, facet_bucket(b));
    return lack;
}
