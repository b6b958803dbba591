#include "core/hangul.h"
#include "core/text_fold.h"
#include "query-api/browse/suggest.h"
#include "query-api/search/product_view.h"
#include <stdlib.h>

enum { COMPLETIONS_MAX = 256, WORDS_MAX = 32, TEXT_MAX_BYTES = 1024 };

struct completion {
    struct slice text, key;
    unsigned count;
    bool same; /* goes on in the script in which it is typed */
};

struct completions {
    const struct suggest *s;
    struct slice before, last; /* what is typed: the words that are there, and the one that is begun */
    struct slice last_key, last_keys; /* folded and in lower case; as keys of a keyboard */
    bool initials;
    struct completion items[COMPLETIONS_MAX];
    size_t count;
    bool out_of_memory;
};

static struct slice keep(struct completions *c, struct buf *b, bool ok) {
    const char *copy = ok && buf_ok(b) ? arena_strndup(c->s->arena, b->data ? b->data : "", b->len) : NULL;
    struct slice made = {copy ? copy : "", copy ? b->len : 0};
    c->out_of_memory = c->out_of_memory || !copy;
    buf_done(b);
    return made;
}

static void lower(struct buf *b) {
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] >= 'A' && b->data[i] <= 'Z')
            b->data[i] = (char)(b->data[i] | 0x20);
}

static struct slice key_of(struct completions *c, struct slice text) {
    struct buf b = BUF_INIT(TEXT_MAX_BYTES * 2);
    bool ok = text_fold_append(&b, text);
    lower(&b);
    return keep(c, &b, ok);
}

static struct slice keys_of(struct completions *c, struct slice key) {
    struct buf b = BUF_INIT(TEXT_MAX_BYTES * 8);
    bool ok = hangul_append_keys(&b, key);
    lower(&b);
    return keep(c, &b, ok);
}

static struct slice initials_of(struct completions *c, struct slice key) {
    struct buf b = BUF_INIT(TEXT_MAX_BYTES * 2);
    return keep(c, &b, hangul_append_initials(&b, key));
}

static bool begins(struct slice s, struct slice with) {
    return with.len && s.len >= with.len && memcmp(s.data, with.data, with.len) == 0;
}

/* Does the word go on from what is typed? */
static bool goes_on(struct completions *c, struct slice key, bool *ret_same) {
    *ret_same = c->initials || begins(key, c->last_key) ||
                (((unsigned char)key.data[0] >= 0x80) == ((unsigned char)c->last_key.data[0] >= 0x80));
    if (c->initials)
        return begins(initials_of(c, key), c->last);
    return begins(key, c->last_key) || begins(keys_of(c, key), c->last_keys);
}

static void add(struct completions *c, struct slice words, bool same) {
    char *text = c->before.len ? arena_printf(c->s->arena, "%.*s %.*s", (int)c->before.len, c->before.data, (int)words.len,
                                              words.data)
                               : arena_strndup(c->s->arena, words.data, words.len);
    if (!text) {
        c->out_of_memory = true;
        return;
    }
    struct completion made = {.text = slice_str(text), .key = key_of(c, slice_str(text)), .count = 1, .same = same};
    if (slice_eq(made.key, key_of(c, c->s->q)))
        return; /* it is there already */
    for (size_t i = 0; i < c->count; i++)
        if (slice_eq(c->items[i].key, made.key)) {
            c->items[i].count++;
            return;
        }
    if (c->count < COMPLETIONS_MAX)
        c->items[c->count++] = made;
}

/* Without brackets, commas and the like at its ends. */
static struct slice strip(struct slice word) {
    static const char marks[] = "()[]{}<>,.;:!?\"'|/&+-*";
    while (word.len && memchr(marks, word.data[0], sizeof(marks) - 1))
        word.data++, word.len--;
    while (word.len && memchr(marks, word.data[word.len - 1], sizeof(marks) - 1))
        word.len--;
    return word;
}

static size_t split(struct slice text, struct slice ret[WORDS_MAX]) {
    size_t count = 0;
    for (size_t i = 0, start = 0; i <= text.len && count < WORDS_MAX; i++)
        if (i == text.len || text.data[i] == ' ') {
            if (i > start)
                ret[count++] = (struct slice){text.data + start, i - start};
            start = i + 1;
        }
    return count;
}

/* Words that go on from what is typed, alone and with the next one: 노트북, 노트북 가방. */
static void collect_text(struct completions *c, struct slice text) {
    struct slice words[WORDS_MAX];
    size_t count = text.len <= TEXT_MAX_BYTES ? split(text, words) : 0;
    for (size_t i = 0; i < count; i++) {
        struct slice word = strip(words[i]), key = key_of(c, word), next;
        bool same;
        if (key.len == 0 || !goes_on(c, key, &same))
            continue;
        add(c, word, same);
        next = i + 1 < count ? strip(words[i + 1]) : (struct slice){"", 0};
        if (next.len && word.data + word.len + 1 == next.data)
            add(c, (struct slice){word.data, (size_t)(next.data + next.len - word.data)}, same);
    }
}

static void collect(struct completions *c, const struct json *v) {
    if (json_is(v, JSON_STRING))
        collect_text(c, v->text);
    else if (json_is(v, JSON_OBJECT) || json_is(v, JSON_ARRAY))
        for (const struct json *m = v->child; m; m = m->next)
            collect(c, m);
}

static int by_use(const void *a, const void *b) {
    const struct completion *x = a, *y = b;
    if (x->same != y->same)
        return x->same ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    if (x->key.len != y->key.len)
        return x->key.len < y->key.len ? -1 : 1;
    return memcmp(x->key.data, y->key.data, x->key.len);
}

static bool begin(struct completions *c, const struct suggest *s) {
    *c = (struct completions){.s = s};
    struct slice q = s->q;
    size_t at = q.len;
    while (at > 0 && q.data[at - 1] != ' ')
        at--;
    c->initials = suggest_is_initials(s->text->q);
    if (c->initials) {
        struct buf b = BUF_INIT(TEXT_MAX_BYTES);
        for (size_t i = 0; i < s->text->q.len; i++)
            if (s->text->q.data[i] != ' ')
                buf_append_char(&b, s->text->q.data[i]);
        c->last = keep(c, &b, true);
        at = 0;
    } else {
        c->last = (struct slice){q.data + at, q.len - at};
    }
    c->before = (struct slice){q.data, at};
    while (c->before.len && c->before.data[c->before.len - 1] == ' ')
        c->before.len--;
    c->last_key = key_of(c, c->last);
    c->last_keys = keys_of(c, c->last_key);
    return !c->out_of_memory;
}

static void write_queries(struct json_write *w, struct completions *c) {
    size_t written = 0;
    if (c->count)
        qsort(c->items, c->count, sizeof(c->items[0]), by_use);
    json_write_key(w, "queries");
    json_write_array(w);
    for (size_t i = 0; i < c->count && written < c->s->size && c->items[i].same == c->items[0].same; i++, written++) {
        json_write_object(w);
        json_write_key(w, "q");
        json_write_slice(w, c->items[i].text);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void write_categories(struct json_write *w, const struct suggest *s) {
    int64_t ids[SUGGEST_SIZE_MAX];
    size_t count = suggest_categories(s, ids, s->size);
    json_write_key(w, "categories");
    json_write_array(w);
    for (size_t i = 0; i < count; i++) {
        const struct category *category = category_list_by_id(s->categories, ids[i]);
        if (!category)
            continue;
        json_write_object(w);
        json_write_key(w, "path");
        json_write_slice(w, category->path);
        json_write_key(w, "id");
        json_write_int(w, category->id);
        json_write_key(w, "name");
        json_write_slice(w, category_name(category, s->lang));
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

bool suggest_result_write(const struct suggest *s, const struct json *answer, struct buf *out) {
    struct completions *c = arena_alloc(s->arena, sizeof(*c));
    const struct json *hits = json_path(answer, "hits.hits");
    struct json_write w;
    if (!c || !begin(c, s))
        return false;
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, "query");
    json_write_object(&w);
    json_write_key(&w, "q");
    json_write_slice(&w, s->q);
    json_write_object_end(&w);
    for (const struct json *hit = hits ? hits->child : NULL; hit; hit = hit->next) {
        collect(c, json_path(hit, "_source.name"));
        collect(c, json_path(hit, "_source.brand"));
    }
    write_queries(&w, c);
    write_categories(&w, s);
    json_write_key(&w, "products");
    json_write_array(&w);
    unsigned shown = 0;
    for (const struct json *hit = hits ? hits->child : NULL; hit && shown < s->size; hit = hit->next, shown++) {
        json_write_object(&w);
        product_view_write_summary(&w, json_get(hit, "_source"), s->lang);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    if (s->ret_common_len)
        *s->ret_common_len = out->len;
    json_write_key(&w, "degraded");
    json_write_str(&w, s->degraded);
    json_write_key(&w, "took_ms");
    json_write_uint(&w, s->took_ms);
    json_write_key(&w, "query_id");
    json_write_str(&w, s->query_id);
    json_write_object_end(&w);
    return json_write_finish(&w) && !c->out_of_memory;
}
