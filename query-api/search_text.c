#include "query-api/search_text.h"

/* Steps between the layers. Words reach some hundreds at most (12 words x boost 4 x a weight of about 12), mistakes
 * a few: each stays below the next step. */
enum { LAYER_CODE = 10000, LAYER_WORDS = 100 };

/* One analyzer per list, but for the brand: a clause of several analyzers would want all words in one group of them. */
static const char *const korean_fields =
    "[\"name.ko^4\",\"category_names.ko^1.5\",\"description.ko^0.4\",\"brand.text^2\"]";
static const char *const english_fields =
    "[\"name.en^4\",\"category_names.en^1.5\",\"description.en^0.4\",\"brand.text^2\"]";
static const char *const typo_fields = "[\"name.ko\",\"name.en\",\"brand.text\",\"category_names.en\"]";

static bool is_hangul(const char *s, size_t left) {
    /* U+AC00..U+D7A3 */
    return left >= 3 && (unsigned char)s[0] >= 0xEA && (unsigned char)s[0] <= 0xED;
}

static bool is_ascii_letter(char c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool ends_with_hangul(struct slice s) {
    return s.len >= 3 && is_hangul(s.data + s.len - 3, 3);
}

/* Splits at blanks, and where Hangul and Latin letters touch. Returns more than SEARCH_WORDS_MAX if there are more. */
static size_t split_words(struct slice q, struct slice ret[SEARCH_WORDS_MAX]) {
    size_t count = 0, start = 0;
    for (size_t i = 0; i <= q.len; i++) {
        struct slice word = {q.data + start, i - start};
        bool end = i == q.len || q.data[i] == ' ';
        bool touch = !end && word.len &&
                     ((is_ascii_letter(q.data[i]) && ends_with_hangul(word)) ||
                      (is_ascii_letter(q.data[i - 1]) && is_hangul(q.data + i, q.len - i)));
        if (!end && !touch)
            continue;
        if (word.len && count < SEARCH_WORDS_MAX)
            ret[count] = word;
        count += word.len > 0;
        start = touch ? i : i + 1;
    }
    return count;
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

static void clauses_begin(struct json_write *w, const char *type, const char *list) {
    json_write_object(w);
    json_write_key(w, type);
    json_write_object(w);
    json_write_key(w, list);
    json_write_array(w);
}

static void clauses_end(struct json_write *w) {
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* The index keeps the letters and digits of codes and asks with them alone: NT940XGK-KC51G is nt940xgk kc51g. */
static void write_codes(struct json_write *w, const struct slice *texts, size_t count) {
    json_write_object(w);
    json_write_key(w, "constant_score");
    json_write_object(w);
    json_write_key(w, "filter");
    json_write_object(w);
    json_write_key(w, "terms");
    json_write_object(w);
    json_write_key(w, "codes");
    json_write_array(w);
    for (size_t i = 0; i < count; i++)
        json_write_slice(w, texts[i]);
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
    write_boost(w, LAYER_CODE);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_match(struct json_write *w, struct slice text, const char *fields, bool typo) {
    json_write_object(w);
    json_write_key(w, "multi_match");
    json_write_object(w);
    json_write_key(w, "query");
    json_write_slice(w, text);
    json_write_key(w, "type");
    json_write_str(w, typo ? "best_fields" : "cross_fields");
    json_write_key(w, "operator");
    json_write_str(w, "and");
    json_write_key(w, "fields");
    json_write_raw(w, fields, strlen(fields));
    if (typo) {
        static const char fuzzy[] = "\"AUTO:4,8\"";
        json_write_key(w, "fuzziness");
        json_write_raw(w, fuzzy, sizeof(fuzzy) - 1);
        json_write_key(w, "prefix_length");
        json_write_int(w, 1);
        json_write_key(w, "max_expansions");
        json_write_int(w, 30);
        write_boost(w, 0.05);
    }
    json_write_object_end(w);
    json_write_object_end(w);
}

/* The words around and with this one that may be a code together, cut by blanks: up to three in a row. */
static void write_word_codes(struct json_write *w, const struct slice *words, size_t count, size_t index) {
    struct slice runs[6];
    size_t n = 0;
    for (size_t first = index > 2 ? index - 2 : 0; first <= index; first++)
        for (size_t last = index; last < count && last < first + 3; last++) {
            struct slice run = {words[first].data, (size_t)(words[last].data + words[last].len - words[first].data)};
            if (may_be_code(run))
                runs[n++] = run;
        }
    if (n)
        write_codes(w, runs, n);
}

static void write_word(struct json_write *w, const struct slice *words, size_t count, size_t index) {
    clauses_begin(w, "dis_max", "queries");
    write_match(w, words[index], korean_fields, false);
    write_match(w, words[index], english_fields, false);
    write_word_codes(w, words, count, index);
    clauses_end(w);
}

/* Every word must be there, wherever, in either language; or, without words, the text as a whole. */
static void write_words(struct json_write *w, struct slice q, const struct slice *words, size_t count) {
    bool whole = count < 2 || count > SEARCH_WORDS_MAX;
    json_write_object(w);
    json_write_key(w, "bool");
    json_write_object(w);
    json_write_key(w, "must");
    json_write_array(w);
    if (whole)
        write_word(w, &q, 1, 0);
    for (size_t i = 0; !whole && i < count; i++)
        write_word(w, words, count, i);
    json_write_array_end(w);
    json_write_key(w, "should");
    json_write_object(w);
    json_write_key(w, "match_all");
    json_write_object(w);
    write_boost(w, LAYER_WORDS);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_typos(struct json_write *w, const struct slice *words, size_t count) {
    clauses_begin(w, "bool", "must");
    for (size_t i = 0; i < count; i++)
        write_match(w, words[i], typo_fields, true);
    clauses_end(w);
}

void search_text_write(struct json_write *w, struct slice q, bool typo) {
    struct slice words[SEARCH_WORDS_MAX];
    size_t count = split_words(q, words);
    clauses_begin(w, "dis_max", "queries");
    write_codes(w, &q, 1);
    write_words(w, q, words, count);
    if (typo && count <= SEARCH_TYPO_WORDS_MAX && q.len <= SEARCH_TYPO_BYTES_MAX)
        write_typos(w, words, count);
    clauses_end(w);
}
