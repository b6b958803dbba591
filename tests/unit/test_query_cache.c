/* The cache of answers, with a clock of its own. */
#include "tests/unit/test.h"
#include "core/clock.h"
#include "query-api/search/cache.h"
#include <stdio.h>

DEFINE_CLEANUP(struct cache *, cache_free);
static const struct cache_ages ages = {.fresh = 10, .stale = 30, .stale_if_error = 100};

static enum cache_state state_at(struct cache *c, const char *key, uint64_t epoch, usec_t now) {
    return cache_get(c, slice_str(key), &ages, epoch, now).state;
}

static void put(struct cache *c, const char *key, const char *body, uint64_t epoch, usec_t at) {
    cache_put(c, slice_str(key), slice_str(body), epoch, at);
}

static void test_ages(void **state) {
    (void)state;
    _cleanup_(cache_freep) struct cache *c = cache_new(1 << 20);
    static const struct {
        usec_t now;
        uint64_t epoch;
        enum cache_state state;
    } table[] = {{1000, 1, CACHE_FRESH}, {1009, 1, CACHE_FRESH}, {1010, 1, CACHE_STALE}, {1029, 1, CACHE_STALE}, {1030, 1, CACHE_OLD},
                 {1000, 2, CACHE_OLD},   {1099, 1, CACHE_OLD},   {1099, 2, CACHE_OLD},   {900, 1, CACHE_FRESH},  {1100, 1, CACHE_MISS}};
    assert_int_equal(state_at(c, "k", 1, 1000), CACHE_MISS);
    put(c, "k", "body", 1, 1000);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (state_at(c, "k", table[i].epoch, table[i].now) != table[i].state)
            fail_msg("row %zu", i);
    assert_int_equal(cache_stats(c).entries, 0); /* what is of no use any more is gone */
}

static void test_replaces_and_keeps_the_newer(void **state) {
    (void)state;
    _cleanup_(cache_freep) struct cache *c = cache_new(1 << 20);
    put(c, "k", "one", 1, 1000);
    put(c, "k", "two", 1, 1005);
    put(c, "k", "late", 1, 1001); /* asked before, answered after */
    struct cache_hit hit = cache_get(c, SLICE("k"), &ages, 1, 1006);
    assert_true(slice_eq(hit.body, SLICE("two")));
    assert_int_equal(hit.asked_at, 1005);
    assert_int_equal(hit.tag, cache_tag(SLICE("two")));
    assert_int_equal(cache_stats(c).entries, 1);
    put(c, "", "", 1, 1000);
    hit = cache_get(c, SLICE(""), &ages, 1, 1000);
    assert_int_equal(hit.state, CACHE_FRESH);
    assert_int_equal(hit.body.len, 0);
}

static void test_bound(void **state) {
    (void)state;
    size_t max = 64 << 10;
    _cleanup_(cache_freep) struct cache *c = cache_new(max);
    char key[32], body[1000];
    memset(body, 'x', sizeof(body));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        cache_put(c, slice_str(key), (struct slice){body, sizeof(body)}, 1, 1000);
        assert_true(cache_stats(c).bytes <= max);
        assert_int_equal(state_at(c, "k0", 1, 1000), CACHE_FRESH); /* used all the time, so it stays */
    }
    struct cache_stats stats = cache_stats(c);
    assert_int_equal(stats.entries + stats.evicted, 1000);
    assert_true(stats.entries > 40);
    assert_int_equal(state_at(c, "k1", 1, 1000), CACHE_MISS);
    assert_int_equal(state_at(c, "k999", 1, 1000), CACHE_FRESH);
}

static void test_too_large_is_not_kept(void **state) {
    (void)state;
    _cleanup_(cache_freep) struct cache *c = cache_new(16 << 10);
    char body[4 << 10];
    memset(body, 'x', sizeof(body));
    put(c, "small", "s", 1, 1000);
    put(c, "grows", "s", 1, 1000);
    cache_put(c, SLICE("grows"), (struct slice){body, sizeof(body)}, 1, 1001);
    assert_int_equal(state_at(c, "grows", 1, 1001), CACHE_MISS); /* nor what it replaces */
    assert_int_equal(state_at(c, "small", 1, 1001), CACHE_FRESH);
    _cleanup_(cache_freep) struct cache *none = cache_new(0);
    put(none, "k", "body", 1, 1000);
    assert_int_equal(state_at(none, "k", 1, 1000), CACHE_MISS);
    _cleanup_(cache_freep) struct cache *tiny = cache_new(1);
    put(tiny, "k", "body", 1, 1000);
    assert_int_equal(state_at(tiny, "k", 1, 1000), CACHE_MISS);
}

static void test_etag(void **state) {
    (void)state;
    static const struct {
        const char *header;
        bool matches;
    } table[] = {{"W/\"00000000000000ab\"", true}, {"\"00000000000000ab\"", true}, {"*", true}, {" \"x\" ,\tW/\"00000000000000ab\" ", true},
                 {"\"a,b\",W/\"00000000000000ab\"", true}, {"", false}, {"W/\"00000000000000ac\"", false}, {"00000000000000ab", false},
                 {"\"W/\"00000000000000ab\"", false}, {"\"*\"", false}, {",,", false}, {"\"x, *, y\"", false}};
    char etag[CACHE_ETAG_SIZE];
    cache_etag_format(0xAB, etag);
    assert_string_equal(etag, table[0].header);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (cache_etag_matches(slice_str(table[i].header), 0xAB) != table[i].matches)
            fail_msg("%s", table[i].header);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ages),  cmocka_unit_test(test_replaces_and_keeps_the_newer),
        cmocka_unit_test(test_bound), cmocka_unit_test(test_too_large_is_not_kept),
        cmocka_unit_test(test_etag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
