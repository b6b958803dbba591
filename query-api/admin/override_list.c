#include "core/text_fold.h"
#include "query-api/admin/override_list.h"
#include <stdlib.h>

const char *const override_kind_names[OVERRIDE_KINDS] = {"synonyms", "stopwords", "rules"};

enum { ARENA_MAX_BYTES = 64 << 20, TEXT_MAX_BYTES = 16384 };

static const double bury_weight = 0.001, boost_default = 3;

/* One term of a group: stands for all of the group but itself. */
struct synonym {
    struct slice key; /* until the list is finished the term itself */
    struct slice *texts;
    size_t count;
    size_t own; /* index in texts that is the term itself; count: none */
};

struct override_name {
    enum override_kind kind;
    struct slice id;
};

struct override_list {
    struct arena arena;
    struct override_name *names; /* of all */
    size_t count, name_cap;
    struct synonym *synonyms;
    size_t synonym_count, synonym_cap;
    struct slice *stopwords;
    size_t stopword_count, stopword_cap;
    struct override_rule *rules;
    size_t rule_count, rule_cap;
};

struct override_list *override_list_new(void) {
    struct override_list *list = calloc(1, sizeof(*list));
    if (list)
        arena_init(&list->arena, ARENA_MAX_BYTES);
    return list;
}

void override_list_free(struct override_list *list) {
    if (!list)
        return;
    arena_done(&list->arena);
    free(list->names);
    free(list->synonyms);
    free(list->stopwords);
    free(list->rules);
    free(list);
}

static bool grow(void **items, size_t count, size_t *cap, size_t size) {
    if (count < *cap)
        return true;
    size_t more = *cap ? *cap * 2 : 64;
    void *grown = realloc(*items, more * size);
    if (!grown)
        return false;
    *items = grown;
    *cap = more;
    return true;
}

static bool copy(struct arena *arena, struct slice s, struct slice *ret) {
    char *data = arena_strndup(arena, s.data, s.len);
    *ret = (struct slice){data, data ? s.len : 0};
    return data != NULL;
}

/* Array of strings -> slices of the list's own. */
static bool copy_texts(struct arena *arena, const struct json *array, struct slice **ret, size_t *ret_count) {
    *ret_count = 0;
    *ret = arena_alloc(arena, (array ? array->count + 1 : 1) * sizeof(**ret));
    for (const struct json *m = array ? array->child : NULL; *ret && m; m = m->next)
        if (!copy(arena, m->text, &(*ret)[(*ret_count)++]))
            return false;
    return *ret != NULL;
}

static bool add_synonym(struct override_list *list, struct slice term, struct slice *texts, size_t count, size_t own) {
    struct synonym synonym = {.texts = texts, .count = count, .own = own};
    if (!copy(&list->arena, term, &synonym.key) ||
        !grow((void **)&list->synonyms, list->synonym_count, &list->synonym_cap, sizeof(*list->synonyms)))
        return false;
    list->synonyms[list->synonym_count++] = synonym;
    return true;
}

static bool add_synonyms(struct override_list *list, const struct json *body) {
    const struct json *terms = json_get(body, "terms"), *from = json_get(body, "from");
    struct slice *texts;
    size_t count;
    if (!copy_texts(&list->arena, terms ? terms : json_get(body, "to"), &texts, &count))
        return false;
    for (size_t i = 0; terms && i < count; i++)
        if (!add_synonym(list, texts[i], texts, count, i))
            return false;
    for (const struct json *m = from ? from->child : NULL; m; m = m->next)
        if (!add_synonym(list, m->text, texts, count, count))
            return false;
    return true;
}

static bool add_stopwords(struct override_list *list, const struct json *body) {
    for (const struct json *m = json_get(body, "terms")->child; m; m = m->next) {
        if (!grow((void **)&list->stopwords, list->stopword_count, &list->stopword_cap, sizeof(*list->stopwords)))
            return false;
        list->stopwords[list->stopword_count++] = search_name_key(&list->arena, m->text);
    }
    return true;
}

static bool add_effects(struct override_list *list, struct override_rule *rule, const struct json *array, bool boost) {
    for (const struct json *m = array ? array->child : NULL; m; m = m->next) {
        struct override_effect *effect = &rule->effects[rule->effect_count++];
        static const char *const names[] = {"id", "brand", "category"};
        static const char *const fields[] = {"id", "brand", "category_paths"};
        effect->weight = boost ? boost_default : bury_weight;
        if (boost)
            json_double(json_get(m, "weight"), &effect->weight);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            const struct json *v = json_get(m, names[i]);
            effect->field = v ? fields[i] : effect->field;
            if (v && !copy(&list->arena, v->text, &effect->value))
                return false;
        }
    }
    return true;
}

static bool add_rule(struct override_list *list, struct slice id, const struct json *body) {
    const struct json *boost = json_get(body, "boost"), *bury = json_get(body, "bury");
    struct override_rule rule = {.contains = json_string_is(json_get(body, "match"), "contains")};
    rule.effects = arena_zalloc(&list->arena, 2 * OVERRIDE_EFFECTS_MAX * sizeof(*rule.effects));
    if (!rule.effects || !copy(&list->arena, id, &rule.id) || !copy(&list->arena, json_get(body, "query")->text, &rule.key) ||
        !copy_texts(&list->arena, json_get(body, "contexts"), &rule.contexts, &rule.context_count) ||
        !copy_texts(&list->arena, json_get(body, "pin"), &rule.pins, &rule.pin_count) ||
        !add_effects(list, &rule, boost, true) || !add_effects(list, &rule, bury, false) ||
        !grow((void **)&list->rules, list->rule_count, &list->rule_cap, sizeof(*list->rules)))
        return false;
    list->rules[list->rule_count++] = rule;
    return true;
}

static bool kind_of(const struct json *v, enum override_kind *ret) {
    for (int i = 0; i < OVERRIDE_KINDS; i++)
        if (json_string_is(v, override_kind_names[i])) {
            *ret = (enum override_kind)i;
            return true;
        }
    return false;
}

static bool add_one(struct override_list *list, const struct json *source) {
    const struct json *id = json_get(source, "id"), *body = json_get(source, "body");
    enum override_kind kind;
    struct arena scratch;
    arena_init(&scratch, 1 << 20);
    bool fine = json_is(id, JSON_STRING) && kind_of(json_get(source, "kind"), &kind) &&
                override_check_stored(&scratch, kind, body);
    arena_done(&scratch);
    if (!fine)
        return true;
    if (!grow((void **)&list->names, list->count, &list->name_cap, sizeof(*list->names)) ||
        !copy(&list->arena, id->text, &list->names[list->count].id))
        return false;
    list->names[list->count++].kind = kind;
    return kind == OVERRIDE_SYNONYM    ? add_synonyms(list, body)
           : kind == OVERRIDE_STOPWORD ? add_stopwords(list, body)
                                       : add_rule(list, id->text, body);
}

bool override_list_add(struct override_list *list, const struct json *hits, size_t *ret_added, struct slice *ret_last) {
    *ret_added = 0;
    for (const struct json *hit = json_is(hits, JSON_ARRAY) ? hits->child : NULL; hit; hit = hit->next) {
        const struct json *source = json_get(hit, "_source"), *key = json_get(source, "key");
        if (!add_one(list, source))
            return false;
        if (json_is(key, JSON_STRING))
            *ret_last = key->text;
        (*ret_added)++;
    }
    return true;
}

static int compare_slices(struct slice a, struct slice b) {
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_synonyms(const void *a, const void *b) {
    const struct synonym *x = a, *y = b;
    return compare_slices(x->key, y->key);
}

static int compare_keys(const void *a, const void *b) {
    return compare_slices(*(const struct slice *)a, *(const struct slice *)b);
}

static int compare_rules(const void *a, const void *b) {
    const struct override_rule *x = a, *y = b;
    return compare_slices(x->id, y->id);
}

bool override_list_without_stopwords(const struct override_list *list, struct arena *arena, const struct search_words *words,
                                     struct slice *ret) {
    struct buf rest = BUF_INIT(TEXT_MAX_BYTES);
    size_t kept = 0;
    bool ok = true;
    *ret = (struct slice){0};
    for (size_t i = 0; i < words->count; i++) {
        struct slice word = words->items[i].text;
        if (override_list_is_stopword(list, search_name_key(arena, word)))
            continue;
        if (kept++)
            buf_append_char(&rest, ' ');
        buf_append(&rest, word.data, word.len);
    }
    if (kept && kept < words->count)
        ok = buf_ok(&rest) && copy(arena, (struct slice){rest.data, rest.len}, ret);
    buf_done(&rest);
    return ok;
}

/* What a term is found by: as searches are, without stop words. */
static bool make_key(struct override_list *list, struct slice *key) {
    struct buf folded = BUF_INIT(TEXT_MAX_BYTES);
    struct search_words words;
    struct slice text = *key, rest = {0};
    bool ok = !list->stopword_count ||
              (text_fold_append(&folded, text) && copy(&list->arena, (struct slice){folded.data, folded.len}, &text) &&
               search_words_read(&list->arena, text, &words) &&
               (words.count > SEARCH_WORDS_MAX || override_list_without_stopwords(list, &list->arena, &words, &rest)));
    buf_done(&folded);
    *key = search_name_key(&list->arena, rest.len ? rest : text);
    return ok;
}

bool override_list_finish(struct override_list *list) {
    if (list->stopword_count)
        qsort(list->stopwords, list->stopword_count, sizeof(*list->stopwords), compare_keys);
    for (size_t i = 0; i < list->synonym_count; i++)
        if (!make_key(list, &list->synonyms[i].key))
            return false;
    for (size_t i = 0; i < list->rule_count; i++)
        if (!make_key(list, &list->rules[i].key))
            return false;
    if (list->synonym_count)
        qsort(list->synonyms, list->synonym_count, sizeof(*list->synonyms), compare_synonyms);
    if (list->rule_count)
        qsort(list->rules, list->rule_count, sizeof(*list->rules), compare_rules);
    return true;
}

size_t override_list_count(const struct override_list *list) {
    return list->count;
}

bool override_list_has_room(const struct override_list *list, enum override_kind kind, struct slice id) {
    if (!list || list->count < OVERRIDES_MAX)
        return true;
    for (size_t i = 0; i < list->count; i++)
        if (list->names[i].kind == kind && slice_eq(list->names[i].id, id))
            return true;
    return false;
}

size_t override_list_synonyms(const struct override_list *list, struct slice key, struct slice *ret, size_t max) {
    size_t low = 0, high = list->synonym_count, count = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_slices(list->synonyms[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; key.len && low < list->synonym_count && slice_eq(list->synonyms[low].key, key); low++)
        for (size_t i = 0; i < list->synonyms[low].count && count < max; i++)
            if (i != list->synonyms[low].own)
                ret[count++] = list->synonyms[low].texts[i];
    return count;
}

bool override_list_is_stopword(const struct override_list *list, struct slice key) {
    return list->stopword_count &&
           bsearch(&key, list->stopwords, list->stopword_count, sizeof(*list->stopwords), compare_keys);
}

size_t override_list_rule_count(const struct override_list *list) {
    return list->rule_count;
}

const struct override_rule *override_list_rule(const struct override_list *list, size_t index) {
    return &list->rules[index];
}
