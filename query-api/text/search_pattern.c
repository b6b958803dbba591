#include "core/hangul.h"
#include "core/utf8.h"
#include "query-api/text/search_pattern.h"

static void append_cp(struct buf *out, uint32_t cp) {
    char bytes[4];
    size_t n = utf8_encode(cp, bytes);
    /* Every ASCII character that could mean something is escaped. */
    if (cp < 0x80 && !((cp >= '0' && cp <= '9') || (cp >= 'a' && cp <= 'z')))
        buf_append_char(out, '\\');
    buf_append(out, bytes, n);
}

static void append_text(struct buf *out, struct slice text) {
    uint32_t cp;
    for (size_t i = 0, n; i < text.len; i += n) {
        n = utf8_decode(text.data + i, text.len - i, &cp);
        append_cp(out, cp >= 'A' && cp <= 'Z' ? cp | 0x20 : cp);
        if (n == 0)
            return;
    }
}

static void append_range(struct buf *out, uint32_t first, uint32_t last) {
    buf_append_char(out, '[');
    append_cp(out, first);
    buf_append_char(out, '-');
    append_cp(out, last);
    buf_append_char(out, ']');
}

static void append_begun(struct buf *out, unsigned lead) {
    uint32_t first, last;
    hangul_range(lead, -1, &first, &last);
    append_range(out, first, last);
}

bool search_pattern_initials(struct buf *out, struct slice initials) {
    uint32_t cp;
    unsigned lead;
    for (size_t i = 0, n; i < initials.len; i += n) {
        n = utf8_decode(initials.data + i, initials.len - i, &cp);
        if (n == 0)
            return false;
        if (hangul_lead_of(cp, &lead))
            append_begun(out, lead);
    }
    return buf_ok(out);
}

/* The last character of the text (valid UTF-8) and where it begins. */
static size_t last_of(struct slice text, uint32_t *ret) {
    size_t at = text.len;
    *ret = 0;
    while (at > 0) {
        at--;
        if (((unsigned char)text.data[at] & 0xC0) != 0x80)
            break;
    }
    if (text.len)
        utf8_decode(text.data + at, text.len - at, ret);
    return at;
}

bool search_pattern_is_begun(struct slice word) {
    uint32_t cp;
    struct hangul s;
    size_t at = last_of(word, &cp);
    if (!hangul_is_letter(cp) || hangul_is_vowel_letter(cp))
        return false;
    while (at > 0 && hangul_is_letter(cp) && !hangul_is_vowel_letter(cp))
        at = last_of((struct slice){word.data, at}, &cp);
    return hangul_decompose(cp, &s);
}

/* Letters at the end: ㄱ begins a syllable; ㄳ is two that do, as the keyboard joined them. */
static void append_letters(struct buf *out, struct slice letters) {
    struct buf keys = BUF_INIT(64), typed = BUF_INIT(64);
    static const char leads[] = "rRseEfaqQtTdWwczxvg";
    hangul_append_keys(&keys, letters);
    for (size_t i = 0; i < keys.len; i++) {
        uint32_t cp;
        unsigned lead;
        buf_reset(&typed);
        if (strchr(leads, keys.data[i]) && hangul_append_typed(&typed, (struct slice){keys.data + i, 1}) &&
            utf8_decode(typed.data, typed.len, &cp) && hangul_lead_of(cp, &lead))
            append_begun(out, lead);
    }
    buf_done(&keys);
    buf_done(&typed);
}

static bool append_begun_word(struct buf *out, struct slice word) {
    uint32_t cp;
    size_t at = word.len;
    for (size_t before; at > 0; at = before) {
        before = last_of((struct slice){word.data, at}, &cp);
        if (!hangul_is_letter(cp))
            break;
    }
    append_text(out, (struct slice){word.data, at});
    append_letters(out, (struct slice){word.data + at, word.len - at});
    return buf_append_str(out, ".*");
}

bool search_pattern_begun(struct buf *out, struct slice word, bool halves) {
    uint32_t cp;
    struct hangul s, rest;
    unsigned lead;
    if (search_pattern_is_begun(word))
        return append_begun_word(out, word);
    size_t at = last_of(word, &cp);
    if (!halves || !hangul_decompose(cp, &s))
        return false;
    append_text(out, (struct slice){word.data, at});
    if (hangul_split_tail(s, &rest, &lead)) {
        buf_append_char(out, '(');
        append_cp(out, cp);
        buf_append_char(out, '|');
        append_cp(out, hangul_compose(rest));
        append_begun(out, lead);
        buf_append_char(out, ')');
    } else {
        append_range(out, cp, cp + HANGUL_TAILS - 1);
    }
    return buf_append_str(out, ".*");
}

/* One letter other than in this syllable. */
static void append_near(struct buf *out, struct hangul s) {
    buf_append_char(out, '[');
    for (unsigned i = 0; i < HANGUL_LEADS; i++)
        append_cp(out, hangul_compose((struct hangul){(uint8_t)i, s.vowel, s.tail}));
    for (unsigned i = 0; i < HANGUL_VOWELS; i++)
        if (i != s.vowel)
            append_cp(out, hangul_compose((struct hangul){s.lead, (uint8_t)i, s.tail}));
    for (unsigned i = 0; i < HANGUL_TAILS; i++)
        if (i != s.tail)
            append_cp(out, hangul_compose((struct hangul){s.lead, s.vowel, (uint8_t)i}));
    buf_append_char(out, ']');
}

bool search_pattern_near(struct buf *out, struct slice word) {
    for (size_t at = 0; at < word.len; at += 3) {
        uint32_t cp;
        struct hangul s;
        size_t n = utf8_decode(word.data + at, word.len - at, &cp);
        if (n != 3 || !hangul_decompose(cp, &s))
            return false;
        if (at)
            buf_append_char(out, '|');
        append_text(out, (struct slice){word.data, at});
        append_near(out, s);
        append_text(out, (struct slice){word.data + at + 3, word.len - at - 3});
    }
    return buf_ok(out);
}

static bool is_hangul(uint32_t cp) {
    struct hangul s;
    return hangul_is_letter(cp) || hangul_decompose(cp, &s);
}

static void append_any_case(struct buf *out, struct slice text) {
    uint32_t cp;
    for (size_t i = 0, n; i < text.len; i += n) {
        n = utf8_decode(text.data + i, text.len - i, &cp);
        if (n == 0)
            return;
        if ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z' && cp < 0x80) {
            const char either[] = {'[', (char)(cp | 0x20), (char)(cp & ~0x20u), ']'};
            buf_append(out, either, sizeof(either));
        } else {
            append_cp(out, cp);
        }
    }
}

bool search_pattern_holds(struct buf *out, struct slice text) {
    uint32_t cp;
    size_t at = text.len;
    for (size_t before; at > 0; at = before) { /* the Korean word at the end */
        before = last_of((struct slice){text.data, at}, &cp);
        if (!is_hangul(cp))
            break;
    }
    struct slice end = {text.data + at, text.len - at};
    size_t len;
    buf_append_str(out, ".*");
    append_any_case(out, (struct slice){text.data, at});
    len = out->len;
    if (hangul_is_initials(end))
        search_pattern_initials(out, end);
    else if (end.len && !search_pattern_begun(out, end, true) && out->len == len)
        append_letters(out, end);
    return buf_append_str(out, ".*");
}
