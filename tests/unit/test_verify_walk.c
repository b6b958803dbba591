/* A run of verify: its threads, pages and candidates. What it asks of the sources and of the index is answered here. */
#include "tests/unit/test.h"
#include "projector/verify/verify_walk.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    IDS_MAX = 100000,
    ANSWER = 4,    /* products that one answer of MongoDB holds */
    PIECE = 10000, /* documents that one search finds */
};

static char names[IDS_MAX][8];
static struct world {
    size_t products, documents; /* so many of the names, from the first on */
    int missing;                /* this one has no document; -1: each has */
    atomic_int fail_more, fail_compose; /* which call fails, counted from 1; 0: none */
    atomic_long looked_at, different, most_open;
    unsigned asked;
} world;

struct verify_source {
    const struct slice *ids;
    size_t count, next;
};

static struct slice name_of(size_t i) {
    return (struct slice){names[i], 7};
}

static size_t number_of(struct slice id) {
    return (size_t)strtoul(id.data + 1, NULL, 10);
}

static bool in_index(size_t i) {
    return i < world.documents && (int)i != world.missing;
}

static bool away(const char *what, struct error *reterr) {
    return error_set(reterr, ERROR_UNAVAILABLE, "%s is away", what);
}

/* -- the sources -- */

struct verify_source *__wrap_verify_source_new(const struct verify_source_conf *conf, struct error *reterr);
struct verify_source *__wrap_verify_source_new(const struct verify_source_conf *conf, struct error *reterr) {
    (void)conf, (void)reterr;
    return calloc(1, sizeof(struct verify_source));
}

void __wrap_verify_source_free(struct verify_source *s);
void __wrap_verify_source_free(struct verify_source *s) {
    free(s);
}

static void answer(struct verify_source *s, struct verify_page *page) {
    page->products = s->count - s->next < ANSWER ? s->count - s->next : ANSWER;
    page->cursor_id = s->next + page->products < s->count;
}

bool __wrap_verify_source_find(struct verify_source *s, const struct slice *ids, size_t count, struct verify_page *page,
                               struct error *reterr);
bool __wrap_verify_source_find(struct verify_source *s, const struct slice *ids, size_t count, struct verify_page *page,
                               struct error *reterr) {
    (void)reterr;
    *s = (struct verify_source){.ids = ids, .count = world.products ? count : 0};
    page->count = 0;
    answer(s, page);
    return true;
}

bool __wrap_verify_source_more(struct verify_source *s, struct verify_page *page, struct error *reterr);
bool __wrap_verify_source_more(struct verify_source *s, struct verify_page *page, struct error *reterr) {
    page->cursor_id = 0;
    page->products = 0;
    if (world.fail_more && --world.fail_more == 0)
        return away("MongoDB", reterr);
    answer(s, page);
    return true;
}

bool __wrap_verify_source_compose(struct verify_source *s, struct verify_page *page, struct error *reterr);
bool __wrap_verify_source_compose(struct verify_source *s, struct verify_page *page, struct error *reterr) {
    if (world.fail_compose && --world.fail_compose == 0)
        return away("MySQL", reterr);
    page->items = realloc(page->items, (page->count + page->products + 1) * sizeof(*page->items));
    page->reasons = realloc(page->reasons, (page->count + page->products + 1) * sizeof(*page->reasons));
    for (size_t i = 0; i < page->products; i++, page->count++) {
        page->reasons[page->count] = NULL;
        page->items[page->count] = (struct verify_item){s->ids[s->next++], VERIFY_PRESENT, 1};
    }
    return true;
}

bool __wrap_verify_source_read(struct verify_source *s, struct slice after, int64_t limit, int64_t since_msec,
                               struct verify_page *page, struct error *reterr);
bool __wrap_verify_source_read(struct verify_source *s, struct slice after, int64_t limit, int64_t since_msec,
                               struct verify_page *page, struct error *reterr) {
    (void)after, (void)limit, (void)since_msec;
    return __wrap_verify_source_find(s, NULL, 0, page, reterr);
}

bool __wrap_verify_source_queue_id(struct verify_source *s, uint64_t *ret, struct error *reterr);
bool __wrap_verify_source_queue_id(struct verify_source *s, uint64_t *ret, struct error *reterr) {
    (void)s, (void)reterr;
    *ret = 0;
    return true;
}

bool __wrap_verify_source_dead(struct verify_source *s, const struct slice *ids, size_t count,
                               void (*fn)(void *ctx, struct slice id, const char *reason), void *ctx, struct error *reterr);
bool __wrap_verify_source_dead(struct verify_source *s, const struct slice *ids, size_t count,
                               void (*fn)(void *ctx, struct slice id, const char *reason), void *ctx, struct error *reterr) {
    (void)s, (void)ids, (void)count, (void)fn, (void)ctx, (void)reterr;
    return true;
}

int64_t __wrap_verify_source_estimate(struct verify_source *s);
int64_t __wrap_verify_source_estimate(struct verify_source *s) {
    (void)s;
    return 0;
}

/* -- the index -- */

static void found(struct verify_index *x, size_t i) {
    x->items = realloc(x->items, (x->count + 1) * sizeof(*x->items));
    x->hits.items = realloc(x->hits.items, (x->count + 1) * sizeof(*x->hits.items));
    x->items[x->count] = (struct verify_item){name_of(i), VERIFY_PRESENT, 1};
    x->hits.items[x->count++] = (struct verify_hit){.id = name_of(i)};
    x->hits.count = x->count;
}

bool __wrap_verify_index_terms(struct verify_index *x, const struct slice *ids, size_t count, struct error *reterr);
bool __wrap_verify_index_terms(struct verify_index *x, const struct slice *ids, size_t count, struct error *reterr) {
    (void)reterr;
    x->count = 0;
    for (size_t i = 0; i < count; i++)
        if (in_index(number_of(ids[i])))
            found(x, number_of(ids[i]));
    return true;
}

bool __wrap_verify_index_range(struct verify_index *x, struct slice after, struct slice until, size_t expected, bool *ret_all,
                               struct error *reterr);
bool __wrap_verify_index_range(struct verify_index *x, struct slice after, struct slice until, size_t expected, bool *ret_all,
                               struct error *reterr) {
    (void)until, (void)expected, (void)reterr;
    long open = world.looked_at - world.different;
    if (open > world.most_open)
        world.most_open = open;
    x->count = 0;
    for (size_t i = after.len ? number_of(after) + 1 : 0; i < world.documents && x->count < PIECE; i++)
        found(x, i);
    world.looked_at += (long)x->count;
    *ret_all = x->count < PIECE;
    return true;
}

bool __wrap_verify_index_nameless(struct verify_index *x, struct error *reterr);
bool __wrap_verify_index_nameless(struct verify_index *x, struct error *reterr) {
    (void)x, (void)reterr;
    return true;
}

bool __wrap_verify_index_look(struct verify_index *x, const struct slice *ids, size_t count, struct verify_look *ret,
                              struct error *reterr);
bool __wrap_verify_index_look(struct verify_index *x, const struct slice *ids, size_t count, struct verify_look *ret,
                              struct error *reterr) {
    (void)x, (void)reterr;
    for (size_t i = 0; i < count; i++)
        ret[i] = in_index(number_of(ids[i])) ? (struct verify_look){VERIFY_PRESENT, 1, 1} : (struct verify_look){.state = VERIFY_ABSENT};
    return true;
}

/* -- runs -- */

/* Each second time, so that candidates come faster than they go. */
static bool passes(void *ctx, const struct verify_moment *moment, bool *ret_passed, const char **ret_why, struct error *reterr) {
    (void)ctx, (void)moment, (void)ret_why, (void)reterr;
    *ret_passed = world.asked++ % 2;
    return true;
}

static bool differs(void *ctx, const struct verify_difference *difference) {
    (void)ctx, (void)difference;
    world.different++;
    return true;
}

static bool run(size_t ids, struct verify_counts *counts, struct error *reterr) {
    static const struct projector_options options;
    struct slice asked[16];
    for (size_t i = 0; i < ids; i++)
        asked[i] = name_of(i);
    struct verify_conf conf = {.options = &options, .index = "products-1", .ids = ids ? asked : NULL, .id_count = ids,
                               .barrier = passes, .difference = differs};
    return verify_run(&conf, counts, reterr);
}

static void reset(size_t products, size_t documents, int missing) {
    memset(&world, 0, sizeof(world));
    world.products = products;
    world.documents = documents;
    world.missing = missing;
}

/* The product that has no document stands in the last answer of four. */
static void test_products_of_an_answer_that_failed_are_compared_all_the_same(void **state) {
    (void)state;
    for (int call = 0; call <= 8; call++) {
        struct verify_counts counts;
        struct error error = {0};
        reset(14, 14, 13);
        world.fail_more = call <= 4 ? call : 0;
        world.fail_compose = call > 4 ? call - 4 : 0;
        if (!run(14, &counts, &error))
            fail_msg("call %d: %s", call, error.message);
        if (counts.compared != 14 || counts.found[VERIFY_MISSING] != 1 || world.different != 1)
            fail_msg("call %d: %lld of %lld compared are missing", call, (long long)counts.found[VERIFY_MISSING],
                     (long long)counts.compared);
    }
}

static void test_orphans_without_end_take_no_memory_without_end(void **state) {
    (void)state;
    struct verify_counts counts;
    struct error error = {0};
    reset(0, IDS_MAX, -1);
    assert_true(run(0, &counts, &error));
    assert_int_equal(counts.found[VERIFY_ORPHANED], IDS_MAX);
    assert_int_equal(world.different, IDS_MAX);
    if (world.most_open > 4 * PIECE)
        fail_msg("%ld candidates at once", (long)world.most_open);
}

int main(void) {
    for (size_t i = 0; i < IDS_MAX; i++)
        snprintf(names[i], sizeof(names[i]), "p%06u", (unsigned)i % 1000000);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_of_an_answer_that_failed_are_compared_all_the_same),
        cmocka_unit_test(test_orphans_without_end_take_no_memory_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
