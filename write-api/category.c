/* The pure part: what a category looks like in JSON. */
#include "write-api/category.h"
#include "core/utf8.h"

bool category_parse_id(struct slice text, uint32_t *ret) {
    uint64_t id = 0;
    if (text.len == 0 || text.len > 10 || text.data[0] == '0')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        id = id * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (id > UINT32_MAX)
        return false;
    *ret = (uint32_t)id;
    return true;
}

bool category_read_id(const struct json *v, const char *field, uint32_t *ret, struct problems *problems) {
    int64_t id;
    if (!json_int64(v, &id) || id < 1 || id > UINT32_MAX)
        return problems_add_field(problems, field, "must be the id of a category, a whole number from 1 to %u",
                                  UINT32_MAX);
    *ret = (uint32_t)id;
    return true;
}

static bool check_name(const struct field_path *at, const struct json *v, struct problems *problems) {
    if (v->type != JSON_STRING)
        return problems_add(problems, at, "must be a string");
    size_t blanks = 0;
    for (size_t i = 0; i < v->text.len; i++) {
        unsigned char c = (unsigned char)v->text.data[i];
        if (c < ' ' || c == 0x7f)
            return problems_add(problems, at, "must not contain control characters");
        blanks += c == ' ';
    }
    if (blanks == v->text.len)
        return problems_add(problems, at, "must not be empty");
    if (utf8_count(v->text.data, v->text.len) > CATEGORY_NAME_MAX)
        return problems_add(problems, at, "must not be longer than %d characters", CATEGORY_NAME_MAX);
    return true;
}

static bool is_language(struct slice s) {
    if (s.len < 2 || s.len > 3)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 'a' || s.data[i] > 'z')
            return false;
    }
    return true;
}

static bool check_names(const struct field_path *at, const struct json *v, struct problems *problems) {
    bool ok = true;
    if (v->count == 0)
        return problems_add(problems, at, "must have at least one language");
    if (v->count > 50)
        return problems_add(problems, at, "must not have more than 50 languages");
    for (const struct json *m = v->child; m; m = m->next) {
        struct field_path here = FIELD(at, m->key);
        if (!is_language(m->key))
            ok = problems_add(problems, &here, "is no language: use 2 or 3 lower-case letters such as \"ko\"");
        else
            ok &= check_name(&here, m, problems);
    }
    return ok;
}

static bool copy_json(const struct json *v, struct arena *arena, struct slice *ret) {
    struct buf text = BUF_INIT(1 << 20);
    struct json_write w;
    bool ok = json_write_init(&w, &text);
    if (ok) {
        json_write_json(&w, v);
        ok = json_write_finish(&w);
    }
    char *copy = ok ? arena_strndup(arena, text.data, text.len) : NULL;
    *ret = (struct slice){copy, copy ? text.len : 0};
    buf_done(&text);
    return copy != NULL;
}

bool category_read_name(const struct json *v, struct arena *arena, struct slice *ret_name, struct slice *ret_names,
                        struct problems *problems) {
    struct field_path at = FIELD(NULL, SLICE("name"));
    *ret_names = (struct slice){0};
    if (!v)
        return problems_add(problems, &at, "is required");
    if (v->type != JSON_OBJECT) {
        if (v->type != JSON_STRING)
            return problems_add(problems, &at, "must be a string or an object of one string per language");
        *ret_name = v->text;
        return check_name(&at, v, problems);
    }
    if (!check_names(&at, v, problems))
        return false;
    const struct json *ko = json_get(v, "ko");
    *ret_name = ko ? ko->text : v->child->text;
    return copy_json(v, arena, ret_names) || problems_add(problems, &at, "needs more memory than a request may use");
}

/* MySQL's DATETIME(6) in UTC -> RFC 3339 */
static void write_time(struct json_write *w, struct slice time) {
    char text[40];
    size_t len = time.len < sizeof(text) - 1 ? time.len : sizeof(text) - 1;
    memcpy(text, time.data, len);
    if (len > 10)
        text[10] = 'T';
    text[len++] = 'Z';
    json_write_string(w, text, len);
}

void category_write_json(struct json_write *w, const struct category *c) {
    json_write_object(w);
    json_write_key(w, "id");
    json_write_uint(w, c->id);
    json_write_key(w, "parent_id");
    if (c->parent_id)
        json_write_uint(w, c->parent_id);
    else
        json_write_null(w);
    json_write_key(w, "level");
    json_write_int(w, c->level);
    json_write_key(w, "path");
    json_write_slice(w, c->path);
    json_write_key(w, "name");
    if (c->names.len)
        json_write_raw(w, c->names.data, c->names.len);
    else
        json_write_slice(w, c->name);
    json_write_key(w, "version");
    json_write_int(w, c->version);
    json_write_key(w, "created_at");
    write_time(w, c->created_at);
    json_write_key(w, "updated_at");
    write_time(w, c->updated_at);
    json_write_object_end(w);
}

bool category_path_within(struct slice path, struct slice outer) {
    return path.len >= outer.len && memcmp(path.data, outer.data, outer.len) == 0;
}
