/* import_products: which lines of a batch are stored when it is sent again because an answer was lost. MongoDB is the test's. */
#include "write-api/import.h"
#include "test.h"

#define SKU_TAKEN "{\"insertedCount\":0,\"writeErrors\":[{\"index\":0,\"code\":11000,\"keyValue\":{\"variants.sku\":\"S\"}}]}"
#define ID_TAKEN "{\"insertedCount\":0,\"writeErrors\":[{\"index\":0,\"code\":11000,\"keyValue\":{\"_id\":\"x\"}}]}"
#define STORED "{\"insertedCount\":1}"
#define LOST NULL

static const char *const *answers; /* to one insert after the other */
static unsigned inserts, found;
static struct import_line lines[2];
static struct import_batch batch;
static struct session session;

enum import_mode __wrap_import_mode(const struct import *import);
enum import_mode __wrap_import_mode(const struct import *import) {
    (void)import;
    return IMPORT_INSERT;
}

bool *__wrap_import_mostly_updates(struct import *import);
bool *__wrap_import_mostly_updates(struct import *import) {
    static bool no;
    (void)import;
    return &no;
}

bool __wrap_mongoc_collection_insert_many(mongoc_collection_t *collection, const bson_t **documents, size_t count, const bson_t *opts,
                                          bson_t *reply, bson_error_t *error);
bool __wrap_mongoc_collection_insert_many(mongoc_collection_t *collection, const bson_t **documents, size_t count, const bson_t *opts,
                                          bson_t *reply, bson_error_t *error) {
    (void)collection, (void)documents, (void)opts;
    const char *answer = answers[inserts++];
    assert_int_equal(count, 1);
    assert_true(bson_init_from_json(reply, answer ? answer : "{}", -1, NULL));
    bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "the connection is lost");
    return answer && strcmp(answer, STORED) == 0;
}

/* What bears the span of the batch. */
mongoc_cursor_t *__wrap_mongoc_collection_find_with_opts(mongoc_collection_t *collection, const bson_t *filter, const bson_t *opts,
                                                         const mongoc_read_prefs_t *prefs);
mongoc_cursor_t *__wrap_mongoc_collection_find_with_opts(mongoc_collection_t *collection, const bson_t *filter, const bson_t *opts,
                                                         const mongoc_read_prefs_t *prefs) {
    (void)collection, (void)filter, (void)opts, (void)prefs;
    found = 0;
    return (mongoc_cursor_t *)(void *)&found;
}

bool __wrap_mongoc_cursor_next(mongoc_cursor_t *cursor, const bson_t **ret);
bool __wrap_mongoc_cursor_next(mongoc_cursor_t *cursor, const bson_t **ret) {
    static bson_t *product;
    (void)cursor;
    if (product)
        bson_destroy(product);
    product = found++ ? NULL : BCON_NEW("_id", "x", "version", BCON_INT64(1));
    *ret = product;
    return product != NULL;
}

bool __wrap_mongoc_cursor_error(mongoc_cursor_t *cursor, bson_error_t *error);
bool __wrap_mongoc_cursor_error(mongoc_cursor_t *cursor, bson_error_t *error) {
    (void)cursor, (void)error;
    return false;
}

void __wrap_mongoc_cursor_destroy(mongoc_cursor_t *cursor);
void __wrap_mongoc_cursor_destroy(mongoc_cursor_t *cursor) {
    (void)cursor;
}

/* As prepare does it. */
static void prepare_lines(void) {
    bson_t *product = BCON_NEW("_id", "x");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        lines[i].key = SLICE("x");
        lines[i].number = i + 1;
        lines[i].doc = batch.docs.len;
        lines[i].doc_len = product->len;
        assert_true(buf_append(&batch.docs, bson_get_data(product), product->len));
    }
    bson_destroy(product);
}

static bool write_batch(void) {
    struct error error = {0};
    batch.attempts++;
    return import_products.write(&batch, &session, &error);
}

static int setup(void **state) {
    (void)state;
    memset(lines, 0, sizeof(lines));
    batch = (struct import_batch){.lines = lines, .count = ARRAY_LEN(lines), .docs = BUF_INIT(1 << 16), .traceparent = "t"};
    arena_init(&batch.arena, 1 << 20);
    arena_init(&session.arena, 1 << 20);
    inserts = 0;
    prepare_lines();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    buf_done(&batch.docs);
    arena_done(&batch.arena);
    arena_done(&session.arena);
    return 0;
}

static void test_the_second_line_is_stored(void **state) {
    (void)state;
    answers = (const char *const[]){SKU_TAKEN, LOST, ID_TAKEN};
    assert_false(write_batch());
    assert_true(write_batch());
    assert_int_equal(lines[0].status, 409);
    assert_int_equal(lines[1].status, 201);
}

static void test_the_first_line_is_known_to_be_stored(void **state) {
    (void)state;
    answers = (const char *const[]){STORED, LOST, ID_TAKEN};
    assert_false(write_batch());
    assert_true(write_batch());
    assert_int_equal(lines[0].status, 201);
    assert_int_equal(lines[1].status, 409);
}

static void test_a_line_that_was_refused_has_stored_nothing(void **state) {
    (void)state;
    answers = (const char *const[]){SKU_TAKEN, LOST, ID_TAKEN};
    assert_false(write_batch());
    import_batch_restart(&batch);
    prepare_lines();
    assert_true(write_batch());
    assert_int_equal(lines[0].status, 409);
    assert_int_equal(lines[1].status, 201);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_second_line_is_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_first_line_is_known_to_be_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_line_that_was_refused_has_stored_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
