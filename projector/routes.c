#include "core/cleanup.h"
#include "projector/jobs/jobs.h"
#include "projector/routes.h"
#include "projector/status.h"
#include <stdlib.h>

#define STATUS_MAX_BYTES ((size_t)8 << 20)

struct session {
    mongoc_client_pool_t *pool;
    mongoc_client_t *client;
};

struct confirm_job {
    struct job job;
    struct http_request *request;
    const struct routes *routes;
    char id[JOB_ID_SIZE];
    bool ok;
    struct error error;
};

static void *session_new(void *ctx, struct error *reterr) {
    const struct routes *routes = ctx;
    struct session *s = calloc(1, sizeof(*s));
    if (!s) {
        error_nomem(reterr);
        return NULL;
    }
    s->pool = mongo_pool_new(&routes->options->mongo, "projector-http", 1, reterr);
    if (!s->pool) {
        free(s);
        return NULL;
    }
    s->client = mongoc_client_pool_pop(s->pool);
    return s;
}

static void session_free(void *session) {
    struct session *s = session;
    mongoc_client_pool_push(s->pool, s->client);
    mongoc_client_pool_destroy(s->pool);
    free(s);
}

static void confirm_run(struct job *base, void *session) {
    struct confirm_job *job = CONTAINER_OF(base, struct confirm_job, job);
    const struct session *s = session;
    job->ok = jobs_confirm(s->client, job->routes->options->mongo.database, job->id, &job->error);
}

static void confirm_done(struct job *base) {
    struct confirm_job *job = CONTAINER_OF(base, struct confirm_job, job);
    if (job->ok)
        http_reply_empty(job->request, 204);
    else
        http_reply_error(job->request, &job->error);
    if (job->ok)
        log_info("job.confirmed", LOG_STR("job", job->id));
    http_request_unref(job->request);
    free(job);
}

static void handle_confirm(struct http_request *request, void *ctx) {
    const struct routes *routes = ctx;
    struct slice id = http_request_param(request, "id");
    struct confirm_job *job = id.len < JOB_ID_SIZE ? calloc(1, sizeof(*job)) : NULL;
    if (!job) {
        http_reply_problem(request, 404, "there is no such job", NULL, 0);
        return;
    }
    memcpy(job->id, id.data, id.len);
    job->job.run = confirm_run;
    job->job.done = confirm_done;
    job->routes = routes;
    job->request = http_request_ref(request);
    if (workers_submit(routes->workers, http_request_loop(request), &job->job))
        return;
    http_reply_problem(request, 503, "too many requests wait", NULL, 0);
    http_request_unref(request);
    free(job);
}

static void handle_status(struct http_request *request, void *ctx) {
    (void)ctx;
    struct buf out = BUF_INIT(STATUS_MAX_BYTES);
    struct json_write w;
    json_write_init(&w, &out);
    json_write_object(&w);
    json_write_key(&w, "program");
    json_write_str(&w, "projector");
    json_write_key(&w, "version");
    json_write_str(&w, READSIDE_VERSION);
    json_write_key(&w, "from");
    json_write_str(&w, "daemon");
    status_write_time(&w, "time", clock_wall_usec());
    json_write_key(&w, "ready");
    json_write_bool(&w, daemon_ready());
    json_write_key(&w, "conditions");
    daemon_write_conditions(&w);
    status_write(&w);
    json_write_object_end(&w);
    if (json_write_finish(&w) && buf_append_char(&out, '\n')) {
        http_reply(request, 200, NULL, &out);
        return;
    }
    buf_done(&out);
    struct error error;
    error_nomem(&error);
    http_reply_error(request, &error);
}

const struct http_route projector_routes[] = {
    DAEMON_ROUTES,
    {.method = "GET", .path = "/v1/status", .handler = handle_status,
     .summary = "Sources, lag, lanes, jobs, targets: what `projector status` shows"},
    {.method = "POST", .path = "/v1/jobs/{id}:confirm", .handler = handle_confirm,
     .summary = "Let a job go on that waits for a person's word"},
    {.method = NULL},
};

bool routes_init(struct routes *routes, const struct projector_options *options, struct error *reterr) {
    routes->options = options;
    routes->workers = workers_new(&(struct workers_options){.name = "http-store", .threads = 1, .queue_max = 16,
                                                            .session_new = session_new, .session_free = session_free,
                                                            .ctx = routes},
                                  reterr);
    return routes->workers != NULL;
}

void routes_done(struct routes *routes) {
    workers_free(routes->workers);
    routes->workers = NULL;
}
