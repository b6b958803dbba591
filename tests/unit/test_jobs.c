/* Which fan-outs make others superfluous, and what refresh intervals mean. */
#include "tests/unit/test.h"
#include "projector/jobs/job_fill.h"
#include "projector/jobs/jobs.h"
#include <stdlib.h>

static struct job_record fanout(const int64_t *categories, size_t count) {
    struct job_record job = {.type = JOB_FANOUT, .category_count = count};
    job.categories = malloc((count + 1) * sizeof(*categories));
    assert_non_null(job.categories);
    memcpy(job.categories, categories, count * sizeof(*categories));
    return job;
}

static void test_what_covers_what(void **state) {
    (void)state;
    static const struct {
        size_t count, other_count;
        int64_t list[3], other[3];
        bool covers;
    } table[] = {
        {2, 2, {7, 8}, {8, 7}, true},
        {3, 1, {5, 7, 8}, {8}, true},
        {1, 2, {7}, {7, 8}, false},
        {2, 2, {5, 7}, {7, 8}, false},
        {1, 0, {7}, {0}, true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct job_record job = fanout(table[i].list, table[i].count), other = fanout(table[i].other, table[i].other_count);
        if (jobs_covers(&job, &other) != table[i].covers)
            fail_msg("row %zu", i);
        other.type = JOB_SCAN;
        assert_false(jobs_covers(&job, &other));
        job_record_done(&job);
        job_record_done(&other);
    }
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
        cmocka_unit_test(test_what_covers_what),
        cmocka_unit_test(test_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
