/* Query string -> search parameters -> Elasticsearch request: whatever is accepted must give valid JSON. */
#include "query-api/search/search_parts.h"
#include "query-api/text/search_text.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(struct arena *arena, const char *text, size_t len) {
    if (!json_parse(arena, text, len, &(struct json_limits){64, 1000000}, NULL))
        abort();
}

/* One search, or the four lines of two. */
static void check_page(struct arena *arena, const struct buf *out, bool several) {
    size_t lines = 0;
    if (!several)
        check_json(arena, out->data, out->len);
    for (const char *at = out->data, *end; several && (end = strchr(at, '\n')); at = end + 1, lines++)
        check_json(arena, at, (size_t)(end - at));
    if (lines != (several ? 4 : 0))
        abort();
}

static void check_query(struct search_params *params) {
    struct buf out = BUF_INIT(4 << 20);
    struct arena scratch;
    bool several;
    arena_init(&scratch, 16 << 20);
    params->text = search_text_read(&(struct search_text_context){.arena = &scratch}, params->q, params->typo);
    if (search_query_write(params, &out))
        check_json(&scratch, out.data, out.len);
    buf_reset(&out);
    if (search_parts_write(params, &out, &several))
        check_page(&scratch, &out, several);
    arena_done(&scratch);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct search_params params;
    struct search_errors errors;
    arena_init(&arena, 1 << 20);
    if (search_params_from_query(&arena, (struct slice){(const char *)data, size}, &params, &errors))
        check_query(&params);
    arena_reset(&arena);
    const struct json *json = json_parse(&arena, (const char *)data, size, &(struct json_limits){8, 4096}, NULL);
    if (json && search_params_from_json(&arena, json, &params, &errors))
        check_query(&params);
    arena_done(&arena);
    return 0;
}
