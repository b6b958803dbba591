#include "tests/unit/test.h"
#include "core/arena.h"
#include <stdalign.h>

static void test_alignment_and_contents(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    unsigned char *p[200];
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        p[i] = arena_alloc(&a, i);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % alignof(max_align_t), 0);
        memset(p[i], (int)i, i);
    }
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal(p[i][j], (unsigned char)i);
    assert_ptr_not_equal(p[0], p[1]);
}

static void test_limit(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 64);
    assert_null(arena_alloc(&a, 65));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_strndup(&a, "x", SIZE_MAX));
    assert_non_null(arena_alloc(&a, 16));
    assert_non_null(arena_alloc(&a, 48));
    assert_int_equal(a.used, 64);
    assert_null(arena_alloc(&a, 1));
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    assert_non_null(arena_alloc(&a, 64));
}

/* Allocations far larger than a block, mixed with small ones, and the first block used again after a reset. */
static void test_blocks(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 16 << 20);
    void *first = arena_alloc(&a, 10);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 1 << 20; size *= 3) {
            char *p = arena_zalloc(&a, size);
            assert_non_null(p);
            assert_int_equal(p[0], 0);
            assert_int_equal(p[size - 1], 0);
            memset(p, 0xFF, size);
        }
        arena_reset(&a);
        assert_ptr_equal(arena_alloc(&a, 10), first);
    }
}

static void test_growing(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 12);
    int *items = NULL;
    size_t count = 0, cap = 0;
    for (int *grown; (grown = arena_grow(&a, items, count, &cap, sizeof(*items))); count++) {
        items = grown;
        items[count] = (int)count;
    }
    assert_int_equal(count, cap);
    assert_in_range(count, 256, 1024);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(items[i], i);
}

static void test_strings(void **state) {
    (void)state;
    _cleanup_(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    assert_string_equal(arena_strdup(&a, "abc"), "abc");
    assert_string_equal(arena_strndup(&a, "abc", 2), "ab");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_memory_equal(arena_strndup(&a, "a\0b", 3), "a\0b", 4);
    assert_string_equal(arena_printf(&a, "%d/%s", 5, "x"), "5/x");
    arena_done(&a);
    assert_string_equal(arena_strdup(&a, "usable again"), "usable again");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_contents),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
