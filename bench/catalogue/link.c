#include "link.h"

#include "codes.h"
#include "kind.h"
#include "price.h"
#include "rng.h"
#include "spec.h"
#include "template.h"

#include <stdio.h>
#include <string.h>

enum { ZIPF_SCALE = 1 << 20, GS1_KOREA = 880, MAX_LIST_WORDS = 32, MAX_AXIS_WORDS = 64 };

void link_locate(struct model_error *err, struct str file, unsigned line) {
    struct model_error plain = *err;
    snprintf(err->message, sizeof err->message, "%.*s:%u: %.190s", (int)file.len, file.ptr, line, plain.message);
}

static struct str attr_key(const struct leaf *leaf, const struct attr *attr) {
    struct str key = STR_LITERAL("\"");
    if (!attr->shared)
        key = str_concat(str_concat(key, leaf->slug), STR_LITERAL("_"));
    return str_concat(str_concat(key, attr->name), STR_LITERAL("\":"));
}

static void merge_attrs(struct vec *into, const struct vec *from, bool replace) {
    const struct attr *items = from->items;
    for (uint32_t i = 0; i < from->count; i++) {
        struct attr *same = NULL, *have = into->items;
        for (uint32_t k = 0; k < into->count && !same; k++)
            if (str_equal(have[k].name, items[i].name))
                same = &have[k];
        if (same && !replace)
            continue;
        if (!same)
            same = vec_add(into, sizeof *same);
        *same = items[i];
    }
}

static bool is_count(struct str name) {
    const struct str ending = STR_LITERAL("_count");
    return str_is(name, "pack") || str_is(name, "pieces") || str_is(name, "count") ||
           (name.len > ending.len && str_equal(str_slice(name, name.len - ending.len, name.len), ending));
}

static bool link_attrs(const struct model *model, struct leaf *leaf, struct model_error *reterr) {
    const struct department *department = (const struct department *)model->departments.items + leaf->department;
    struct vec attrs = vec_copy(&leaf->kind->attrs, sizeof(struct attr));
    merge_attrs(&attrs, &leaf->extra, true);
    merge_attrs(&attrs, &department->attrs, false);
    if (attrs.count > MAX_ATTRS)
        return spec_fail(reterr, "too many attributes", leaf->slug);
    leaf->attrs = attrs.items;
    leaf->attr_count = attrs.count;
    for (uint32_t i = 0; i < attrs.count; i++) {
        struct attr *attr = &leaf->attrs[i];
        attr->key = attr_key(leaf, attr);
        attr->hash = str_hash(attr->key);
        attr->is_count = is_count(attr->name);
        if (attr->values.type == VALUE_LIST && attr->values.count > MAX_LIST_WORDS)
            return spec_fail(reterr, "too many values in a list", attr->name);
    }
    return true;
}

static bool is_said_of(const struct leaf *leaf, struct str name) {
    const struct vec *lists[] = {&leaf->kind->brands, &leaf->types};
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++)
        for (uint32_t i = 0; i < lists[l]->count; i++)
            if (str_equal(((const struct word *)lists[l]->items)[i].text[LANG_EN], name))
                return true;
    const struct brand_words *series = leaf->kind->series.items;
    for (uint32_t s = 0; s < leaf->kind->series.count; s++)
        for (uint32_t i = 0; i < series[s].words.count; i++)
            if (str_equal(((const struct word *)series[s].words.items)[i].text[LANG_EN], name))
                return true;
    return false;
}

/* strict: a case that can never come true is a mistake (a kind's cases may suit only some leaves). */
static bool link_cases(struct leaf *leaf, const struct vec *cases, bool strict, struct model_error *reterr) {
    const struct case_values *items = cases->items;
    for (uint32_t i = 0; i < cases->count; i++) {
        bool found = false;
        for (uint32_t k = 0; k < leaf->attr_count && !found; k++) {
            if (!str_equal(leaf->attrs[k].name, items[i].attr))
                continue;
            found = true;
            *(struct case_values *)vec_add(&leaf->attrs[k].cases, sizeof *items) = items[i];
        }
        if (strict && !found)
            return spec_fail(reterr, "case of an attribute the leaf does not have", items[i].attr);
        if (strict && !is_said_of(leaf, items[i].of))
            return spec_fail(reterr, "case of no brand, series or type", items[i].of);
    }
    return true;
}

static bool link_brand(const struct kind *kind, const struct word *brand, struct leaf_brand *ret,
                       struct model_error *reterr) {
    const struct brand_words *series = kind->series.items;
    const struct brand_pattern *patterns = kind->patterns.items;
    int64_t prefix = GS1_KOREA;
    for (uint32_t i = 0; i < kind->series.count; i++)
        if (str_equal(series[i].brand, brand->text[LANG_EN]) || (!ret->series && str_is(series[i].brand, "*")))
            ret->series = &series[i].words;
    for (uint32_t i = 0; i < kind->patterns.count; i++)
        if (str_equal(patterns[i].brand, brand->text[LANG_EN]) || (!ret->pattern && str_is(patterns[i].brand, "*")))
            ret->pattern = &patterns[i].pattern;
    if (brand->code.len > 0 && (brand->code.len != 3 || !str_to_scaled(brand->code, 0, &prefix)))
        return spec_fail(reterr, "a brand's code is its GS1 prefix, three digits", brand->text[LANG_EN]);
    ret->gs1_prefix = (uint32_t)prefix;
    if (kind->sku_from_model && !ret->pattern)
        return spec_fail(reterr, "sku=model, but no model pattern for", brand->text[LANG_EN]);
    return true;
}

static bool link_brands(struct leaf *leaf, struct model_error *reterr) {
    const struct kind *kind = leaf->kind;
    const struct word *brands = kind->brands.items;
    uint32_t sum = 0;
    if (kind->brands.count == 0)
        return spec_fail(reterr, "kind without brands", kind->name);
    leaf->brands = mem_alloc(kind->brands.count * sizeof *leaf->brands);
    leaf->brand_sums = mem_alloc(kind->brands.count * sizeof *leaf->brand_sums);
    for (uint32_t i = 0; i < kind->brands.count; i++) {
        if (!link_brand(kind, &brands[i], &leaf->brands[i], reterr))
            return false;
        sum += ZIPF_SCALE / (i + 1);
        leaf->brand_sums[i] = sum;
    }
    return true;
}

static bool link_axes(struct leaf *leaf, struct model_error *reterr) {
    for (uint32_t i = 0; i < leaf->kind->axis_count; i++) {
        struct axis *axis = &leaf->axes[leaf->axis_count];
        uint32_t attr = 0;
        *axis = leaf->kind->axes[i];
        while (attr < leaf->attr_count && !str_equal(leaf->attrs[attr].name, axis->name))
            attr++;
        if (attr < leaf->attr_count && leaf->attrs[attr].values.count < 2)
            continue; /* the leaf has only one such thing */
        if (attr == leaf->attr_count || leaf->attrs[attr].values.count > MAX_AXIS_WORDS ||
            leaf->attrs[attr].values.type == VALUE_LIST)
            return spec_fail(reterr, "cannot vary by", axis->name);
        leaf->attrs[attr].required = true;
        axis->attr = (uint8_t)attr;
        leaf->axis_count++;
    }
    return true;
}

static bool compile_all(const struct leaf *leaf, const struct vec *texts, struct phrase **ret, uint32_t *ret_count,
                        struct model_error *reterr) {
    *ret = mem_alloc((texts->count + 1) * sizeof **ret);
    *ret_count = texts->count;
    for (uint32_t i = 0; i < texts->count; i++)
        if (!template_compile(leaf, ((const struct str *)texts->items)[i], &(*ret)[i], reterr))
            return false;
    return true;
}

static bool link_phrases(const struct model *model, struct leaf *leaf, struct model_error *reterr) {
    const struct department *department = (const struct department *)model->departments.items + leaf->department;
    const struct kind *kind = leaf->kind;
    if (kind->names.count == 0 || kind->leads.count == 0)
        return spec_fail(reterr, "kind without names or leads", kind->name);
    return compile_all(leaf, &kind->names, &leaf->names, &leaf->name_count, reterr) &&
           compile_all(leaf, &kind->leads, &leaf->leads, &leaf->lead_count, reterr) &&
           compile_all(leaf, &kind->features, &leaf->features, &leaf->feature_count, reterr) &&
           compile_all(leaf, &department->closers, &leaf->closers, &leaf->closer_count, reterr);
}

static bool link_also(const struct model *model, struct leaf *leaf, struct model_error *reterr) {
    const struct str *slugs = leaf->kind->also.items;
    const struct category *categories = model->categories.items;
    leaf->also = mem_alloc((leaf->kind->also.count + 1) * sizeof *leaf->also);
    for (uint32_t i = 0; i < leaf->kind->also.count; i++) {
        uint32_t k = 0;
        while (k < model->categories.count && !str_equal(categories[k].slug, slugs[i]))
            k++;
        if (k == model->categories.count)
            return spec_fail(reterr, "also names an unknown category", slugs[i]);
        if (categories[k].id != leaf->category_id)
            leaf->also[leaf->also_count++] = categories[k].id;
    }
    return true;
}

static bool link_leaf(const struct model *model, struct leaf *leaf, struct model_error *reterr) {
    leaf->kind = kind_find(model, leaf->kind_name);
    if (!leaf->kind)
        return spec_fail(reterr, "unknown kind", leaf->kind_name);
    price_prepare(leaf);
    return link_attrs(model, leaf, reterr) && link_cases(leaf, &leaf->kind->cases, false, reterr) &&
           link_cases(leaf, &leaf->cases, true, reterr) && link_brands(leaf, reterr) && link_axes(leaf, reterr) &&
           link_phrases(model, leaf, reterr) && link_also(model, leaf, reterr);
}

/* Model numbers become SKUs, so no two patterns may make the same one. */
static bool check_patterns(const struct model *model, struct model_error *reterr) {
    struct vec all = {NULL, 0, 0};
    *(struct str *)vec_add(&all, sizeof(struct str)) = STR_LITERAL("P#######");
    const struct kind *kinds = model->kinds.items;
    for (uint32_t i = 0; i < model->kinds.count; i++) {
        const struct brand_pattern *patterns = kinds[i].patterns.items;
        for (uint32_t k = 0; k < kinds[i].patterns.count; k++) {
            if (!codes_pattern_fits(patterns[k].pattern))
                return spec_fail(reterr, "model pattern has fewer than 10,000,000 numbers or is too long",
                                 patterns[k].pattern);
            *(struct str *)vec_add(&all, sizeof(struct str)) = patterns[k].pattern;
        }
    }
    const struct str *items = all.items;
    for (uint32_t i = 0; i < all.count; i++)
        for (uint32_t k = i + 1; k < all.count; k++)
            if (!str_equal(items[i], items[k]) && !codes_patterns_differ(items[i], items[k]))
                return spec_fail(reterr, "model pattern overlaps with another",
                                 str_concat(str_concat(items[i], STR_LITERAL(" and ")), items[k]));
    return true;
}

static bool check_categories(const struct model *model, struct model_error *reterr) {
    const struct category *items = model->categories.items;
    for (uint32_t i = 0; i < model->categories.count; i++)
        for (uint32_t k = i + 1; k < model->categories.count; k++) {
            if (items[i].id == items[k].id)
                return spec_fail(reterr, "category id used twice near", items[k].name[LANG_EN]);
            if (items[i].slug.len > 0 && str_equal(items[i].slug, items[k].slug))
                return spec_fail(reterr, "slug used twice", items[k].slug);
            for (int lang = 0; lang < LANG_COUNT; lang++)
                if (items[i].parent_id == items[k].parent_id && str_equal(items[i].name[lang], items[k].name[lang]))
                    return spec_fail(reterr, "siblings of the same name", items[k].name[lang]);
        }
    return true;
}

bool link_model(struct model *model, struct model_error *reterr) {
    uint32_t sum = 0;
    if (!check_categories(model, reterr) || !check_patterns(model, reterr))
        return false;
    model->leaf_sums = mem_alloc((model->leaves.count + 1) * sizeof *model->leaf_sums);
    for (uint32_t i = 0; i < model->leaves.count; i++) {
        struct leaf *leaf = (struct leaf *)model->leaves.items + i;
        if (!link_leaf(model, leaf, reterr)) {
            link_locate(reterr, leaf->file, leaf->line);
            return false;
        }
        sum += leaf->weight;
        model->leaf_sums[i] = sum;
    }
    return model->leaves.count > 0 || spec_fail(reterr, "no leaf category", (struct str){NULL, 0});
}
