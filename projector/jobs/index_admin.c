#include "core/cleanup.h"
#include "core/json_write.h"
#include "core/uri.h"
#include "projector/jobs/index_admin.h"
#include <stdio.h>
#include <time.h>

enum { ANSWER_BYTES_MAX = 64 << 20, BODY_BYTES_MAX = 32 << 20, PATH_BYTES_MAX = 2048, STAMP_LEN = 14 + 1 + 4 };
#define REFRESH_TIMEOUT_USEC (60 * USEC_PER_SEC)
#define SEGMENT_BYTES (INT64_C(5) << 30) /* index.merge.policy.max_merged_segment, as it is if nobody changes it */

/* One call and its answer. */
struct call {
    struct buf body, answer;
    struct arena arena;
    struct json *json; /* the answer, read */
    int status;
};

static void call_done(struct call *c) {
    buf_done(&c->body);
    buf_done(&c->answer);
    arena_done(&c->arena);
}
#define CALL_INIT                                                                                  \
    {                                                                                              \
        .body = BUF_INIT(BODY_BYTES_MAX), .answer = BUF_INIT(ANSWER_BYTES_MAX), .arena = {.max = ANSWER_BYTES_MAX * 4}  \
    }

static bool path_of(struct buf *path, const char *before, const char *name, const char *after, struct error *reterr) {
    buf_append_str(path, before);
    uri_encode(path, name, strlen(name));
    return buf_append_str(path, after) || error_set(reterr, ERROR_INVALID, "the index name \"%.60s\" is too long", name);
}

/* Sends c->body to before + name + after. 404 is an answer if may_be_missing. */
static bool call(const struct es_conf *es, struct call *c, const char *method, const char *before, const char *name,
                 const char *after, bool may_be_missing, struct error *reterr) {
    static const struct json_limits limits = {.values_max = 4000000};
    _cleanup_(buf_done) struct buf path = BUF_INIT(PATH_BYTES_MAX);
    if (!buf_ok(&c->body))
        return error_nomem(reterr);
    if (!path_of(&path, before, name, after, reterr) ||
        !es_call(es, method, path.data, (struct slice){c->body.data, c->body.len}, REFRESH_TIMEOUT_USEC,
                 may_be_missing ? &c->status : NULL, &c->answer, reterr))
        return false;
    arena_reset(&c->arena);
    c->json = json_parse(&c->arena, c->answer.data ? c->answer.data : "", c->answer.len, &limits, reterr);
    return c->json || error_prefix(reterr, "answer to %s %.80s", method, path.data);
}

/* ---- names ---- */

void index_names_done(struct index_names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct index_names){0};
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* base-<14 digits>-<4 hex> */
static bool is_stamped(const char *base, struct slice name) {
    size_t len = strlen(base);
    if (name.len != len + 1 + STAMP_LEN || memcmp(name.data, base, len) != 0 || name.data[len] != '-')
        return false;
    const char *stamp = name.data + len + 1;
    return strspn(stamp, "0123456789") == 14 && stamp[14] == '-' && strspn(stamp + 15, "0123456789abcdef") == 4;
}

/* The keys of an answer {index: ...}. base: only those stamped with it; NULL: all. */
static bool names_of(const struct json *answer, const char *base, struct index_names *ret, struct error *reterr) {
    struct index_names names = {calloc(answer->count + 1, sizeof(char *)), 0};
    for (const struct json *m = names.names ? answer->child : NULL; m; m = m->next) {
        if (base && !is_stamped(base, m->key))
            continue;
        if (!(names.names[names.count] = strndup(m->key.data, m->key.len)))
            break;
        names.count++;
    }
    size_t wanted = 0;
    for (const struct json *m = answer->child; m; m = m->next)
        wanted += !base || is_stamped(base, m->key);
    if (!names.names || names.count != wanted) {
        index_names_done(&names);
        return error_nomem(reterr);
    }
    qsort(names.names, names.count, sizeof(char *), compare_names);
    *ret = names;
    return true;
}

bool index_admin_resolve(const struct es_conf *es, const char *alias, struct index_names *ret, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    struct index_names names = {0};
    if (!call(es, &c, "GET", "/", alias, "?filter_path=*.aliases", true, reterr))
        return false;
    if (c.status != 404 && !names_of(c.json, NULL, &names, reterr))
        return false;
    for (size_t i = 0; i < names.count; i++)
        if (strcmp(names.names[i], alias) == 0) {
            index_names_done(&names);
            return error_set(reterr, ERROR_CONFLICT,
                             "\"%s\" is an index, and must be an alias: delete the index or set [projector] index", alias);
        }
    *ret = names;
    return true;
}

bool index_admin_list(const struct es_conf *es, const char *base, struct index_names *ret, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    return call(es, &c, "GET", "/", base, "-*?filter_path=*.aliases", true, reterr) &&
           names_of(c.json, base, ret, reterr);
}

/* ---- protection against indexes that create themselves ---- */

/* True in *ret_done if the server took the template; false where it does not know allow_auto_create (OpenSearch). */
static bool put_template(const struct es_conf *es, const char *base, const char *pattern_end, bool *ret_done,
                         struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    struct error error = {0};
    buf_append_str(&c.body, "{\"index_patterns\":[");
    _cleanup_(buf_done) struct buf pattern = BUF_INIT(PATH_BYTES_MAX);
    buf_append_str(&pattern, base);
    if (!buf_append_str(&pattern, pattern_end))
        return error_nomem(reterr);
    json_append_string(&c.body, pattern.data, pattern.len);
    buf_append_str(&c.body, "],\"priority\":200,\"allow_auto_create\":false,\"template\":{}}");
    *ret_done = call(es, &c, "PUT", "/_index_template/readside-", base, "", false, &error);
    if (*ret_done || error.code == ERROR_INVALID)
        return true;
    return error_set(reterr, error.code, "%s", error.message);
}

/* The setting is true, false, or patterns such as "+a*,-products-*": the first that matches decides. */
static bool auto_create_forbidden(const struct json *answer, const char *base) {
    static const char *const levels[] = {"transient", "persistent", "defaults"};
    const struct json *value = NULL;
    for (size_t i = 0; !value && i < ARRAY_LEN(levels); i++)
        value = json_path(json_get(answer, levels[i]), "action.auto_create_index");
    if (!json_is(value, JSON_STRING))
        return false;
    if (json_string_is(value, "false"))
        return true;
    size_t len = strlen(base);
    for (const char *p = value->text.data, *next; p; p = next) {
        const char *comma = strchr(p, ',');
        next = comma ? comma + 1 : NULL;
        size_t n = comma ? (size_t)(comma - p) : strlen(p);
        if (n == len + 3 && *p == '-' && memcmp(p + 1, base, len) == 0 && memcmp(p + 1 + len, "-*", 2) == 0)
            return true;
        if (*p != '-')
            return false; /* an earlier pattern may allow it */
    }
    return false;
}

bool index_admin_guard(const struct es_conf *es, const char *base, enum index_guard *ret, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    bool done = false;
    if (!put_template(es, base, "-*", &done, reterr))
        return false;
    if (done) {
        *ret = INDEX_GUARD_TEMPLATE;
        return true;
    }
    if (!call(es, &c, "GET", "/_cluster/settings?include_defaults=true&filter_path=", "",
              "*.action.auto_create_index", false, reterr))
        return false;
    *ret = auto_create_forbidden(c.json, base) ? INDEX_GUARD_CLUSTER : INDEX_GUARD_NONE;
    return true;
}

/* ---- creation ---- */

static bool stamped_name(const char *base, char **ret, struct error *reterr) {
    int64_t now = clock_wall_usec() / 1000000;
    time_t seconds = (time_t)now;
    struct tm tm;
    char stamp[32];
    gmtime_r(&seconds, &tm);
    strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
    if (asprintf(ret, "%s-%s-%04x", base, stamp, (unsigned)(clock_random_u64() & 0xFFFF)) < 0) {
        *ret = NULL;
        return error_nomem(reterr);
    }
    return true;
}

/* {settings, mappings with _meta.readside = {mapping, projection}} from a mapping file. */
static bool write_creation(struct buf *out, const char *name, const struct json *file, struct error *reterr) {
    const struct json *settings = json_get(file, "settings"), *mappings = json_get(file, "mappings");
    const struct json *projection = json_get(file, "projection");
    struct json_write w;
    if (!json_is(settings, JSON_OBJECT) || !json_is(mappings, JSON_OBJECT) || json_get(mappings, "_meta"))
        return error_set(reterr, ERROR_INVALID,
                         "mapping %s: needs the objects settings and mappings, and no _meta of its own", name);
    if (!json_write_init(&w, out))
        return error_nomem(reterr);
    json_write_object(&w);
    json_write_key(&w, "settings");
    json_write_json(&w, settings);
    json_write_key(&w, "mappings");
    json_write_object(&w);
    json_write_key(&w, "_meta");
    json_write_object(&w);
    json_write_key(&w, "readside");
    json_write_object(&w);
    json_write_key(&w, "mapping");
    json_write_str(&w, name);
    if (projection) {
        json_write_key(&w, "projection");
        json_write_json(&w, projection);
    }
    json_write_object_end(&w);
    json_write_object_end(&w);
    for (const struct json *m = mappings->child; m; m = m->next) {
        json_write_key_slice(&w, m->key);
        json_write_json(&w, m);
    }
    json_write_object_end(&w);
    json_write_object_end(&w);
    return json_write_finish(&w) || error_nomem(reterr);
}

static bool create_index(const struct es_conf *es, const char *index, const char *name, const char *text, size_t len,
                         struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    struct arena arena;
    arena_init(&arena, ANSWER_BYTES_MAX);
    const struct json *file = json_parse(&arena, text, len, NULL, reterr);
    bool ok = file && write_creation(&c.body, name, file, reterr);
    arena_done(&arena);
    return ok && call(es, &c, "PUT", "/", index, "", false, reterr);
}

bool index_admin_create(const struct es_conf *es, const char *base, const struct index_mapping *mapping,
                        char **ret_index, struct error *reterr) {
    _cleanup_(freep) char *index = NULL;
    if (!stamped_name(base, &index, reterr) ||
        !create_index(es, index, mapping->name, mapping->text.data, mapping->text.len, reterr))
        return false;
    *ret_index = TAKE(index);
    return true;
}

bool index_admin_name(const char *base, char **ret, struct error *reterr) {
    return stamped_name(base, ret, reterr);
}

bool index_admin_create_as(const struct es_conf *es, const char *index, const struct index_mapping *mapping,
                           struct error *reterr) {
    return create_index(es, index, mapping->name, mapping->text.data, mapping->text.len, reterr);
}

bool index_admin_delete(const struct es_conf *es, const char *index, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    return call(es, &c, "DELETE", "/", index, "", true, reterr);
}

/* ---- aliases ---- */

static void write_alias_action(struct json_write *w, const char *action, const char *alias, const char *index) {
    json_write_object(w);
    json_write_key(w, action);
    json_write_object(w);
    json_write_key(w, "index");
    json_write_str(w, index);
    json_write_key(w, "alias");
    json_write_str(w, alias);
    json_write_object_end(w);
    json_write_object_end(w);
}

bool index_admin_alias(const struct es_conf *es, const char *alias, const char *index, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    _cleanup_(index_names_done) struct index_names old = {0};
    struct json_write w;
    if (!index_admin_resolve(es, alias, &old, reterr))
        return false;
    if (!json_write_init(&w, &c.body))
        return error_nomem(reterr);
    json_write_object(&w);
    json_write_key(&w, "actions");
    json_write_array(&w);
    for (size_t i = 0; i < old.count; i++)
        if (strcmp(old.names[i], index) != 0)
            write_alias_action(&w, "remove", alias, old.names[i]);
    write_alias_action(&w, "add", alias, index);
    json_write_array_end(&w);
    json_write_object_end(&w);
    if (!json_write_finish(&w))
        return error_nomem(reterr);
    return call(es, &c, "POST", "/_aliases", "", "", false, reterr);
}

bool index_admin_ensure(const struct es_conf *es, const char *base, const struct index_mapping *mapping,
                        char **ret_index, bool *ret_created, struct error *reterr) {
    _cleanup_(index_names_done) struct index_names names = {0};
    _cleanup_(freep) char *index = NULL;
    if (!index_admin_resolve(es, base, &names, reterr))
        return false;
    if (names.count > 1)
        return error_set(reterr, ERROR_CONFLICT, "the alias \"%s\" has %zu indexes and must have one: remove it from %s%s",
                         base, names.count, names.names[0], names.count > 2 ? " and others" : "");
    bool created = names.count == 0;
    if (created && (!index_admin_create(es, base, mapping, &index, reterr) ||
                    !index_admin_alias(es, base, index, reterr)))
        return false;
    if (!created && !(index = strdup(names.names[0])))
        return error_nomem(reterr);
    *ret_index = TAKE(index);
    if (ret_created)
        *ret_created = created;
    return true;
}

/* ---- what an index remembers ---- */

bool index_admin_projection(const struct es_conf *es, const char *index, struct projection **ret, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    if (!call(es, &c, "GET", "/", index, "/_mapping", false, reterr))
        return false;
    const struct json *mappings = json_get(c.json->child, "mappings");
    const struct json *projection = json_path(mappings, "_meta.readside.projection");
    if (!projection)
        return error_set(reterr, ERROR_CORRUPT,
                         "index %s has no mappings._meta.readside.projection: it was not created by the projector", index);
    struct projection *p = projection_new(projection, json_get(mappings, "properties"), reterr);
    if (!p)
        return error_prefix(reterr, "index %s", index);
    *ret = p;
    return true;
}

bool index_admin_highest_version(const struct es_conf *es, const char *index, uint64_t *ret, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    /* By sort and not by a max aggregation, which answers with a double: versions have up to 63 bits. */
    if (!call(es, &c, "POST", "/", index, "/_refresh", false, reterr))
        return false;
    buf_append_str(&c.body, "{\"size\":1,\"_source\":false,\"track_total_hits\":false,\"query\":{\"exists\":{\"field\":"
                            "\"version\"}},\"sort\":[{\"version\":\"desc\"}]}");
    if (!call(es, &c, "POST", "/", index, "/_search?allow_partial_search_results=false", false, reterr))
        return false;
    const struct json *hits = json_path(c.json, "hits.hits");
    const struct json *sort = hits && hits->child ? json_get(hits->child, "sort") : NULL;
    int64_t version = 0;
    if (!json_is(hits, JSON_ARRAY) || (hits->child && (!sort || !json_int64(sort->child, &version) || version < 0)))
        return error_set(reterr, ERROR_CORRUPT, "index %s: its highest version cannot be read", index);
    *ret = (uint64_t)version;
    return true;
}

bool index_admin_refresh_interval(const struct es_conf *es, const char *index, char *ret, size_t size,
                                  struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    if (!call(es, &c, "GET", "/", index, "/_settings/index.refresh_interval", false, reterr))
        return false;
    const struct json *interval = json_path(c.json->child, "settings.index.refresh_interval");
    struct slice text = json_is(interval, JSON_STRING) ? interval->text : SLICE("");
    snprintf(ret, size, "%s", text.data);
    return true;
}

bool index_admin_set_refresh_interval(const struct es_conf *es, const char *index, const char *interval,
                                      struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    buf_append_str(&c.body, "{\"index\":{\"refresh_interval\":");
    if (*interval)
        json_append_string(&c.body, interval, strlen(interval));
    else
        buf_append_str(&c.body, "null");
    buf_append_str(&c.body, "}}");
    return call(es, &c, "PUT", "/", index, "/_settings", false, reterr);
}

bool index_admin_merge(const struct es_conf *es, const char *index, int64_t *ret_segments, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    int64_t bytes;
    if (!call(es, &c, "GET", "/", index, "/_stats/store?filter_path=_all.primaries.store.size_in_bytes", false, reterr))
        return false;
    if (!json_int64(json_path(c.json, "_all.primaries.store.size_in_bytes"), &bytes) || bytes < 0)
        return error_set(reterr, ERROR_CORRUPT, "index %s: its size cannot be read", index);
    *ret_segments = 1 + bytes / SEGMENT_BYTES;
    char after[96];
    snprintf(after, sizeof(after), "/_forcemerge?wait_for_completion=false&max_num_segments=%lld", (long long)*ret_segments);
    return call(es, &c, "POST", "/", index, after, false, reterr);
}

/* ---- categories ---- */

bool index_admin_categories_ensure(const struct es_conf *es, const char *index, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    bool guarded = false;
    if (!put_template(es, index, "", &guarded, reterr) ||
        !call(es, &c, "GET", "/", index, "?filter_path=*.aliases", true, reterr))
        return false;
    if (c.status != 404)
        return true;
    struct error error = {0};
    if (create_index(es, index, "categories-v1", index_mapping_categories, index_mapping_categories_size, &error))
        return true;
    /* Another projector may have created it in between. */
    if (call(es, &c, "GET", "/", index, "?filter_path=*.aliases", true, NULL) && c.status != 404)
        return true;
    return error_set(reterr, error.code, "%s", error.message);
}

enum { PAGE_HITS = 5000 };

/* Appends deletes for documents of the index that are not in the tree. */
static bool write_stale_deletes(const struct es_conf *es, const char *index, const struct category_tree *tree,
                                uint64_t version, struct buf *out, struct error *reterr) {
    int64_t after = 0;
    for (bool more = true; more;) {
        _cleanup_(call_done) struct call c = CALL_INIT;
        buf_printf(&c.body,
                   "{\"size\":%d,\"_source\":false,\"query\":{\"range\":{\"id\":{\"gt\":%lld}}},\"sort\":[{\"id\":\"asc\"}]}",
                   PAGE_HITS, (long long)after);
        if (!call(es, &c, "POST", "/", index, "/_search?allow_partial_search_results=false", false, reterr))
            return false;
        const struct json *hits = json_path(c.json, "hits.hits");
        more = json_is(hits, JSON_ARRAY) && hits->count == PAGE_HITS;
        for (const struct json *h = json_is(hits, JSON_ARRAY) ? hits->child : NULL; h; h = h->next) {
            const struct json *sort = json_get(h, "sort");
            if (!sort || !json_int64(sort->child, &after))
                return error_set(reterr, ERROR_CORRUPT, "index %s: a category without an id", index);
            if (category_tree_find(tree, after))
                continue;
            buf_printf(out, "{\"delete\":{\"_id\":\"%lld\",\"version\":%llu,\"version_type\":\"external_gte\"}}\n",
                       (long long)after, (unsigned long long)version);
        }
    }
    return true;
}

static bool check_items(const struct json *answer, const char *index, size_t actions, struct error *reterr) {
    const struct json *items = json_get(answer, "items");
    if (!json_is(items, JSON_ARRAY) || items->count < actions)
        return error_set(reterr, ERROR_UNAVAILABLE, "index %s: the answer to the bulk is incomplete", index);
    for (const struct json *item = items->child; item; item = item->next) {
        const struct json *action = item->child, *reason = json_path(action, "error.reason");
        int64_t status = 0;
        json_int64(json_get(action, "status"), &status);
        bool gone = status == 404 && slice_eq(action->key, SLICE("delete")) && !json_get(action, "error");
        if ((status >= 200 && status < 300) || gone)
            continue;
        return error_set(reterr,
                         status == 409                  ? ERROR_CONFLICT
                         : status == 429                ? ERROR_OVERLOADED
                         : status >= 400 && status < 500 ? ERROR_INVALID
                                                        : ERROR_UNAVAILABLE,
                         "index %s: status %lld: %.160s", index, (long long)status,
                         json_is(reason, JSON_STRING) ? reason->text.data : "no reason given");
    }
    return true;
}

bool index_admin_categories_write(const struct es_conf *es, const char *index, const struct category_tree *tree,
                                  const struct category_tree *previous, uint64_t version, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    c.body.max = 512 << 20;
    if (!previous && !write_stale_deletes(es, index, tree, version, &c.body, reterr))
        return false;
    size_t actions = category_tree_write_bulk(tree, previous, version, &c.body);
    if (!call(es, &c, "POST", "/", index,
              "/_bulk?refresh=true&filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason", false,
              reterr))
        return false;
    return check_items(c.json, index, actions, reterr);
}

bool index_admin_categories_revision(const struct es_conf *es, const char *index, uint64_t *ret, struct error *reterr) {
    _cleanup_(call_done) struct call c = CALL_INIT;
    int64_t revision = 0;
    if (!call(es, &c, "GET", "/", index, "/_doc/_meta?_source_includes=revision", true, reterr))
        return false;
    const struct json *v = json_path(c.json, "_source.revision");
    if (v && (!json_int64(v, &revision) || revision < 0))
        return error_set(reterr, ERROR_CORRUPT, "index %s: _meta has no revision that can be read", index);
    *ret = (uint64_t)revision;
    return true;
}
