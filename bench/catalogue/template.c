#include "template.h"

#include "josa.h"
#include "spec.h"

#include <string.h>

void line_put(struct line *line, const char *bytes, uint32_t length) {
    if (line->capacity - line->length < length) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

void line_put_number(struct line *line, uint64_t value) {
    char digits[20];
    uint32_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    line_put(line, digits + at, (uint32_t)sizeof digits - at);
}

static struct op *add_op(struct vec *ops, enum op_type type) {
    struct op *op = vec_add(ops, sizeof *op);
    op->type = type;
    return op;
}

static bool resolve(const struct leaf *leaf, struct str name, struct op *op, struct phrase *phrase) {
    static const struct {
        const char *name;
        enum op_type type;
    } fixed[] = {{"brand", OP_BRAND}, {"series", OP_SERIES}, {"type", OP_TYPE}, {"model", OP_MODEL}};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (!str_is(name, fixed[i].name))
            continue;
        op->type = fixed[i].type;
        phrase->needs_series |= op->type == OP_SERIES;
        return true;
    }
    for (uint32_t i = 0; i < leaf->attr_count; i++) {
        if (!str_equal(leaf->attrs[i].name, name))
            continue;
        leaf->attrs[i].required = true;
        op->attr = (uint8_t)i;
        if (op->type == OP_ATTR)
            phrase->attrs |= 1ULL << i;
        return true;
    }
    return false;
}

static bool compile_hole(const struct leaf *leaf, struct str hole, struct vec *ops, struct phrase *phrase,
                         struct model_error *reterr) {
    struct op *op = add_op(ops, OP_ATTR);
    struct str rest = hole, name, after;
    if (hole.len > 0 && (hole.ptr[0] == '?' || hole.ptr[0] == '!')) {
        op->type = hole.ptr[0] == '?' ? OP_IF : OP_UNLESS;
        int64_t colon = str_find(hole, ":");
        if (colon < 0)
            return spec_fail(reterr, "condition without text", hole);
        op->text = str_slice(hole, (uint32_t)colon + 1, hole.len);
        return resolve(leaf, str_slice(hole, 1, (uint32_t)colon), op, phrase) ||
               spec_fail(reterr, "unknown name in a text", hole);
    }
    if (!str_next(&rest, ":", &name))
        return spec_fail(reterr, "empty braces in a text", hole);
    if (str_is(name, "s")) {
        op->type = OP_VERB;
        op->text = rest;
        return true;
    }
    if (str_is(name, "an")) {
        op->article = true;
        name = rest;
    } else if (str_next(&rest, ":", &after)) {
        op->particle = josa_find(after);
        if (op->particle == 0)
            return spec_fail(reterr, "unknown particle", hole);
    }
    return resolve(leaf, name, op, phrase) || spec_fail(reterr, "unknown name in a text", hole);
}

static bool compile_language(const struct leaf *leaf, struct str text, struct template *ret, struct phrase *phrase,
                             struct model_error *reterr) {
    struct vec ops = {NULL, 0, 0};
    while (text.len > 0) {
        int64_t open = str_find(text, "{");
        uint32_t plain = open < 0 ? text.len : (uint32_t)open;
        if (plain > 0)
            add_op(&ops, OP_LITERAL)->text = str_slice(text, 0, plain);
        text = str_slice(text, plain, text.len);
        if (text.len == 0)
            break;
        int64_t close = str_find(text, "}");
        if (close < 0)
            return spec_fail(reterr, "brace without end", text);
        if (!compile_hole(leaf, str_slice(text, 1, (uint32_t)close), &ops, phrase, reterr))
            return false;
        text = str_slice(text, (uint32_t)close + 1, text.len);
    }
    ret->ops = ops.items;
    ret->count = ops.count;
    return true;
}

bool template_compile(const struct leaf *leaf, struct str text, struct phrase *ret, struct model_error *reterr) {
    struct str rest = text, part;
    *ret = (struct phrase){0};
    for (int lang = 0; lang < LANG_COUNT; lang++)
        if (!str_next(&rest, "||", &part) || part.len == 0)
            return spec_fail(reterr, "needs Korean || English", text);
        else if (!compile_language(leaf, part, &ret->in[lang], ret, reterr))
            return false;
    return true;
}

void template_put_range(const struct values *values, uint32_t pick, struct line *line) {
    int64_t number = values->low + values->step * pick;
    uint64_t scale = 1;
    if (number < 0) {
        line_put(line, "-", 1);
        number = -number;
    }
    for (unsigned i = 0; i < values->decimals; i++)
        scale *= 10;
    line_put_number(line, (uint64_t)number / scale);
    uint64_t rest = (uint64_t)number % scale;
    if (rest == 0)
        return;
    line_put(line, ".", 1);
    while (rest > 0) {
        scale /= 10;
        line_put_number(line, rest / scale);
        rest %= scale;
    }
}

static void put_list(const struct values *values, uint32_t picks, int lang, struct line *line) {
    bool first = true;
    for (uint32_t i = 0; i < values->count; i++) {
        if (!(picks >> i & 1))
            continue;
        if (!first && lang == LANG_EN && picks >> i == 1)
            line_put(line, " and ", 5);
        else if (!first)
            line_put(line, ", ", 2);
        first = false;
        line_put(line, values->words[i].text[lang].ptr, values->words[i].text[lang].len);
    }
}

static bool attr_there(const struct draw *draw, uint8_t attr) {
    return !((draw->absent | draw->varied | draw->unsaid) >> attr & 1);
}

static void put_attr(const struct draw *draw, uint8_t attr, int lang, struct line *line) {
    if (!attr_there(draw, attr))
        return;
    const struct values *values = draw->values[attr];
    if (values->type == VALUE_RANGE)
        template_put_range(values, draw->pick[attr], line);
    else if (values->type == VALUE_LIST)
        put_list(values, draw->list_picks[attr], lang, line);
    else if (values->type != VALUE_BOOL) {
        const struct str *text = &values->words[draw->pick[attr]].text[lang];
        line_put(line, text->ptr, text->len);
    }
}

static bool condition(const struct draw *draw, uint8_t attr) {
    if (!attr_there(draw, attr))
        return false;
    return draw->values[attr]->type != VALUE_BOOL || draw->pick[attr] != 0;
}

static void put_hole(const struct op *op, const struct draw *draw, int lang, struct line *line) {
    const struct word *word = op->type == OP_BRAND    ? draw->brand
                              : op->type == OP_SERIES ? draw->series
                              : op->type == OP_TYPE   ? draw->type
                                                      : NULL;
    if (op->type == OP_ATTR)
        put_attr(draw, op->attr, lang, line);
    else if (op->type == OP_MODEL)
        line_put(line, draw->model, draw->model_length);
    else if (word)
        line_put(line, word->text[lang].ptr, word->text[lang].len);
}

/* By spelling; the exceptions are those the tables have. */
static bool sounds_like_vowel(struct str word) {
    static const char *const as_consonant[] = {"uni", "Uni", "USB", "US", "UV", "use", "one", "One", "eu"};
    static const char *const as_vowel[] = {"8",   "11-",  "18-", "hour", "LED", "LCD", "SSD", "IPS",
                                           "EVA", "HDMI", "HD",  "FM",   "NV",  "X-",  "MP",  "S-"};
    for (size_t i = 0; i < sizeof as_consonant / sizeof as_consonant[0]; i++)
        if (str_find(str_slice(word, 0, word.len < 3 ? word.len : 3), as_consonant[i]) == 0)
            return false;
    for (size_t i = 0; i < sizeof as_vowel / sizeof as_vowel[0]; i++)
        if (str_find(word, as_vowel[i]) == 0)
            return true;
    return word.len > 0 && strchr("aeiouAEIOU", word.ptr[0]) != NULL;
}

/* By spelling: "jeans", "earbuds", but not "dress" or "lens". */
static bool is_plural(struct str word) {
    if (word.len < 2 || word.ptr[word.len - 1] != 's' || word.ptr[word.len - 2] == 's')
        return false;
    return !(word.len >= 4 && str_is(str_slice(word, word.len - 4, word.len), "lens"));
}

/* The verb in the number of the type: the earbuds fit, the cap fits. */
static void put_verb(struct str verb, const struct draw *draw, struct line *line) {
    if (str_is(verb, "are") && !is_plural(draw->type->text[LANG_EN])) {
        line_put(line, "is", 2);
        return;
    }
    line_put(line, verb.ptr, verb.len);
    if (is_plural(draw->type->text[LANG_EN]) || verb.len == 0)
        return;
    char last = verb.ptr[verb.len - 1], before = verb.len > 1 ? verb.ptr[verb.len - 2] : ' ';
    if (last == 's' || last == 'x' || last == 'o' || (last == 'h' && (before == 'c' || before == 's')))
        line_put(line, "e", 1);
    line_put(line, "s", 1);
}

static void put_with_article(const struct op *op, const struct draw *draw, int lang, struct line *line) {
    char bytes[512];
    struct line part = {bytes, 0, sizeof bytes, false};
    put_hole(op, draw, lang, &part);
    if (op->type == OP_TYPE && is_plural((struct str){bytes, part.length}))
        ;
    else if (sounds_like_vowel((struct str){bytes, part.length}))
        line_put(line, "an ", 3);
    else
        line_put(line, "a ", 2);
    line_put(line, bytes, part.length);
}

/* skip_unit: what was stuck to a hole that stayed empty ("mm") goes with it. */
static void put_literal(struct str text, uint32_t start, bool skip_unit, struct line *line) {
    while (skip_unit && text.len > 0 && text.ptr[0] != ' ')
        text = str_slice(text, 1, text.len);
    if (line->length == start && text.len > 0 && text.ptr[0] == ' ')
        text = str_slice(text, 1, text.len);
    line_put(line, text.ptr, text.len);
}

static void drop_joint(uint32_t start, struct line *line) {
    if (line->length > start && (line->bytes[line->length - 1] == ' ' || line->bytes[line->length - 1] == '/'))
        line->length--;
}

/* True if the hole stayed empty. */
static bool render_hole(const struct op *op, const struct draw *draw, int lang, uint32_t start, struct line *line) {
    const uint32_t before = line->length;
    if (op->article)
        put_with_article(op, draw, lang, line);
    else
        put_hole(op, draw, lang, line);
    if (line->length == before) {
        drop_joint(start, line);
        return true;
    }
    if (op->particle > 0) {
        struct str form = josa_after(op->particle, (struct str){line->bytes + before, line->length - before});
        line_put(line, form.ptr, form.len);
    }
    return false;
}

void template_render(const struct phrase *phrase, int lang, const struct draw *draw, bool sentence, struct line *line) {
    const struct template *template = &phrase->in[lang];
    const uint32_t start = line->length;
    bool empty = false;
    for (uint32_t i = 0; i < template->count; i++) {
        const struct op *op = &template->ops[i];
        if (op->type == OP_LITERAL) {
            put_literal(op->text, start, empty, line);
            empty = false;
        } else if (op->type == OP_IF || op->type == OP_UNLESS) {
            if (condition(draw, op->attr) == (op->type == OP_IF))
                put_literal(op->text, start, false, line);
            empty = false;
        } else if (op->type == OP_VERB) {
            put_verb(op->text, draw, line);
            empty = false;
        } else {
            empty = render_hole(op, draw, lang, start, line);
        }
    }
    if (sentence && lang == LANG_EN && line->length > start && line->bytes[start] >= 'a' && line->bytes[start] <= 'z')
        line->bytes[start] = (char)(line->bytes[start] - 'a' + 'A');
}
