/* A fan-out that follows a superseded one comes to every product of its categories once, wherever that one was; and what
 * refresh intervals mean. */
#include "tests/unit/test.h"
#include "projector/jobs/job_fill.h"
#include "projector/jobs/jobs.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CATEGORIES = 6, PRODUCTS = 40 };

static struct job_record fanout(const int64_t *categories, size_t count) {
    struct job_record job = {.type = JOB_FANOUT, .category_count = count};
    job.categories = malloc(count * sizeof(*categories));
    assert_non_null(job.categories);
    memcpy(job.categories, categories, count * sizeof(*categories));
    return job;
}

static struct job_cursor place(uint32_t category, const char *id) {
    struct job_cursor cursor = {.category = category, .id_len = (uint8_t)strlen(id)};
    memcpy(cursor.id, id, strlen(id));
    return cursor;
}

static void test_it_begins_where_the_other_one_was(void **state) {
    (void)state;
    struct job_record before = fanout((const int64_t[]){7, 8}, 2), next = fanout((const int64_t[]){5, 7, 8, 9}, 4);
    struct job_cursor at = place(1, "p3");
    assert_true(jobs_follow(&next, &before, &at));
    static const int64_t expected[] = {8, 9, 5, 7, 8};
    assert_int_equal(next.category_count, 5);
    assert_memory_equal(next.categories, expected, sizeof(expected));
    assert_int_equal(next.cursor.category, 0);
    assert_memory_equal(next.cursor.id, "p3", next.cursor.id_len);
    assert_memory_equal(next.until.id, "p3", next.until.id_len);
    job_record_done(&next);

    next = fanout((const int64_t[]){5, 7, 8, 9}, 4);
    at = place(1, "");
    assert_true(jobs_follow(&next, &before, &at));
    assert_int_equal(next.category_count, 4);
    assert_int_equal(next.categories[0], 8);
    assert_int_equal(next.until.id_len, 0);
    job_record_done(&next);
    job_record_done(&before);
}

static void test_it_begins_at_its_beginning_otherwise(void **state) {
    (void)state;
    struct job_record before = fanout((const int64_t[]){7, 8}, 2), next = fanout((const int64_t[]){5, 7}, 2);
    struct job_cursor at = place(0, "p3");
    assert_false(jobs_follow(&next, &before, &at));
    before.category_count = 1;
    assert_true(jobs_covers(&next, &before));
    at = place(1, "");
    assert_false(jobs_follow(&next, &before, &at)); /* that one was at its end */
    before.type = JOB_SCAN;
    assert_false(jobs_covers(&next, &before));
    assert_int_equal(next.category_count, 2);
    assert_int_equal(next.cursor.id_len, 0);
    job_record_done(&next);
    job_record_done(&before);
}

/* -- a model: product n is in category n % CATEGORIES -- */

static unsigned visits[PRODUCTS];

static bool in_page(const struct job_record *job, const struct job_cursor *cursor, unsigned n) {
    char id[8];
    bool last = cursor->category + 1 == job->category_count;
    snprintf(id, sizeof(id), "p%02u", n);
    return (int64_t)(n % CATEGORIES) == job->categories[cursor->category] &&
           (cursor->id_len == 0 || memcmp(id, cursor->id, 3) > 0) &&
           (!last || job->until.id_len == 0 || memcmp(id, job->until.id, 3) <= 0);
}

/* Visits the next product; false: there is none any more. */
static bool step(const struct job_record *job, struct job_cursor *cursor) {
    for (; cursor->category < job->category_count; *cursor = place(cursor->category + 1, ""))
        for (unsigned n = 0; n < PRODUCTS; n++)
            if (in_page(job, cursor, n)) {
                visits[n]++;
                cursor->id_len = (uint8_t)snprintf(cursor->id, sizeof(cursor->id), "p%02u", n);
                return true;
            }
    return false;
}

static void test_chains_of_superseded_jobs(void **state) {
    (void)state;
    const char *given = getenv("READSIDE_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("seed: READSIDE_TEST_SEED=%u\n", seed);
    for (unsigned chain = 0; chain < 500; chain++) {
        int64_t list[CATEGORIES];
        for (int64_t c = 0; c < CATEGORIES; c++)
            list[c] = c;
        size_t count = 1 + (unsigned)rand_r(&seed) % CATEGORIES;
        struct job_record job = fanout(list, count);
        struct job_cursor at = {0};
        unsigned total = 0, generations = (unsigned)rand_r(&seed) % 6;
        for (unsigned g = 0; g < generations; g++) {
            for (unsigned n = (unsigned)rand_r(&seed) % 30; n > 0 && step(&job, &at); n--)
                ;
            count += (unsigned)rand_r(&seed) % (CATEGORIES - count + 1);
            struct job_record next = fanout(list, count);
            jobs_follow(&next, &job, &at);
            job_record_done(&job);
            job = next;
            at = job.cursor;
        }
        memset(visits, 0, sizeof(visits));
        while (step(&job, &at))
            total++;
        for (unsigned n = 0; n < PRODUCTS; n++)
            if (visits[n] != (n % CATEGORIES < count))
                fail_msg("chain %u: product %u was visited %u times", chain, n, visits[n]);
        assert_true(total > 0);
        job_record_done(&job);
    }
}

/* However soon the next change comes, a job of one page a generation is through after as many as it has pages. */
static void test_progress_survives_every_change(void **state) {
    (void)state;
    static const int64_t list[] = {0, 1, 2, 3, 4, 5};
    struct job_record job = fanout(list, CATEGORIES);
    struct job_cursor at = {0};
    memset(visits, 0, sizeof(visits));
    for (unsigned g = 0; g < PRODUCTS; g++) {
        assert_true(step(&job, &at));
        struct job_record next = fanout(list, CATEGORIES);
        jobs_follow(&next, &job, &at);
        job_record_done(&job);
        job = next;
        at = job.cursor;
    }
    for (unsigned n = 0; n < PRODUCTS; n++)
        assert_int_equal(visits[n], 1);
    job_record_done(&job);
}

/* -- refresh intervals -- */

static void test_intervals(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t usec;
    } table[] = {
        {"", 1000000}, {"1s", 1000000}, {"500ms", 500000}, {"250micros", 250}, {"7s", 7000000}, {"10000ms", 10000000},
        {"2m", 120000000}, {"1h", INT64_C(3600000000)}, {"1d", INT64_C(86400000000)}, {"1000000d", INT64_C(86400000000000000)},
        {"-1", -1}, {"-1ms", -1}, {"0", 0}, {"0s", 0}, {"1", 0}, {"s", 0}, {"1 s", 0}, {"1.5s", 0}, {"1S", 0}, {"5nanos", 0},
        {"ten seconds", 0}, {"1000001s", 0}, {"99999999999999999999s", 0},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (job_fill_interval(table[i].text) != table[i].usec)
            fail_msg("\"%s\": %lld, not %lld", table[i].text, (long long)job_fill_interval(table[i].text),
                     (long long)table[i].usec);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_begins_where_the_other_one_was),
        cmocka_unit_test(test_it_begins_at_its_beginning_otherwise),
        cmocka_unit_test(test_chains_of_superseded_jobs),
        cmocka_unit_test(test_progress_survives_every_change),
        cmocka_unit_test(test_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
