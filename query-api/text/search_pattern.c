#include "core/hangul.h"
#include "core/utf8.h"
#include "query-api/text/search_pattern.h"

/* Strings of the engine are UTF-16: above U+FFFF (four bytes here) a character is two of theirs. */
static size_t count_units(struct slice pattern) {
    size_t n = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        unsigned char c = (unsigned char)pattern.data[i];
        n += c >= 0xF0 ? 2 : (c & 0xC0) != 0x80;
    }
    return n;
}

static bool finish(const struct buf *out) {
    return buf_ok(out) && count_units((struct slice){out->data ? out->data : "", out->len}) <= SEARCH_PATTERN_MAX;
}

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
    return finish(out);
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

/* Ends in consonants behind at least one syllable: 노트ㅂ. */
static bool is_begun(struct slice word) {
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

static void append_begun_word(struct buf *out, struct slice word) {
    uint32_t cp;
    size_t at = word.len;
    for (size_t before; at > 0; at = before) {
        before = last_of((struct slice){word.data, at}, &cp);
        if (!hangul_is_letter(cp))
            break;
    }
    append_text(out, (struct slice){word.data, at});
    append_letters(out, (struct slice){word.data + at, word.len - at});
    buf_append_str(out, ".*");
}

/* False: the word does not end in Hangul. */
static bool append_any_begun(struct buf *out, struct slice word, bool halves) {
    uint32_t cp;
    struct hangul s, rest;
    unsigned lead;
    if (is_begun(word)) {
        append_begun_word(out, word);
        return true;
    }
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
    buf_append_str(out, ".*");
    return true;
}

bool search_pattern_begun(struct buf *out, struct slice word, bool halves) {
    return append_any_begun(out, word, halves) && finish(out);
}

/* The word with another syllable at this place. */
static void append_other(struct buf *out, struct slice word, size_t at, struct hangul s) {
    char syllable[4];
    buf_append_str(out, ",\"");
    buf_append(out, word.data, at);
    buf_append(out, syllable, utf8_encode(hangul_compose(s), syllable));
    buf_append(out, word.data + at + 3, word.len - at - 3);
    buf_append_char(out, '"');
}

static void append_others(struct buf *out, struct slice word, size_t at, struct hangul s) {
    for (uint8_t i = 0; i < HANGUL_LEADS; i++)
        if (i != s.lead)
            append_other(out, word, at, (struct hangul){i, s.vowel, s.tail});
    for (uint8_t i = 0; i < HANGUL_VOWELS; i++)
        if (i != s.vowel)
            append_other(out, word, at, (struct hangul){s.lead, i, s.tail});
    for (uint8_t i = 0; i < HANGUL_TAILS; i++)
        if (i != s.tail)
            append_other(out, word, at, (struct hangul){s.lead, s.vowel, i});
}

bool search_pattern_near(struct buf *out, struct slice word) {
    buf_append_str(out, "[\"");
    buf_append(out, word.data, word.len);
    buf_append_char(out, '"');
    for (size_t at = 0; at < word.len; at += 3) {
        uint32_t cp;
        struct hangul s;
        size_t n = utf8_decode(word.data + at, word.len - at, &cp);
        if (n != 3 || !hangul_decompose(cp, &s))
            return false;
        append_others(out, word, at, s);
    }
    return buf_append_char(out, ']');
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
    else if (end.len && !append_any_begun(out, end, true) && out->len == len)
        append_letters(out, end);
    return buf_append_str(out, ".*");
}

/* ---- what search_pattern_holds writes, read ---- */

/* The bytes of what stands for one character of the text: a, \., [a-b], [ab]; or of (a|b[c-d]) and .* */
static size_t piece(struct slice p) {
    uint32_t cp;
    if (p.data[0] == '[' || p.data[0] == '(') {
        const char *end = memchr(p.data, p.data[0] == '[' ? ']' : ')', p.len);
        return end ? (size_t)(end - p.data) + 1 : p.len;
    }
    size_t before = (p.data[0] == '\\' || p.data[0] == '.') && p.len > 1;
    size_t n = utf8_decode(p.data + before, p.len - before, &cp);
    return before + (n ? n : 1);
}

size_t search_pattern_cut(struct slice pattern, size_t before) {
    size_t at = 0, units = before + strlen(".*");
    if (before + count_units(pattern) <= SEARCH_PATTERN_MAX)
        return pattern.len;
    while (at < pattern.len) {
        size_t n = piece((struct slice){pattern.data + at, pattern.len - at});
        units += count_units((struct slice){pattern.data + at, n});
        if (units > SEARCH_PATTERN_MAX)
            break;
        at += n;
    }
    return at;
}

/* Is a character the one, or one of those, that this piece stands for? */
static bool is_meant(struct slice p, uint32_t cp) {
    uint32_t first = 0, last;
    if (p.data[0] != '[')
        return utf8_decode(p.data + (p.data[0] == '\\'), p.len - (p.data[0] == '\\'), &last) && last == cp;
    for (size_t i = 1; i + 1 < p.len;) {
        bool range = p.data[i] == '-';
        size_t n = utf8_decode(p.data + i + range, p.len - i - range, &last);
        if (cp == last || (range && cp >= first && cp <= last))
            return true;
        if (n == 0)
            return false;
        first = last;
        i += n + range;
    }
    return false;
}

/* .* and what is chosen of stand last: behind either anything may follow. */
static bool begins(struct slice pattern, struct slice text) {
    while (pattern.len) {
        struct slice p = {pattern.data, piece(pattern)};
        uint32_t cp;
        if (p.data[0] == '.')
            return true;
        if (p.data[0] == '(') {
            const char *or = memchr(p.data, '|', p.len);
            size_t one = or ? (size_t)(or - p.data) : p.len - 1;
            return begins((struct slice){p.data + 1, one - 1}, text) ||
                   (or && begins((struct slice){or + 1, p.len - one - 2}, text));
        }
        size_t n = text.len ? utf8_decode(text.data, text.len, &cp) : 0;
        if (n == 0 || !is_meant(p, cp))
            return false;
        text = (struct slice){text.data + n, text.len - n};
        pattern = (struct slice){pattern.data + p.len, pattern.len - p.len};
    }
    return true;
}

bool search_pattern_matches(struct slice pattern, struct slice text) {
    struct slice rest = {pattern.data + 2, pattern.len - 2}; /* behind .* */
    for (size_t i = 0; i <= text.len; i++)
        if (begins(rest, (struct slice){text.data + i, text.len - i}))
            return true;
    return false;
}
