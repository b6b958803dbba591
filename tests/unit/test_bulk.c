#include "tests/unit/test.h"
#include "core/hash.h"
#include "projector/compose/bulk.h"
#include <stdio.h>

#define ACTION(id, version) "{\"index\":{\"_id\":\"" id "\",\"version\":" version ",\"version_type\":\"external_gte\"}}\n"
#define DELETE(id, version) "{\"delete\":{\"_id\":\"" id "\",\"version\":" version ",\"version_type\":\"external_gte\"}}\n"

static struct bulk bulk_of(size_t bytes_soft, size_t bytes_max, size_t items_max) {
    struct bulk b;
    assert_true(bulk_init(&b, "products-1", bytes_soft, bytes_max, items_max));
    return b;
}

static bool add(struct bulk *b, const char *id, uint64_t version, const char *open_document, uint64_t hash) {
    if (!bulk_begin(b, slice_str(id), version, NULL))
        return false;
    if (strlen(open_document) > b->body.max - b->body.len) {
        bulk_drop(b);
        return false;
    }
    buf_append_str(&b->body, open_document);
    return bulk_commit(b, hash);
}

static void test_lines(void **state) {
    (void)state;
    struct bulk b = bulk_of(1 << 20, 1 << 20, 100);
    int tag = 0;
    assert_true(add(&b, "a", 5, "{\"x\":1", UINT64_MAX));
    assert_true(bulk_delete(&b, SLICE("b\"\\"), 6, &tag));
    assert_true(add(&b, "c", UINT64_C(1) << 62, "{\"x\":2", 7));
    assert_string_equal(b.body.data, ACTION("a", "5") "{\"x\":1,\"content_hash\":-1,\"version\":5}\n"
                                     DELETE("b\\\"\\\\", "6")
                                     ACTION("c", "4611686018427387904")
                                     "{\"x\":2,\"content_hash\":7,\"version\":4611686018427387904}\n");
    assert_int_equal(b.count, 3);
    assert_ptr_equal(b.items[1].ctx, &tag);
    assert_int_equal(b.items[1].op, BULK_DELETE);
    assert_int_equal(b.items[2].version, UINT64_C(1) << 62);
    assert_int_equal(b.items[2].content_hash, 7);
    assert_int_equal(b.items[0].id_hash, hash_bytes("a", 1));
    assert_int_equal(b.items[2].offset + b.items[2].len, b.body.len);
    struct slice document = bulk_document(&b, 0);
    assert_int_equal(document.len, strlen("{\"x\":1,\"content_hash\":-1,\"version\":5}"));
    assert_memory_equal(document.data, "{\"x\":1,\"content_hash\":-1,\"version\":5}", document.len);
    assert_int_equal(bulk_document(&b, 1).len, 0);
    bulk_reset(&b);
    assert_int_equal(b.count, 0);
    assert_int_equal(bulk_body(&b).len, 0);
    bulk_done(&b);
}

static void test_drop_leaves_no_trace(void **state) {
    (void)state;
    struct bulk b = bulk_of(1 << 20, 1 << 20, 100);
    assert_true(add(&b, "a", 1, "{\"x\":1", 1));
    size_t len = b.body.len;
    assert_true(bulk_begin(&b, SLICE("b"), 2, NULL));
    assert_false(bulk_begin(&b, SLICE("c"), 2, NULL)); /* one at a time */
    assert_false(bulk_delete(&b, SLICE("c"), 2, NULL));
    buf_append_str(&b.body, "{\"half");
    bulk_drop(&b);
    bulk_drop(&b);
    assert_int_equal(b.body.len, len);
    assert_int_equal(b.count, 1);
    assert_true(add(&b, "c", 3, "{\"x\":3", 1));
    assert_int_equal(b.items[1].offset, len);
    bulk_done(&b);
}

static void test_ids(void **state) {
    (void)state;
    struct bulk b = bulk_of(1 << 20, 1 << 20, 100);
    char id[600];
    memset(id, 'x', sizeof(id));
    assert_false(bulk_begin(&b, (struct slice){id, 513}, 1, NULL));
    assert_false(bulk_begin(&b, (struct slice){id, 0}, 1, NULL));
    assert_false(bulk_delete(&b, SLICE("\xff"), 1, NULL));
    assert_int_equal(b.body.len, 0);
    memset(id, 1, 512);
    assert_true(bulk_delete(&b, (struct slice){id, 512}, 1, NULL));
    bulk_done(&b);
}

static void test_caps(void **state) {
    (void)state;
    struct bulk b = bulk_of(500, 8000, 3);
    assert_false(bulk_full(&b));
    assert_true(add(&b, "a", 1, "{\"x\":1", 1));
    assert_true(add(&b, "b", 1, "{\"x\":1", 1));
    assert_false(bulk_full(&b));
    assert_true(add(&b, "c", 1, "{\"x\":1", 1));
    assert_true(bulk_full(&b));
    /* Past the soft cap until the hard one, which never loses what is there. */
    size_t added = 3;
    while (add(&b, "d", 1, "{\"x\":1", 1))
        added++;
    assert_true(added > 20 && bulk_ok(&b) && b.body.len <= 8000);
    assert_int_equal(b.count, added);
    assert_int_equal(b.items[added - 1].offset + b.items[added - 1].len, b.body.len);
    bulk_reset(&b);
    char large[600] = "{\"x\":\"";
    memset(large + 6, 'x', 550);
    memcpy(large + 556, "\"", 2);
    assert_true(add(&b, "a", 1, large, 1));
    assert_true(bulk_full(&b));
    bulk_done(&b);
}

static void test_split_and_copy_keep_the_bytes(void **state) {
    (void)state;
    struct bulk b = bulk_of(1 << 20, 1 << 20, 100), half = bulk_of(1 << 20, 1 << 20, 100), again = bulk_of(1 << 20, 1 << 20, 9);
    char id[8];
    for (int i = 0; i < 7; i++) {
        snprintf(id, sizeof(id), "p%d", i);
        assert_true(i == 4 ? bulk_delete(&b, slice_str(id), (uint64_t)i, NULL) : add(&b, id, (uint64_t)i, "{\"x\":1", 9));
    }
    struct buf whole = BUF_INIT(1 << 20);
    buf_append(&whole, b.body.data, b.body.len);
    assert_true(bulk_copy(&again, &b, 4));
    assert_true(bulk_copy(&again, &b, 6));
    assert_int_equal(again.count, 2);
    assert_int_equal(again.items[1].version, 6);
    assert_int_equal(again.items[1].content_hash, 9);
    assert_int_equal(again.items[0].op, BULK_DELETE);
    assert_memory_equal(again.body.data + again.items[1].offset, whole.data + b.items[6].offset, b.items[6].len);
    assert_true(bulk_split(&b, &half));
    assert_int_equal(b.count, 3);
    assert_int_equal(half.count, 4);
    assert_int_equal(half.items[0].version, 3);
    buf_append(&b.body, half.body.data, half.body.len);
    assert_string_equal(b.body.data, whole.data);
    bulk_reset(&b);
    assert_true(add(&b, "one", 1, "{\"x\":1", 1));
    bulk_reset(&half);
    assert_false(bulk_split(&b, &half));
    assert_int_equal(b.count, 1);
    buf_done(&whole);
    bulk_done(&b);
    bulk_done(&half);
    bulk_done(&again);
}

static void test_path(void **state) {
    (void)state;
    struct bulk b = bulk_of(10, 10, 10);
    struct buf path = BUF_INIT(1000);
    char name[300];
    assert_true(bulk_path(&b, &path));
    assert_memory_equal(path.data, "/products-1/_bulk?timeout=10s&filter_path=", 42);
    memset(name, 'x', sizeof(name));
    name[256] = '\0';
    assert_false(bulk_init(&b, name, 1, 1, 1));
    buf_done(&path);
    bulk_done(&b);
}

static void test_items_for_other_indexes(void **state) {
    (void)state;
    struct bulk b = bulk_of(1 << 20, 1 << 20, 100);
    int first, second;
    bulk_target(&b, 1, "products-2");
    assert_true(bulk_begin_for(&b, 0, SLICE("a"), 7, &first));
    buf_append_str(&b.body, "{\"x\":1");
    assert_true(bulk_commit(&b, 5));
    assert_true(bulk_begin_for(&b, 1, SLICE("a"), 7, &first));
    buf_append_str(&b.body, "{\"x\":1");
    assert_true(bulk_commit(&b, 5));
    size_t len = b.body.len;
    assert_true(bulk_delete_for(&b, 0, SLICE("b"), 7, &second));
    assert_true(bulk_delete_for(&b, 1, SLICE("b"), 7, &second));
    assert_string_equal(b.body.data,
                        "{\"index\":{\"_id\":\"a\",\"version\":7,\"version_type\":\"external_gte\"}}\n"
                        "{\"x\":1,\"content_hash\":5,\"version\":7}\n"
                        "{\"index\":{\"_index\":\"products-2\",\"_id\":\"a\",\"version\":7,\"version_type\":\"external_gte\"}}\n"
                        "{\"x\":1,\"content_hash\":5,\"version\":7}\n"
                        "{\"delete\":{\"_id\":\"b\",\"version\":7,\"version_type\":\"external_gte\"}}\n"
                        "{\"delete\":{\"_index\":\"products-2\",\"_id\":\"b\",\"version\":7,\"version_type\":\"external_gte\"}}\n");
    assert_int_equal(bulk_group(&b, 4), 2);
    assert_int_equal(bulk_group(&b, 2), 0);
    assert_int_equal(b.items[2].target, 0);
    assert_int_equal(b.items[3].target, 1);
    bulk_rewind(&b, 2);
    assert_int_equal(b.count, 2);
    assert_int_equal(b.body.len, len);
    assert_string_equal(bulk_document(&b, 1).data, "{\"x\":1,\"content_hash\":5,\"version\":7}\n");
    bulk_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_for_other_indexes),
        cmocka_unit_test(test_lines), cmocka_unit_test(test_drop_leaves_no_trace),
        cmocka_unit_test(test_ids),   cmocka_unit_test(test_caps),
        cmocka_unit_test(test_split_and_copy_keep_the_bytes), cmocka_unit_test(test_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
