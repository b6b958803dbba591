/* search_dsl: one query string of /v1/search per line on stdin -> the Elasticsearch request body that the query-api
 * would send, one per line on stdout. For benches that put the same question to both. */
#include "core/cleanup.h"
#include "query-api/search_query.h"
#include "query-api/search_text.h"
#include <stdio.h>

static bool convert(struct slice query) {
    struct arena arena;
    struct search_params params;
    struct search_errors errors = {.count = 0};
    _cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
    arena_init(&arena, 1 << 20);
    bool ok = search_params_from_query(&arena, query, &params, &errors);
    params.text = ok && params.q.len ? search_text_read(&(struct search_text_context){.arena = &arena}, params.q, params.typo) : NULL;
    ok = ok && search_query_write(&params, &out);
    if (ok)
        printf("%.*s\n", (int)out.len, out.data);
    else
        fprintf(stderr, "search_dsl: %s: %s\n", errors.count ? errors.items[0].field : "query",
                errors.count ? errors.items[0].message : "too large");
    arena_done(&arena);
    return ok;
}

int main(void) {
    _cleanup_(freep) char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, stdin)) > 0) {
        if (line[n - 1] == '\n')
            n--;
        if (!convert((struct slice){line, (size_t)n}))
            return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
