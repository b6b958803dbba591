/* What a walk over the index asks for. */
#include "tests/unit/test.h"
#include "projector/jobs/job_scan.h"
#include <stdio.h>

static char asked[256];

bool __wrap_es_call(const struct es_conf *conf, const char *method, const char *path, struct slice body, usec_t timeout_usec,
                    int *ret_status, struct buf *ret_body, struct error *reterr);
bool __wrap_es_call(const struct es_conf *conf, const char *method, const char *path, struct slice body, usec_t timeout_usec,
                    int *ret_status, struct buf *ret_body, struct error *reterr) {
    (void)conf, (void)method, (void)body, (void)timeout_usec, (void)ret_status, (void)ret_body;
    snprintf(asked, sizeof(asked), "%s", path);
    return error_set(reterr, ERROR_UNAVAILABLE, "503 search_phase_execution_exception");
}

/* With a shard away the rest of the index is a page as well, but a shorter one: the walk would be over, and what the source has
 * not would stay. */
static void test_a_page_of_the_index_is_whole_or_none(void **state) {
    (void)state;
    struct es_conf es = {0};
    struct job_cursor cursor = {0};
    struct segment *segment = segment_new(MARK_JOB, MARK_BACKGROUND, 1 << 20);
    struct error error = {0};
    size_t seen;
    bool last;
    assert_false(job_scan_orphans(NULL, "readside", &es, "products-1", 0, 1000, &cursor, segment, &seen, &last, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    if (strncmp(asked, "/products-1/_search?", 20) != 0 || !strstr(asked, "allow_partial_search_results=false"))
        fail_msg("asked for %s", asked);
    segment_free(segment);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_page_of_the_index_is_whole_or_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
