#include "query-api/text/search_thing.h"

static bool is_ascii_letter(char c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static void open_object(struct json_write *w, const char *key) {
    json_write_key(w, key);
    json_write_object(w);
}

static void filter_begin(struct json_write *w) {
    json_write_object(w);
    open_object(w, "constant_score");
    open_object(w, "filter");
}

static void filter_end(struct json_write *w, int64_t hundredths) {
    json_write_object_end(w);
    json_write_key(w, "boost");
    json_write_double(w, (double)hundredths / 100);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* ---- accessories ---- */

/* Things that belong to other things. Where one of them stands right behind the word that is asked for ("laptop sleeve",
 * 노트북 가방, 노트북용), the product is not that word's thing. */
static const char *const accessories[] = {
    "case",    "cover",   "sleeve",   "bag",       "pouch",   "stand",     "mount",   "support", "holder", "bracket",
    "arm",     "riser",   "adapter",  "charger",   "cable",   "cord",      "lock",    "filter",  "film",   "skin",
    "strap",   "kit",     "spare",    "rest",      "tray",    "cartridge", "drum",    "toner",   "ink",    "fuser",
    "battery", "license", "pad",      "backpack",  "cooler",  "cleaner",   "screen",  "dock",    "stylus", "accessory",
    "가방",    "케이스",  "파우치",   "거치대",    "충전기",  "필름",      "커버",    "스킨",    "키스킨", "어댑터",
    "케이블",  "받침대",  "홀더",     "스트랩",    "잉크",    "토너",      "배터리",  "리모컨",  "필터",   "부품",
    "용",      "전용",    "액세서리", "악세사리",  "패드",    "백팩",      "쿨러",    "보호필름"};

static bool is_accessory(struct slice key) {
    for (size_t i = 0; i < sizeof(accessories) / sizeof(accessories[0]); i++) {
        struct slice one = slice_str(accessories[i]);
        if (slice_eq(key, one) || (key.len == one.len + 1 && key.data[one.len] == 's' && memcmp(key.data, one.data, one.len) == 0))
            return true;
    }
    return false;
}

/* Not "<word> <accessory>" in the name: the index has such pairs as one joined word. */
static void write_no_accessory(struct json_write *w, const struct search_text *t) {
    char text[160];
    struct slice last = t->words.items[t->words.count - 1].key;
    size_t bare = last.len > 3 && last.data[last.len - 1] == 's' ? last.len - 1 : last.len;
    for (size_t i = 0; i < t->words.count; i++)
        if (is_accessory(t->words.items[i].key))
            return;
    if (last.len == 0 || last.len > 64 || t->ranking->accessory == 0)
        return;
    filter_begin(w);
    open_object(w, "bool");
    open_object(w, "must_not");
    open_object(w, "terms");
    json_write_key(w, "words");
    json_write_array(w);
    memcpy(text, last.data, bare);
    for (size_t i = 0; i < sizeof(accessories) / sizeof(accessories[0]); i++) {
        size_t n = strlen(accessories[i]);
        memcpy(text + bare, accessories[i], n);
        text[bare + n] = 's';
        json_write_string(w, text, bare + n);
        if (is_ascii_letter(accessories[i][0]))
            json_write_string(w, text, bare + n + 1);
    }
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
    filter_end(w, t->ranking->accessory);
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
    filter_begin(w);
    open_object(w, "terms");
    json_write_key(w, "attrs");
    json_write_array(w);
    write_type_terms(w, value, len);
    if (latin) {
        value[len] = 's';
        write_type_terms(w, value, len + 1);
    }
    json_write_array_end(w);
    json_write_object_end(w);
    filter_end(w, t->ranking->type);
}

/* ---- the maker ---- */

/* "samsung" asks for what Samsung makes before what others make for it. */
static void write_brand(struct json_write *w, const struct search_text *t) {
    if (t->ranking->brand_asked == 0)
        return;
    filter_begin(w);
    open_object(w, "term");
    open_object(w, "brand");
    json_write_key(w, "value");
    json_write_slice(w, t->q);
    json_write_key(w, "case_insensitive");
    json_write_bool(w, true);
    json_write_object_end(w);
    json_write_object_end(w);
    filter_end(w, t->ranking->brand_asked);
}

void search_thing_write(struct json_write *w, const struct search_text *t) {
    write_no_accessory(w, t);
    write_type(w, t);
    write_brand(w, t);
}
