/* override_check.c - the bodies of PUT /admin/{synonyms,stopwords,rules}/{id}. */
#include "core/utf8.h"
#include "query-api/admin/override_list.h"
#include "query-api/text/search_words.h"
#include <stdio.h>

struct check {
    struct arena *arena;
    struct override_errors *errors;
    size_t synonyms_max; /* of one term */
};

static bool bad(struct check *c, const char *field, const char *message) {
    const char *copy = arena_strdup(c->arena, field);
    if (c->errors->count < OVERRIDE_ERRORS_MAX)
        c->errors->items[c->errors->count++] = (struct field_error){copy ? copy : "body", message};
    return false;
}

/* No member but these. */
static void check_members(struct check *c, const struct json *object, const char *prefix, const char *const *names) {
    for (const struct json *m = object->child; m; m = m->next) {
        bool known = false;
        for (size_t i = 0; names[i] && !known; i++)
            known = slice_eq(m->key, slice_str(names[i]));
        char *field = known ? NULL : arena_printf(c->arena, "%s%.*s", prefix, (int)utf8_cut(m->key.data, m->key.len, 64), m->key.data);
        if (!known)
            bad(c, field ? field : "body", "is not a member of this");
    }
}

static bool check_text(struct check *c, const struct json *v, const char *field, bool has_key) {
    if (!json_is(v, JSON_STRING) || v->text.len == 0 || v->text.len > OVERRIDE_TEXT_MAX_BYTES)
        return bad(c, field, "must be a string of 1 to 256 bytes");
    for (size_t i = 0; i < v->text.len; i++)
        if ((unsigned char)v->text.data[i] < 0x20)
            return bad(c, field, "must not hold control characters");
    return !has_key || search_name_key(c->arena, v->text).len > 0 || bad(c, field, "must have a letter or a digit");
}

static void check_texts(struct check *c, const struct json *array, const char *field, size_t least, size_t most,
                        bool has_key) {
    char name[64];
    size_t i = 0;
    if (!json_is(array, JSON_ARRAY) || array->count < least || array->count > most) {
        snprintf(name, sizeof(name), "must be a list of %zu to %zu strings", least, most);
        const char *message = arena_strdup(c->arena, name);
        bad(c, field, message ? message : "must be a list of strings");
        return;
    }
    for (const struct json *m = array->child; m; m = m->next) {
        snprintf(name, sizeof(name), "%s[%zu]", field, i++);
        check_text(c, m, name, has_key);
    }
}

static void check_synonyms(struct check *c, const struct json *body) {
    static const char *const names[] = {"terms", "from", "to", NULL};
    const struct json *terms = json_get(body, "terms"), *from = json_get(body, "from"), *to = json_get(body, "to");
    check_members(c, body, "", names);
    if (terms && (from || to))
        bad(c, "terms", "either terms (equivalent) or from and to (one way)");
    else if (terms || (!from && !to))
        check_texts(c, terms, "terms", 2, c->synonyms_max + 1, true);
    else {
        check_texts(c, from, "from", 1, OVERRIDE_TERMS_MAX, true);
        check_texts(c, to, "to", 1, c->synonyms_max, true);
    }
}

static void check_stopwords(struct check *c, const struct json *body) {
    static const char *const names[] = {"terms", NULL};
    check_members(c, body, "", names);
    check_texts(c, json_get(body, "terms"), "terms", 1, OVERRIDE_TERMS_MAX, true);
}

static void check_effect(struct check *c, const struct json *v, const char *field, bool boost) {
    static const char *const names[] = {"id", "brand", "category", NULL}, *const boosted[] = {"id", "brand", "category", "weight", NULL};
    char name[96];
    size_t count = 0;
    double weight = 2;
    if (!json_is(v, JSON_OBJECT)) {
        bad(c, field, "must be an object");
        return;
    }
    snprintf(name, sizeof(name), "%s.", field);
    check_members(c, v, name, boost ? boosted : names);
    for (size_t i = 0; names[i]; i++) {
        const struct json *value = json_get(v, names[i]);
        snprintf(name, sizeof(name), "%s.%s", field, names[i]);
        count += value != NULL;
        if (value)
            check_text(c, value, name, false);
    }
    if (count != 1)
        bad(c, field, "must have one of id, brand, category");
    snprintf(name, sizeof(name), "%s.weight", field);
    if (json_get(v, "weight") && (!json_double(json_get(v, "weight"), &weight) || weight <= 1 || weight > 10))
        bad(c, name, "must be a number above 1, 10 at most");
}

static void check_effects(struct check *c, const struct json *array, const char *field) {
    char name[64];
    size_t i = 0;
    if (!array)
        return;
    if (!json_is(array, JSON_ARRAY) || array->count == 0 || array->count > OVERRIDE_EFFECTS_MAX) {
        bad(c, field, "must be a list of 1 to 20 objects");
        return;
    }
    for (const struct json *m = array->child; m; m = m->next) {
        snprintf(name, sizeof(name), "%s[%zu]", field, i++);
        check_effect(c, m, name, strcmp(field, "boost") == 0);
    }
}

static void check_rule(struct check *c, const struct json *body) {
    static const char *const names[] = {"query", "match", "contexts", "pin", "boost", "bury", NULL};
    const struct json *match = json_get(body, "match"), *pin = json_get(body, "pin");
    check_members(c, body, "", names);
    check_text(c, json_get(body, "query"), "query", true);
    if (match && !json_string_is(match, "exact") && !json_string_is(match, "contains"))
        bad(c, "match", "must be exact or contains");
    if (json_get(body, "contexts"))
        check_texts(c, json_get(body, "contexts"), "contexts", 1, OVERRIDE_CONTEXTS_MAX, false);
    if (pin)
        check_texts(c, pin, "pin", 1, OVERRIDE_PINS_MAX, false);
    check_effects(c, json_get(body, "boost"), "boost");
    check_effects(c, json_get(body, "bury"), "bury");
    if (!pin && !json_get(body, "boost") && !json_get(body, "bury"))
        bad(c, "pin", "a rule needs pin, boost or bury");
}

static bool check_body(struct check *c, enum override_kind kind, const struct json *body) {
    c->errors->count = 0;
    if (!json_is(body, JSON_OBJECT))
        return bad(c, "body", "must be a JSON object");
    if (kind == OVERRIDE_SYNONYM)
        check_synonyms(c, body);
    else if (kind == OVERRIDE_STOPWORD)
        check_stopwords(c, body);
    else
        check_rule(c, body);
    return c->errors->count == 0;
}

bool override_check(struct arena *arena, enum override_kind kind, const struct json *body, struct override_errors *ret) {
    struct check c = {.arena = arena, .errors = ret, .synonyms_max = OVERRIDE_SYNONYMS_MAX};
    return check_body(&c, kind, body);
}

bool override_check_stored(struct arena *arena, enum override_kind kind, const struct json *body) {
    struct override_errors errors;
    struct check c = {.arena = arena, .errors = &errors, .synonyms_max = OVERRIDE_TERMS_MAX};
    return check_body(&c, kind, body);
}
