#include "query-api/text/search_pattern.h"
#include "query-api/text/search_text.h"
#include "query-api/text/search_thing.h"

const char *const search_reason_names[REASON_COUNT] = {
    [REASON_NONE] = "words",      [REASON_KEYBOARD] = "keyboard", [REASON_INITIALS] = "initials",
    [REASON_SYLLABLE] = "syllable", [REASON_SPELLING] = "spelling",
    [REASON_SOME_WORDS] = "some_words"};

enum { PATTERN_MAX_BYTES = 16384, NEAR_SYLLABLES_MIN = 3, NEAR_SYLLABLES_MAX = 8, PLAIN_WORD_MIN = 4 };

const struct search_ranking search_ranking_default = {
    .description = 200, .brand = 70, .category_names = 50, .joined = 15, .attribute = 10, .tie = 20, .accessory = 300,
    .category = 1500, .type = 400, .brand_asked = 500,
    .signals = {.sales = 20, .popularity = 10, .recency = 5}};

static const double unit_weight = 8, pairs_weight = 0.5;

static bool is_ascii_letter(char c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Only what has a digit and some length is taken for a part of a code. */
static bool may_be_code(struct slice s) {
    size_t letters = 0, digits = 0;
    for (size_t i = 0; i < s.len; i++) {
        digits += s.data[i] >= '0' && s.data[i] <= '9';
        letters += is_ascii_letter(s.data[i]);
    }
    return digits && digits + letters >= 4;
}

static void write_boost(struct json_write *w, double boost) {
    json_write_key(w, "boost");
    json_write_double(w, boost);
}

static void open_object(struct json_write *w, const char *key) {
    json_write_key(w, key);
    json_write_object(w);
}

#define BOOL_MUST SLICE("{\"bool\":{\"must\":[")
#define BOOL_SHOULD SLICE("{\"bool\":{\"should\":[")
#define DIS_MAX SLICE("{\"dis_max\":{\"queries\":[")

static void clauses_begin(struct json_write *w, struct slice which) {
    json_write_open(w, which, "{{[");
}

static void clauses_end(struct json_write *w) {
    json_write_close(w, SLICE("]}}"), 3);
}

static void write_name(struct json_write *w, enum search_reason reason) {
    if (reason == REASON_COUNT)
        return;
    json_write_key(w, "_name");
    json_write_str(w, search_reason_names[reason]);
}

static void constant_begin(struct json_write *w) {
    json_write_open(w, SLICE("{\"constant_score\":{\"filter\":{"), "{{{");
}

static void constant_end(struct json_write *w, double boost) {
    json_write_close(w, SLICE("},\"boost\":"), 1);
    json_write_double(w, boost);
    json_write_close(w, SLICE("}}"), 2);
}

static void write_terms(struct json_write *w, const char *field, const struct slice *texts, size_t count, double boost) {
    constant_begin(w);
    open_object(w, "terms");
    json_write_key(w, field);
    json_write_array(w);
    for (size_t i = 0; i < count; i++)
        json_write_slice(w, texts[i]);
    json_write_array_end(w);
    json_write_object_end(w);
    constant_end(w, boost);
}

static void write_term(struct json_write *w, const char *field, struct slice text, double boost) {
    constant_begin(w);
    open_object(w, "term");
    json_write_key(w, field);
    json_write_slice(w, text);
    json_write_object_end(w);
    constant_end(w, boost);
}

/* The pattern is moved. */
static void write_regexp(struct json_write *w, const char *field, struct buf *pattern, bool ok, double boost) {
    if (ok && pattern->len) {
        constant_begin(w);
        open_object(w, "regexp");
        open_object(w, field);
        json_write_key(w, "value");
        json_write_string(w, pattern->data, pattern->len);
        json_write_object_end(w);
        json_write_object_end(w);
        constant_end(w, boost);
    }
    buf_done(pattern);
}

/* ---- a word ---- */

/* "name.ko^1.00" */
static void write_field(struct json_write *w, const char *field, int64_t hundredths) {
    struct buf *out = json_write_pieces(w);
    uint64_t weight = (uint64_t)hundredths;
    if (!out)
        return;
    buf_append_char(out, '"');
    buf_append_str(out, field);
    buf_append_char(out, '^');
    buf_append_u64(out, weight / 100);
    buf_append(out, (const char[]){'.', (char)('0' + weight / 10 % 10), (char)('0' + weight % 10), '"'}, 4);
}

/* All of a word in one field, by the best of the fields; the others break ties. */
static void write_match(struct json_write *w, struct slice text, const struct search_ranking *ranking) {
    json_write_open(w, SLICE("{\"multi_match\":{\"query\":"), "{{");
    json_write_slice(w, text);
    json_write_open(w, SLICE("\"operator\":\"and\",\"tie_breaker\":"), "");
    json_write_double(w, (double)ranking->tie / 100);
    json_write_open(w, SLICE("\"fields\":[\"name.ko^1.00\",\"name.en^1.00\""), "[");
    write_field(w, "description.ko", ranking->description);
    write_field(w, "description.en", ranking->description);
    write_field(w, "brand.text", ranking->brand);
    write_field(w, "category_names.ko", ranking->category_names);
    write_field(w, "category_names.en", ranking->category_names);
    clauses_end(w);
}

/* The words around and with this one that may be a code together, cut by blanks: up to three in a row. The index keeps
 * the letters and digits of codes and asks with them alone: NT940XGK-KC51G is nt940xgk kc51g. */
static void write_word_codes(struct json_write *w, const struct search_words *words, size_t index) {
    struct slice runs[6];
    size_t n = 0;
    for (size_t first = index > 2 ? index - 2 : 0; first <= index; first++)
        for (size_t last = index; last < words->count && last < first + SEARCH_RUN_MAX; last++) {
            const struct slice a = words->items[first].text, b = words->items[last].text;
            struct slice run = {a.data, (size_t)(b.data + b.len - a.data)};
            if (may_be_code(run))
                runs[n++] = run;
        }
    if (n)
        write_terms(w, "codes", runs, n, LAYER_CODE);
}

static void append_run(struct buf *text, const struct search_words *words, size_t first, size_t last) {
    if (text->len)
        buf_append_char(text, ' ');
    for (size_t i = first; i <= last; i++)
        buf_append(text, words->items[i].key.data, words->items[i].key.len);
}

/* Words of the index as they are written, alone or joined: 무선 이어폰 finds 무선이어폰 and the other way round (the index
 * has joined words, too). */
static void write_joined(struct json_write *w, const struct search_words *words, size_t index, double weight) {
    struct buf text = BUF_INIT(PATTERN_MAX_BYTES);
    for (size_t first = index > 2 ? index - 2 : 0; first <= index; first++)
        for (size_t last = index; last < words->count && last < first + SEARCH_RUN_MAX; last++)
            append_run(&text, words, first, last);
    if (buf_ok(&text) && text.len) {
        json_write_open(w, SLICE("{\"match\":{\"words\":{\"query\":"), "{{{");
        json_write_string(w, text.data, text.len);
        write_boost(w, weight);
        json_write_close(w, SLICE("}}}"), 3);
    }
    buf_done(&text);
}

/* Pairs of syllables, one behind the other: 의자 in 캠핑의자, where a dictionary sees 캠핑, 의, 자. */
static void write_pairs(struct json_write *w, struct slice text) {
    json_write_open(w, SLICE("{\"match_phrase\":{\"name.ko.pairs\":{\"query\":"), "{{{");
    json_write_slice(w, text);
    write_boost(w, pairs_weight);
    json_write_close(w, SLICE("}}}"), 3);
}

static void write_word(struct json_write *w, const struct search_text *t, const struct search_words *words, size_t index) {
    const struct search_word *word = &words->items[index];
    clauses_begin(w, DIS_MAX);
    write_match(w, word->text, t->ranking);
    write_joined(w, words, index, (double)t->ranking->joined / 100);
    if (word->hangul && word->text.len >= 6)
        write_pairs(w, word->text);
    if (t->ranking->attribute)
        write_term(w, "values", word->key, (double)t->ranking->attribute / 100);
    if (word->spelling_count)
        write_terms(w, "words", word->spellings, word->spelling_count, unit_weight);
    write_word_codes(w, words, index);
    json_write_close(w, SLICE("],\"tie_breaker\":"), 1);
    json_write_double(w, (double)t->ranking->tie / 100);
    json_write_close(w, SLICE("}}"), 2);
}

static void write_group_words(struct json_write *w, const struct search_text *t, const struct search_words *words, size_t first,
                              size_t count) {
    if (count == 1) {
        write_word(w, t, words, first);
        return;
    }
    clauses_begin(w, BOOL_MUST);
    for (size_t i = 0; i < count; i++)
        write_word(w, t, words, first + i);
    clauses_end(w);
}

static void write_group(struct json_write *w, const struct search_text *t, const struct search_group *group) {
    if (group->alternative_count == 0) {
        write_group_words(w, t, &t->words, group->first, group->count);
        return;
    }
    clauses_begin(w, DIS_MAX);
    write_group_words(w, t, &t->words, group->first, group->count);
    for (size_t i = 0; i < group->alternative_count; i++)
        write_group_words(w, t, &group->alternatives[i], 0, group->alternatives[i].count);
    clauses_end(w);
}

/* ---- layers ---- */

static void write_layer_floor(struct json_write *w, double boost) {
    json_write_open(w, SLICE("{\"match_all\":{\"boost\":"), "{{");
    json_write_double(w, boost);
    json_write_close(w, SLICE("}}"), 2);
}

/* A word that need not be there helps if it is; unless there are no others. */
static bool is_optional(const struct search_text *t, const struct search_group *group) {
    size_t needed = 0;
    for (size_t i = 0; i < t->words.count; i++)
        needed += !t->words.items[i].optional;
    return needed && group->count == 1 && t->words.items[group->first].optional;
}

static void write_categories(struct json_write *w, const struct search_text *t, double weight) {
    if (t->category_count == 0)
        return;
    constant_begin(w);
    open_object(w, "terms");
    json_write_key(w, "primary_category");
    json_write_array(w);
    for (size_t i = 0; i < t->category_count; i++)
        json_write_int(w, t->categories[i]);
    json_write_array_end(w);
    json_write_object_end(w);
    constant_end(w, weight);
}

/* Every word must be there, wherever, in either language; or, without words, the text as a whole. */
static void write_all_words(struct json_write *w, const struct search_text *t) {
    clauses_begin(w, BOOL_MUST);
    if (t->whole)
        write_match(w, t->q, t->ranking);
    for (size_t i = 0; !t->whole && i < t->group_count; i++)
        if (!is_optional(t, &t->groups[i]))
            write_group(w, t, &t->groups[i]);
    json_write_close(w, SLICE("]"), 1);
    json_write_open(w, SLICE("\"should\":["), "[");
    for (size_t i = 0; !t->whole && i < t->group_count; i++)
        if (is_optional(t, &t->groups[i]))
            write_group(w, t, &t->groups[i]);
    write_categories(w, t, (double)t->ranking->category / 100);
    if (!t->whole)
        search_thing_write(w, t);
    clauses_end(w);
}

/* Scores are floor + something, all times `scale`. */
static void write_words(struct json_write *w, const struct search_text *t, enum search_reason reason, double scale) {
    json_write_open(w, SLICE("{\"bool\":{\"must\":"), "{{");
    search_rank_begin(w, &t->ranking->signals);
    write_all_words(w, t);
    search_rank_end(w, &t->ranking->signals);
    json_write_open(w, SLICE("\"should\":["), "[");
    write_layer_floor(w, scale < 1 ? LAYER_MEANT / scale : LAYER_WORDS);
    json_write_close(w, SLICE("],\"boost\":"), 1);
    json_write_double(w, scale);
    write_name(w, reason);
    json_write_close(w, SLICE("}}"), 2);
}

/* The words before the last one as they are, and a pattern for the last. */
static void write_begun(struct json_write *w, const struct search_text *t, bool halves) {
    struct buf pattern = BUF_INIT(PATTERN_MAX_BYTES);
    size_t last = t->words.count - 1;
    bool ok = search_pattern_begun(&pattern, t->words.items[last].text, halves);
    json_write_object(w);
    open_object(w, "bool");
    json_write_key(w, "must");
    json_write_array(w);
    for (size_t i = 0; i < last; i++)
        write_word(w, t, &t->words, i);
    write_regexp(w, "words", &pattern, ok, 20);
    json_write_array_end(w);
    json_write_key(w, "should");
    json_write_array(w);
    write_categories(w, t, (double)t->ranking->category / 100);
    write_layer_floor(w, LAYER_MEANT * 10);
    json_write_array_end(w);
    write_boost(w, 0.1);
    write_name(w, REASON_SYLLABLE);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* A word with these initials comes before one that only begins with them. */
static void write_initials(struct json_write *w, const struct search_text *t) {
    struct buf whole = BUF_INIT(PATTERN_MAX_BYTES), begin = BUF_INIT(PATTERN_MAX_BYTES);
    bool ok = search_pattern_initials(&whole, t->q);
    bool ok_begin = ok && buf_append(&begin, whole.data, whole.len) && buf_append_str(&begin, ".*");
    json_write_object(w);
    open_object(w, "bool");
    json_write_key(w, "must");
    write_regexp(w, "words", &begin, ok_begin, LAYER_MEANT);
    json_write_key(w, "should");
    json_write_array(w);
    write_regexp(w, "words", &whole, ok, LAYER_MEANT);
    write_categories(w, t, LAYER_MEANT / 2.0);
    json_write_array_end(w);
    write_name(w, REASON_INITIALS);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_fuzzy(struct json_write *w, const struct search_word *word) {
    json_write_open(w, SLICE("{\"match\":{\"words\":{\"query\":"), "{{{");
    json_write_slice(w, word->key);
    json_write_close(w, SLICE(",\"operator\":\"and\",\"fuzziness\":\"AUTO:4,8\",\"prefix_length\":1,\"max_expansions\":30,\"boost\":0.05}}}"), 3);
}

/* Of syllables only. */
static void write_near(struct json_write *w, struct slice word) {
    constant_begin(w);
    open_object(w, "terms");
    json_write_key(w, "words");
    struct buf *out = json_write_pieces(w);
    if (out)
        (void)search_pattern_near(out, word);
    json_write_object_end(w);
    constant_end(w, 0.3);
}

/* A word with a letter or two wrong, or as it is. Korean of three syllables on: one letter of one syllable. */
static void write_typo(struct json_write *w, const struct search_words *words, size_t index) {
    const struct search_word *word = &words->items[index];
    size_t syllables = word->hangul ? word->text.len / 3 : 0;
    clauses_begin(w, DIS_MAX);
    write_fuzzy(w, word);
    if (syllables >= NEAR_SYLLABLES_MIN && syllables <= NEAR_SYLLABLES_MAX)
        write_near(w, word->text);
    clauses_end(w);
}

static void write_typos(struct json_write *w, const struct search_text *t) {
    clauses_begin(w, BOOL_MUST);
    for (size_t i = 0; i < t->words.count; i++)
        write_typo(w, &t->words, i);
    json_write_close(w, SLICE("]"), 1);
    json_write_open(w, SLICE("\"should\":["), "[");
    write_categories(w, t, 2);
    write_layer_floor(w, LAYER_TYPO);
    clauses_end(w);
}

/* Half of the words, of two one. */
static void write_some(struct json_write *w, const struct search_text *t) {
    static const char least[] = "\"2<50%\"";
    const double scale = 0.03;
    json_write_object(w);
    open_object(w, "bool");
    json_write_key(w, "must");
    json_write_array(w);
    clauses_begin(w, BOOL_SHOULD);
    for (size_t i = 0; i < t->group_count; i++)
        if (!is_optional(t, &t->groups[i]))
            write_group(w, t, &t->groups[i]);
    json_write_array_end(w);
    json_write_key(w, "minimum_should_match");
    json_write_raw(w, t->words.count > 2 ? least : "1", t->words.count > 2 ? sizeof(least) - 1 : 1);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_array_end(w);
    write_boost(w, scale);
    write_name(w, REASON_SOME_WORDS);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* Names cost the engine a look at each hit: only where there is something to tell apart. */
static bool is_guessed(const struct search_text *t) {
    return t->again || t->some || t->initials || t->begun || (t->flipped && t->flip_now);
}

/* What was found by its words, or was meant: what rules raise and lower. */
static void write_found(struct json_write *w, const struct search_text *t) {
    clauses_begin(w, DIS_MAX);
    write_words(w, t, is_guessed(t) ? REASON_NONE : REASON_COUNT, 1);
    if (t->initials)
        write_initials(w, t);
    if (t->begun)
        write_begun(w, t, t->again);
    if (t->flipped && (t->flip_now || t->again))
        write_words(w, t->flipped, REASON_KEYBOARD, 0.1);
    if (t->spelled && t->again)
        write_words(w, t->spelled, REASON_SPELLING, 0.09);
    if (t->some)
        write_some(w, t);
    if (t->typo && !t->initials)
        write_typos(w, t);
    clauses_end(w);
}

static void write_effects(struct json_write *w, const struct search_text *t) {
    if (t->effect_count == 0) {
        write_found(w, t);
        return;
    }
    json_write_object(w);
    open_object(w, "function_score");
    json_write_key(w, "query");
    write_found(w, t);
    json_write_key(w, "functions");
    json_write_array(w);
    for (size_t i = 0; i < t->effect_count; i++) {
        json_write_object(w);
        open_object(w, "filter");
        open_object(w, "term");
        json_write_key(w, t->effects[i].field);
        json_write_slice(w, t->effects[i].value);
        json_write_object_end(w);
        json_write_object_end(w);
        json_write_key(w, "weight");
        json_write_double(w, t->effects[i].weight);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* A word of a language and a number ("windows 10", "iphone 7") are no code cut by blanks ("WH 1000XM5", "16Z90S GA5CK"). */
static bool has_plain_word(const struct search_words *words) {
    for (size_t i = 0; words->count > 1 && i < words->count; i++) {
        struct slice key = words->items[i].key;
        size_t letters = 0;
        while (letters < key.len && is_ascii_letter(key.data[letters]))
            letters++;
        if (key.len >= PLAIN_WORD_MIN && letters == key.len)
            return true;
    }
    return false;
}

/* A code that stands in a name: the letters and digits of the whole text, as the index joins words. */
static void write_code_in_name(struct json_write *w, const struct search_text *t) {
    struct buf key = BUF_INIT(PATTERN_MAX_BYTES);
    for (size_t i = 0; i < t->q.len; i++) {
        char c = t->q.data[i];
        if (is_ascii_letter(c) || (c >= '0' && c <= '9'))
            buf_append_char(&key, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
        else if ((unsigned char)c >= 0x80)
            buf_append_char(&key, c);
    }
    struct slice text = {key.data, key.len};
    if (buf_ok(&key) && !t->whole && key.len <= 64 && may_be_code(text) && !t->words.items[0].spelling_count &&
        !has_plain_word(&t->words))
        write_term(w, "words", text, LAYER_CODE_IN_NAME);
    buf_done(&key);
}

void search_text_write_codes(struct json_write *w, const struct search_text *t) {
    clauses_begin(w, DIS_MAX);
    write_terms(w, "codes", &t->q, 1, LAYER_CODE);
    write_code_in_name(w, t);
    for (size_t i = 0; i < t->words.count; i++)
        write_word_codes(w, &t->words, i);
    for (size_t i = 0; i < t->group_count; i++)
        for (size_t k = 0; k < t->groups[i].alternative_count; k++)
            for (size_t n = 0; n < t->groups[i].alternatives[k].count; n++)
                write_word_codes(w, &t->groups[i].alternatives[k], n);
    clauses_end(w);
}

bool search_text_may_be_code(const struct search_text *t) {
    for (size_t i = 0; t && i < t->q.len; i++)
        if (t->q.data[i] >= '0' && t->q.data[i] <= '9')
            return true;
    return false;
}

/* The next character at *at that counts, in lower case; -1 at the end. */
static int code_character(struct slice s, size_t *at) {
    while (*at < s.len) {
        unsigned char c = (unsigned char)s.data[(*at)++];
        if (c >= 'A' && c <= 'Z')
            return c | 0x20;
        if (c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            return c;
    }
    return -1;
}

bool search_text_is_code(const struct search_text *t, struct slice code) {
    size_t i = 0, k = 0;
    int c;
    while ((c = code_character(t->q, &i)) == code_character(code, &k))
        if (c < 0)
            return true;
    return false;
}

struct slice search_text_marked(const struct search_text *t) {
    return t->again && t->spelled ? t->spelled->q : t->flipped && (t->flip_now || t->again) ? t->flipped->q : t->q;
}

void search_text_write(struct json_write *w, const struct search_text *t) {
    clauses_begin(w, DIS_MAX);
    for (size_t i = 0; i < t->pin_count; i++)
        write_term(w, "id", t->pins[i], (double)LAYER_PIN + 16.0 * (double)(t->pin_count - i));
    write_terms(w, "codes", &t->q, 1, LAYER_CODE);
    write_code_in_name(w, t);
    write_effects(w, t);
    clauses_end(w);
}
