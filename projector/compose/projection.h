/* projection.h - the projection as data: which source field becomes which search field, and how.
 *
 * It stands in the mapping file under "projection" and in the index under mappings._meta.readside.projection, so
 * that every index is written by the rules it was made with:
 *
 *   {"version": 1,
 *    "languages": {"fields": ["ko", "en"], "hangul": "ko", "other": "en"},
 *    "code_attributes": ["model", "ean", ...],
 *    "rules": [{"field": "brand", "from": "brand", "as": "keyword"}, ...]}
 *
 * Plain transforms read the one source field that "from" names. The others have sources of their own (the table
 * in mappings/README.md); "from" may repeat them, as a string or a list, and is refused if it says otherwise.
 * A rule may have "max_bytes" (keyword, text, localized) and "default" (keyword). Unknown members, unknown
 * transforms, a search field or sub-field that the mapping lacks, and a field written twice are refused by name.
 * There must be a rule {"field": "id", "as": "id"}: verify walks an index by it.
 * Thread: immutable after projection_new; any thread may read. Pure: no I/O. */
#pragma once
#include "core/error.h"
#include "core/json_read.h"
#include <stdint.h>

enum transform {
    TRANSFORM_ID,             /* the product's _id as it is -> keyword */
    TRANSFORM_KEYWORD,        /* string, trimmed -> keyword */
    TRANSFORM_TEXT,           /* string -> text */
    TRANSFORM_LOCALIZED,      /* string | {lang: string} -> <field>.<lang> text */
    TRANSFORM_DATE,           /* BSON date -> date */
    TRANSFORM_LONG,           /* whole number -> long */
    TRANSFORM_CODES,          /* id, SKUs and code attributes -> keyword[] */
    TRANSFORM_CATEGORY_IDS,   /* [int] -> integer[] */
    TRANSFORM_PRIMARY_CATEGORY, /* int, or the first of `categories` -> integer */
    TRANSFORM_CATEGORY_PATHS, /* [int] -> keyword[] of path prefixes */
    TRANSFORM_CATEGORY_SET,   /* [int] -> keyword: the lowest of these paths, in one */
    TRANSFORM_CATEGORY_NAMES, /* [int] -> <field>.<lang> text[] of the categories and their ancestors */
    TRANSFORM_PRICE_MIN,      /* lowest and highest price over the variants */
    TRANSFORM_PRICE_MAX,
    TRANSFORM_IN_STOCK,       /* boolean: any SKU low or in */
    TRANSFORM_STOCK,          /* "in" | "low" | "out": best of its SKUs */
    TRANSFORM_OFFERS,         /* keyword: which stock states and price steps its SKUs have */
    TRANSFORM_SKUS,           /* keyword[] */
    TRANSFORM_ATTRS,          /* keyword[] "name=value" of the product, but of no name that a variant has as well */
    TRANSFORM_CODE_ATTRS,     /* of these, the terms of code attributes, which do not stand in attrs then */
    TRANSFORM_NUMBERS,        /* keyword[] "name=" and the number's ordered digits, likewise */
    TRANSFORM_VARIED,         /* keyword[]: the names of attributes that stand in variants */
    TRANSFORM_FLAT,           /* {price, stock, sku} of a product without differing variants */
    TRANSFORM_VARIANTS,       /* nested [{sku, names, attrs, code_attrs, numbers, price, stock}] of all others */
    TRANSFORM_SALES,          /* what shoppers do, as product_signals has it -> integer, absent if 0 */
    TRANSFORM_POPULARITY,
};

#define PROJECTION_RULES_MAX 64
#define PROJECTION_SOURCES_MAX 32
#define PROJECTION_LANGUAGES_MAX 8
#define PROJECTION_NO_SOURCE UINT8_MAX
#define PROJECTION_KEYWORD_BYTES 256 /* default max_bytes of a keyword, and the limit of a value in a term */
#define PROJECTION_TEXT_BYTES 65536  /* default max_bytes of a text */
#define PROJECTION_TERM_BYTES_MAX 32766 /* Lucene's limit for one term */
#define PROJECTION_CODE_NAME_BYTES_MAX 63
#define PROJECTION_LANGUAGE_BYTES_MAX 3

struct projection_rule {
    enum transform transform;
    uint8_t source;     /* plain transforms: index into sources; else PROJECTION_NO_SOURCE */
    uint32_t max_bytes; /* of one value; cut at a code point */
    struct slice field; /* "name" */
    struct slice open;  /* what stands before the value in the document: ,"name": */
    struct slice fallback; /* "default" as a quoted JSON string, or empty */
};

struct projection_language {
    struct slice name; /* "ko" */
    struct slice open; /* "ko": */
    uint32_t code;     /* the name as a number */
};

struct projection {
    int64_t version;
    struct projection_rule rules[PROJECTION_RULES_MAX];
    unsigned rule_count;
    struct slice sources[PROJECTION_SOURCES_MAX]; /* top-level fields of the product that are read; NUL-terminated */
    unsigned source_count;
    /* Where the well-known sources are in `sources`; PROJECTION_NO_SOURCE where no rule needs them. */
    uint8_t source_id, source_price, source_attributes, source_variants, source_categories, source_primary;
    struct projection_language languages[PROJECTION_LANGUAGES_MAX];
    unsigned language_count;
    uint8_t language_hangul, language_other; /* plain text with and without Hangul; other languages */
    struct slice *code_attributes; /* sorted by length, then bytes */
    unsigned code_attribute_count;
    bool codes_apart; /* there is a rule code_attrs: attrs has no codes, of the product or of variants */
    /* By the length of a name, bit n: some code attribute begins with a byte whose low five bits are n. */
    uint32_t code_letters[PROJECTION_CODE_NAME_BYTES_MAX + 1];
    struct arena arena;
};

/* `projection` and `properties` (mappings.properties) are not kept. NULL on failure. */
struct projection *projection_new(const struct json *projection, const struct json *properties, struct error *reterr);
/* The same from the text of a mapping file {"settings","mappings","projection"}. `name` stands in messages. */
struct projection *projection_parse_mapping(const char *name, const char *text, size_t len, struct error *reterr);
void projection_free(struct projection *projection);

/* A language as a number, its length in it: 0 for "" (a plain string), 1 for what is longer than any that a field has. */
static inline uint32_t projection_language_code(struct slice lang) {
    uint32_t code = lang.len > 0;
    for (size_t i = 0; i < lang.len && lang.len <= PROJECTION_LANGUAGE_BYTES_MAX; i++)
        code = code << 8 | (unsigned char)lang.data[i];
    return code;
}
/* Which language field a text in the language of that code belongs to; an index into languages. */
static inline uint8_t projection_language_of(const struct projection *projection, uint32_t code, bool hangul) {
    if (code == 0)
        return hangul ? projection->language_hangul : projection->language_other;
    for (unsigned i = 0; i < projection->language_count; i++)
        if (projection->languages[i].code == code)
            return (uint8_t)i;
    return projection->language_other;
}
/* Any Hangul syllable or jamo in the text. */
bool projection_has_hangul(struct slice text);
bool projection_has_code_attribute(const struct projection *projection, struct slice name);
/* The same; hardly any other name is looked for. */
static inline bool projection_is_code_attribute(const struct projection *projection, struct slice name) {
    return name.len > 0 && name.len <= PROJECTION_CODE_NAME_BYTES_MAX &&
           (projection->code_letters[name.len] >> (name.data[0] & 31) & 1) && projection_has_code_attribute(projection, name);
}
/* NULL if there is no transform of that name; the reverse never is NULL. */
bool projection_transform_by_name(struct slice name, enum transform *ret);
const char *projection_transform_name(enum transform transform);
