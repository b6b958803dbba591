#include "core/hangul.h"
#include "core/utf8.h"
#include "query-api/text/search_words.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_ascii_letter(char c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool hangul_at(struct slice s, size_t at) {
    uint32_t cp;
    struct hangul h;
    return at < s.len && utf8_decode(s.data + at, s.len - at, &cp) && hangul_decompose(cp, &h);
}

static bool ends_with_hangul(struct slice s) {
    return s.len >= 3 && hangul_at(s, s.len - 3);
}

static bool only_hangul(struct slice s) {
    for (size_t i = 0; i < s.len; i += 3)
        if (!hangul_at(s, i))
            return false;
    return s.len > 0;
}

/* ASCII in lower case; of ASCII only letters and digits, and a point or comma between digits (the comma is dropped).
 * All other characters stay: what is a letter there is the index's business. */
static void append_key(struct buf *out, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool between = i > 0 && i + 1 < text.len && is_digit(text.data[i - 1]) && is_digit(text.data[i + 1]);
        if (c >= 'A' && c <= 'Z')
            buf_append_char(out, (char)(c | 0x20));
        else if (is_ascii_letter(c) || is_digit(c) || (unsigned char)c >= 0x80 || (c == '.' && between))
            buf_append_char(out, c);
    }
}

static struct slice in_arena(struct arena *arena, const struct buf *b) {
    const char *copy = buf_ok(b) && b->len ? arena_strndup(arena, b->data, b->len) : NULL;
    return (struct slice){copy ? copy : "", copy ? b->len : 0};
}

static struct slice key_of(struct arena *arena, struct slice text) {
    struct buf b = BUF_INIT(4096);
    append_key(&b, text);
    struct slice key = in_arena(arena, &b);
    buf_done(&b);
    return key;
}

struct slice search_words_key(struct arena *arena, const struct search_words *words, size_t first, size_t last) {
    struct buf b = BUF_INIT(4096);
    for (size_t i = first; i <= last && i < words->count; i++)
        buf_append(&b, words->items[i].key.data, words->items[i].key.len);
    struct slice key = in_arena(arena, &b);
    buf_done(&b);
    return key;
}

static bool ends_with(struct slice s, const char *end) {
    size_t len = strlen(end);
    return s.len > len && memcmp(s.data + s.len - len, end, len) == 0;
}

/* batteries -> battery, watches -> watch, laptops -> laptop; glass stays. */
struct slice search_name_key(struct arena *arena, struct slice name) {
    struct slice key = key_of(arena, name);
    if (ends_with(key, "ies") && key.len > 4) {
        char *copy = arena_strndup(arena, key.data, key.len - 2);
        if (copy)
            copy[key.len - 3] = 'y';
        return (struct slice){copy ? copy : "", copy ? key.len - 2 : 0};
    }
    if (ends_with(key, "sses") || ends_with(key, "xes") || ends_with(key, "ches") || ends_with(key, "shes"))
        key.len -= 2;
    else if (ends_with(key, "s") && !ends_with(key, "ss") && is_ascii_letter(key.data[key.len - 2]))
        key.len -= 1;
    return key;
}

static bool is_optional(struct slice key) {
    static const char *const words[] = {"a",  "an", "the", "of", "for", "with", "and", "or", "in", "on", "to",
                                        "by", "at", "from", "용", "및",  "의",   "와",  "과",  "랑", "위한"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (slice_eq(key, slice_str(words[i])))
            return true;
    return false;
}

static bool add_word(struct arena *arena, struct search_words *words, struct slice text) {
    struct search_word word = {.text = text, .key = key_of(arena, text), .hangul = only_hangul(text)};
    if (word.key.len == 0)
        return true;
    if (words->count < SEARCH_WORDS_MAX) {
        word.optional = is_optional(word.key);
        if (!search_units_read(arena, text, &word.spellings, &word.spelling_count))
            return false;
        words->items[words->count] = word;
    }
    words->count++;
    return true;
}

/* Where the word ends that begins at start: at a blank, or where Hangul and Latin letters touch. */
static size_t word_end(struct slice text, size_t start) {
    for (size_t i = start; i < text.len; i++) {
        struct slice word = {text.data + start, i - start};
        if (text.data[i] == ' ')
            return i;
        if (word.len && ((is_ascii_letter(text.data[i]) && ends_with_hangul(word)) ||
                         (is_ascii_letter(text.data[i - 1]) && hangul_at(text, i))))
            return i;
    }
    return text.len;
}

/* "13.3 inch": does the next word belong to the number before it? */
static size_t with_unit(struct arena *arena, struct slice text, size_t start, size_t end) {
    if (start == end || !is_digit(text.data[end - 1]) || !is_digit(text.data[start]) || end == text.len)
        return end;
    size_t next = end;
    while (next < text.len && text.data[next] == ' ')
        next++;
    size_t next_end = word_end(text, next);
    struct slice *spellings;
    size_t count;
    return next_end > next && search_units_read(arena, (struct slice){text.data + start, next_end - start}, &spellings, &count) &&
                   count
               ? next_end
               : end;
}

bool search_words_read(struct arena *arena, struct slice text, struct search_words *ret) {
    struct search_words words = {.items = arena_zalloc(arena, SEARCH_WORDS_MAX * sizeof(*words.items))};
    if (!words.items)
        return false;
    for (size_t at = 0; at < text.len;) {
        if (text.data[at] == ' ') {
            at++;
            continue;
        }
        size_t end = with_unit(arena, text, at, word_end(text, at));
        if (!add_word(arena, &words, (struct slice){text.data + at, end - at}))
            return false;
        at = end;
    }
    *ret = words;
    return true;
}
