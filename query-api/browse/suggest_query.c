#include "core/hangul.h"
#include "core/utf8.h"
#include "query-api/browse/suggest.h"
#include "query-api/search/product_view.h"
#include "query-api/text/search_pattern.h"
#include "query-api/text/search_rank.h"

enum { PATTERN_MAX_BYTES = 4096, CODE_MIN = 4 };

/* What is begun in a name, a brand or a category comes before whole words that stand in a description only; of those
 * that are begun, search_text's score for whole words decides. */
static const double begun_weight = LAYER_WORDS * 20, flipped_weight = LAYER_MEANT, category_weight = LAYER_WORDS,
                    code_weight = LAYER_CODE_IN_NAME;

bool suggest_is_initials(struct slice text) {
    uint32_t cp;
    unsigned lead;
    for (size_t i = 0, n; i < text.len; i += n) {
        n = utf8_decode(text.data + i, text.len - i, &cp);
        if (n == 0 || (cp != ' ' && !hangul_lead_of(cp, &lead)))
            return false;
    }
    return text.len > 0;
}

/* The words as one: the keys that type them, or initials. False: there are none. */
static bool typed_text(const struct suggest *s, struct buf *ret, bool *ret_initials) {
    struct slice key = search_name_key(s->arena, s->text->q);
    *ret_initials = hangul_is_initials(s->text->q);
    return key.len && (*ret_initials ? buf_append(ret, key.data, key.len) : hangul_append_keys(ret, key));
}

size_t suggest_categories(const struct suggest *s, int64_t *ret, size_t max) {
    struct buf typed = BUF_INIT(PATTERN_MAX_BYTES);
    bool initials;
    size_t count = 0;
    if (s->categories && typed_text(s, &typed, &initials))
        count = category_list_starting(s->categories, initials ? CATEGORY_INITIALS_START : CATEGORY_STARTS,
                                       (struct slice){typed.data, typed.len}, ret, max);
    buf_done(&typed);
    return count;
}

/* The same with what is below them. */
static size_t boosted_categories(const struct suggest *s, int64_t *ret, size_t max) {
    struct buf typed = BUF_INIT(PATTERN_MAX_BYTES);
    bool initials;
    size_t count = 0;
    if (s->categories && typed_text(s, &typed, &initials))
        count = category_list_like(s->categories, initials ? CATEGORY_INITIALS_START : CATEGORY_BEGUN,
                                   (struct slice){typed.data, typed.len}, ret, max);
    buf_done(&typed);
    return count;
}

static void open_object(struct json_write *w, const char *key) {
    json_write_key(w, key);
    json_write_object(w);
}

static void close_objects(struct json_write *w, unsigned count) {
    while (count--)
        json_write_object_end(w);
}

static void write_whole_word(struct json_write *w, struct slice key) {
    json_write_object(w);
    open_object(w, "match");
    open_object(w, "words");
    json_write_key(w, "query");
    json_write_slice(w, key);
    json_write_key(w, "operator");
    json_write_str(w, "and");
    close_objects(w, 3);
}

/* {"regexp"|"prefix":{field:{"value":…}}} */
static void write_begin(struct json_write *w, const char *type, const char *field, struct slice value) {
    json_write_object(w);
    open_object(w, type);
    open_object(w, field);
    json_write_key(w, "value");
    json_write_slice(w, value);
    close_objects(w, 3);
}

static void write_begun_word(struct json_write *w, const struct search_word *word) {
    struct buf pattern = BUF_INIT(PATTERN_MAX_BYTES);
    bool is_pattern = suggest_is_initials(word->text)
                          ? search_pattern_initials(&pattern, word->text) && buf_append_str(&pattern, ".*")
                          : search_pattern_begun(&pattern, word->text, true);
    if (is_pattern && pattern.len)
        write_begin(w, "regexp", "words", (struct slice){pattern.data, pattern.len});
    else
        write_begin(w, "prefix", "words", word->key);
    buf_done(&pattern);
}

/* The words before the last one as they are, the last one begun. */
static void write_begun(struct json_write *w, const struct suggest *s, const struct search_text *t, double weight) {
    int64_t ids[SUGGEST_CATEGORIES_MAX];
    size_t id_count = boosted_categories(s, ids, SUGGEST_CATEGORIES_MAX);
    if (t->whole || t->words.count == 0)
        return;
    json_write_object(w);
    open_object(w, "bool");
    json_write_key(w, "filter");
    json_write_array(w);
    for (size_t i = 0; i + 1 < t->words.count; i++)
        write_whole_word(w, t->words.items[i].key);
    write_begun_word(w, &t->words.items[t->words.count - 1]);
    json_write_array_end(w);
    json_write_key(w, "should");
    json_write_array(w);
    json_write_object(w);
    open_object(w, "match_all");
    json_write_key(w, "boost");
    json_write_double(w, weight);
    close_objects(w, 2);
    if (id_count) {
        json_write_object(w);
        open_object(w, "constant_score");
        open_object(w, "filter");
        open_object(w, "terms");
        json_write_key(w, "primary_category");
        json_write_array(w);
        for (size_t i = 0; i < id_count; i++)
            json_write_int(w, ids[i]);
        json_write_array_end(w);
        close_objects(w, 2);
        json_write_key(w, "boost");
        json_write_double(w, category_weight);
        close_objects(w, 2);
    }
    json_write_array_end(w);
    close_objects(w, 2);
}

/* A model number or an EAN of which the first characters are there. */
static void write_code(struct json_write *w, const struct suggest *s) {
    struct slice q = s->text->q;
    char code[64];
    size_t n = 0;
    bool digit = false;
    for (size_t i = 0; i < q.len; i++) {
        char c = q.data[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z', number = c >= '0' && c <= '9';
        if ((unsigned char)c >= 0x80 || n == sizeof(code))
            return;
        digit = digit || number;
        if (letter || number)
            code[n++] = letter ? (char)(c | 0x20) : c;
    }
    if (!digit || n < CODE_MIN)
        return;
    json_write_object(w);
    open_object(w, "constant_score");
    json_write_key(w, "filter");
    write_begin(w, "prefix", "codes", (struct slice){code, n});
    json_write_key(w, "boost");
    json_write_double(w, code_weight);
    close_objects(w, 2);
}

/* A single Latin letter or digit begins a word in half of the products. */
static bool is_one_letter(const struct search_text *t) {
    return !t->whole && t->words.count == 1 && t->words.items[0].key.len == 1 && t->pin_count + t->effect_count == 0;
}

/* It says too little for scores to tell those apart: what is popular comes first, and none is scored. */
static void write_one_letter(struct json_write *w, const struct suggest *s) {
    product_view_ask_summaries(w, SEARCH_RANK_POPULARITY_KEY);
    open_object(w, "query");
    open_object(w, "bool");
    json_write_key(w, "filter");
    write_begun_word(w, &s->text->words.items[0]);
    close_objects(w, 2);
}

static void write_layers(struct json_write *w, const struct suggest *s) {
    product_view_ask_summaries(w, PRODUCT_VIEW_BEST);
    open_object(w, "query");
    open_object(w, "bool");
    json_write_key(w, "should");
    json_write_array(w);
    search_text_write(w, s->text);
    write_begun(w, s, s->text, begun_weight);
    if (s->text->flipped)
        write_begun(w, s, s->text->flipped, flipped_weight);
    write_code(w, s);
    json_write_array_end(w);
    close_objects(w, 2);
}

bool suggest_query_write(const struct suggest *s, struct buf *out) {
    struct json_write w;
    json_write_init(&w, out);
    json_write_object(&w);
    json_write_key(&w, "size");
    json_write_int(&w, SUGGEST_HITS);
    json_write_key(&w, "track_total_hits");
    json_write_int(&w, 1);
    if (is_one_letter(s->text))
        write_one_letter(&w, s);
    else
        write_layers(&w, s);
    json_write_object_end(&w);
    return json_write_finish(&w);
}
