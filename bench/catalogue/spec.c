#include "spec.h"

#include <stdio.h>

bool spec_fail(struct model_error *reterr, const char *what, struct str subject) {
    int shown = subject.len > 120 ? 120 : (int)subject.len;
    snprintf(reterr->message, sizeof reterr->message, "%s: '%.*s'", what, shown, subject.ptr ? subject.ptr : "");
    return false;
}

static bool split_factor(struct str *text, uint32_t *ret_factor) {
    int64_t scaled;
    *ret_factor = FACTOR_ONE;
    for (uint32_t i = text->len; i > 0; i--) {
        if (text->ptr[i - 1] != '*')
            continue;
        if (!str_to_scaled(str_slice(*text, i, text->len), 3, &scaled) || scaled <= 0 || scaled > 100 * FACTOR_ONE)
            return false;
        *ret_factor = (uint32_t)scaled;
        *text = str_trim(str_slice(*text, 0, i - 1));
        return true;
    }
    return true;
}

static bool spec_word(struct str text, struct word *ret, struct model_error *reterr) {
    struct str rest = text, part;
    if (!split_factor(&rest, &ret->factor))
        return spec_fail(reterr, "bad price factor", text);
    if (rest.len == 0 || !str_next(&rest, ":", &ret->text[LANG_EN]) || ret->text[LANG_EN].len == 0)
        return spec_fail(reterr, "empty word", text);
    ret->text[LANG_KO] = ret->text[LANG_EN];
    if (str_next(&rest, ":", &part) && part.len > 0)
        ret->text[LANG_KO] = part;
    if (str_next(&rest, ":", &part))
        ret->code = part;
    return true;
}

static const struct named_list *find_list(const struct model *model, struct str name) {
    const struct named_list *lists = model->lists.items;
    for (uint32_t i = 0; i < model->lists.count; i++)
        if (str_equal(lists[i].name, name))
            return &lists[i];
    return NULL;
}

bool spec_words(const struct model *model, struct str text, struct vec *ret, struct model_error *reterr) {
    struct str rest = str_trim(text), item;
    while (str_next(&rest, "|", &item)) {
        if (item.len > 1 && item.ptr[0] == '@') {
            const struct named_list *list = find_list(model, str_slice(item, 1, item.len));
            if (!list)
                return spec_fail(reterr, "unknown list", item);
            for (uint32_t i = 0; i < list->words.count; i++) {
                struct word *word = vec_add(ret, sizeof *word);
                *word = ((const struct word *)list->words.items)[i];
            }
            continue;
        }
        struct word *word = vec_add(ret, sizeof *word);
        if (!spec_word(item, word, reterr))
            return false;
    }
    return true;
}

static unsigned decimals_of(struct str s) {
    int64_t point = str_find(s, ".");
    return point < 0 ? 0 : s.len - (uint32_t)point - 1;
}

/* "0.9..2.6/0.01" */
static bool spec_range(struct str text, struct values *ret, struct model_error *reterr) {
    struct str rest = text, low, high, step;
    int64_t to, low_scaled, step_scaled;
    if (!str_next(&rest, "..", &low) || !str_next(&rest, "/", &high))
        return spec_fail(reterr, "bad range", text);
    if (!str_next(&rest, "/", &step))
        step = STR_LITERAL("1");
    unsigned decimals = decimals_of(step);
    if (!str_to_scaled(low, decimals, &low_scaled) || !str_to_scaled(high, decimals, &to) ||
        !str_to_scaled(step, decimals, &step_scaled) || step_scaled <= 0 || to <= low_scaled)
        return spec_fail(reterr, "bad range", text);
    ret->type = VALUE_RANGE;
    ret->decimals = decimals;
    ret->low = low_scaled;
    ret->step = step_scaled;
    ret->steps = (uint32_t)((to - low_scaled) / step_scaled + 1);
    return true;
}

static bool spec_values(const struct model *model, char mark, struct str text, struct values *ret,
                        struct model_error *reterr) {
    int64_t number;
    *ret = (struct values){.type = VALUE_TEXT};
    if (mark == '?') {
        ret->type = VALUE_BOOL;
        if (!str_to_scaled(text, 0, &number) || number < 0 || number > 100)
            return spec_fail(reterr, "bad percentage", text);
        ret->percent = (unsigned)number;
        return true;
    }
    if (mark == '#' && str_find(text, "..") >= 0)
        return spec_range(text, ret, reterr);
    if (mark != '=')
        ret->type = mark == '#' ? VALUE_NUMBER : VALUE_LIST;
    struct vec words = {NULL, 0, 0};
    if (!spec_words(model, text, &words, reterr))
        return false;
    ret->words = words.items;
    ret->count = words.count;
    for (uint32_t i = 0; mark == '#' && i < ret->count; i++)
        if (!str_to_scaled(ret->words[i].text[LANG_EN], 3, &number))
            return spec_fail(reterr, "not a number", ret->words[i].text[LANG_EN]);
    return true;
}

static bool is_identifier(struct str s) {
    for (uint32_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || c == '_' || (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return s.len > 0;
}

bool spec_attr(const struct model *model, struct str text, struct attr *ret, struct model_error *reterr) {
    struct str rest = text;
    *ret = (struct attr){0};
    if (rest.len > 1 && rest.ptr[0] == '!') {
        ret->name = str_slice(rest, 1, rest.len);
        ret->values.type = VALUE_NONE;
        return is_identifier(ret->name) || spec_fail(reterr, "bad attribute", text);
    }
    if (rest.len > 0 && (rest.ptr[0] == '.' || rest.ptr[0] == '~')) {
        ret->shared = rest.ptr[0] == '.';
        ret->hidden = rest.ptr[0] == '~';
        rest = str_slice(rest, 1, rest.len);
    }
    for (uint32_t i = 0; i < rest.len; i++) {
        char c = rest.ptr[i];
        if (c != '=' && c != '#' && c != '?' && c != '+')
            continue;
        ret->name = str_trim(str_slice(rest, 0, i));
        if (!is_identifier(ret->name))
            break;
        return spec_values(model, c, str_trim(str_slice(rest, i + 1, rest.len)), &ret->values, reterr);
    }
    return spec_fail(reterr, "bad attribute", text);
}

static struct attr *find_attr(const struct vec *attrs, struct str name) {
    struct attr *items = attrs->items;
    for (uint32_t i = 0; i < attrs->count; i++)
        if (str_equal(items[i].name, name))
            return &items[i];
    return NULL;
}

bool spec_attrs(const struct model *model, struct str text, struct vec *ret, struct model_error *reterr) {
    struct str rest = text, item;
    while (str_next(&rest, ";", &item)) {
        if (item.len == 0)
            continue;
        struct attr fresh;
        if (!spec_attr(model, item, &fresh, reterr))
            return false;
        struct attr *same = find_attr(ret, fresh.name);
        if (!same)
            same = vec_add(ret, sizeof *same);
        *same = fresh;
    }
    return true;
}

bool spec_split(struct str text, struct str *ret_name, struct str *ret_rest) {
    int64_t colon = str_find(text, ":");
    if (colon <= 0)
        return false;
    *ret_name = str_trim(str_slice(text, 0, (uint32_t)colon));
    *ret_rest = str_trim(str_slice(text, (uint32_t)colon + 1, text.len));
    return true;
}

bool spec_cases(const struct model *model, struct str text, struct vec *ret, struct model_error *reterr) {
    struct str of, rest;
    struct vec attrs = {NULL, 0, 0};
    if (!spec_split(text, &of, &rest))
        return spec_fail(reterr, "for needs NAME: attributes", text);
    if (!spec_attrs(model, rest, &attrs, reterr))
        return false;
    for (uint32_t i = 0; i < attrs.count; i++) {
        const struct attr *attr = (const struct attr *)attrs.items + i;
        struct case_values *entry = vec_add(ret, sizeof *entry);
        *entry = (struct case_values){.of = of, .attr = attr->name, .values = attr->values};
    }
    return true;
}
