#include "emit.h"

#define PUT(line, text) line_put((line), (text), sizeof(text) - 1)

static void put_str(struct line *line, struct str text) {
    line_put(line, text.ptr, text.len);
}

/* 1 → 0000001 */
static void put_padded(struct line *line, uint32_t number) {
    char digits[7];
    for (unsigned i = sizeof digits; i > 0; number /= 10)
        digits[--i] = (char)('0' + number % 10);
    line_put(line, digits, sizeof digits);
}

static void put_quoted(struct line *line, struct str text) {
    PUT(line, "\"");
    put_str(line, text);
    PUT(line, "\"");
}

static void put_list(struct line *line, const struct values *values, uint32_t picks) {
    bool first = true;
    PUT(line, "[");
    for (uint32_t i = 0; i < values->count; i++) {
        if (!(picks >> i & 1))
            continue;
        if (!first)
            PUT(line, ",");
        first = false;
        put_quoted(line, values->words[i].text[LANG_EN]);
    }
    PUT(line, "]");
}

static void put_value(struct line *line, const struct draw *draw, uint32_t attr, uint32_t pick) {
    const struct values *values = draw->values[attr];
    switch (values->type) {
    case VALUE_TEXT:
        put_quoted(line, values->words[pick].text[LANG_EN]);
        break;
    case VALUE_NUMBER:
        put_str(line, values->words[pick].text[LANG_EN]);
        break;
    case VALUE_RANGE:
        template_put_range(values, pick, line);
        break;
    case VALUE_BOOL:
        if (pick)
            PUT(line, "true");
        else
            PUT(line, "false");
        break;
    case VALUE_LIST:
        put_list(line, values, draw->list_picks[attr]);
        break;
    case VALUE_NONE:
        break;
    }
}

static void put_ean(struct line *line, const struct draw *draw, uint32_t slot) {
    char code[EAN_LENGTH];
    if (draw->leaf->kind->isbn)
        codes_isbn(draw->seed, draw->number, code);
    else
        codes_ean(draw->gs1_prefix, draw->seed, draw->number, slot, code);
    PUT(line, "\"ean\":\"");
    line_put(line, code, sizeof code);
    PUT(line, "\"");
    if (!draw->leaf->kind->isbn)
        return;
    PUT(line, ",\"isbn\":\"");
    line_put(line, code, sizeof code);
    PUT(line, "\"");
}

static void put_attributes(struct line *line, const struct draw *draw) {
    PUT(line, ",\"attributes\":{");
    if (draw->model_length > 0) {
        PUT(line, "\"model\":\"");
        line_put(line, draw->model, draw->model_length);
        PUT(line, "\",");
    }
    put_ean(line, draw, 0);
    for (uint32_t i = 0; i < draw->leaf->attr_count; i++) {
        const struct attr *attr = &draw->leaf->attrs[i];
        if (attr->hidden || ((draw->absent | draw->varied) >> i & 1))
            continue;
        PUT(line, ",");
        put_str(line, attr->key);
        put_value(line, draw, i, draw->pick[i]);
    }
    PUT(line, "}");
}

/* The word's own code, else its capital letters and digits. */
static void put_sku_part(struct line *line, const struct word *word) {
    struct str text = word->code.len > 0 ? word->code : word->text[LANG_EN];
    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            line_put(line, &c, 1);
    }
}

static void put_variant_sku(struct line *line, const struct draw *draw, const struct draw_variant *variant) {
    if (draw->leaf->kind->sku_from_model) {
        line_put(line, draw->model, draw->model_length);
    } else {
        PUT(line, "P");
        put_padded(line, draw->number);
    }
    for (uint32_t i = draw->leaf->axis_count; i-- > 0;) {
        PUT(line, "-");
        put_sku_part(line, &draw->values[draw->leaf->axes[i].attr]->words[variant->pick[i]]);
    }
}

static void put_variant(struct line *line, const struct draw *draw, uint32_t number) {
    const struct draw_variant *variant = &draw->variants[number];
    PUT(line, "{\"sku\":\"");
    put_variant_sku(line, draw, variant);
    PUT(line, "\",\"attributes\":{");
    for (uint32_t i = 0; i < draw->leaf->axis_count; i++) {
        uint8_t attr = draw->leaf->axes[i].attr;
        if (i > 0)
            PUT(line, ",");
        put_str(line, draw->leaf->attrs[attr].key);
        put_value(line, draw, attr, variant->pick[i]);
    }
    if (draw->leaf->kind->sku_from_model) {
        PUT(line, ",");
        put_ean(line, draw, number + 1);
    }
    PUT(line, "}");
    if (variant->price != draw->price) {
        PUT(line, ",\"price\":");
        line_put_number(line, variant->price);
    }
    PUT(line, "}");
}

static void put_variants(struct line *line, const struct draw *draw) {
    if (draw->variant_count == 0)
        return;
    PUT(line, ",\"variants\":[");
    for (uint32_t i = 0; i < draw->variant_count; i++) {
        if (i > 0)
            PUT(line, ",");
        put_variant(line, draw, i);
    }
    PUT(line, "]");
}

static void put_texts(struct line *line, const struct draw *draw, int lang) {
    for (uint32_t i = 0; i < draw->sentence_count; i++) {
        if (i > 0)
            PUT(line, " ");
        template_render(draw->sentences[i], lang, draw, true, line);
    }
}

void emit_product(const struct draw *draw, struct line *line) {
    PUT(line, "{\"id\":\"p");
    put_padded(line, draw->number);
    PUT(line, "\",\"name\":{\"ko\":\"");
    template_render(draw->name, LANG_KO, draw, false, line);
    PUT(line, "\",\"en\":\"");
    template_render(draw->name, LANG_EN, draw, false, line);
    PUT(line, "\"},\"description\":{\"ko\":\"");
    put_texts(line, draw, LANG_KO);
    PUT(line, "\",\"en\":\"");
    put_texts(line, draw, LANG_EN);
    PUT(line, "\"},\"brand\":");
    put_quoted(line, draw->brand->text[LANG_EN]);
    PUT(line, ",\"price\":");
    line_put_number(line, draw->price);
    PUT(line, ",\"currency\":\"KRW\"");
    put_attributes(line, draw);
    put_variants(line, draw);
    PUT(line, ",\"categories\":[");
    for (uint32_t i = 0; i < draw->category_count; i++) {
        if (i > 0)
            PUT(line, ",");
        line_put_number(line, draw->categories[i]);
    }
    PUT(line, "],\"primary_category_id\":");
    line_put_number(line, draw->categories[0]);
    PUT(line, "}\n");
}

void emit_stock(const struct draw *draw, struct line *line) {
    uint32_t slot = 0;
    do {
        PUT(line, "{\"sku\":\"");
        if (draw->variant_count > 0) {
            put_variant_sku(line, draw, &draw->variants[slot]);
        } else {
            PUT(line, "p");
            put_padded(line, draw->number);
        }
        PUT(line, "\",\"available\":");
        line_put_number(line, draw_stock(draw, slot));
        PUT(line, "}\n");
    } while (++slot < draw->variant_count);
}

void emit_category(const struct category *category, struct line *line) {
    PUT(line, "{\"id\":");
    line_put_number(line, category->id);
    if (category->parent_id > 0) {
        PUT(line, ",\"parent_id\":");
        line_put_number(line, category->parent_id);
    }
    PUT(line, ",\"name\":{\"ko\":");
    put_quoted(line, category->name[LANG_KO]);
    PUT(line, ",\"en\":");
    put_quoted(line, category->name[LANG_EN]);
    PUT(line, "}}\n");
}
