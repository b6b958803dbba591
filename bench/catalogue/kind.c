#include "kind.h"

#include "spec.h"

const struct kind *kind_find(const struct model *model, struct str name) {
    const struct kind *kinds = model->kinds.items;
    for (uint32_t i = 0; i < model->kinds.count; i++)
        if (str_equal(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

static struct kind kind_copy(const struct kind *base) {
    struct kind copy = *base;
    copy.series = vec_copy(&base->series, sizeof(struct brand_words));
    copy.patterns = vec_copy(&base->patterns, sizeof(struct brand_pattern));
    copy.attrs = vec_copy(&base->attrs, sizeof(struct attr));
    copy.cases = vec_copy(&base->cases, sizeof(struct case_values));
    copy.names = vec_copy(&base->names, sizeof(struct str));
    copy.leads = vec_copy(&base->leads, sizeof(struct str));
    copy.features = vec_copy(&base->features, sizeof(struct str));
    copy.names_inherited = copy.leads_inherited = copy.features_inherited = true;
    return copy;
}

bool kind_begin(struct model *model, struct str text, struct model_error *reterr) {
    struct str rest = text, name, parent;
    struct kind fresh = {0};
    str_next(&rest, "<", &name);
    if (name.len == 0 || kind_find(model, name))
        return spec_fail(reterr, "kind without a name or named twice", text);
    if (str_next(&rest, "<", &parent)) {
        const struct kind *base = kind_find(model, parent);
        if (!base)
            return spec_fail(reterr, "unknown kind", parent);
        fresh = kind_copy(base);
    }
    fresh.name = name;
    *(struct kind *)vec_add(&model->kinds, sizeof fresh) = fresh;
    return true;
}

static bool line_series(struct model *model, struct kind *kind, struct str text, struct model_error *reterr) {
    struct brand_words entry = {0};
    struct str rest;
    if (str_is(text, "none")) {
        kind->series = (struct vec){NULL, 0, 0};
        return true;
    }
    if (!spec_split(text, &entry.brand, &rest))
        return spec_fail(reterr, "series needs BRAND: words", text);
    if (!spec_words(model, rest, &entry.words, reterr))
        return false;
    struct brand_words *items = kind->series.items;
    for (uint32_t i = 0; i < kind->series.count; i++) {
        if (str_equal(items[i].brand, entry.brand)) {
            items[i] = entry;
            return true;
        }
    }
    *(struct brand_words *)vec_add(&kind->series, sizeof entry) = entry;
    return true;
}

static bool line_pattern(struct kind *kind, struct str text, struct model_error *reterr) {
    struct brand_pattern entry;
    if (!spec_split(text, &entry.brand, &entry.pattern))
        return spec_fail(reterr, "model needs BRAND: pattern", text);
    struct brand_pattern *items = kind->patterns.items;
    for (uint32_t i = 0; i < kind->patterns.count; i++) {
        if (str_equal(items[i].brand, entry.brand)) {
            items[i] = entry;
            return true;
        }
    }
    *(struct brand_pattern *)vec_add(&kind->patterns, sizeof entry) = entry;
    return true;
}

/* "85 size run 3-6 color pick 1-4" */
static bool line_vary(struct kind *kind, struct str text, struct model_error *reterr) {
    struct str rest = text, percent, name, mode, bounds, low;
    int64_t number, min, max;
    if (!str_token(&rest, &percent) || !str_to_scaled(percent, 0, &number) || number > 100)
        return spec_fail(reterr, "vary needs a percentage", text);
    kind->vary_percent = (uint32_t)number;
    kind->axis_count = 0;
    while (str_token(&rest, &name)) {
        if (!str_token(&rest, &mode) || !str_token(&rest, &bounds) || kind->axis_count == MAX_AXES)
            return spec_fail(reterr, "vary needs ATTRIBUTE run|pick MIN-MAX, at most two", text);
        if (!str_next(&bounds, "-", &low) || !str_to_scaled(low, 0, &min) || !str_to_scaled(bounds, 0, &max) ||
            min < 1 || max < min || max > MAX_VARIANTS)
            return spec_fail(reterr, "bad MIN-MAX", text);
        kind->axes[kind->axis_count++] =
            (struct axis){.name = name, .run = str_is(mode, "run"), .min = (uint32_t)min, .max = (uint32_t)max};
    }
    return true;
}

static bool line_also(struct kind *kind, struct str text, struct model_error *reterr) {
    struct str rest = text, token;
    int64_t number;
    if (!str_token(&rest, &token) || !str_to_scaled(token, 0, &number) || number > 100)
        return spec_fail(reterr, "also needs a percentage", text);
    kind->also_percent = (uint32_t)number;
    kind->also = (struct vec){NULL, 0, 0};
    while (str_token(&rest, &token))
        *(struct str *)vec_add(&kind->also, sizeof token) = token;
    return true;
}

/* The first line of its own replaces what was inherited, the next ones add. */
static bool line_phrase(struct vec *phrases, bool *inherited, struct str text, struct model_error *reterr) {
    if (str_find(text, "||") < 0)
        return spec_fail(reterr, "needs Korean || English", text);
    if (*inherited)
        *phrases = (struct vec){NULL, 0, 0};
    *inherited = false;
    *(struct str *)vec_add(phrases, sizeof text) = text;
    return true;
}

bool kind_line(struct model *model, struct str keyword, struct str rest, struct model_error *reterr) {
    if (model->kinds.count == 0)
        return spec_fail(reterr, "before any kind", keyword);
    struct kind *kind = (struct kind *)model->kinds.items + (model->kinds.count - 1);
    if (str_is(keyword, "brands")) {
        kind->brands = (struct vec){NULL, 0, 0};
        return spec_words(model, rest, &kind->brands, reterr);
    }
    if (str_is(keyword, "series"))
        return line_series(model, kind, rest, reterr);
    if (str_is(keyword, "model"))
        return line_pattern(kind, rest, reterr);
    if (str_is(keyword, "attr"))
        return spec_attrs(model, rest, &kind->attrs, reterr);
    if (str_is(keyword, "for"))
        return spec_cases(model, rest, &kind->cases, reterr);
    if (str_is(keyword, "vary"))
        return line_vary(kind, rest, reterr);
    if (str_is(keyword, "also"))
        return line_also(kind, rest, reterr);
    if (str_is(keyword, "name"))
        return line_phrase(&kind->names, &kind->names_inherited, rest, reterr);
    if (str_is(keyword, "lead"))
        return line_phrase(&kind->leads, &kind->leads_inherited, rest, reterr);
    if (str_is(keyword, "feature"))
        return line_phrase(&kind->features, &kind->features_inherited, rest, reterr);
    if (str_is(keyword, "set")) {
        kind->sku_from_model = str_find(rest, "sku=model") >= 0;
        kind->isbn = str_find(rest, "isbn") >= 0;
        return true;
    }
    return spec_fail(reterr, "unknown keyword", keyword);
}
