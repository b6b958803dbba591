#include "core/es.h"
#include "core/cleanup.h"
#include "core/retry.h"
#include "core/uri.h"
#include <ctype.h>
#include <stdio.h>

enum { NODES_MAX = 32, DOWN_MIN_SEC = 1, DOWN_MAX_SEC = 30, PROBE_MAX_BYTES = 64 << 10, SERVER_NAME_BYTES = 80 };

#define OPTION(key, type, value, lo, hi, help, field)                                                                  \
    {"elasticsearch", key, type, value, lo, hi, NULL, help, offsetof(struct es_conf, field), false}
#define PEM(key, label, help, field)                                                                                   \
    {"elasticsearch", key, OPTION_PEM, "", 0, 0, label, help, offsetof(struct es_conf, field), false}
const struct option es_option_table[] = {
    OPTION("api_key", OPTION_SECRET, "", 0, 0, "Encoded API key, instead of user and password", api_key),
    PEM("ca_file", "CERTIFICATE", LINK_HELP_CA, tls.ca_file),
    PEM("cert_file", "CERTIFICATE", LINK_HELP_CERT, tls.cert_file),
    PEM("key_file", "PRIVATE KEY", LINK_HELP_KEY, tls.key_file),
    OPTION("key_password", OPTION_SECRET, "", 0, 0, LINK_HELP_KEY_PASSWORD, tls.key_password),
    OPTION("password", OPTION_SECRET, "", 0, 0, "Password of the user", password),
    OPTION("timeout", OPTION_DURATION, "10s", 10000, 3600000000, "Longest wait for one answer", timeout_usec),
    {"elasticsearch", "tls_verify", OPTION_ENUM, "full", 0, 0, LINK_VERIFY_VALUES, LINK_HELP_VERIFY,
     offsetof(struct es_conf, tls.verify), false},
    OPTION("url", OPTION_URL, "http://127.0.0.1:9200", 0, 0,
           "Addresses of Elasticsearch or OpenSearch nodes, comma-separated; https:// for TLS", url),
    OPTION("user", OPTION_STRING, "", 0, 0, "User for basic authentication", user),
};
const size_t es_option_count = ARRAY_LEN(es_option_table);
#undef OPTION
#undef PEM

/* ---- nodes ----------------------------------------------------------------------------------------------- */

struct node {
    char *url; /* without a slash at the end */
    unsigned failures;
    usec_t down_until;
};

struct nodes {
    struct node node[NODES_MAX];
    unsigned count;
    unsigned next;
};

static void nodes_done(struct nodes *nodes) {
    for (unsigned i = 0; i < nodes->count; i++)
        free(nodes->node[i].url);
    nodes->count = 0;
}

static bool refuse_url(const char *url, size_t len, struct error *reterr) {
    _cleanup_(freep) char *copy = strndup(url, len);
    _cleanup_(buf_done) struct buf shown = BUF_INIT(64 << 10);
    if (!copy || !uri_redact(&shown, copy))
        return error_nomem(reterr);
    return error_set(reterr, ERROR_INVALID, "[elasticsearch] url: \"%.100s\" is no http:// or https:// address",
                     shown.data);
}

static bool nodes_add(struct nodes *nodes, const char *url, size_t len, struct error *reterr) {
    while (len > 0 && isspace((unsigned char)*url))
        url++, len--;
    while (len > 0 && (isspace((unsigned char)url[len - 1]) || url[len - 1] == '/'))
        len--;
    if (len == 0)
        return true;
    bool http = len > 7 && memcmp(url, "http://", 7) == 0, https = len > 8 && memcmp(url, "https://", 8) == 0;
    if (!http && !https)
        return refuse_url(url, len, reterr);
    if (nodes->count == NODES_MAX)
        return error_set(reterr, ERROR_INVALID, "[elasticsearch] url: more than %d addresses", NODES_MAX);
    char *copy = strndup(url, len);
    if (!copy)
        return error_nomem(reterr);
    nodes->node[nodes->count++] = (struct node){.url = copy};
    return true;
}

static bool nodes_parse(struct nodes *nodes, const char *list, struct error *reterr) {
    *nodes = (struct nodes){.count = 0};
    for (const char *p = list; p;) {
        const char *comma = strchr(p, ',');
        if (!nodes_add(nodes, p, comma ? (size_t)(comma - p) : strlen(p), reterr)) {
            nodes_done(nodes);
            return false;
        }
        p = comma ? comma + 1 : NULL;
    }
    return nodes->count > 0 || error_set(reterr, ERROR_INVALID, "[elasticsearch] url is empty; give at least one address");
}

/* Round-robin over the nodes that are not down; if all are, the one whose pause ends first. */
static struct node *nodes_pick(struct nodes *nodes, usec_t now) {
    struct node *best = NULL;
    for (unsigned i = 0; i < nodes->count; i++) {
        struct node *node = &nodes->node[(nodes->next + i) % nodes->count];
        if (node->down_until <= now) {
            best = node;
            break;
        }
        if (!best || node->down_until < best->down_until)
            best = node;
    }
    nodes->next = ((unsigned)(best - nodes->node) + 1) % nodes->count;
    return best;
}

static void node_answered(struct node *node) {
    node->failures = 0;
    node->down_until = 0;
}

static void node_failed(struct node *node, usec_t now) {
    if (now < node->down_until) /* calls that were under way already */
        return;
    node->down_until = now + clock_backoff_usec(node->failures, DOWN_MIN_SEC * USEC_PER_SEC, DOWN_MAX_SEC * USEC_PER_SEC);
    if (node->failures < 16)
        node->failures++;
}

/* ---- sessions -------------------------------------------------------------------------------------------- */

/* One call under way: finds its node and its caller again. */
struct pending {
    struct pending *prev, *next;
    struct es *es;
    struct node *node;
    usec_t timeout_usec;
    struct http_call *call;
    http_client_callback *callback;
    void *ctx;
};

struct es {
    struct loop *loop;
    struct http_client *client;
    struct nodes nodes;
    usec_t timeout_usec;
    struct pending *pending;
};

static const char *none_if_empty(const char *s) {
    return s && s[0] ? s : NULL;
}

static bool check_conf(const struct es_conf *conf, struct error *reterr) {
    if (none_if_empty(conf->api_key) && none_if_empty(conf->user))
        return error_set(reterr, ERROR_INVALID, "[elasticsearch] api_key and user exclude each other; give one of them");
    return link_check(&conf->tls, "elasticsearch", reterr);
}

bool es_check(const struct es_conf *conf, struct error *reterr) {
    struct nodes nodes;
    if (!check_conf(conf, reterr) || !nodes_parse(&nodes, conf->url, reterr))
        return false;
    nodes_done(&nodes);
    return true;
}

static struct http_client_options client_options(const struct es_conf *conf, unsigned connections_max) {
    return (struct http_client_options){
        .connections_max = connections_max,
        .user = none_if_empty(conf->user),
        .password = none_if_empty(conf->user) ? conf->password : NULL,
        .api_key = none_if_empty(conf->api_key),
        .ca_file = none_if_empty(conf->tls.ca_file),
        .cert_file = none_if_empty(conf->tls.cert_file),
        .key_file = none_if_empty(conf->tls.key_file),
        .key_password = none_if_empty(conf->tls.key_password),
        .tls_verify_off = conf->tls.verify == LINK_VERIFY_NONE,
        .tls_any_host = conf->tls.verify == LINK_VERIFY_CA,
    };
}

struct es *es_new(struct loop *loop, const struct es_conf *conf, unsigned connections_max, struct error *reterr) {
    struct es *es = calloc(1, sizeof(*es));
    if (!es) {
        error_nomem(reterr);
        return NULL;
    }
    es->loop = loop;
    es->timeout_usec = conf->timeout_usec;
    struct http_client_options options = client_options(conf, connections_max);
    if (check_conf(conf, reterr) && nodes_parse(&es->nodes, conf->url, reterr))
        es->client = http_client_new(loop, &options, reterr);
    if (es->client)
        return es;
    es_free(es);
    return NULL;
}

void es_free(struct es *es) {
    if (!es)
        return;
    if (es->client)
        http_client_free(es->client);
    for (struct pending *p = es->pending, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    nodes_done(&es->nodes);
    free(es);
}

static void pending_free(struct pending *p) {
    *(p->prev ? &p->prev->next : &p->es->pending) = p->next;
    if (p->next)
        p->next->prev = p->prev;
    free(p);
}

#define SILENT_USEC USEC_PER_SEC

/* Silence of less than a second says nothing: the caller was in a hurry. Nor does a call that has waited for a connection. */
static bool tells_of_node(const struct pending *p, const struct http_response *response) {
    return response->error.code == ERROR_TIMEOUT ? response->sent && p->timeout_usec >= SILENT_USEC
                                                 : error_is_retriable(&response->error);
}

static void on_answer(void *ctx, struct http_response *response) {
    struct pending *p = ctx;
    http_client_callback *callback = p->callback;
    void *callback_ctx = p->ctx;

    if (response->status > 0)
        node_answered(p->node);
    else if (tells_of_node(p, response))
        node_failed(p->node, loop_now(p->es->loop));
    pending_free(p);
    callback(callback_ctx, response);
}

struct http_call *es_start(struct es *es, const char *method, const char *path, const char *content_type,
                           struct slice body, const char *traceparent, usec_t timeout_usec,
                           http_client_callback *callback, void *ctx, struct error *reterr) {
    struct node *node = nodes_pick(&es->nodes, loop_now(es->loop));
    _cleanup_(freep) char *url = NULL;
    struct pending *p = malloc(sizeof(*p));
    if (!p || asprintf(&url, "%s%s", node->url, path) < 0) {
        free(p);
        url = NULL;
        error_nomem(reterr);
        return NULL;
    }
    *p = (struct pending){.next = es->pending, .es = es, .node = node, .callback = callback, .ctx = ctx,
                           .timeout_usec = timeout_usec ? timeout_usec : es->timeout_usec};
    struct http_client_request request = {
        .method = method,
        .url = url,
        .content_type = content_type,
        .traceparent = traceparent,
        .body = body,
        .timeout_usec = p->timeout_usec,
    };
    p->call = http_client_start(es->client, &request, on_answer, p, reterr);
    if (!p->call) {
        free(p);
        return NULL;
    }
    if (es->pending)
        es->pending->prev = p;
    es->pending = p;
    return p->call;
}

void es_cancel(struct es *es, struct http_call *call) {
    for (struct pending *p = es->pending; p; p = p->next) {
        if (p->call == call) {
            http_client_cancel(es->client, call);
            pending_free(p);
            return;
        }
    }
}

/* ---- blocking -------------------------------------------------------------------------------------------- */

static bool call_node(const struct es_conf *conf, const struct node *node, const char *method, const char *path,
                      struct slice body, usec_t timeout_usec, int *ret_status, struct buf *ret_body,
                      struct error *reterr) {
    struct http_client_options options = client_options(conf, 1);
    _cleanup_(freep) char *url = NULL;
    if (asprintf(&url, "%s%s", node->url, path) < 0) {
        url = NULL;
        return error_nomem(reterr);
    }
    struct http_client_request request = {
        .method = method,
        .url = url,
        .body = body,
        .timeout_usec = timeout_usec ? timeout_usec : conf->timeout_usec,
    };
    buf_reset(ret_body);
    return http_client_call_blocking(&options, &request, ret_status, ret_body, reterr);
}

/* "host:port", without user information. */
static void name_server(const struct node *node, char ret[SERVER_NAME_BYTES]) {
    const char *host = strstr(node->url, "://") + 3, *at = strrchr(host, '@');
    snprintf(ret, SERVER_NAME_BYTES, "%s", at ? at + 1 : host);
}

/* Where nobody answers, a method that may be repeated is given to the next node. */
static bool call_any_node(const struct es_conf *conf, const char *method, const char *path, struct slice body,
                          usec_t timeout_usec, struct http_response *ret, struct buf *ret_body, struct error *reterr) {
    struct nodes nodes;
    if (!check_conf(conf, reterr) || !nodes_parse(&nodes, conf->url, reterr))
        return false;
    bool repeatable = strcmp(method, "POST") != 0, ok = false;
    unsigned first = (unsigned)(clock_random_u64() % nodes.count);
    for (unsigned i = 0; i < nodes.count && !ok; i++) {
        struct error why = {0};
        const struct node *node = &nodes.node[(first + i) % nodes.count];
        name_server(node, ret->server);
        ok = call_node(conf, node, method, path, body, timeout_usec, &ret->status, ret_body, &why);
        if (!ok)
            error_set(reterr, why.code, "Elasticsearch %s", why.message);
        if (!ok && (!repeatable || why.code != ERROR_UNAVAILABLE))
            break;
    }
    nodes_done(&nodes);
    return ok;
}

bool es_call(const struct es_conf *conf, const char *method, const char *path, struct slice body, usec_t timeout_usec,
             int *ret_status, struct buf *ret_body, struct error *reterr) {
    struct http_response response = {.body = ret_body};
    if (!call_any_node(conf, method, path, body, timeout_usec, &response, ret_body, reterr))
        return false;
    int status = response.status;
    if (ret_status)
        *ret_status = status;
    if ((status >= 200 && status < 300) || (status == 404 && ret_status))
        return true;
    es_error(&response, reterr);
    return error_prefix(reterr, "%s %.60s", method, path);
}

struct probe {
    const struct es_conf *conf;
    struct buf body;
};

static bool attempt_health(void *ctx, struct error *reterr) {
    struct probe *probe = ctx;
    return es_call(probe->conf, "GET", "/_cluster/health?timeout=1s&filter_path=status", SLICE(""), 0, NULL, &probe->body,
                   reterr);
}

bool es_wait(const struct es_conf *conf, bool (*on_wait)(void *ctx, const struct error *why, usec_t retry_in),
             void *ctx, struct error *reterr) {
    struct probe probe = {conf, BUF_INIT(PROBE_MAX_BYTES)};
    bool ok = retry_wait(attempt_health, &probe, on_wait, ctx, reterr);
    buf_done(&probe.body);
    return ok;
}
