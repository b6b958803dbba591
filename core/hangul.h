/* hangul.h - Korean syllables and the letters (jamo) they are made of: initials (choseong), halves of syllables while
 * somebody types, and text typed with the wrong keyboard layout. Pure. Thread: any.
 *
 * Syllables U+AC00..U+D7A3 are ordered by lead, vowel, tail: cp = 0xAC00 + (lead * 21 + vowel) * 28 + tail (Unicode
 * 3.12). Letters are the compatibility jamo U+3131..U+3163, which is what a keyboard sends. The layout is the two-set
 * one (KS X 5002, dubeolsik). Text is valid UTF-8. */
#pragma once
#include "core/buf.h"

enum { HANGUL_FIRST = 0xAC00, HANGUL_LAST = 0xD7A3, HANGUL_LEADS = 19, HANGUL_VOWELS = 21, HANGUL_TAILS = 28 };

struct hangul {
    uint8_t lead, vowel, tail; /* tail 0: none */
};

/* False if cp is no syllable. */
bool hangul_decompose(uint32_t cp, struct hangul *ret);
uint32_t hangul_compose(struct hangul s);

/* Letters: ㄱ for lead 0, ㅏ for vowel 0, ㄱ for tail 1. */
uint32_t hangul_lead_letter(unsigned lead);
uint32_t hangul_vowel_letter(unsigned vowel);
uint32_t hangul_tail_letter(unsigned tail);
bool hangul_lead_of(uint32_t letter, unsigned *ret); /* false for ㅏ and for ㄳ, which begins no syllable */
bool hangul_is_letter(uint32_t cp);
bool hangul_is_vowel_letter(uint32_t cp);

/* All syllables that begin with this lead; with the vowel, too, if it is not negative. */
void hangul_range(unsigned lead, int vowel, uint32_t *ret_first, uint32_t *ret_last);
/* A syllable's last consonant may belong to the next one, which is only begun: 틉 is 트 and ㅂ, 닭 is 달 and ㄱ.
 * False without a tail, or if no syllable begins with it. */
bool hangul_split_tail(struct hangul s, struct hangul *ret_rest, unsigned *ret_lead);

/* 노트북 LG -> ㄴㅌㅂ LG. False only if out failed. */
bool hangul_append_initials(struct buf *out, struct slice text);
/* At least two initials, and nothing else but blanks: ㄴㅌㅂ, ㅁㅅ ㅇㅇㅍ. */
bool hangul_is_initials(struct slice text);

/* What the same keys give in the other layout: ㅜㅐㅅ듀ㅐㅐㅏ -> notebook, shxmqnr -> 노트북. Other characters stay.
 * False only if out failed. */
bool hangul_append_keys(struct buf *out, struct slice text);
bool hangul_append_typed(struct buf *out, struct slice keys);
