/* search_units.c - a number with a unit, and every way to write the same: 13.3" = 13.3인치 = 13.3 inch,
 * 1.5L = 1500ml = 1,500밀리. What a shop writes stands in the index as it is, so nothing has to be written anew when
 * this table grows. */
#include "query-api/text/search_words.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SPELLINGS_MAX = 96, NAMES_MAX = 8 };

static const struct unit {
    char family;   /* units of one family are turned into each other */
    double factor; /* to the family's base */
    const char *names[NAMES_MAX];
} units[] = {
    {'i', 1, {"inch", "인치", "\"", "in", "inches", "형"}},
    {'w', 1, {"g", "그램", "그람", "gram", "grams"}},
    {'w', 1000, {"kg", "킬로", "킬로그램", "키로", "kgs"}},
    {'w', 0.001, {"mg", "밀리그램"}},
    {'v', 1, {"ml", "밀리", "밀리리터", "미리", "cc", "씨씨"}},
    {'v', 1000, {"l", "리터", "liter", "liters", "litre"}},
    {'l', 1, {"mm", "밀리미터"}},
    {'l', 10, {"cm", "센치", "센티", "센티미터"}},
    {'l', 1000, {"m", "미터", "meter"}},
    {'b', 1, {"gb", "기가", "기가바이트"}},
    {'b', 1024, {"tb", "테라", "테라바이트"}},
    {'p', 1, {"w", "와트", "watt"}},
    {'p', 1000, {"kw", "킬로와트"}},
    {'h', 1, {"hz", "헤르츠"}},
    {'a', 1, {"mah", "밀리암페어"}},
    {'c', 1, {"개", "개입", "입", "pcs", "ea"}},
};

struct spellings {
    struct arena *arena;
    struct slice *items;
    size_t count;
    bool failed;
};

static void add(struct spellings *s, const char *number, const char *name) {
    /* A quote is no part of a word in the index: the bare number stands there. */
    const char *unit = strcmp(name, "\"") == 0 ? "" : name;
    if (s->count == SPELLINGS_MAX)
        return;
    char *text = arena_printf(s->arena, "%s%s", number, unit);
    s->failed = s->failed || !text;
    if (text)
        s->items[s->count++] = slice_str(text);
}

/* 1500 -> "1500" and "1,500"; nothing if the number has more than three decimals. */
static void add_number(struct spellings *s, double number, const struct unit *unit) {
    char plain[32], grouped[40];
    double thousand = number * 1000;
    if (number < 0.001 || number > 9999999 || fabs(thousand - round(thousand)) > 1e-6)
        return;
    snprintf(plain, sizeof(plain), "%.10g", round(thousand) / 1000);
    bool whole = number >= 1000 && fabs(number - round(number)) < 1e-9;
    long n = lround(number);
    snprintf(grouped, sizeof(grouped), n >= 1000000 ? "%ld,%03ld,%03ld" : "%ld,%03ld", n >= 1000000 ? n / 1000000 : n / 1000,
             n >= 1000000 ? n / 1000 % 1000 : n % 1000, n % 1000);
    for (size_t i = 0; i < NAMES_MAX && unit->names[i]; i++) {
        add(s, plain, unit->names[i]);
        if (whole)
            add(s, grouped, unit->names[i]);
    }
}

static bool same_unit(const char *name, struct slice text) {
    if (strlen(name) != text.len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c) != name[i])
            return false;
    }
    return true;
}

static const struct unit *unit_named(struct slice text) {
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        for (size_t k = 0; k < NAMES_MAX && units[i].names[k]; k++)
            if (same_unit(units[i].names[k], text))
                return &units[i];
    return NULL;
}

/* "13.3", "1,500" at the beginning; returns its length, 0 if there is none. */
static size_t read_number(struct slice text, double *ret) {
    char digits[24];
    size_t n = 0, i = 0;
    bool point = false;
    for (; i < text.len && n + 1 < sizeof(digits); i++) {
        char c = text.data[i];
        bool digit_follows = i + 1 < text.len && text.data[i + 1] >= '0' && text.data[i + 1] <= '9';
        if (c >= '0' && c <= '9')
            digits[n++] = c;
        else if (c == '.' && n && !point && digit_follows)
            digits[n++] = c, point = true;
        else if (c != ',' || !n || point || !digit_follows)
            break;
    }
    digits[n] = '\0';
    *ret = strtod(digits, NULL);
    return n ? i : 0;
}

bool search_units_read(struct arena *arena, struct slice text, struct slice **ret, size_t *ret_count) {
    double number;
    size_t at = read_number(text, &number);
    *ret = NULL;
    *ret_count = 0;
    if (at == 0)
        return true;
    while (at < text.len && (text.data[at] == ' ' || text.data[at] == '-'))
        at++;
    const struct unit *unit = unit_named((struct slice){text.data + at, text.len - at});
    if (!unit)
        return true;
    struct spellings s = {.arena = arena, .items = arena_alloc(arena, SPELLINGS_MAX * sizeof(*s.items))};
    if (!s.items)
        return false;
    add_number(&s, number, unit);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].family == unit->family && &units[i] != unit)
            add_number(&s, number * unit->factor / units[i].factor, &units[i]);
    *ret = s.items;
    *ret_count = s.count;
    return !s.failed;
}
