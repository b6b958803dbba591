#include "core/api_guard.h"
#include "core/cleanup.h"
#include "core/metrics.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

enum { QUERY_PAIRS_MAX = 64, ADDRESS_MAX = 64, IPV6_NET_BYTES = 8 /* who has one IPv6 address has 2^64 */ };
enum refusal { NO_KEY, WRONG_KEY, EXPIRED, SCOPE, KEY_RATE, ADDRESS_RATE, UNKNOWN_YET, REFUSALS };

static const unsigned all_scopes = HTTP_SCOPE_SEARCH | HTTP_SCOPE_WRITE | HTTP_SCOPE_ADMIN;

struct api_guard {
    struct api_guard_conf conf; /* admin_key NULL, its hash below */
    bool has_admin;
    struct api_key_hash admin;
    struct api_keys *keys;
    struct rate_table *rates;
    struct metric *refused[REFUSALS];
};

/* A key as it came. */
struct given {
    struct slice secret; /* data NULL: none */
    bool by_client_library;
};

struct api_guard *api_guard_new(const struct api_guard_conf *conf, struct rate_table *rates, const char *server,
                                struct error *reterr) {
    static const char *const names[REFUSALS] = {"no_key", "wrong_key", "expired_key", "scope", "key_rate", "address_rate",
                                                "keys_unknown"};
    struct api_guard *guard = calloc(1, sizeof(*guard));
    char labels[96];
    if (!guard) {
        error_nomem(reterr);
        return NULL;
    }
    guard->conf = *conf;
    guard->conf.admin_key = NULL;
    guard->rates = rates;
    guard->has_admin = conf->admin_key && *conf->admin_key;
    if (guard->has_admin)
        api_key_hash(slice_str(conf->admin_key), &guard->admin);
    for (int i = 0; i < REFUSALS; i++) {
        (void)snprintf(labels, sizeof(labels), "server=\"%s\",reason=\"%s\"", server, names[i]);
        guard->refused[i] = metrics_counter("readside_http_refused_total", "Requests refused for their key or their rate", labels);
    }
    return guard;
}

void api_guard_free(struct api_guard *guard) {
    if (!guard)
        return;
    api_keys_free(guard->keys);
    free(guard);
}

void api_guard_set_keys(struct api_guard *guard, struct api_keys *keys) {
    api_keys_free(guard->keys);
    guard->keys = keys;
}

const struct api_keys *api_guard_keys(const struct api_guard *guard) {
    return guard->keys;
}

bool api_guard_takes_query(const struct http_route *route) {
    return strncmp(route->path, "/1/", 3) == 0;
}

/* ---- what a request brings ---- */

static struct given given_key(struct http_request *request) {
    static const char bearer[] = "Bearer ";
    const size_t skip = sizeof(bearer) - 1;
    struct slice header = http_request_header(request, "Authorization");
    if (header.len >= skip && strncasecmp(header.data, bearer, skip) == 0)
        return (struct given){.secret = {header.data + skip, header.len - skip}};
    if (header.len)
        return (struct given){.secret = SLICE("")}; /* another scheme: a wrong key */
    header = http_request_header(request, "X-Algolia-API-Key");
    if (header.len)
        return (struct given){.secret = header, .by_client_library = true};
    struct uri_pair *pairs = NULL;
    size_t count = 0;
    struct slice query = http_request_query(request);
    if (query.len && api_guard_takes_query(http_request_route(request)) &&
        uri_parse_query(http_request_arena(request), query.data, query.len, QUERY_PAIRS_MAX, &pairs, &count, NULL))
        for (size_t i = 0; i < count; i++)
            if (pairs[i].key.len == 17 && strncasecmp(pairs[i].key.data, "x-algolia-api-key", 17) == 0 && pairs[i].value.len)
                return (struct given){.secret = pairs[i].value, .by_client_library = true};
    return (struct given){.secret = {NULL, 0}};
}

/* The last element of a list that proxies append to. False: it is no address. */
static bool last_address(struct slice list, unsigned char ret[16], size_t *ret_len) {
    char text[ADDRESS_MAX];
    size_t begin = list.len, end = list.len;
    while (end > 0 && (list.data[end - 1] == ' ' || list.data[end - 1] == '\t'))
        end--;
    for (begin = end; begin > 0 && list.data[begin - 1] != ',' && list.data[begin - 1] != ' '; begin--)
        continue;
    if (end == begin || end - begin >= sizeof(text))
        return false;
    memcpy(text, list.data + begin, end - begin);
    text[end - begin] = '\0';
    *ret_len = inet_pton(AF_INET, text, ret) == 1 ? 4 : inet_pton(AF_INET6, text, ret) == 1 ? 16 : 0;
    return *ret_len > 0;
}

size_t api_guard_client(const struct api_guard *guard, struct http_request *request, unsigned char ret[16]) {
    struct slice peer = http_request_peer(request);
    size_t len = peer.len;
    const char *name = guard->conf.address_header;
    if (len)
        memcpy(ret, peer.data, len);
    if (name && *name && http_request_header(request, name).len)
        (void)last_address(http_request_header(request, name), ret, &len);
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:192.0.2.1, IPv4 on a socket of IPv6 */
    if (len == 16 && memcmp(ret, mapped, sizeof(mapped)) == 0) {
        memmove(ret, ret + sizeof(mapped), 4);
        return 4;
    }
    return len == 16 ? IPV6_NET_BYTES : len;
}

/* ---- refusals: each returns false ---- */

static bool refuse(struct api_guard *guard, struct http_request *request, enum refusal why, int status, const char *detail) {
    metric_inc(guard->refused[why]);
    http_reply_problem(request, status, detail, NULL, 0);
    return false;
}

static bool unauthorized(struct api_guard *guard, struct http_request *request, enum refusal why, const char *detail) {
    http_reply_header(request, "WWW-Authenticate", "Bearer");
    return refuse(guard, request, why, 401, detail);
}

static bool forbidden(struct api_guard *guard, struct http_request *request, const char *detail) {
    return refuse(guard, request, SCOPE, 403, detail);
}

static bool too_often(struct api_guard *guard, struct http_request *request, enum refusal why, usec_t wait) {
    char seconds[24];
    (void)snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)((wait + USEC_PER_SEC - 1) / USEC_PER_SEC));
    http_reply_header(request, "Retry-After", seconds);
    return refuse(guard, request, why, 429,
                  why == KEY_RATE ? "the key has used up its rate; try again later"
                                  : "too many requests without a key from this address; try again later");
}

/* ---- the decision ---- */

static bool admit_open(struct api_guard *guard, struct http_request *request, enum http_scope needed) {
    const struct api_guard_conf *c = &guard->conf;
    unsigned char client[16];
    usec_t wait = 0;
    size_t len = c->open_rate ? api_guard_client(guard, request, client) : 0;
    if (len && !rate_table_take(guard->rates, client, len, (uint64_t)c->open_rate,
                                (uint64_t)(c->open_burst ? c->open_burst : c->open_rate), clock_now_usec(), &wait))
        return too_often(guard, request, ADDRESS_RATE, wait);
    http_request_set_scopes(request, needed & c->open_scopes);
    return true;
}

static bool admit_key(struct api_guard *guard, struct http_request *request, enum http_scope needed, const struct api_key *key) {
    usec_t wait = 0;
    unsigned scopes = key->scopes & HTTP_SCOPE_ADMIN ? all_scopes : key->scopes;
    if (key->expires_at_wall_usec && clock_wall_usec() >= key->expires_at_wall_usec)
        return unauthorized(guard, request, EXPIRED, "the API key has expired");
    if (!(scopes & needed))
        return forbidden(guard, request, "the API key does not have the scope for this");
    if (key->rate && !rate_table_take(guard->rates, key->hash.bytes, sizeof(key->hash.bytes), (uint64_t)key->rate,
                                      (uint64_t)key->burst, clock_now_usec(), &wait))
        return too_often(guard, request, KEY_RATE, wait);
    http_request_set_scopes(request, scopes);
    return true;
}

bool api_guard_admit(struct http_request *request, enum http_scope needed, void *ctx) {
    struct api_guard *guard = ctx;
    bool open = (guard->conf.open_scopes & needed) != 0;
    struct given given = given_key(request);
    struct api_key_hash hash;
    if (!given.secret.data && open)
        return admit_open(guard, request, needed);
    if (needed == HTTP_SCOPE_ADMIN && !open && !guard->has_admin && api_keys_count(guard->keys) == 0)
        return forbidden(guard, request, "administration is off: set admin_key");
    if (!given.secret.data)
        return unauthorized(guard, request, NO_KEY, "an API key is needed: send Authorization: Bearer KEY");
    const struct api_key *key = NULL;
    if (given.secret.len <= API_KEY_GIVEN_MAX_BYTES) {
        api_key_hash(given.secret, &hash);
        if (guard->has_admin && api_key_hash_equal(&hash, &guard->admin)) {
            http_request_set_scopes(request, all_scopes);
            return true;
        }
        key = api_keys_find(guard->keys, &hash);
    }
    if (key)
        return admit_key(guard, request, needed, key);
    if (open && given.by_client_library)
        return admit_open(guard, request, needed);
    if (guard->conf.has_keys && !guard->keys) {
        http_reply_header(request, "Retry-After", "1");
        return refuse(guard, request, UNKNOWN_YET, 503, "the API keys are not known yet; try again shortly");
    }
    return unauthorized(guard, request, WRONG_KEY, "the API key is wrong, or no longer valid");
}
