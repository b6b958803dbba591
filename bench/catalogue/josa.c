#include "josa.h"

#include <string.h>

enum { FINAL_NONE = 0, FINAL_RIEUL = 8, SYLLABLE_FIRST = 0xAC00, SYLLABLE_LAST = 0xD7A3, FINALS = 28 };

struct pair {
    const char *after_consonant, *after_vowel;
    bool rieul_as_vowel; /* 서울로, 연필로 */
};

static const struct pair pairs[] = {
    {"을", "를", false}, {"은", "는", false},  {"이", "가", false},
    {"과", "와", false}, {"으로", "로", true}, {"이라", "라", false},
};

uint8_t josa_find(struct str name) {
    for (uint8_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (str_is(name, pairs[i].after_consonant))
            return (uint8_t)(i + 1);
    return 0;
}

/* The final consonant of a character as it is read in Korean: 0 none, 8 rieul, else some other. */
static unsigned final_of_ascii(char c) {
    static const char *const other = "036mnMN"; /* 영 삼 육 엠 엔 */
    static const char *const rieul = "178lrLR"; /* 일 칠 팔 엘 알 */
    if (strchr(rieul, c))
        return FINAL_RIEUL;
    return strchr(other, c) ? 1 : FINAL_NONE;
}

static unsigned final_of(struct str text) {
    while (text.len > 0 && (text.ptr[text.len - 1] == ')' || text.ptr[text.len - 1] == ' '))
        text.len--;
    if (text.len == 0)
        return FINAL_NONE;
    const unsigned char *end = (const unsigned char *)text.ptr + text.len;
    if (end[-1] < 0x80)
        return final_of_ascii((char)end[-1]);
    if (text.len < 3 || (end[-3] & 0xF0) != 0xE0)
        return FINAL_NONE;
    unsigned code = ((end[-3] & 0x0FU) << 12) | ((end[-2] & 0x3FU) << 6) | (end[-1] & 0x3FU);
    if (code < SYLLABLE_FIRST || code > SYLLABLE_LAST)
        return FINAL_NONE;
    return (code - SYLLABLE_FIRST) % FINALS;
}

struct str josa_after(uint8_t particle, struct str text) {
    const struct pair *pair = &pairs[particle - 1];
    unsigned final = final_of(text);
    bool vowel = final == FINAL_NONE || (final == FINAL_RIEUL && pair->rieul_as_vowel);
    return str_from(vowel ? pair->after_vowel : pair->after_consonant);
}
