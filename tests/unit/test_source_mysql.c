/* Rows of projection_queue: which are read, and when. The table, MongoDB, the engine and the clock are played by the test. */
#include "tests/unit/test.h"
#include "core/clock.h"
#include "projector/sources/source_mysql.h"
#include <stdio.h>

enum { ROWS_MAX = 1001, PAGE = 1000, REF_MAX = 512 };
#define HOUR_USEC (3600 * USEC_PER_SEC)

static struct world {
    struct window window;
    usec_t now, end;
    uint64_t count;        /* rows are numbered from 1 */
    bool late;             /* the first one is not committed yet */
    usec_t late_at;        /* when it was */
    usec_t taken_at;       /* when it was read */
    usec_t page_takes;     /* that has rows */
    unsigned full_reads;   /* of the table from its start */
    const char *ref;       /* of all rows */
    char asked_for[REF_MAX + 1];
    bool categories;       /* are what the rows are about */
    uint64_t fence, revision;
    unsigned refusals;     /* of MongoDB to store that something is new */
    char said[128];
} fake;

static void say(const char *what) {
    size_t len = strlen(fake.said);
    snprintf(fake.said + len, sizeof(fake.said) - len, "%s ", what);
}

usec_t __wrap_clock_now_usec(void);
usec_t __wrap_clock_now_usec(void) {
    return fake.now;
}

bool __wrap_window_sleep(struct window *w, usec_t usec);
bool __wrap_window_sleep(struct window *w, usec_t usec) {
    (void)w;
    fake.now += usec;
    return true;
}

/* There is room at once, but behind a full page of new rows: an hour goes by, and somebody commits meanwhile. */
bool __wrap_window_wait(struct window *w);
bool __wrap_window_wait(struct window *w) {
    if (window_used(w) > PAGE) {
        window_release(w, window_used(w));
        fake.now += HOUR_USEC;
        fake.late = false;
        fake.late_at = fake.now;
    }
    return fake.now < fake.end;
}

struct window *__wrap_engine_window(struct engine *engine, enum mark_source source);
struct window *__wrap_engine_window(struct engine *engine, enum mark_source source) {
    (void)engine, (void)source;
    return &fake.window;
}

void __wrap_engine_post_segment(struct engine *engine, struct segment *segment);
void __wrap_engine_post_segment(struct engine *engine, struct segment *segment) {
    const struct queue_rows *rows = segment->position;
    (void)engine;
    window_add(&fake.window, rows->count);
    for (size_t i = 0; i < rows->count; i++)
        if (rows->ids[i] == 1)
            fake.taken_at = fake.now;
    segment_free(segment);
}

bool __wrap_mysql_session_queryv(struct mysql_session *s, mysql_row_fn *row, void *ctx, struct error *reterr, const char *sql,
                                 const struct mysql_value *values, size_t count);
bool __wrap_mysql_session_queryv(struct mysql_session *s, mysql_row_fn *row, void *ctx, struct error *reterr, const char *sql,
                                 const struct mysql_value *values, size_t count) {
    (void)s, (void)reterr, (void)count;
    if (strstr(sql, "projector_fence")) {
        char epoch[24], *column = epoch;
        unsigned long len = (unsigned long)snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)fake.fence);
        return row(ctx, &column, &len, 1);
    }
    int64_t left = values[1].i;
    if (values[0].u == 0) {
        fake.full_reads++;
        fake.now += fake.page_takes;
    }
    for (uint64_t id = values[0].u + 1; id <= fake.count && left > 0; id++) {
        char number[24], kind[16], revision[] = "0", created[] = "1700000000000000", ref[REF_MAX];
        unsigned long lengths[5] = {0};
        char *columns[5] = {number, kind, ref, revision, created};
        snprintf(kind, sizeof(kind), "%s", fake.categories ? "category" : "stock");
        if (id == 1 && fake.late)
            continue;
        lengths[0] = (unsigned long)snprintf(number, sizeof(number), "%llu", (unsigned long long)id);
        lengths[2] = strlen(fake.ref);
        memcpy(ref, fake.ref, lengths[2]);
        row(ctx, columns, lengths, 5);
        left--;
    }
    return true;
}

/* No product has these SKUs. */
bool __wrap_state_command(mongoc_client_t *client, const char *database, const bson_t *command, const char *what, bson_t *reply,
                          struct error *reterr);
bool __wrap_state_command(mongoc_client_t *client, const char *database, const bson_t *command, const char *what, bson_t *reply,
                          struct error *reterr) {
    (void)client, (void)database, (void)what, (void)reterr;
    const char *sku = state_string(command, "filter.$or.0._id.$in.0");
    snprintf(fake.asked_for, sizeof(fake.asked_for), "%s", sku ? sku : "");
    bson_init(reply);
    return true;
}

mongoc_client_t *__wrap_mongoc_client_pool_pop(mongoc_client_pool_t *pool);
mongoc_client_t *__wrap_mongoc_client_pool_pop(mongoc_client_pool_t *pool) {
    (void)pool;
    return NULL;
}

void __wrap_mongoc_client_pool_push(mongoc_client_pool_t *pool, mongoc_client_t *client);
void __wrap_mongoc_client_pool_push(mongoc_client_pool_t *pool, mongoc_client_t *client) {
    (void)pool, (void)client;
}

bool __wrap_mysql_session_begin(struct mysql_session *s, struct error *reterr);
bool __wrap_mysql_session_begin(struct mysql_session *s, struct error *reterr) {
    (void)s, (void)reterr;
    return true;
}

void __wrap_mysql_session_rollback(struct mysql_session *s);
void __wrap_mysql_session_rollback(struct mysql_session *s) {
    (void)s;
}

/* -- what is made good -- */

static struct category_tree *tree_at(uint64_t revision) {
    struct error error = {0};
    struct category_tree_builder *builder = category_tree_builder_new(&error);
    struct category_tree *tree = category_tree_build(builder, revision, &error);
    category_tree_builder_free(builder);
    assert_non_null(tree);
    return tree;
}

struct category_tree *__wrap_category_load(struct mysql_session *mysql, size_t *ret_refused, struct error *reterr);
struct category_tree *__wrap_category_load(struct mysql_session *mysql, size_t *ret_refused, struct error *reterr) {
    (void)mysql, (void)ret_refused, (void)reterr;
    return tree_at(fake.revision);
}

bool __wrap_state_sink_forget(mongoc_client_t *client, const char *database, struct error *reterr);
bool __wrap_state_sink_forget(mongoc_client_t *client, const char *database, struct error *reterr) {
    (void)client, (void)database, (void)reterr;
    say("forgotten");
    return true;
}

bool __wrap_targets_renew(mongoc_client_t *client, const char *database, int64_t revision, struct error *reterr);
bool __wrap_targets_renew(mongoc_client_t *client, const char *database, int64_t revision, struct error *reterr) {
    (void)client, (void)database;
    if (fake.refusals > 0) {
        fake.refusals--;
        say("refused");
        return error_set(reterr, ERROR_UNAVAILABLE, "no primary");
    }
    say(revision == 3 ? "renewed" : "?");
    return true;
}

void __wrap_engine_post_retarget(struct engine *engine);
void __wrap_engine_post_retarget(struct engine *engine) {
    (void)engine;
    say("retarget");
    fake.end = 0; /* the engine ends */
}

/* Until the given time of the fake clock. */
static void run(usec_t end) {
    static struct projector_options options = {
        .mongo = {.database = (char *)(uintptr_t) "readside"},
        .mysql = {.host = (char *)(uintptr_t) "127.0.0.1", .port = 1},
        .projector = {.queue_rescan_usec = 250 * USEC_PER_MSEC, .queue_poll_min_usec = 5 * USEC_PER_MSEC,
                      .queue_poll_max_usec = 250 * USEC_PER_MSEC}};
    struct targets targets = {.revision = 3};
    struct engine_conf conf = {.options = &options, .targets = &targets, .tree = tree_at(7)};
    struct error error = {0};
    fake.end = end;
    window_init(&fake.window, 20000);
    struct source_mysql *source = source_mysql_start(NULL, &conf, &error);
    assert_non_null(source);
    source_mysql_stop(source);
    window_done(&fake.window);
    category_tree_unref(conf.tree);
}

/* From a copy, with categories as they were: no row says what was lost with the newer ones. */
static void test_categories_of_before_are_history_lost(void **state) {
    (void)state;
    fake = (struct world){.now = USEC_PER_SEC, .count = 1, .ref = "1", .categories = true, .revision = 6};
    run(10 * USEC_PER_SEC);
    assert_string_equal(fake.said, "forgotten renewed retarget ");
}

/* The next term has the categories of now, and sees no more of it: that it is to scan is stored before it can begin. */
static void test_what_was_lost_is_stored_before_a_new_term(void **state) {
    (void)state;
    fake = (struct world){.now = USEC_PER_SEC, .count = 1, .ref = "1", .categories = true, .revision = 6, .refusals = 2};
    run(60 * USEC_PER_SEC);
    assert_string_equal(fake.said, "forgotten refused forgotten refused forgotten renewed retarget ");
}

static void test_a_fence_of_before_is_no_other_owner(void **state) {
    (void)state;
    static const struct {
        uint64_t fence;
        enum error_code code;
    } cases[] = {{4, ERROR_HISTORY_LOST}, {6, ERROR_CONFLICT}, {0, ERROR_HISTORY_LOST}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error error = {0};
        uint64_t row = 1;
        fake = (struct world){.fence = cases[i].fence};
        assert_false(source_mysql_delete_rows(NULL, 5, &row, 1, &error));
        assert_int_equal(error.code, cases[i].code);
    }
}

/* While Elasticsearch is away nothing is finished and there is no room. That hour is no time that a rescan takes. */
static void test_a_row_that_commits_late_is_found_after_a_long_wait(void **state) {
    (void)state;
    fake = (struct world){.now = USEC_PER_SEC, .count = ROWS_MAX, .late = true, .ref = "s"};
    run(HOUR_USEC + 10 * USEC_PER_SEC);
    assert_true(fake.late_at > 0);
    if (fake.taken_at < fake.late_at || fake.taken_at > fake.late_at + USEC_PER_SEC)
        fail_msg("committed at %llu s, read at %llu s", (unsigned long long)(fake.late_at / USEC_PER_SEC),
                 (unsigned long long)(fake.taken_at / USEC_PER_SEC));
}

/* To read what is held takes a tenth of the time. */
static void test_rescans_take_their_share_of_time(void **state) {
    (void)state;
    fake = (struct world){.now = USEC_PER_SEC, .count = 500, .ref = "s", .page_takes = USEC_PER_SEC};
    run(301 * USEC_PER_SEC);
    if (fake.full_reads < 20 || fake.full_reads > 30)
        fail_msg("%u reads of a second each in 300 s", fake.full_reads);
}

static void test_a_sku_may_have_as_many_bytes_as_the_table_takes(void **state) {
    (void)state;
    _cleanup_(buf_done) struct buf sku = BUF_INIT(REF_MAX);
    for (int i = 0; i < 128; i++)
        buf_append_str(&sku, "각");
    fake = (struct world){.now = USEC_PER_SEC, .count = 1, .ref = sku.data};
    run(USEC_PER_SEC + 1);
    assert_string_equal(fake.asked_for, sku.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_categories_of_before_are_history_lost),
        cmocka_unit_test(test_what_was_lost_is_stored_before_a_new_term),
        cmocka_unit_test(test_a_fence_of_before_is_no_other_owner),
        cmocka_unit_test(test_a_row_that_commits_late_is_found_after_a_long_wait),
        cmocka_unit_test(test_rescans_take_their_share_of_time),
        cmocka_unit_test(test_a_sku_may_have_as_many_bytes_as_the_table_takes),
    };
    mysql_global_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mysql_global_done();
    return failed;
}
