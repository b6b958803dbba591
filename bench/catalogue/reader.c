/* Reads the tables line by line; link.c then ties them together. */
#include "data.h"
#include "kind.h"
#include "link.h"
#include "spec.h"

#include <stdio.h>
#include <string.h>

enum { MAX_LEVEL = 5, DEPARTMENT_IDS = 100 };

struct reader {
    struct model *model;
    struct model_error *err;
    struct str file;
    unsigned line;
    uint32_t parents[MAX_LEVEL + 1]; /* the open category of each level, 0: none */
    bool leaf_open;                  /* the last category line was a leaf */
};

/* "korean || english" */
static bool split_languages(struct str text, struct str ret[LANG_COUNT]) {
    struct str rest = text;
    return str_next(&rest, "||", &ret[LANG_KO]) && str_next(&rest, "||", &ret[LANG_EN]) && ret[LANG_KO].len > 0 &&
           ret[LANG_EN].len > 0;
}

static struct category *add_category(struct reader *r, uint32_t id, uint32_t level) {
    struct category *category = vec_add(&r->model->categories, sizeof *category);
    category->id = id;
    category->level = level;
    category->parent_id = level > 1 ? r->parents[level - 1] : 0;
    r->parents[level] = id;
    for (uint32_t i = level + 1; i <= MAX_LEVEL; i++)
        r->parents[i] = 0;
    return category;
}

/* dept 3 computers 컴퓨터 || Computers */
static bool read_department(struct reader *r, struct str text) {
    struct str rest = text, number, slug;
    int64_t id;
    if (!str_token(&rest, &number) || !str_to_scaled(number, 0, &id) || id < 1 || id >= DEPARTMENT_IDS ||
        !str_token(&rest, &slug))
        return spec_fail(r->err, "dept needs ID SLUG Korean || English", text);
    vec_add(&r->model->departments, sizeof(struct department));
    struct category *category = add_category(r, (uint32_t)id, 1);
    category->slug = slug;
    r->leaf_open = false;
    return split_languages(rest, category->name) || spec_fail(r->err, "needs Korean || English", text);
}

/* "900000/1600000/4900000" */
static bool read_prices(struct leaf *leaf, struct str text) {
    uint32_t *into[] = {&leaf->price_low, &leaf->price_middle, &leaf->price_high};
    struct str rest = text, part;
    int64_t number;
    for (size_t i = 0; i < 3; i++) {
        if (!str_next(&rest, "/", &part) || !str_to_scaled(part, 0, &number) || number < 100 || number > 100000000)
            return false;
        *into[i] = (uint32_t)number;
    }
    return leaf->price_low < leaf->price_middle && leaf->price_middle < leaf->price_high;
}

/* kind slug low/middle/high xWEIGHT : types */
static bool read_leaf(struct reader *r, struct category *category, struct str text) {
    struct str rest = text, prices, weight;
    int64_t number = 0;
    struct leaf *leaf = vec_add(&r->model->leaves, sizeof *leaf);
    leaf->file = r->file;
    leaf->line = r->line;
    leaf->category_id = category->id;
    leaf->department = r->model->departments.count - 1;
    if (!str_token(&rest, &leaf->kind_name) || !str_token(&rest, &leaf->slug) || !str_token(&rest, &prices) ||
        !str_token(&rest, &weight))
        return spec_fail(r->err, "leaf needs KIND SLUG LOW/MIDDLE/HIGH xWEIGHT : TYPES", text);
    category->slug = leaf->slug;
    if (!read_prices(leaf, prices))
        return spec_fail(r->err, "bad prices", prices);
    if (weight.ptr[0] != 'x' || !str_to_scaled(str_slice(weight, 1, weight.len), 0, &number) || number < 1)
        return spec_fail(r->err, "bad weight", weight);
    leaf->weight = (uint32_t)number;
    rest = str_trim(rest);
    if (rest.len < 2 || rest.ptr[0] != ':')
        return spec_fail(r->err, "leaf needs ': types'", text);
    r->leaf_open = true;
    return spec_words(r->model, str_slice(rest, 1, rest.len), &leaf->types, r->err);
}

/* 301 >> 노트북 || Laptops = leaf   or   301 >> 선물 || Gifts @slug   or just the names */
static bool read_category(struct reader *r, struct str number, struct str text) {
    struct str rest = text, arrows, names, tail;
    int64_t id;
    if (!str_to_scaled(number, 0, &id) || !str_token(&rest, &arrows))
        return spec_fail(r->err, "category needs ID >> names", text);
    uint32_t level = arrows.len + 1;
    if (level > MAX_LEVEL || r->parents[level - 1] == 0 || arrows.ptr[0] != '>')
        return spec_fail(r->err, "category at a wrong level", text);
    struct category *category = add_category(r, (uint32_t)id, level);
    r->leaf_open = false;
    str_next(&rest, " = ", &names);
    bool is_leaf = str_next(&rest, " = ", &tail);
    if (!is_leaf && str_find(names, "@") > 0) {
        uint32_t at = (uint32_t)str_find(names, "@");
        category->slug = str_trim(str_slice(names, at + 1, names.len));
        names = str_slice(names, 0, at);
    }
    if (!split_languages(names, category->name))
        return spec_fail(r->err, "needs Korean || English", text);
    return !is_leaf || read_leaf(r, category, tail);
}

static bool read_list(struct reader *r, struct str text) {
    struct str rest = text, name;
    if (!str_next(&rest, "=", &name) || name.len == 0)
        return spec_fail(r->err, "list needs NAME = words", text);
    struct named_list list = {.name = name};
    if (!spec_words(r->model, rest, &list.words, r->err))
        return false;
    *(struct named_list *)vec_add(&r->model->lists, sizeof list) = list;
    return true;
}

/* "nord" and " home" → "Nord home"; a blank is written as "_" in the tables. */
static struct str join_texts(struct str first, struct str second) {
    struct str joined = str_concat(first, second);
    char *bytes = mem_alloc(joined.len);
    for (uint32_t i = 0; i < joined.len; i++)
        bytes[i] = (char)(joined.ptr[i] == '_' ? ' ' : joined.ptr[i]);
    if (joined.len > 0 && bytes[0] >= 'a' && bytes[0] <= 'z')
        bytes[0] = (char)(bytes[0] - 'a' + 'A');
    return (struct str){bytes, joined.len};
}

static struct word join_words(const struct word *first, const struct word *second) {
    struct word joined = {.factor = FACTOR_ONE};
    for (int lang = 0; lang < LANG_COUNT; lang++)
        joined.text[lang] = join_texts(first->text[lang], second->text[lang]);
    return joined;
}

/* mix NAME COUNT = firsts x seconds: a list of COUNT made-up names, each first met in turn */
static bool read_mix(struct reader *r, struct str text) {
    struct str rest = text, name, head, count, firsts;
    struct vec first = {NULL, 0, 0}, second = {NULL, 0, 0};
    int64_t wanted;
    if (!str_next(&rest, "=", &head) || !str_token(&head, &name) || !str_token(&head, &count) ||
        !str_to_scaled(count, 0, &wanted) || !str_next(&rest, " x ", &firsts))
        return spec_fail(r->err, "mix needs NAME COUNT = words x words", text);
    if (!spec_words(r->model, firsts, &first, r->err) || !spec_words(r->model, rest, &second, r->err))
        return false;
    if (wanted < 1 || wanted > (int64_t)first.count * second.count)
        return spec_fail(r->err, "mix has not that many", text);
    struct named_list list = {.name = name};
    for (uint32_t i = 0; i < (uint32_t)wanted; i++) {
        const struct word *a = (const struct word *)first.items + i % first.count;
        const struct word *b = (const struct word *)second.items + (i % first.count + i / first.count) % second.count;
        *(struct word *)vec_add(&list.words, sizeof(struct word)) = join_words(a, b);
    }
    *(struct named_list *)vec_add(&r->model->lists, sizeof list) = list;
    return true;
}

static bool read_indented(struct reader *r, struct str text) {
    struct str rest = text, keyword;
    if (r->leaf_open) {
        struct leaf *leaf = (struct leaf *)r->model->leaves.items + (r->model->leaves.count - 1);
        if (str_find(text, "for ") == 0)
            return spec_cases(r->model, str_slice(text, 4, text.len), &leaf->cases, r->err);
        return spec_attrs(r->model, text, &leaf->extra, r->err);
    }
    str_token(&rest, &keyword);
    return kind_line(r->model, keyword, str_trim(rest), r->err);
}

static bool read_top(struct reader *r, struct str text) {
    struct str rest = text, keyword;
    str_token(&rest, &keyword);
    rest = str_trim(rest);
    if (keyword.ptr[0] >= '0' && keyword.ptr[0] <= '9')
        return read_category(r, keyword, rest);
    r->leaf_open = false;
    if (str_is(keyword, "list"))
        return read_list(r, rest);
    if (str_is(keyword, "mix"))
        return read_mix(r, rest);
    if (str_is(keyword, "dept"))
        return read_department(r, rest);
    if (str_is(keyword, "kind"))
        return kind_begin(r->model, rest, r->err);
    if (r->model->departments.count == 0)
        return spec_fail(r->err, "unknown keyword, or before any department", keyword);
    struct department *department =
        (struct department *)r->model->departments.items + (r->model->departments.count - 1);
    if (str_is(keyword, "attr"))
        return spec_attrs(r->model, rest, &department->attrs, r->err);
    if (str_is(keyword, "close")) {
        *(struct str *)vec_add(&department->closers, sizeof rest) = rest;
        return true;
    }
    return spec_fail(r->err, "unknown keyword", keyword);
}

/* Texts go into JSON and SKUs as they are, so what would need escaping is refused here. */
static bool check_characters(struct str line) {
    for (uint32_t i = 0; i < line.len; i++)
        if ((unsigned char)line.ptr[i] < 0x20 || line.ptr[i] == '"' || line.ptr[i] == '\\')
            return false;
    return true;
}

static bool read_line(struct reader *r, struct str line) {
    struct str text = str_trim(line);
    if (text.len == 0 || text.ptr[0] == '-')
        return true;
    if (!check_characters(line))
        return spec_fail(r->err, "quotes, backslashes, tabs and control characters are not allowed", text);
    return line.ptr[0] == ' ' ? read_indented(r, text) : read_top(r, text);
}

static bool read_file(struct reader *r, const struct data_file *file) {
    const char *at = (const char *)file->bytes, *end = at + file->length;
    r->file = str_from(file->name);
    r->line = 0;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        r->line++;
        if (!read_line(r, (struct str){at, (uint32_t)(stop - at)})) {
            link_locate(r->err, r->file, r->line);
            return false;
        }
        at = stop + 1;
    }
    return true;
}

bool model_load(struct model *ret, struct model_error *reterr) {
    *ret = (struct model){0};
    struct reader reader = {.model = ret, .err = reterr};
    for (size_t i = 0; i < data_file_count; i++)
        if (!read_file(&reader, &data_files[i]))
            return false;
    return link_model(ret, reterr);
}
