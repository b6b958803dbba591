#include "core/text_fold.h"
#include "core/cleanup.h"
#include "core/hangul.h"
#include "core/utf8.h"

struct sign {
    uint32_t cp;
    const char *text;
};

static const struct sign signs[] = {
    {0x00A0, " "},     {0x00AD, ""},      {0x00B4, "'"},     {0x00D7, "x"},     {0x2018, "'"},     {0x2019, "'"},
    {0x201C, "\""},    {0x201D, "\""},    {0x2010, "-"},     {0x2011, "-"},     {0x2012, "-"},     {0x2013, "-"},
    {0x2014, "-"},     {0x2032, "'"},     {0x2033, "\""},    {0x202F, " "},     {0x205F, " "},     {0x2060, ""},
    {0x2113, "l"},     {0x2122, ""},      {0x2212, "-"},     {0x3000, " "},     {0x3164, " "},     {0x338E, "mg"},
    {0x338F, "kg"},    {0x3390, "Hz"},    {0x3391, "kHz"},   {0x3392, "MHz"},   {0x3393, "GHz"},   {0x3396, "ml"},
    {0x3397, "dl"},    {0x3398, "kl"},    {0x339C, "mm"},    {0x339D, "cm"},    {0x339E, "km"},    {0x33A1, "m2"},
    {0x33A5, "m3"},    {0x33BE, "kW"},    {0x33C4, "cc"},    {0xFEFF, ""},
};

/* What stands for this character, or NULL: itself. */
static const char *sign_of(uint32_t cp) {
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (signs[i].cp == cp)
            return signs[i].text;
    if (cp >= 0x2000 && cp <= 0x200A)
        return " ";
    if ((cp >= 0x200B && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E))
        return "";
    return NULL;
}

/* Half-width forms of letters (U+FFA1..U+FFDC) have gaps every six vowels. */
static uint32_t half_width_letter(uint32_t cp) {
    static const struct {
        uint32_t first, last, letter;
    } runs[] = {{0xFFA1, 0xFFBE, 0x3131}, {0xFFC2, 0xFFC7, 0x314F}, {0xFFCA, 0xFFCF, 0x3155},
                {0xFFD2, 0xFFD7, 0x315B}, {0xFFDA, 0xFFDC, 0x3161}};
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
        if (cp >= runs[i].first && cp <= runs[i].last)
            return runs[i].letter + (cp - runs[i].first);
    return cp;
}

enum { LEAD = 0x1100, VOWEL = 0x1161, TAIL = 0x11A7 };

static bool is_lead(uint32_t cp) {
    return cp >= LEAD && cp < LEAD + HANGUL_LEADS;
}
static bool is_vowel(uint32_t cp) {
    return cp >= VOWEL && cp < VOWEL + HANGUL_VOWELS;
}
static bool is_tail(uint32_t cp) {
    return cp > TAIL && cp < TAIL + HANGUL_TAILS;
}

static uint32_t peek(struct slice text, size_t at, size_t *ret_len) {
    uint32_t cp = 0;
    *ret_len = at < text.len ? utf8_decode(text.data + at, text.len - at, &cp) : 0;
    return *ret_len ? cp : 0;
}

/* Conjoining jamo from `at`: a syllable, or a letter. Also a composed syllable without a tail that a tail follows.
 * Returns the bytes read, 0 if this is not such a thing. */
static size_t compose(struct slice text, size_t at, uint32_t *ret) {
    size_t n = 0, m = 0;
    uint32_t cp = peek(text, at, &n), following = peek(text, at + n, &m);
    struct hangul s;
    size_t len = n;
    if (is_lead(cp) && is_vowel(following)) {
        s = (struct hangul){.lead = (uint8_t)(cp - LEAD), .vowel = (uint8_t)(following - VOWEL)};
        len += m;
        following = peek(text, at + len, &m);
    } else if (!hangul_decompose(cp, &s) || s.tail || !is_tail(following)) {
        *ret = is_lead(cp)    ? hangul_lead_letter(cp - LEAD)
               : is_vowel(cp) ? hangul_vowel_letter(cp - VOWEL)
               : is_tail(cp)  ? hangul_tail_letter(cp - TAIL)
                              : 0;
        return *ret ? len : 0;
    }
    if (is_tail(following)) {
        s.tail = (uint8_t)(following - TAIL);
        len += m;
    }
    *ret = hangul_compose(s);
    return len;
}

static void append_cp(struct buf *out, uint32_t cp) {
    char bytes[4];
    buf_append(out, bytes, utf8_encode(cp, bytes));
}

/* Where the run of letters at `at` ends; joins: a vowel follows a consonant in it. */
static size_t letters_end(struct slice text, size_t at, bool *ret_joins) {
    bool after_lead = false;
    uint32_t cp;
    unsigned lead;
    *ret_joins = false;
    for (size_t n; hangul_is_letter(cp = peek(text, at, &n)); at += n) {
        *ret_joins = *ret_joins || (after_lead && hangul_is_vowel_letter(cp));
        after_lead = hangul_lead_of(cp, &lead);
    }
    return at;
}

/* What is written letter by letter, as a keyboard would put it together; initials and single vowels stay. */
static void join_letters(struct buf *out, size_t from) {
    size_t max = (out->len - from) * 2 + 1; /* a letter of three bytes has one or two keys */
    _cleanup_(buf_done) struct buf text = BUF_INIT(max), keys = BUF_INIT(max);
    if (!buf_append(&text, out->data + from, out->len - from)) {
        out->failed = true;
        return;
    }
    struct slice all = {text.data, text.len};
    buf_truncate(out, from);
    for (size_t i = 0, n, end; i < all.len; i = end) {
        bool joins;
        end = letters_end(all, i, &joins);
        if (end == i && peek(all, i, &n) != 0)
            end += n;
        else if (end == i)
            end++;
        struct slice piece = {all.data + i, end - i};
        buf_reset(&keys);
        if (!joins)
            buf_append(out, piece.data, piece.len);
        else if (!hangul_append_keys(&keys, piece) || !hangul_append_typed(out, (struct slice){keys.data, keys.len}))
            out->failed = true;
    }
}

bool text_fold_append(struct buf *out, struct slice text) {
    size_t from = out->len;
    bool letters = false;
    for (size_t i = 0, n; i < text.len; i += n) {
        uint32_t cp, made;
        if ((unsigned char)text.data[i] < 0x80) {
            buf_append_char(out, text.data[i]);
            n = 1;
            continue;
        }
        cp = peek(text, i, &n);
        const char *sign = sign_of(cp);
        size_t composed = compose(text, i, &made);
        if (n == 0) {
            n = 1;
        } else if (composed) {
            append_cp(out, made);
            letters = letters || hangul_is_letter(made);
            n = composed;
        } else if (sign) {
            buf_append_str(out, sign);
        } else if (cp >= 0xFF01 && cp <= 0xFF5E) {
            buf_append_char(out, (char)(cp - 0xFEE0));
        } else if (cp >= 0x2460 && cp <= 0x2473) {
            buf_append_u64(out, cp - 0x2460 + 1);
        } else {
            cp = half_width_letter(cp);
            append_cp(out, cp);
            letters = letters || hangul_is_letter(cp);
        }
    }
    if (letters && buf_ok(out))
        join_letters(out, from);
    return buf_ok(out);
}
