/* Which job is served when: the jobs' thread with MongoDB, the engine and the clock played by the test. A turn is one pass
 * of the thread over all jobs; each is a second long. */
#include "tests/unit/test.h"
#include "core/clock.h"
#include "projector/jobs/job_runner_internal.h"
#include "projector/jobs/job_scan.h"
#include "projector/status.h"
#include <assert.h>
#include <stdio.h>

enum { JOBS_MAX = 8, SEGMENTS_MAX = 256, CATEGORIES = 4, UNCOUNTABLE = 4 };

struct fake_job {
    struct job_record stored;
    int64_t categories[CATEGORIES];
    int64_t pages;   /* left */
    bool superseded; /* since the list was read: it cannot be saved */
    bool trouble;    /* its next step fails */
    unsigned blocks; /* for so many seconds */
};

static struct world {
    struct fake_job jobs[JOBS_MAX];
    size_t count;
    unsigned turn;
    usec_t blocked; /* what steps took */
    void (*script)(unsigned turn); /* before each turn, on the thread */
    unsigned turns;
    struct window window;
    struct buf said;
    struct segment *posted[SEGMENTS_MAX];
    size_t posted_count;
} fake;

static void say(const char *what, const char *id) {
    buf_printf(&fake.said, "%s-%s ", what, id);
}

static struct fake_job *job_of(const char *id) {
    for (size_t i = 0; i < fake.count; i++)
        if (strcmp(fake.jobs[i].stored.id, id) == 0)
            return &fake.jobs[i];
    return NULL;
}

/* -- what the thread asks -- */

usec_t __wrap_clock_now_usec(void);
usec_t __wrap_clock_now_usec(void) {
    return (usec_t)(fake.turn + 10) * USEC_PER_SEC + fake.blocked;
}

/* The longest there is, and no chance. */
usec_t __wrap_clock_backoff_usec(unsigned attempt, usec_t min_usec, usec_t max_usec);
usec_t __wrap_clock_backoff_usec(unsigned attempt, usec_t min_usec, usec_t max_usec) {
    usec_t pause = min_usec;
    for (unsigned i = 0; i < attempt && pause < max_usec; i++)
        pause *= 2;
    return pause < max_usec ? pause : max_usec;
}

bool __wrap_window_stopped(struct window *w);
bool __wrap_window_stopped(struct window *w) {
    (void)w;
    if (++fake.turn > fake.turns)
        return true;
    buf_append_str(&fake.said, "| ");
    if (fake.script)
        fake.script(fake.turn);
    return false;
}

bool __wrap_window_sleep(struct window *w, usec_t usec);
bool __wrap_window_sleep(struct window *w, usec_t usec) {
    (void)w, (void)usec;
    return true;
}

bool __wrap_window_sleep_for_room(struct window *w, usec_t usec);
bool __wrap_window_sleep_for_room(struct window *w, usec_t usec) {
    (void)w, (void)usec;
    return true;
}

bool __wrap_jobs_active(mongoc_client_t *client, const char *database, void (*fn)(void *ctx, struct job_record *job),
                        void *ctx, struct error *reterr);
bool __wrap_jobs_active(mongoc_client_t *client, const char *database, void (*fn)(void *ctx, struct job_record *job),
                        void *ctx, struct error *reterr) {
    (void)client, (void)database, (void)reterr;
    for (size_t i = 0; i < fake.count; i++) {
        const struct fake_job *job = &fake.jobs[i];
        struct job_record copy = job->stored;
        if (copy.state != JOB_RUNNING)
            continue;
        copy.categories = malloc(sizeof(job->categories));
        memcpy(copy.categories, job->categories, sizeof(job->categories));
        fn(ctx, &copy);
    }
    return true;
}

bool __wrap_jobs_save(mongoc_client_t *client, const char *database, uint64_t epoch, const struct job_record *record,
                      struct error *reterr);
bool __wrap_jobs_save(mongoc_client_t *client, const char *database, uint64_t epoch, const struct job_record *record,
                      struct error *reterr) {
    (void)client, (void)database, (void)epoch;
    struct fake_job *job = job_of(record->id);
    if (job->superseded)
        return error_set(reterr, ERROR_CONFLICT, "superseded");
    if (record->begun && !job->stored.begun)
        say("begun", record->id);
    if (record->state != job->stored.state)
        say(job_state_names[record->state], record->id);
    job->stored.begun = record->begun;
    job->stored.state = record->state;
    job->stored.total = record->total;
    snprintf(job->stored.note, sizeof(job->stored.note), "%s", record->note);
    return true;
}

int64_t __wrap_job_scan_count(mongoc_client_t *client, const char *database, int64_t category);
int64_t __wrap_job_scan_count(mongoc_client_t *client, const char *database, int64_t category) {
    (void)client, (void)database;
    say("count", (char[]){(char)('0' + category), '\0'});
    return category == UNCOUNTABLE ? -1 : 10;
}

bool __wrap_job_scan_products(mongoc_client_t *client, const char *database, const int64_t *category, uint64_t after,
                              int64_t limit, struct job_cursor *cursor, struct segment *segment, bool *ret_last,
                              struct error *reterr);
bool __wrap_job_scan_products(mongoc_client_t *client, const char *database, const int64_t *category, uint64_t after,
                              int64_t limit, struct job_cursor *cursor, struct segment *segment, bool *ret_last,
                              struct error *reterr) {
    (void)client, (void)database, (void)category, (void)after, (void)limit, (void)reterr;
    *ret_last = false; /* __wrap_engine_post_segment knows which job it is, and its last page */
    cursor->id_len = 1;
    cursor->id[0] = 'p';
    return segment_add(segment, "p", 1, 0);
}

void __wrap_engine_post_segment(struct engine *engine, struct segment *segment);
void __wrap_engine_post_segment(struct engine *engine, struct segment *segment) {
    (void)engine;
    const struct job_position *position = segment->position;
    say("page", position->run->record.id);
    if (--job_of(position->run->record.id)->pages == 0)
        position->run->produced = true;
    assert(fake.posted_count < SEGMENTS_MAX);
    fake.posted[fake.posted_count++] = segment;
}

struct window *__wrap_engine_window(struct engine *engine, enum mark_source source);
struct window *__wrap_engine_window(struct engine *engine, enum mark_source source) {
    (void)engine, (void)source;
    return &fake.window;
}

uint64_t __wrap_lease_epoch(const struct lease *lease);
uint64_t __wrap_lease_epoch(const struct lease *lease) {
    (void)lease;
    return 0;
}

usec_t __wrap_lease_valid_until(const struct lease *lease);
usec_t __wrap_lease_valid_until(const struct lease *lease) {
    (void)lease;
    return 0;
}

void __wrap_job_fill_refresh(struct job_runner *r);
void __wrap_job_fill_refresh(struct job_runner *r) {
    (void)r;
}

void __wrap_job_fill_merge(struct job_runner *r, const struct job_run *run);
void __wrap_job_fill_merge(struct job_runner *r, const struct job_run *run) {
    (void)r, (void)run;
}

bool __wrap_job_reindex_targets(struct job_runner *r, struct error *reterr);
bool __wrap_job_reindex_targets(struct job_runner *r, struct error *reterr) {
    (void)r, (void)reterr;
    return true;
}

bool __wrap_job_reindex_ready(struct job_runner *r, struct job_run *run, bool *busy, struct error *reterr);
bool __wrap_job_reindex_ready(struct job_runner *r, struct job_run *run, bool *busy, struct error *reterr) {
    static char check;
    (void)r, (void)busy;
    const struct fake_job *job = job_of(run->record.id);
    if (job->blocks) {
        say("blocked", run->record.id);
        fake.blocked += job->blocks * USEC_PER_SEC;
    }
    if (job->trouble)
        return error_set(reterr, ERROR_UNAVAILABLE, "no index may be made");
    if (!run->check)
        say("check", run->record.id);
    run->check = (struct job_check *)&check;
    run->changed = true; /* it has got on */
    return true;
}

void __wrap_job_check_stop(struct job_check *check);
void __wrap_job_check_stop(struct job_check *check) {
    if (check)
        say("stop", "check");
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

/* -- a run -- */

static void set_up(size_t window, void (*script)(unsigned turn)) {
    fake = (struct world){.script = script, .said = BUF_INIT(64 << 10)};
    window_init(&fake.window, window);
}

/* A fan-out over categories 1 to `last`, the oldest first, with so many pages. */
static struct fake_job *add_job(const char *id, int64_t last, int64_t pages) {
    struct fake_job *job = &fake.jobs[fake.count++];
    *job = (struct fake_job){.stored = {.type = JOB_FANOUT, .category_count = (size_t)last}, .pages = pages};
    snprintf(job->stored.id, sizeof(job->stored.id), "%s", id);
    for (int64_t i = 0; i < last; i++)
        job->categories[i] = i + 1;
    return job;
}

/* What was said, turn by turn. */
static const char *run(unsigned turns) {
    char database[] = "x";
    struct projector_options options = {.projector.scan_page = 10, .mongo.database = database};
    struct targets targets = {0};
    struct engine_conf conf = {.options = &options, .targets = &targets};
    struct error error = {0};
    fake.turns = turns;
    struct job_runner *runner = job_runner_start(NULL, &conf, &error);
    assert_non_null(runner);
    job_runner_stop(runner);
    for (size_t i = 0; i < fake.posted_count; i++)
        segment_free(fake.posted[i]);
    job_runner_free(runner);
    status_done();
    return fake.said.data;
}

static void tear_down(void) {
    window_done(&fake.window);
    buf_done(&fake.said);
}

/* -- cases -- */

static void test_a_fanout_is_safe_before_it_is_counted(void **state) {
    (void)state;
    set_up(1000, NULL);
    add_job("a", 1, 3);
    assert_string_equal(run(2), "| begun-a count-1 page-a | page-a ");
    tear_down();
}

static void supersede(unsigned turn) {
    if (turn == 1) /* after the list of jobs is read */
        fake.jobs[0].superseded = true;
}

static void test_a_fanout_that_is_superseded_is_not_counted(void **state) {
    (void)state;
    set_up(1000, supersede);
    add_job("a", 1, 3);
    assert_string_equal(run(2), "| | ");
    tear_down();
}

/* Others are heard, and have pages, in between. */
static void test_a_fanout_is_counted_in_steps(void **state) {
    (void)state;
    set_up(1000, NULL);
    struct fake_job *job = add_job("a", 3, 1000);
    assert_string_equal(run(4), "| begun-a count-1 page-a | count-2 page-a | count-3 page-a | page-a ");
    assert_int_equal(job->stored.total, 30);
    tear_down();
}

static void test_what_cannot_be_counted_is_not_known(void **state) {
    (void)state;
    set_up(1000, NULL);
    struct fake_job *job = add_job("a", UNCOUNTABLE, 1000);
    assert_non_null(strstr(run(6), "count-4 page-a | page-a | page-a "));
    assert_int_equal(job->stored.total, 0);
    tear_down();
}

static void let_oldest_go(unsigned turn) {
    fake.jobs[0].stored.paused = turn < 2;
}

/* The newer one has no end, as newer ones that come again and again. */
static void test_a_fanout_waits_for_none_that_is_newer(void **state) {
    (void)state;
    set_up(1000, let_oldest_go);
    add_job("old", 2, 2);
    add_job("new", 1, 1000);
    const char *said = run(3);
    assert_non_null(strstr(said, "begun-old"));
    assert_true(strstr(said, "begun-new") < strstr(said, "begun-old"));
    tear_down();
}

static void add_newest_later(unsigned turn) {
    fake.count = turn < 2 ? 1 : 2;
}

static void test_a_fanout_waits_for_older_ones_that_it_covers(void **state) {
    (void)state;
    set_up(1000, add_newest_later);
    add_job("old", 1, 3);
    add_job("new", 2, 1);
    const char *said = run(5);
    assert_string_equal(said, "| begun-old count-1 page-old | page-old | page-old | begun-new count-1 page-new | count-2 ");
    tear_down();
}

static void hold_back_oldest(unsigned turn) {
    add_newest_later(turn);
    fake.jobs[0].stored.throttle = turn < 2 ? 0 : 1;
}

static void test_a_fanout_waits_for_none_that_is_held_back(void **state) {
    (void)state;
    set_up(1000, hold_back_oldest);
    add_job("old", 1, 1000);
    add_job("new", 2, 1);
    assert_non_null(strstr(run(3), "begun-new"));
    tear_down();
}

static void make_room(unsigned turn) {
    (void)turn;
    window_release(&fake.window, window_used(&fake.window));
}

/* One page fills the window, and each turn there is room for one. */
static void test_jobs_take_turns_where_there_is_little_room(void **state) {
    (void)state;
    set_up(1, make_room);
    static const char *const ids[] = {"a", "b", "c"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct fake_job *job = add_job(ids[i], 1, 1000);
        job->stored.type = JOB_SCAN;
        job->stored.total = 10;
        job->stored.cursor = (struct job_cursor){.id_len = 1, .id = {'p'}};
    }
    assert_string_equal(run(6), "| page-c | page-b | page-a | page-c | page-b | page-a ");
    tear_down();
}

static void take_and_give_back(unsigned turn) {
    fake.jobs[0].superseded = turn == 2; /* it cannot be saved: the epoch is being raised */
}

/* A verification is begun anew, but not beside the one of before. */
static void test_a_reindex_that_is_taken_from_us_is_not_verified_twice_at_once(void **state) {
    (void)state;
    set_up(1000, take_and_give_back);
    struct fake_job *job = add_job("a", 1, 1);
    job->stored.type = JOB_REINDEX;
    job->stored.phase = JOB_PHASE_VERIFY;
    job->stored.total = 10;
    assert_string_equal(run(4), "| check-a | | stop-check check-a | stop-check ");
    tear_down();
}

/* Which has no index yet. */
static struct fake_job *add_reindex(const char *id) {
    struct fake_job *job = add_job(id, 1, 1);
    job->stored.type = JOB_REINDEX;
    job->stored.phase = JOB_PHASE_CREATE;
    job->stored.total = 10;
    return job;
}

static bool trouble_was_told;

static void have_trouble(unsigned turn) {
    fake.jobs[0].trouble = turn <= 20;
    trouble_was_told = trouble_was_told || strcmp(fake.jobs[0].stored.note, "no index may be made") == 0;
}

/* The one that waits for somebody is the older one, so that it comes first whenever another one has had a page. */
static void test_the_trouble_of_one_job_is_not_the_others(void **state) {
    (void)state;
    set_up(1000, have_trouble);
    struct fake_job *job = add_reindex("a");
    add_job("b", 1, 1000);
    const char *said = run(40), *over = strstr(said, "check-a");
    unsigned pages = 0;
    for (const char *at = said; over && (at = strstr(at, "page-b")) && at < over; at++)
        pages++;
    if (pages < 8)
        fail_msg("%u pages in 20 turns: %s", pages, said);
    assert_true(trouble_was_told);
    assert_string_equal(job->stored.note, "");
    tear_down();
}

/* A server that lets every request wait until its time is over. */
static void test_a_step_that_blocks_holds_others_up_half_of_the_time(void **state) {
    (void)state;
    set_up(1000, NULL);
    struct fake_job *job = add_reindex("a");
    job->trouble = true;
    job->blocks = 20;
    add_job("b", 1, 1000);
    unsigned blocked = 0;
    for (const char *at = run(40); (at = strstr(at, "blocked-a")); at++)
        blocked++;
    assert_int_equal(blocked, 2); /* 20 s each, and 20 s of rest */
    tear_down();
}

static void cancel_while_it_rests(unsigned turn) {
    fake.jobs[0].stored.cancel = turn >= 3;
}

static void test_a_job_that_rests_can_be_cancelled(void **state) {
    (void)state;
    set_up(1000, cancel_while_it_rests);
    struct fake_job *job = add_reindex("a");
    job->trouble = true;
    job->blocks = 50;
    run(6);
    assert_int_equal(job->stored.state, JOB_CANCELLED);
    tear_down();
}

static void pause_while_it_rests(unsigned turn) {
    fake.jobs[0].stored.paused = turn == 3;
}

static void test_a_job_that_rests_goes_on_when_it_is_resumed(void **state) {
    (void)state;
    set_up(1000, pause_while_it_rests);
    struct fake_job *job = add_reindex("a");
    job->trouble = true;
    job->blocks = 50;
    assert_non_null(strstr(strstr(run(8), "blocked-a") + 1, "blocked-a"));
    tear_down();
}

static void test_trouble_of_before_a_restart_is_not_told(void **state) {
    (void)state;
    set_up(1000, NULL);
    struct fake_job *job = add_job("a", 1, 1000);
    snprintf(job->stored.note, sizeof(job->stored.note), "the disk is full");
    run(2);
    assert_string_equal(job->stored.note, "");
    tear_down();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reindex_that_is_taken_from_us_is_not_verified_twice_at_once),
        cmocka_unit_test(test_the_trouble_of_one_job_is_not_the_others),
        cmocka_unit_test(test_a_step_that_blocks_holds_others_up_half_of_the_time),
        cmocka_unit_test(test_a_job_that_rests_can_be_cancelled),
        cmocka_unit_test(test_a_job_that_rests_goes_on_when_it_is_resumed),
        cmocka_unit_test(test_trouble_of_before_a_restart_is_not_told),
        cmocka_unit_test(test_a_fanout_is_safe_before_it_is_counted),
        cmocka_unit_test(test_a_fanout_that_is_superseded_is_not_counted),
        cmocka_unit_test(test_a_fanout_is_counted_in_steps),
        cmocka_unit_test(test_what_cannot_be_counted_is_not_known),
        cmocka_unit_test(test_a_fanout_waits_for_none_that_is_newer),
        cmocka_unit_test(test_a_fanout_waits_for_older_ones_that_it_covers),
        cmocka_unit_test(test_a_fanout_waits_for_none_that_is_held_back),
        cmocka_unit_test(test_jobs_take_turns_where_there_is_little_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
