/* search_text_read.c - what a search text says: words, synonyms, categories, rules, and what else it may mean. */
#include "core/hangul.h"
#include "core/text_fold.h"
#include "core/utf8.h"
#include "query-api/text/search_pattern.h"
#include "query-api/text/search_text.h"

enum { SPLIT_SYLLABLES_MAX = 10, TEXT_MAX_BYTES = 16384 };

static bool to_slice(struct arena *arena, struct buf *b, bool ok, struct slice *ret) {
    char *copy = ok ? arena_strndup(arena, b->data ? b->data : "", b->len) : NULL;
    *ret = (struct slice){copy, b->len};
    buf_done(b);
    return copy != NULL;
}

static struct slice trim(struct slice s) {
    while (s.len && s.data[0] == ' ')
        s.data++, s.len--;
    while (s.len && s.data[s.len - 1] == ' ')
        s.len--;
    return s;
}

static bool fold(struct arena *arena, struct slice q, struct slice *ret) {
    struct buf b = BUF_INIT(TEXT_MAX_BYTES);
    bool ok = text_fold_append(&b, q);
    if (!to_slice(arena, &b, ok, ret))
        return false;
    *ret = trim(*ret);
    return true;
}

/* The text of words first..last, with what stands between them. */
static struct slice run_text(const struct search_words *words, size_t first, size_t last) {
    struct slice a = words->items[first].text, b = words->items[last].text;
    return (struct slice){a.data, (size_t)(b.data + b.len - a.data)};
}

/* ---- stop words, synonyms ---- */

/* The text becomes one without them, unless there is nothing else. False without memory. */
static bool drop_stopwords(const struct search_text_context *c, struct search_text *t) {
    struct slice rest = {0};
    if (c->overrides && t->words.count <= SEARCH_WORDS_MAX &&
        !override_list_without_stopwords(c->overrides, c->arena, &t->words, &rest))
        return false;
    if (!rest.len)
        return true;
    t->q = rest;
    return search_words_read(c->arena, t->q, &t->words);
}

/* The longest run from `first` on that has synonyms. */
static bool read_group(const struct search_text_context *c, struct search_text *t, size_t first, struct search_group *ret) {
    struct slice texts[OVERRIDE_SYNONYMS_MAX];
    *ret = (struct search_group){.first = first, .count = 1};
    for (size_t n = t->words.count - first; n > 0; n--) {
        struct slice key = search_name_key(c->arena, run_text(&t->words, first, first + n - 1));
        size_t found = override_list_synonyms(c->overrides, key, texts, OVERRIDE_SYNONYMS_MAX);
        if (!found)
            continue;
        ret->count = n;
        ret->alternatives = arena_zalloc(c->arena, found * sizeof(*ret->alternatives));
        if (!ret->alternatives)
            return false;
        for (size_t i = 0; i < found; i++) {
            struct search_words *words = &ret->alternatives[ret->alternative_count];
            struct slice folded;
            if (!fold(c->arena, texts[i], &folded) || !search_words_read(c->arena, folded, words))
                return false;
            ret->alternative_count += words->count > 0 && words->count <= SEARCH_WORDS_MAX;
        }
        return true;
    }
    return true;
}

static bool read_groups(const struct search_text_context *c, struct search_text *t) {
    t->groups = arena_zalloc(c->arena, SEARCH_WORDS_MAX * sizeof(*t->groups));
    if (!t->groups)
        return false;
    for (size_t i = 0; i < t->words.count; i += t->groups[t->group_count++].count) {
        t->groups[t->group_count] = (struct search_group){.first = i, .count = 1};
        if (c->overrides && !read_group(c, t, i, &t->groups[t->group_count]))
            return false;
    }
    return true;
}

/* ---- categories that the text names ---- */

static bool named_by_alternative(const struct search_text_context *c, struct search_text *t, size_t last) {
    for (size_t g = 0; g < t->group_count; g++) {
        const struct search_group *group = &t->groups[g];
        if (group->first + group->count - 1 != last)
            continue;
        for (size_t i = 0; i < group->alternative_count; i++) {
            const struct search_words *words = &group->alternatives[i];
            struct slice key = search_name_key(c->arena, run_text(words, 0, words->count - 1));
            t->category_count = category_list_named(c->categories, key, t->categories, SEARCH_CATEGORY_BOOST_MAX);
            if (t->category_count)
                return true;
        }
    }
    return false;
}

/* No category has such a name: one may have nearly it. */
static bool read_likely_categories(const struct search_text_context *c, struct search_text *t) {
    struct slice last = t->words.items[t->words.count - 1].key;
    struct buf typed = BUF_INIT(TEXT_MAX_BYTES);
    enum category_likeness how = t->initials ? CATEGORY_INITIALS : t->begun ? CATEGORY_BEGUN : CATEGORY_MISTAKE;
    bool ok = t->initials ? buf_append(&typed, last.data, last.len) : hangul_append_keys(&typed, last);
    if (ok && (t->typo || t->initials || t->begun))
        t->category_count = category_list_like(c->categories, how, (struct slice){typed.data, typed.len}, t->categories,
                                               SEARCH_CATEGORY_BOOST_MAX);
    buf_done(&typed);
    return ok;
}

/* The longest run that ends last: 게이밍 노트북 is looked for before 노트북, and in 노트북 가방 the bag is what counts. */
static bool read_categories(const struct search_text_context *c, struct search_text *t) {
    t->categories = c->categories ? arena_alloc(c->arena, SEARCH_CATEGORY_BOOST_MAX * sizeof(*t->categories)) : NULL;
    if (!t->categories)
        return !c->categories;
    for (size_t last = t->words.count; last-- > 0;) {
        for (size_t first = last + 1 > SEARCH_RUN_MAX ? last + 1 - SEARCH_RUN_MAX : 0; first <= last; first++) {
            struct slice key = search_name_key(c->arena, run_text(&t->words, first, last));
            t->category_count = category_list_named(c->categories, key, t->categories, SEARCH_CATEGORY_BOOST_MAX);
            if (t->category_count)
                return true;
        }
        if (named_by_alternative(c, t, last))
            return true;
    }
    return true;
}

/* ---- rules ---- */

/* What rules are held against: every run of the text's words, the first of which is all of them. */
struct rule_keys {
    struct slice runs[SEARCH_WORDS_MAX * (SEARCH_WORDS_MAX + 1) / 2];
    size_t count;
};

static void make_keys(const struct search_text_context *c, const struct search_text *t, struct rule_keys *ret) {
    ret->count = 0;
    for (size_t first = 0; first < t->words.count; first++)
        for (size_t last = t->words.count; last-- > first;)
            ret->runs[ret->count++] = search_name_key(c->arena, run_text(&t->words, first, last));
}

static bool is_in_context(const struct search_text_context *c, const struct override_rule *rule) {
    bool found = rule->context_count == 0;
    for (size_t i = 0; !found && i < rule->context_count; i++)
        for (size_t k = 0; !found && k < c->context_count; k++)
            found = slice_eq(rule->contexts[i], c->contexts[k]);
    return found;
}

static bool rule_applies(const struct rule_keys *keys, const struct override_rule *rule) {
    for (size_t i = 0; i < (rule->contains ? keys->count : 1); i++)
        if (slice_eq(keys->runs[i], rule->key))
            return true;
    return false;
}

/* The list of overrides may be replaced while the search is under way. */
static bool copy(struct arena *arena, struct slice s, struct slice *ret) {
    const char *data = arena_strndup(arena, s.data, s.len);
    *ret = (struct slice){data, data ? s.len : 0};
    return data != NULL;
}

static bool read_rules(const struct search_text_context *c, struct search_text *t) {
    size_t count = c->overrides ? override_list_rule_count(c->overrides) : 0;
    struct rule_keys keys;
    if (count)
        make_keys(c, t, &keys);
    for (size_t i = 0; i < count; i++) {
        const struct override_rule *rule = override_list_rule(c->overrides, i);
        if (!rule_applies(&keys, rule) || !is_in_context(c, rule))
            continue;
        for (size_t k = 0; k < rule->pin_count && t->pin_count < SEARCH_PINS_MAX; k++)
            if (!copy(c->arena, rule->pins[k], &t->pins[t->pin_count++]))
                return false;
        for (size_t k = 0; k < rule->effect_count && t->effect_count < SEARCH_EFFECTS_MAX; k++) {
            struct override_effect *effect = &t->effects[t->effect_count++];
            *effect = rule->effects[k];
            if (!copy(c->arena, rule->effects[k].value, &effect->value))
                return false;
        }
    }
    return true;
}

/* ---- what else it may mean ---- */

/* Counts of letters and syllables: what a text looks like on a Korean keyboard. */
static void count_hangul(struct slice text, size_t *ret_letters, size_t *ret_syllables, size_t *ret_ascii) {
    uint32_t cp;
    struct hangul s;
    *ret_letters = *ret_syllables = *ret_ascii = 0;
    for (size_t i = 0, n; i < text.len; i += n) {
        n = utf8_decode(text.data + i, text.len - i, &cp);
        if (n == 0)
            return;
        *ret_letters += hangul_is_letter(cp);
        *ret_syllables += hangul_decompose(cp, &s);
        *ret_ascii += (cp | 0x20) >= 'a' && (cp | 0x20) <= 'z';
    }
}

static bool all_upper(struct slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] >= 'a' && text.data[i] <= 'z')
            return false;
    return true;
}

/* Latin letters as the keys of Korean ones. Capitals alone are a stuck caps lock. */
static bool flip_to_hangul(struct arena *arena, struct slice q, struct slice *ret) {
    struct buf lower = BUF_INIT(TEXT_MAX_BYTES), b = BUF_INIT(TEXT_MAX_BYTES);
    bool upper = all_upper(q);
    for (size_t i = 0; i < q.len; i++)
        buf_append_char(&lower, upper && q.data[i] >= 'A' && q.data[i] <= 'Z' ? (char)(q.data[i] | 0x20) : q.data[i]);
    bool ok = buf_ok(&lower) && hangul_append_typed(&b, (struct slice){lower.data ? lower.data : "", lower.len});
    buf_done(&lower);
    return to_slice(arena, &b, ok, ret);
}

static bool flip_to_latin(struct arena *arena, struct slice q, struct slice *ret) {
    struct buf b = BUF_INIT(TEXT_MAX_BYTES);
    bool ok = hangul_append_keys(&b, q);
    return to_slice(arena, &b, ok, ret);
}

static struct search_text *read_plain(const struct search_text_context *c, struct slice q, bool typo);

/* The other layout is taken at once if what comes out is whole syllables, or if what stands there can be no Korean;
 * otherwise it is a guess for when nothing is found. */
static bool read_flipped(const struct search_text_context *c, struct search_text *t) {
    size_t letters, syllables, ascii, ignored;
    struct slice flipped = {NULL, 0};
    count_hangul(t->q, &letters, &syllables, &ascii);
    if (ascii >= 2 && !letters && !syllables) {
        if (!flip_to_hangul(c->arena, t->q, &flipped))
            return false;
        count_hangul(flipped, &letters, &syllables, &ignored);
        t->flip_now = letters == 0 && syllables >= 2;
        if (syllables == 0 || letters > syllables)
            return true;
    } else if (letters && !ascii) {
        bool vowels = false;
        uint32_t cp;
        for (size_t i = 0, n; i < t->q.len && (n = utf8_decode(t->q.data + i, t->q.len - i, &cp)); i += n)
            vowels = vowels || hangul_is_vowel_letter(cp);
        if (!flip_to_latin(c->arena, t->q, &flipped))
            return false;
        t->flip_now = vowels;
    } else {
        return true;
    }
    t->flipped = read_plain(c, flipped, false);
    return t->flipped != NULL;
}

static struct search_text *read_plain(const struct search_text_context *c, struct slice q, bool typo) {
    struct search_text *t = arena_zalloc(c->arena, sizeof(*t));
    if (t)
        t->ranking = c->ranking ? c->ranking : &search_ranking_default;
    if (!t || !fold(c->arena, q, &t->q) || !search_words_read(c->arena, t->q, &t->words))
        return NULL;
    if (!drop_stopwords(c, t))
        return NULL;
    t->whole = t->words.count > SEARCH_WORDS_MAX || t->words.count == 0;
    t->typo = typo && t->words.count <= SEARCH_TYPO_WORDS_MAX && t->q.len <= SEARCH_TYPO_BYTES_MAX && !t->whole;
    if (t->whole)
        return t;
    return read_groups(c, t) && read_categories(c, t) ? t : NULL;
}

static bool ends_begun(const struct search_text *t, bool halves) {
    struct buf pattern = BUF_INIT(TEXT_MAX_BYTES);
    bool begun = t->words.count <= SEARCH_TYPO_WORDS_MAX &&
                 search_pattern_begun(&pattern, t->words.items[t->words.count - 1].text, halves);
    buf_done(&pattern);
    return begun;
}

struct search_text *search_text_read(const struct search_text_context *context, struct slice q, bool typo) {
    struct search_text *t = read_plain(context, q, typo);
    if (!t || t->whole)
        return t;
    if (!read_rules(context, t))
        return NULL;
    t->initials = hangul_is_initials(t->q);
    t->begun = !t->initials && ends_begun(t, false);
    if (t->categories && !t->category_count && !read_likely_categories(context, t))
        return NULL;
    return t->q.len > SEARCH_TYPO_BYTES_MAX || read_flipped(context, t) ? t : NULL;
}

/* 아이폰케이스 may be 아이폰 케이스: every way to cut a long word in two, as alternatives to it. */
static bool read_splits(const struct search_text_context *c, struct search_text *t) {
    const struct search_word *word = &t->words.items[t->words.count - 1];
    size_t syllables = word->text.len / 3;
    struct search_group *group = &t->groups[t->group_count - 1];
    if (!word->hangul || syllables < 4 || syllables > SPLIT_SYLLABLES_MAX || group->alternative_count)
        return true;
    group->alternatives = arena_zalloc(c->arena, syllables * sizeof(*group->alternatives));
    if (!group->alternatives)
        return false;
    for (size_t at = 2; at + 2 <= syllables; at++) {
        char *text = arena_printf(c->arena, "%.*s %.*s", (int)at * 3, word->text.data, (int)(syllables - at) * 3,
                                  word->text.data + at * 3);
        if (!text || !search_words_read(c->arena, slice_str(text), &group->alternatives[group->alternative_count++]))
            return false;
    }
    t->split = true;
    return true;
}

bool search_text_relax(struct search_text *text) {
    if (text->whole || !text->typo || text->some || text->initials || text->group_count < 2)
        return false;
    text->some = true;
    return true;
}

bool search_text_repair(const struct search_text_context *context, struct search_text *text, struct slice spelled) {
    if (text->whole || !text->typo || text->again)
        return false;
    if (spelled.len && !(text->spelled = read_plain(context, spelled, false)))
        return false;
    text->begun = ends_begun(text, true);
    text->again = true;
    if (text->begun && text->categories && !text->category_count && !read_likely_categories(context, text))
        return false;
    if (!read_splits(context, text))
        return false;
    bool relaxed = search_text_relax(text);
    return relaxed || text->spelled || text->begun || text->split || (text->flipped && !text->flip_now);
}
