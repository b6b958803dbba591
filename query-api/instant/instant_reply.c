/* instant_reply.c - what the endpoints of the InstantSearch protocol share: bodies, errors, and the questions to this
 * program's own handlers that one request consists of. */
#include "query-api/instant/instant_reply.h"
#include "query-api/search/answer_json.h"

enum { VALUES_MAX = 20000, ANSWER_DEPTH_MAX = 64, PARTS_AT_ONCE = 4 };

void instant_reply(struct http_request *request, struct json_write *w, struct buf *out) {
    if (!json_write_finish(w)) {
        struct error error = {0};
        buf_done(out);
        error_nomem(&error);
        http_reply_error(request, &error);
        return;
    }
    http_reply(request, 200, NULL, out);
}

void instant_refuse_one(struct http_request *request, size_t index, struct error *error) {
    error_prefix(error, "requests[%zu]", index);
    http_reply_error(request, error);
}

/* Bodies are JSON under whatever content type spares the browser a preflight. */
const struct json *instant_body(struct http_request *request) {
    static const struct json_limits limits = {.depth_max = INSTANT_DEPTH_MAX, .values_max = VALUES_MAX};
    static const struct json none = {.type = JSON_OBJECT};
    struct error error = {0};
    struct slice body = http_request_body(request);
    if (!body.len)
        return &none;
    const struct json *json = json_parse(http_request_arena(request), body.data, body.len, &limits, &error);
    if (json_is(json, JSON_OBJECT))
        return json;
    if (json)
        error_set(&error, ERROR_INVALID, "the body must be a JSON object");
    http_reply_error(request, &error);
    return NULL;
}

const struct json *instant_requests(struct http_request *request) {
    struct error error = {0};
    const struct json *body = instant_body(request), *requests = json_get(body, "requests");
    if (!body)
        return NULL;
    if (json_is(requests, JSON_ARRAY) && requests->count <= INSTANT_REQUESTS_MAX)
        return requests;
    error_set(&error, ERROR_INVALID, "requests must be a list of at most %d", INSTANT_REQUESTS_MAX);
    http_reply_error(request, &error);
    return NULL;
}

/* ---- questions ---- */

static void parts_release(void *data) {
    struct instant_parts *p = data;
    for (size_t i = 0; i < p->count; i++)
        buf_done(&p->items[i].text);
}

bool instant_parts_init(struct instant_parts *p, struct http_request *request, size_t count, instant_part_ask *ask,
                        instant_parts_done *done, void *data) {
    *p = (struct instant_parts){.request = request, .count = count, .ask = ask, .done = done, .data = data};
    p->items = arena_zalloc(http_request_arena(request), (count + 1) * sizeof(*p->items));
    if (!p->items)
        return false;
    for (size_t i = 0; i < count; i++)
        p->items[i] = (struct instant_part){.all = p, .asked_by = i};
    http_request_set_data(request, p, parts_release);
    return true;
}

static void on_part(void *data, int status, struct buf *body) {
    struct instant_part *part = data;
    struct error error = {0};
    part->status = status;
    part->text = *body;
    *body = BUF_INIT(body->max);
    if (part->text.data)
        part->answer = answer_json_parse(http_request_arena(part->all->request), part->text.data, part->text.len, ANSWER_DEPTH_MAX, &error);
    part->all->answered++;
    part->all->under_way--;
    instant_parts_start(part->all);
}

/* Also goes on when a part is answered, which may be within ask. */
void instant_parts_start(struct instant_parts *p) {
    while (p->next < p->count && p->under_way < PARTS_AT_ONCE) {
        size_t index = p->next++;
        struct http_request *inner = http_request_inner(p->request, (unsigned)index, on_part, &p->items[index]);
        if (!inner) {
            p->answered++;
            continue;
        }
        p->under_way++;
        p->ask(p->data, inner, index);
        http_request_unref(inner);
    }
    if (p->answered == p->count && p->done) {
        instant_parts_done *done = p->done;
        p->done = NULL;
        done(p->data);
    }
}

static void refuse_part(struct instant_parts *p, const struct instant_part *part) {
    const struct json *detail = json_get(part->answer, "detail");
    int status = part->status < 400 ? 503 : part->status;
    struct slice why = json_is(detail, JSON_STRING) ? detail->text : SLICE("the search could not be answered; try again shortly");
    struct buf message = BUF_INIT(2048);
    if (!p->alone)
        buf_printf(&message, "requests[%zu]: ", part->asked_by);
    buf_append(&message, why.data, why.len);
    if (status == 503 || status == 429)
        http_reply_header(p->request, "Retry-After", "1");
    http_reply_problem(p->request, status, buf_ok(&message) ? message.data : NULL, NULL, 0);
    buf_done(&message);
}

bool instant_parts_failed(struct instant_parts *p, int but) {
    for (size_t i = 0; i < p->count; i++) {
        const struct instant_part *part = &p->items[i];
        if ((part->status == 200 && part->answer) || part->status == but)
            continue;
        refuse_part(p, part);
        return true;
    }
    return false;
}
