#include "query-api/text/search_thing.h"

static bool is_ascii_letter(char c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* The text closes the filter. */
static void filter_end(struct json_write *w, struct slice text, unsigned levels, int64_t hundredths) {
    json_write_close(w, text, levels);
    json_write_double(w, (double)hundredths / 100);
    json_write_close(w, SLICE("}}"), 2);
}

/* ---- accessories ---- */

/* Things that belong to other things. Where one of them stands right behind the word that is asked for ("laptop sleeve",
 * 노트북 가방, 노트북용), the product is not that word's thing. */
#define W(word) {word, sizeof(word) - 1}
static const struct slice accessories[] = {
    W("case"), W("cover"), W("sleeve"), W("bag"), W("pouch"), W("stand"), W("mount"), W("support"),
    W("holder"), W("bracket"), W("arm"), W("riser"), W("adapter"), W("charger"), W("cable"), W("cord"),
    W("lock"), W("filter"), W("film"), W("skin"), W("strap"), W("kit"), W("spare"), W("rest"), W("tray"),
    W("cartridge"), W("drum"), W("toner"), W("ink"), W("fuser"), W("battery"), W("license"), W("pad"),
    W("backpack"), W("cooler"), W("cleaner"), W("screen"), W("dock"), W("stylus"), W("accessory"), W("가방"),
    W("케이스"), W("파우치"), W("거치대"), W("충전기"), W("필름"), W("커버"), W("스킨"),
    W("키스킨"), W("어댑터"), W("케이블"), W("받침대"), W("홀더"), W("스트랩"), W("잉크"),
    W("토너"), W("배터리"), W("리모컨"), W("필터"), W("부품"), W("용"), W("전용"),
    W("액세서리"), W("악세사리"), W("패드"), W("백팩"), W("쿨러"), W("보호필름")};
#undef W

static bool is_accessory(struct slice key) {
    for (size_t i = 0; i < sizeof(accessories) / sizeof(accessories[0]); i++) {
        struct slice one = accessories[i];
        if (slice_eq(key, one) || (key.len == one.len + 1 && key.data[one.len] == 's' && memcmp(key.data, one.data, one.len) == 0))
            return true;
    }
    return false;
}

enum { WORD_MAX_BYTES = 64, QUOTED_MAX_BYTES = WORD_MAX_BYTES * 6 + 2, ACCESSORY_MAX_BYTES = 16 };

/* ["<word>case","<word>cases",...]: a hundred of them, so the word is escaped once; the others have nothing to escape. */
static void write_with_accessories(struct json_write *w, struct slice word) {
    char begin[QUOTED_MAX_BYTES];
    struct buf *out = json_write_pieces(w);
    if (!out || !buf_append_char(out, '['))
        return;
    size_t start = out->len;
    if (!json_append_string(out, word.data, word.len)) {
        json_write_slice(w, word); /* fails, too */
        return;
    }
    size_t len = out->len - start - 1; /* without the quote at its end */
    memcpy(begin, out->data + start, len);
    buf_truncate(out, start);
    for (size_t i = 0; i < sizeof(accessories) / sizeof(accessories[0]); i++)
        for (int plural = 0; plural <= is_ascii_letter(accessories[i].data[0]); plural++) {
            if (!buf_reserve(out, len + ACCESSORY_MAX_BYTES + 3))
                return;
            char *to = out->data + out->len;
            memcpy(to, begin, len);
            memcpy(to + len, accessories[i].data, accessories[i].len);
            to += len + accessories[i].len;
            if (plural)
                *to++ = 's';
            memcpy(to, "\",", 2);
            out->len = (size_t)(to + 2 - out->data);
        }
    out->data[out->len - 1] = ']'; /* for the last comma */
    out->data[out->len] = '\0';
}

/* Not "<word> <accessory>" in the name: the index has such pairs as one joined word. */
static void write_no_accessory(struct json_write *w, const struct search_text *t) {
    struct slice last = t->words.items[t->words.count - 1].key;
    for (size_t i = 0; i < t->words.count; i++)
        if (is_accessory(t->words.items[i].key))
            return;
    if (last.len == 0 || last.len > WORD_MAX_BYTES || t->ranking->accessory == 0)
        return;
    if (last.len > 3 && last.data[last.len - 1] == 's')
        last.len--;
    json_write_open(w, SLICE("{\"constant_score\":{\"filter\":{\"bool\":{\"must_not\":{\"terms\":{\"words\":"), "{{{{{{");
    write_with_accessories(w, last);
    filter_end(w, SLICE("}}}},\"boost\":"), 4, t->ranking->accessory);
}

/* ---- the type, as an attribute says it ---- */

/* Attributes whose value is a product's kind and nothing else. */
static const char *const type_attributes[] = {"product_type", "제품유형", "품목"};

enum { TYPE_MAX_BYTES = 64 };

static size_t upper_words(char *text, size_t len, bool all) {
    size_t changed = 0;
    for (size_t i = 0; i < len; i++)
        if (text[i] >= 'a' && text[i] <= 'z' && (i == 0 || (all && text[i - 1] == ' '))) {
            text[i] = (char)(text[i] & ~0x20);
            changed++;
        }
    return changed;
}

/* name=value as written in small letters, with the first letter or those of all words in capitals: the terms of attributes
 * keep their case, and a look at three of them costs less than a pattern. */
static void write_type_terms(struct json_write *w, const char *value, size_t len) {
    char text[TYPE_MAX_BYTES + 32];
    for (size_t a = 0; a < sizeof(type_attributes) / sizeof(type_attributes[0]); a++) {
        struct slice name = slice_str(type_attributes[a]);
        char *from = text + name.len + 1;
        memcpy(text, name.data, name.len);
        text[name.len] = '=';
        for (int capitals = 0; capitals < 3; capitals++) {
            memcpy(from, value, len);
            if (capitals == 0 || upper_words(from, len, capitals == 2) >= (size_t)capitals)
                json_write_string(w, text, name.len + 1 + len);
        }
    }
}

static void write_type(struct json_write *w, const struct search_text *t) {
    char value[TYPE_MAX_BYTES];
    size_t len = t->q.len;
    if (t->ranking->type == 0 || len < 3 || len + 1 > sizeof(value))
        return;
    for (size_t i = 0; i < len; i++)
        value[i] = t->q.data[i] >= 'A' && t->q.data[i] <= 'Z' ? (char)(t->q.data[i] | 0x20) : t->q.data[i];
    bool latin = is_ascii_letter(value[len - 1]);
    if (latin && len > 3 && value[len - 1] == 's' && value[len - 2] != 's')
        len--;
    json_write_open(w, SLICE("{\"constant_score\":{\"filter\":{\"terms\":{\"attrs\":["), "{{{{[");
    write_type_terms(w, value, len);
    if (latin) {
        value[len] = 's';
        write_type_terms(w, value, len + 1);
    }
    filter_end(w, SLICE("]}},\"boost\":"), 3, t->ranking->type);
}

/* ---- the maker ---- */

/* "samsung" asks for what Samsung makes before what others make for it. */
static void write_brand(struct json_write *w, const struct search_text *t) {
    if (t->ranking->brand_asked == 0)
        return;
    json_write_open(w, SLICE("{\"constant_score\":{\"filter\":{\"term\":{\"brand\":{\"value\":"), "{{{{{");
    json_write_slice(w, t->q);
    filter_end(w, SLICE(",\"case_insensitive\":true}}},\"boost\":"), 3, t->ranking->brand_asked);
}

void search_thing_write(struct json_write *w, const struct search_text *t) {
    write_no_accessory(w, t);
    write_type(w, t);
    write_brand(w, t);
}
