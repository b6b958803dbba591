#include "core/hangul.h"
#include "core/utf8.h"

enum { LETTER_FIRST = 0x3131, LETTER_VOWEL = 0x314F, LETTER_LAST = 0x3163 };

/* Offsets from U+3131: the letters in the order of leads and of tails. */
static const uint8_t lead_letters[HANGUL_LEADS] = {0, 1, 3, 6, 7, 8, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29};
static const uint8_t tail_letters[HANGUL_TAILS] = {0,  0,  1,  2,  3,  4,  5,  6,  8,  9,  10, 11, 12, 13,
                                                   14, 15, 16, 17, 19, 20, 21, 22, 23, 25, 26, 27, 28, 29};

/* Keys of each lead, vowel and tail. */
static const char lead_keys[HANGUL_LEADS + 1] = "rRseEfaqQtTdwWczxvg";
static const char *const vowel_keys[HANGUL_VOWELS] = {"k", "o",  "i",  "O",  "j", "p", "u",  "P",  "h",  "hk", "ho",
                                                      "hl", "y", "n", "nj", "np", "nl", "b", "m", "ml", "l"};
static const char *const tail_keys[HANGUL_TAILS] = {"",   "r",  "R",  "rt", "s",  "sw", "sg", "e", "f", "fr",
                                                    "fa", "fq", "ft", "fx", "fv", "fg", "a",  "q", "qt", "t",
                                                    "T",  "d",  "w",  "c",  "z",  "x",  "v",  "g"};

bool hangul_decompose(uint32_t cp, struct hangul *ret) {
    if (cp < HANGUL_FIRST || cp > HANGUL_LAST)
        return false;
    unsigned n = (unsigned)(cp - HANGUL_FIRST);
    *ret = (struct hangul){.lead = (uint8_t)(n / (HANGUL_VOWELS * HANGUL_TAILS)),
                           .vowel = (uint8_t)(n / HANGUL_TAILS % HANGUL_VOWELS),
                           .tail = (uint8_t)(n % HANGUL_TAILS)};
    return true;
}

uint32_t hangul_compose(struct hangul s) {
    return HANGUL_FIRST + ((uint32_t)s.lead * HANGUL_VOWELS + s.vowel) * HANGUL_TAILS + s.tail;
}

uint32_t hangul_lead_letter(unsigned lead) {
    return LETTER_FIRST + lead_letters[lead];
}

uint32_t hangul_vowel_letter(unsigned vowel) {
    return LETTER_VOWEL + vowel;
}

uint32_t hangul_tail_letter(unsigned tail) {
    return LETTER_FIRST + tail_letters[tail];
}

bool hangul_lead_of(uint32_t letter, unsigned *ret) {
    for (unsigned i = 0; i < HANGUL_LEADS; i++)
        if (hangul_lead_letter(i) == letter) {
            *ret = i;
            return true;
        }
    return false;
}

/* Which tail, from 1; 0 if the letter ends no syllable (ㄸ ㅃ ㅉ). */
static unsigned tail_of(uint32_t letter) {
    for (unsigned i = 1; i < HANGUL_TAILS; i++)
        if (hangul_tail_letter(i) == letter)
            return i;
    return 0;
}

bool hangul_is_letter(uint32_t cp) {
    return cp >= LETTER_FIRST && cp <= LETTER_LAST;
}

bool hangul_is_vowel_letter(uint32_t cp) {
    return cp >= LETTER_VOWEL && cp <= LETTER_LAST;
}

void hangul_range(unsigned lead, int vowel, uint32_t *ret_first, uint32_t *ret_last) {
    struct hangul first = {.lead = (uint8_t)lead, .vowel = vowel < 0 ? 0 : (uint8_t)vowel};
    struct hangul last = {
        .lead = (uint8_t)lead, .vowel = vowel < 0 ? HANGUL_VOWELS - 1 : (uint8_t)vowel, .tail = HANGUL_TAILS - 1};
    *ret_first = hangul_compose(first);
    *ret_last = hangul_compose(last);
}

static const char *key_in(const char *keys, char key) {
    return key ? strchr(keys, key) : NULL;
}

static unsigned find_keys(const char *const *table, unsigned count, const char *keys, size_t len) {
    for (unsigned i = 0; i < count; i++)
        if (strlen(table[i]) == len && memcmp(table[i], keys, len) == 0)
            return i;
    return count;
}

bool hangul_split_tail(struct hangul s, struct hangul *ret_rest, unsigned *ret_lead) {
    const char *keys = tail_keys[s.tail];
    size_t len = strlen(keys);
    if (len == 0)
        return false;
    *ret_lead = (unsigned)(key_in(lead_keys, keys[len - 1]) - lead_keys);
    *ret_rest = s;
    ret_rest->tail = (uint8_t)find_keys(tail_keys, HANGUL_TAILS, keys, len - 1);
    return true;
}

static bool append_cp(struct buf *out, uint32_t cp) {
    char bytes[4];
    return buf_append(out, bytes, utf8_encode(cp, bytes));
}

/* The next code point of valid text; what is not valid passes as single bytes. */
static size_t next(struct slice text, size_t at, uint32_t *ret) {
    size_t n = utf8_decode(text.data + at, text.len - at, ret);
    if (n == 0) {
        *ret = 0;
        n = 1;
    }
    return n;
}

bool hangul_append_initials(struct buf *out, struct slice text) {
    struct hangul s;
    uint32_t cp;
    for (size_t i = 0, n; i < text.len; i += n) {
        n = next(text, i, &cp);
        if (hangul_decompose(cp, &s))
            append_cp(out, hangul_lead_letter(s.lead));
        else
            buf_append(out, text.data + i, n);
    }
    return buf_ok(out);
}

bool hangul_is_initials(struct slice text) {
    size_t count = 0;
    uint32_t cp;
    unsigned lead;
    for (size_t i = 0, n; i < text.len; i += n) {
        n = next(text, i, &cp);
        if (cp == ' ')
            continue;
        if (!hangul_lead_of(cp, &lead))
            return false;
        count++;
    }
    return count >= 2;
}

/* ---- the other layout ---- */

static void append_letter_keys(struct buf *out, uint32_t letter) {
    unsigned lead, tail = tail_of(letter);
    if (hangul_is_vowel_letter(letter))
        buf_append_str(out, vowel_keys[letter - LETTER_VOWEL]);
    else if (hangul_lead_of(letter, &lead))
        buf_append_char(out, lead_keys[lead]);
    else
        buf_append_str(out, tail_keys[tail]);
}

bool hangul_append_keys(struct buf *out, struct slice text) {
    struct hangul s;
    uint32_t cp;
    for (size_t i = 0, n; i < text.len; i += n) {
        n = next(text, i, &cp);
        if (hangul_decompose(cp, &s)) {
            buf_append_char(out, lead_keys[s.lead]);
            buf_append_str(out, vowel_keys[s.vowel]);
            buf_append_str(out, tail_keys[s.tail]);
        } else if (hangul_is_letter(cp)) {
            append_letter_keys(out, cp);
        } else {
            buf_append(out, text.data + i, n);
        }
    }
    return buf_ok(out);
}

/* A syllable while it is typed: -1 where nothing stands yet. A lone vowel has no lead. */
struct typing {
    struct buf *out;
    int lead, vowel;
    unsigned tail;
};

static void typing_flush(struct typing *t) {
    if (t->lead >= 0 && t->vowel >= 0)
        append_cp(t->out, hangul_compose((struct hangul){(uint8_t)t->lead, (uint8_t)t->vowel, (uint8_t)t->tail}));
    else if (t->lead >= 0)
        append_cp(t->out, hangul_lead_letter((unsigned)t->lead));
    else if (t->vowel >= 0)
        append_cp(t->out, hangul_vowel_letter((unsigned)t->vowel));
    t->lead = t->vowel = -1;
    t->tail = 0;
}

static void type_consonant(struct typing *t, int lead) {
    if (t->lead >= 0 && t->vowel >= 0) {
        char keys[3] = "";
        size_t len = strlen(tail_keys[t->tail]);
        if (len < 2) {
            memcpy(keys, tail_keys[t->tail], len);
            keys[len] = lead_keys[lead];
            unsigned tail = find_keys(tail_keys, HANGUL_TAILS, keys, len + 1);
            if (tail < HANGUL_TAILS) {
                t->tail = tail;
                return;
            }
        }
    }
    typing_flush(t);
    t->lead = lead;
}

static void type_vowel(struct typing *t, char key) {
    unsigned vowel = find_keys(vowel_keys, HANGUL_VOWELS, &key, 1);
    if (t->tail) {
        struct hangul rest;
        unsigned lead;
        hangul_split_tail((struct hangul){(uint8_t)t->lead, (uint8_t)t->vowel, (uint8_t)t->tail}, &rest, &lead);
        t->tail = rest.tail;
        typing_flush(t);
        t->lead = (int)lead;
    } else if (t->vowel >= 0) {
        char keys[3] = {vowel_keys[t->vowel][0], key, '\0'};
        unsigned both = vowel_keys[t->vowel][1] ? HANGUL_VOWELS : find_keys(vowel_keys, HANGUL_VOWELS, keys, 2);
        if (both < HANGUL_VOWELS) {
            t->vowel = (int)both;
            return;
        }
        typing_flush(t);
    }
    t->vowel = (int)vowel;
}

bool hangul_append_typed(struct buf *out, struct slice keys) {
    struct typing t = {.out = out, .lead = -1, .vowel = -1};
    for (size_t i = 0; i < keys.len; i++) {
        char key = keys.data[i];
        /* Shift changes only R E Q T W O P. */
        if (key >= 'A' && key <= 'Z' && !key_in("REQTWOP", key))
            key = (char)(key | 0x20);
        const char *lead = key_in(lead_keys, key);
        if (lead) {
            type_consonant(&t, (int)(lead - lead_keys));
        } else if (key && find_keys(vowel_keys, HANGUL_VOWELS, &key, 1) < HANGUL_VOWELS) {
            type_vowel(&t, key);
        } else {
            typing_flush(&t);
            buf_append_char(out, keys.data[i]);
        }
    }
    typing_flush(&t);
    return buf_ok(out);
}
