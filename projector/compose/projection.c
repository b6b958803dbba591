#include "core/json_write.h"
#include "projector/compose/projection.h"
#include <stdlib.h>

enum { ARENA_BYTES_MAX = 1 << 20, FILE_BYTES_MAX = 16 << 20, NAME_BYTES_MAX = 512 };

/* What a transform reads. PLAIN ones read the field that the rule names. */
enum { PLAIN = 1, ID = 2, PRICE = 4, ATTRIBUTES = 8, VARIANTS = 16, CATEGORIES = 32, PRIMARY = 64 };

static const char *const FLAT_MEMBERS[] = {"price", "stock", "sku", NULL};
static const char *const VARIANT_MEMBERS[] = {"names", "attrs", "numbers", "price", "stock", "sku", NULL};

static const struct {
    const char *name;
    unsigned sources;
    bool languages;  /* writes <field>.<lang> */
    const char *const *members; /* writes <field>.<member> */
} TRANSFORMS[] = {
    [TRANSFORM_ID] = {"id", ID, false, NULL},
    [TRANSFORM_KEYWORD] = {"keyword", PLAIN, false, NULL},
    [TRANSFORM_TEXT] = {"text", PLAIN, false, NULL},
    [TRANSFORM_LOCALIZED] = {"localized", PLAIN, true, NULL},
    [TRANSFORM_DATE] = {"date", PLAIN, false, NULL},
    [TRANSFORM_LONG] = {"long", PLAIN, false, NULL},
    [TRANSFORM_CODES] = {"codes", ID | VARIANTS | ATTRIBUTES, false, NULL},
    [TRANSFORM_CATEGORY_IDS] = {"category_ids", CATEGORIES, false, NULL},
    [TRANSFORM_PRIMARY_CATEGORY] = {"primary_category", PRIMARY | CATEGORIES, false, NULL},
    [TRANSFORM_CATEGORY_PATHS] = {"category_paths", CATEGORIES, false, NULL},
    [TRANSFORM_CATEGORY_SET] = {"category_set", CATEGORIES, false, NULL},
    [TRANSFORM_CATEGORY_NAMES] = {"category_names", CATEGORIES, true, NULL},
    [TRANSFORM_PRICE_MIN] = {"price_min", PRICE | VARIANTS, false, NULL},
    [TRANSFORM_PRICE_MAX] = {"price_max", PRICE | VARIANTS, false, NULL},
    [TRANSFORM_IN_STOCK] = {"in_stock", ID | VARIANTS, false, NULL},
    [TRANSFORM_STOCK] = {"stock", ID | VARIANTS, false, NULL},
    [TRANSFORM_OFFERS] = {"offers", ID | VARIANTS | PRICE, false, NULL},
    [TRANSFORM_SKUS] = {"skus", ID | VARIANTS, false, NULL},
    [TRANSFORM_ATTRS] = {"attrs", ATTRIBUTES | VARIANTS, false, NULL},
    [TRANSFORM_CODE_ATTRS] = {"code_attrs", ATTRIBUTES | VARIANTS, false, NULL},
    [TRANSFORM_NUMBERS] = {"numbers", ATTRIBUTES | VARIANTS, false, NULL},
    [TRANSFORM_VARIED] = {"varied", VARIANTS, false, NULL},
    [TRANSFORM_FLAT] = {"flat", ID | VARIANTS | PRICE, false, FLAT_MEMBERS},
    [TRANSFORM_VARIANTS] = {"variants", ID | ATTRIBUTES | VARIANTS | PRICE, false, VARIANT_MEMBERS},
    [TRANSFORM_SALES] = {"sales", ID, false, NULL},
    [TRANSFORM_POPULARITY] = {"popularity", ID, false, NULL},
};
enum { TRANSFORM_COUNT = sizeof(TRANSFORMS) / sizeof(TRANSFORMS[0]) };

static const struct {
    unsigned bit;
    const char *name;
} FIXED_SOURCES[] = {
    {ID, "_id"},           {PRICE, "price"},           {ATTRIBUTES, "attributes"},
    {VARIANTS, "variants"}, {CATEGORIES, "categories"}, {PRIMARY, "primary_category_id"},
};
enum { FIXED_SOURCE_COUNT = sizeof(FIXED_SOURCES) / sizeof(FIXED_SOURCES[0]) };

bool projection_transform_by_name(struct slice name, enum transform *ret) {
    for (unsigned i = 0; i < TRANSFORM_COUNT; i++)
        if (slice_eq(name, slice_str(TRANSFORMS[i].name))) {
            *ret = (enum transform)i;
            return true;
        }
    return false;
}

const char *projection_transform_name(enum transform transform) {
    return (unsigned)transform < TRANSFORM_COUNT ? TRANSFORMS[transform].name : "unknown";
}

static bool refuse(struct error *reterr, const char *what, struct slice name, const char *why) {
    return error_set(reterr, ERROR_INVALID, "projection: %s \"%.*s\" %s", what, (int)(name.len < 80 ? name.len : 80),
                     name.data, why);
}

static bool copy(struct projection *p, struct slice s, struct slice *ret, struct error *reterr) {
    char *data = arena_strndup(&p->arena, s.data, s.len);
    *ret = (struct slice){data, s.len};
    return data || error_nomem(reterr);
}

/* before + "s" as JSON + after, in the arena. */
static bool quoted(struct projection *p, const char *before, struct slice s, const char *after, struct slice *ret,
                   struct error *reterr) {
    struct buf b = BUF_INIT(4096);
    if (s.len > NAME_BYTES_MAX)
        return refuse(reterr, "name", s, "is too long");
    buf_append_str(&b, before);
    json_append_string(&b, s.data, s.len);
    buf_append_str(&b, after);
    bool ok = buf_ok(&b) ? copy(p, (struct slice){b.data, b.len}, ret, reterr) : error_nomem(reterr);
    buf_done(&b);
    return ok;
}

static bool members_known(const struct json *object, const char *what, const char *const *names, size_t count,
                          struct error *reterr) {
    for (const struct json *m = object->child; m; m = m->next) {
        size_t i = 0;
        while (i < count && !slice_eq(m->key, slice_str(names[i])))
            i++;
        if (i == count)
            return error_set(reterr, ERROR_INVALID, "projection: %s has an unknown member \"%.*s\"", what,
                             (int)(m->key.len < 80 ? m->key.len : 80), m->key.data);
    }
    return true;
}

static bool add_source(struct projection *p, struct slice name, uint8_t *ret, struct error *reterr) {
    for (unsigned i = 0; i < p->source_count; i++)
        if (slice_eq(p->sources[i], name)) {
            *ret = (uint8_t)i;
            return true;
        }
    if (p->source_count == PROJECTION_SOURCES_MAX)
        return refuse(reterr, "source", name, "is one too many");
    if (name.len == 0 || memchr(name.data, '\0', name.len))
        return refuse(reterr, "source", name, "is no field name");
    if (!copy(p, name, &p->sources[p->source_count], reterr))
        return false;
    *ret = (uint8_t)p->source_count++;
    return true;
}

static bool language_index(const struct projection *p, const struct json *v, uint8_t *ret) {
    for (unsigned i = 0; json_is(v, JSON_STRING) && i < p->language_count; i++)
        if (slice_eq(p->languages[i].name, v->text)) {
            *ret = (uint8_t)i;
            return true;
        }
    return false;
}

static bool read_languages(struct projection *p, const struct json *v, struct error *reterr) {
    static const char *const members[] = {"fields", "hangul", "other"};
    const struct json *fields = json_get(v, "fields");
    if (!json_is(v, JSON_OBJECT) || !json_is(fields, JSON_ARRAY))
        return error_set(reterr, ERROR_INVALID, "projection: \"languages\" must be an object with a list \"fields\"");
    if (!members_known(v, "\"languages\"", members, 3, reterr))
        return false;
    for (const struct json *f = fields->child; f; f = f->next) {
        if (f->type != JSON_STRING || f->text.len == 0 || f->text.len > PROJECTION_LANGUAGE_BYTES_MAX)
            return error_set(reterr, ERROR_INVALID, "projection: languages.fields must be codes of 2 or 3 letters");
        if (p->language_count == PROJECTION_LANGUAGES_MAX)
            return refuse(reterr, "language", f->text, "is one too many");
        struct projection_language *l = &p->languages[p->language_count++];
        if (!copy(p, f->text, &l->name, reterr) || !quoted(p, "", f->text, ":", &l->open, reterr))
            return false;
        l->code = projection_language_code(l->name);
    }
    if (!language_index(p, json_get(v, "hangul"), &p->language_hangul) ||
        !language_index(p, json_get(v, "other"), &p->language_other))
        return error_set(reterr, ERROR_INVALID,
                         "projection: languages.hangul and languages.other must each be one of languages.fields");
    return true;
}

static int compare_names(const void *a, const void *b) {
    const struct slice *x = a, *y = b;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return memcmp(x->data, y->data, x->len);
}

static bool read_code_attributes(struct projection *p, const struct json *v, struct error *reterr) {
    if (!v)
        return true;
    if (!json_is(v, JSON_ARRAY))
        return error_set(reterr, ERROR_INVALID, "projection: \"code_attributes\" must be a list of names");
    p->code_attributes = arena_alloc(&p->arena, (v->count + 1) * sizeof(*p->code_attributes));
    if (!p->code_attributes)
        return error_nomem(reterr);
    for (const struct json *n = v->child; n; n = n->next) {
        if (n->type != JSON_STRING || n->text.len == 0 || n->text.len > PROJECTION_CODE_NAME_BYTES_MAX)
            return error_set(reterr, ERROR_INVALID, "projection: code_attributes must be names of 1 to 63 bytes");
        if (!copy(p, n->text, &p->code_attributes[p->code_attribute_count], reterr))
            return false;
        p->code_attribute_count++;
        p->code_letters[n->text.len] |= UINT32_C(1) << (n->text.data[0] & 31);
    }
    qsort(p->code_attributes, p->code_attribute_count, sizeof(*p->code_attributes), compare_names);
    return true;
}

/* The mapping of "a.b": through properties of objects, and multi-fields. */
static const struct json *mapped(const struct json *properties, struct slice field) {
    const struct json *at = NULL;
    while (properties) {
        const char *dot = memchr(field.data, '.', field.len);
        size_t len = dot ? (size_t)(dot - field.data) : field.len;
        const struct json *m = json_is(properties, JSON_OBJECT) ? properties->child : NULL;
        while (m && !slice_eq(m->key, (struct slice){field.data, len}))
            m = m->next;
        at = m;
        if (!m || !dot)
            return at;
        field = (struct slice){dot + 1, field.len - len - 1};
        properties = json_get(m, "properties");
    }
    return NULL;
}

static bool field_is_mapped(const struct projection *p, const struct projection_rule *rule,
                            const struct json *properties, struct error *reterr) {
    const struct json *m = memchr(rule->field.data, '.', rule->field.len) ? NULL : mapped(properties, rule->field);
    if (!m)
        return refuse(reterr, "search field", rule->field, "is not in the mapping's properties");
    const struct json *sub = json_get(m, "properties");
    for (unsigned i = 0; TRANSFORMS[rule->transform].languages && i < p->language_count; i++)
        if (!mapped(sub, p->languages[i].name))
            return error_set(reterr, ERROR_INVALID, "projection: search field \"%s.%s\" is not in the mapping",
                             rule->field.data, p->languages[i].name.data);
    for (const char *const *member = TRANSFORMS[rule->transform].members; member && *member; member++)
        if (!mapped(sub, slice_str(*member)))
            return error_set(reterr, ERROR_INVALID, "projection: search field \"%s.%s\" is not in the mapping",
                             rule->field.data, *member);
    if (rule->transform == TRANSFORM_VARIANTS && !json_string_is(json_get(m, "type"), "nested"))
        return refuse(reterr, "search field", rule->field, "must be of type nested in the mapping");
    return true;
}

static unsigned fixed_source_bit(const struct json *v) {
    for (unsigned i = 0; i < FIXED_SOURCE_COUNT; i++)
        if (json_string_is(v, FIXED_SOURCES[i].name))
            return FIXED_SOURCES[i].bit;
    return 0;
}

/* "from" of a transform with sources of its own may be left out or must name exactly them. */
static bool from_agrees(unsigned sources, const struct json *from) {
    unsigned named = 0;
    if (!from)
        return true;
    if (json_is(from, JSON_STRING))
        return fixed_source_bit(from) == sources;
    if (!json_is(from, JSON_ARRAY))
        return false;
    for (const struct json *f = from->child; f; f = f->next) {
        if (!fixed_source_bit(f))
            return false;
        named |= fixed_source_bit(f);
    }
    return named == sources;
}

static bool add_fixed_sources(struct projection *p, unsigned sources, struct error *reterr) {
    uint8_t *const places[FIXED_SOURCE_COUNT] = {&p->source_id,       &p->source_price,      &p->source_attributes,
                                                 &p->source_variants, &p->source_categories, &p->source_primary};
    for (unsigned i = 0; i < FIXED_SOURCE_COUNT; i++)
        if ((sources & FIXED_SOURCES[i].bit) && !add_source(p, slice_str(FIXED_SOURCES[i].name), places[i], reterr))
            return false;
    return true;
}

static bool read_rule_options(struct projection *p, struct projection_rule *rule, const struct json *v,
                              struct error *reterr) {
    const struct json *max = json_get(v, "max_bytes"), *fallback = json_get(v, "default");
    bool keyword = rule->transform == TRANSFORM_KEYWORD;
    bool text = rule->transform == TRANSFORM_TEXT || rule->transform == TRANSFORM_LOCALIZED;
    int64_t bytes = text ? PROJECTION_TEXT_BYTES : PROJECTION_KEYWORD_BYTES;
    int64_t limit = text ? INT32_MAX : PROJECTION_TERM_BYTES_MAX;
    if (max && ((!keyword && !text) || !json_int64(max, &bytes) || bytes < 4 || bytes > limit))
        return refuse(reterr, "max_bytes of field", rule->field, "must be a whole number within its limits");
    if (fallback && (!keyword || fallback->type != JSON_STRING || fallback->text.len == 0))
        return refuse(reterr, "default of field", rule->field, "must be a string, for a keyword");
    rule->max_bytes = (uint32_t)bytes;
    return !fallback || quoted(p, "", fallback->text, "", &rule->fallback, reterr);
}

static bool read_rule(struct projection *p, const struct json *v, const struct json *properties,
                      struct error *reterr) {
    static const char *const members[] = {"field", "from", "as", "max_bytes", "default"};
    const struct json *field = json_get(v, "field"), *from = json_get(v, "from"), *as = json_get(v, "as");
    if (!json_is(field, JSON_STRING) || !json_is(as, JSON_STRING))
        return error_set(reterr, ERROR_INVALID, "projection: every rule needs the strings \"field\" and \"as\"");
    if (!members_known(v, "a rule", members, 5, reterr))
        return false;
    if (p->rule_count == PROJECTION_RULES_MAX)
        return refuse(reterr, "rule for", field->text, "is one too many");
    struct projection_rule *rule = &p->rules[p->rule_count];
    rule->source = PROJECTION_NO_SOURCE;
    if (!projection_transform_by_name(as->text, &rule->transform))
        return refuse(reterr, "transform", as->text, "does not exist");
    unsigned sources = TRANSFORMS[rule->transform].sources;
    if (sources == PLAIN && !json_is(from, JSON_STRING))
        return refuse(reterr, "field", field->text, "needs \"from\", the source field");
    if (sources == PLAIN && !add_source(p, from->text, &rule->source, reterr))
        return false;
    if (sources != PLAIN && (!from_agrees(sources, from) || !add_fixed_sources(p, sources, reterr)))
        return refuse(reterr, "transform", as->text, "has other sources than \"from\" says");
    if (!copy(p, field->text, &rule->field, reterr) || !quoted(p, ",", field->text, ":", &rule->open, reterr) ||
        !field_is_mapped(p, rule, properties, reterr) || !read_rule_options(p, rule, v, reterr))
        return false;
    for (unsigned i = 0; i < p->rule_count; i++)
        if (slice_eq(p->rules[i].field, rule->field))
            return refuse(reterr, "search field", rule->field, "is written by two rules");
    p->rule_count++;
    return true;
}

static bool has_id_rule(const struct projection *p) {
    for (unsigned i = 0; i < p->rule_count; i++)
        if (p->rules[i].transform == TRANSFORM_ID && slice_eq(p->rules[i].field, SLICE("id")))
            return true;
    return false;
}

/* Where codes stand apart they do so in variants too. */
static bool codes_are_apart(struct projection *p, const struct json *properties, struct error *reterr) {
    const struct projection_rule *variants = NULL;
    for (unsigned i = 0; i < p->rule_count; i++) {
        p->codes_apart = p->codes_apart || p->rules[i].transform == TRANSFORM_CODE_ATTRS;
        variants = p->rules[i].transform == TRANSFORM_VARIANTS ? &p->rules[i] : variants;
    }
    if (p->codes_apart && variants && !mapped(json_get(mapped(properties, variants->field), "properties"), SLICE("code_attrs")))
        return error_set(reterr, ERROR_INVALID, "projection: search field \"%s.code_attrs\" is not in the mapping",
                         variants->field.data);
    return true;
}

/* The fields that bulk_commit() adds to every document. */
static bool has_own_fields(const struct json *properties, struct error *reterr) {
    if (!mapped(properties, SLICE("content_hash")) || !mapped(properties, SLICE("version")))
        return error_set(reterr, ERROR_INVALID, "projection: the mapping lacks the fields content_hash and version");
    return true;
}

static bool read_projection(struct projection *p, const struct json *v, const struct json *properties,
                            struct error *reterr) {
    static const char *const members[] = {"version", "languages", "code_attributes", "rules"};
    if (!json_is(v, JSON_OBJECT) || !json_is(properties, JSON_OBJECT))
        return error_set(reterr, ERROR_INVALID, "projection: the projection and the mapping's properties must be objects");
    const struct json *rules = json_get(v, "rules");
    if (!members_known(v, "it", members, 4, reterr))
        return false;
    if (!json_int64(json_get(v, "version"), &p->version) || p->version != 1)
        return error_set(reterr, ERROR_INVALID, "projection: \"version\" must be 1, the only one this program knows");
    if (!json_is(rules, JSON_ARRAY))
        return error_set(reterr, ERROR_INVALID, "projection: \"rules\" must be a list");
    if (!read_languages(p, json_get(v, "languages"), reterr) ||
        !read_code_attributes(p, json_get(v, "code_attributes"), reterr) || !has_own_fields(properties, reterr))
        return false;
    for (const struct json *r = rules->child; r; r = r->next)
        if (!read_rule(p, r, properties, reterr))
            return false;
    if (!has_id_rule(p))
        return error_set(reterr, ERROR_INVALID, "projection: there is no rule {\"field\": \"id\", \"as\": \"id\"}");
    return codes_are_apart(p, properties, reterr);
}

struct projection *projection_new(const struct json *projection, const struct json *properties, struct error *reterr) {
    struct projection *p = calloc(1, sizeof(*p));
    if (!p) {
        error_nomem(reterr);
        return NULL;
    }
    arena_init(&p->arena, ARENA_BYTES_MAX);
    p->source_id = p->source_price = p->source_attributes = PROJECTION_NO_SOURCE;
    p->source_variants = p->source_categories = p->source_primary = PROJECTION_NO_SOURCE;
    if (read_projection(p, projection, properties, reterr))
        return p;
    projection_free(p);
    return NULL;
}

struct projection *projection_parse_mapping(const char *name, const char *text, size_t len, struct error *reterr) {
    struct arena arena;
    arena_init(&arena, FILE_BYTES_MAX);
    struct json *root = json_parse(&arena, text, len, NULL, reterr);
    struct projection *p = NULL;
    if (root)
        p = projection_new(json_get(root, "projection"), json_path(root, "mappings.properties"), reterr);
    if (!p)
        error_prefix(reterr, "mapping %s", name);
    arena_done(&arena);
    return p;
}

void projection_free(struct projection *projection) {
    if (!projection)
        return;
    arena_done(&projection->arena);
    free(projection);
}

bool projection_has_code_attribute(const struct projection *projection, struct slice name) {
    return bsearch(&name, projection->code_attributes, projection->code_attribute_count, sizeof(name),
                   compare_names) != NULL;
}

/* Hangul syllables and jamo (U+1100.., U+3130.., U+A960.., U+AC00..D7FF), by their UTF-8 bytes. */
bool projection_has_hangul(struct slice s) {
    for (size_t i = 0; i + 2 < s.len; i++) {
        unsigned char a = (unsigned char)s.data[i], b = (unsigned char)s.data[i + 1];
        if ((a == 0xE1 && b >= 0x84 && b <= 0x87) || (a == 0xE3 && b >= 0x84 && b <= 0x86) ||
            (a == 0xEA && (b == 0xA5 || b >= 0xB0)) || a == 0xEB || a == 0xEC || (a == 0xED && b <= 0x9F))
            return true;
    }
    return false;
}
