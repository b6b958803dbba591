#include "codes.h"

#include "rng.h"

static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ";

enum {
    LETTERS = sizeof letters - 1,
    NUMBERS = CODES_MAX_PRODUCTS + 1,
    EAN_SLOTS = 32, /* product and variants */
    EAN_SPACE = 1000000000,
};

/* One-to-one on 0..9,999,999: the factor shares no divisor with 10. */
static uint32_t scramble(uint64_t seed, uint32_t number) {
    return (uint32_t)((number * 7368787ULL + rng_mix(seed) % NUMBERS) % NUMBERS);
}

static uint64_t pattern_capacity(struct str pattern) {
    uint64_t capacity = 1;
    for (uint32_t i = 0; i < pattern.len && capacity < UINT64_MAX / LETTERS; i++)
        capacity *= pattern.ptr[i] == '#' ? 10 : pattern.ptr[i] == '?' ? LETTERS : 1;
    return capacity;
}

bool codes_pattern_fits(struct str pattern) {
    return pattern.len <= CODE_MAX && pattern_capacity(pattern) >= NUMBERS;
}

static bool class_has(char class, char c) {
    if (class == '#')
        return c == '#' || (c >= '0' && c <= '9');
    if (class == '?')
        return c == '?' || (c >= 'A' && c <= 'Z' && c != 'I' && c != 'O');
    return class == c;
}

bool codes_patterns_differ(struct str a, struct str b) {
    for (uint32_t i = 0; i < a.len && i < b.len; i++)
        if (!class_has(a.ptr[i], b.ptr[i]) && !class_has(b.ptr[i], a.ptr[i]))
            return true;
    return false;
}

uint32_t codes_model(struct str pattern, uint64_t seed, uint32_t number, char ret[CODE_MAX]) {
    uint64_t rounds = pattern_capacity(pattern) / NUMBERS;
    uint64_t code = scramble(seed, number) + NUMBERS * (rng_mix(seed ^ (number * 0x9e3779b97f4a7c15ULL)) % rounds);
    /* Least significant at the front: the ever-changing part is then spread over all places. */
    for (uint32_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        if (c == '#') {
            ret[i] = (char)('0' + code % 10);
            code /= 10;
        } else if (c == '?') {
            ret[i] = letters[code % LETTERS];
            code /= LETTERS;
        } else {
            ret[i] = c;
        }
    }
    return pattern.len;
}

static void put_digits(char *to, uint64_t value, unsigned count) {
    while (count > 0) {
        to[--count] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* GS1 General Specifications, 7.9: weights 1 and 3 from the left for 13 digits. */
static void put_check_digit(char code[EAN_LENGTH]) {
    unsigned sum = 0;
    for (unsigned i = 0; i < EAN_LENGTH - 1; i++)
        sum += (unsigned)(code[i] - '0') * (i % 2 ? 3 : 1);
    code[EAN_LENGTH - 1] = (char)('0' + (10 - sum % 10) % 10);
}

void codes_ean(uint32_t prefix, uint64_t seed, uint32_t number, uint32_t slot, char ret[EAN_LENGTH]) {
    uint64_t place = (uint64_t)number * EAN_SLOTS + slot;
    put_digits(ret, prefix, 3);
    put_digits(ret + 3, (place * 617283947ULL + rng_mix(seed + 1) % EAN_SPACE) % EAN_SPACE, 9);
    put_check_digit(ret);
}

void codes_isbn(uint64_t seed, uint32_t number, char ret[EAN_LENGTH]) {
    put_digits(ret, 97911, 5);
    put_digits(ret + 5, scramble(seed + 2, number), 7);
    put_check_digit(ret);
}
