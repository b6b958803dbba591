#include "query-api/admin/admin_list.h"
#include "query-api/search/search_result.h"

enum { LIST_MAX_BYTES = 16 << 20 };

void admin_reply_nomem(struct http_request *request) {
    struct error error = {0};
    error_nomem(&error);
    http_reply_error(request, &error);
}

void admin_reply_unavailable(struct http_request *request, const char *why) {
    struct error error = {0};
    error_set(&error, ERROR_UNAVAILABLE, "%s; try again shortly", why);
    http_reply_error(request, &error);
}

void admin_list_ask(struct buf *body, const char *filter, struct slice after) {
    buf_printf(body, "{\"size\":%d,\"track_total_hits\":true,\"sort\":[\"id\"]", ADMIN_LIST_PAGE);
    if (filter)
        buf_printf(body, ",\"query\":%s", filter);
    if (after.len) {
        buf_append_str(body, ",\"search_after\":[");
        json_append_string(body, after.data, after.len);
        buf_append_char(body, ']');
    }
    buf_append_char(body, '}');
}

void admin_list_reply(struct http_request *request, int status, const struct json *body, admin_list_item item, void *ctx) {
    struct buf out = BUF_INIT(LIST_MAX_BYTES);
    struct json_write w;
    const char *last = NULL;
    int64_t total = 0;
    if (status == 404 || !search_result_check(body, NULL)) {
        admin_reply_unavailable(request, "the search engine's answer is not complete");
        return;
    }
    const struct json *hits = json_path(body, "hits.hits");
    json_int64(json_path(body, "hits.total.value"), &total);
    json_write_init(&w, &out);
    json_write_object(&w);
    json_write_key(&w, "total");
    json_write_int(&w, total);
    json_write_key(&w, "items");
    json_write_array(&w);
    for (const struct json *hit = hits->child; hit; hit = hit->next) {
        const char *id = item(&w, json_get(hit, "_source"), ctx);
        last = id ? id : last;
    }
    json_write_array_end(&w);
    json_write_key(&w, "next");
    json_write_str(&w, hits->count == ADMIN_LIST_PAGE ? last : NULL);
    json_write_object_end(&w);
    if (json_write_finish(&w)) {
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    admin_reply_nomem(request);
}
