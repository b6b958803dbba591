/*
 * What the tables in data/ say, read and linked: the category tree, and for each leaf category
 * everything needed to make up a product. Built once by model_load(), read-only afterwards.
 */
#ifndef CATALOGUE_MODEL_H
#define CATALOGUE_MODEL_H

#include "mem.h"

enum { LANG_KO, LANG_EN, LANG_COUNT };
enum { FACTOR_ONE = 1000, MAX_ATTRS = 64, MAX_VARIANTS = 12, MAX_AXES = 2, PRICE_POINTS = 33 };

/* A value in both languages. code: the piece of an SKU, or a brand's GS1 prefix.
 * factor: what it does to the price, in thousandths. */
struct word {
    struct str text[LANG_COUNT];
    struct str code;
    uint32_t factor;
};

/* NONE: the attribute is taken away. */
enum value_type { VALUE_TEXT, VALUE_NUMBER, VALUE_RANGE, VALUE_BOOL, VALUE_LIST, VALUE_NONE };

struct values {
    enum value_type type;
    uint32_t count; /* TEXT, NUMBER, LIST */
    const struct word *words;
    int64_t low, step; /* RANGE, scaled by 10^decimals: low + step * (0..steps-1) */
    uint32_t steps;
    unsigned decimals;
    unsigned percent; /* BOOL: how often it is true */
};

/* Values that hold for one brand, series or type only. */
struct case_values {
    struct str of; /* its English name */
    struct str attr;
    struct values values;
};

struct attr {
    struct str name; /* as templates call it */
    struct str key;  /* as printed: "laptop_panel": with quotes and colon */
    bool shared;     /* named the same in every category */
    bool hidden;     /* only for templates, never printed */
    bool required;   /* a template or an axis needs it */
    bool is_count;   /* how many are in the pack: one goes unsaid */
    uint64_t hash;
    struct values values;
    struct vec cases; /* struct case_values, the last that fits wins */
};

enum op_type { OP_LITERAL, OP_ATTR, OP_BRAND, OP_SERIES, OP_TYPE, OP_MODEL, OP_IF, OP_UNLESS, OP_VERB };

struct op {
    enum op_type type;
    uint8_t attr;
    uint8_t particle; /* josa.h, 0: none */
    bool article;     /* English a/an before it */
    struct str text;  /* OP_LITERAL, OP_IF, OP_UNLESS, OP_VERB */
};

struct template {
    struct op *ops;
    uint32_t count;
};

/* One sentence or name in both languages. */
struct phrase {
    struct template in[LANG_COUNT];
    uint64_t attrs; /* bit set of the attributes it mentions */
    bool needs_series;
};

struct axis {
    struct str name;
    uint8_t attr;
    bool run; /* neighbouring values (sizes), not any (colours) */
    uint32_t min, max;
};

struct brand_words {
    struct str brand; /* "*": any other */
    struct vec words; /* struct word */
};

struct brand_pattern {
    struct str brand;
    struct str pattern;
};

/* How products of one sort are made; shared by several leaves. */
struct kind {
    struct str name;
    struct vec brands;                 /* struct word */
    struct vec series;                 /* struct brand_words */
    struct vec patterns;               /* struct brand_pattern */
    struct vec attrs;                  /* struct attr */
    struct vec cases;                  /* struct case_values */
    struct vec names, leads, features; /* struct str, "korean || english" */
    bool names_inherited, leads_inherited, features_inherited;
    uint32_t vary_percent;
    uint32_t axis_count;
    struct axis axes[MAX_AXES];
    bool sku_from_model, isbn;
    struct vec also; /* struct str, slugs of categories it is listed in as well */
    uint32_t also_percent;
};

struct category {
    uint32_t id, parent_id, level; /* level 1: a department */
    struct str name[LANG_COUNT];
    struct str slug;
};

struct department {
    struct vec attrs;   /* struct attr, for all its leaves */
    struct vec closers; /* struct str */
};

/* What a leaf has for one of its brands. */
struct leaf_brand {
    const struct vec *series;  /* struct word; NULL: none */
    const struct str *pattern; /* NULL: no model numbers */
    uint32_t gs1_prefix;
};

struct leaf {
    struct str file; /* for messages */
    unsigned line;
    uint32_t category_id;
    struct str slug, kind_name;
    struct vec types; /* struct word */
    struct vec extra; /* struct attr of its own */
    struct vec cases; /* struct case_values */
    uint32_t weight;
    uint32_t price_low, price_middle, price_high;
    uint32_t department;
    /* set by linking */
    const struct kind *kind;
    struct attr *attrs;
    uint32_t attr_count;
    struct leaf_brand *brands;
    uint32_t *brand_sums; /* running sums of Zipf weights */
    struct phrase *names, *leads, *features, *closers;
    uint32_t name_count, lead_count, feature_count, closer_count;
    uint32_t axis_count;
    struct axis axes[MAX_AXES];
    uint32_t price[PRICE_POINTS];
    uint32_t *also;
    uint32_t also_count;
};

struct named_list {
    struct str name;
    struct vec words;
};

struct model {
    struct vec lists;       /* struct named_list */
    struct vec departments; /* struct department */
    struct vec kinds;       /* struct kind */
    struct vec categories;  /* struct category, parents before children */
    struct vec leaves;      /* struct leaf */
    uint32_t *leaf_sums;    /* running sums of the leaves' weights */
};

/* Says what is wrong with the tables, as file:line: message. */
struct model_error {
    char message[240];
};

/* Reads and links the embedded tables. On false, reterr says why. */
bool model_load(struct model *ret, struct model_error *reterr);

#endif
