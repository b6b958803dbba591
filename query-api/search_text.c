#include "query-api/search_text.h"

static const char *const korean_fields = "[\"name.ko^4\",\"category_names.ko^1.5\",\"description.ko^0.4\",\"brand.text^2\"]";
static const char *const english_fields = "[\"name.en^4\",\"category_names.en^1.5\",\"description.en^0.4\",\"brand.text^2\"]";

/* A code (SKU, EAN, model number) is exact or nothing: its score lies above everything that words can reach. */
static void write_code(struct json_write *w, struct slice q) {
    json_write_object(w);
    json_write_key(w, "constant_score");
    json_write_object(w);
    json_write_key(w, "filter");
    json_write_object(w);
    json_write_key(w, "term");
    json_write_object(w);
    json_write_key(w, "codes");
    json_write_slice(w, q);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_key(w, "boost");
    json_write_int(w, 1000);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_multi_match(struct json_write *w, struct slice q, const char *type, const char *fields,
                              const char *fuzziness, double boost) {
    json_write_object(w);
    json_write_key(w, "multi_match");
    json_write_object(w);
    json_write_key(w, "query");
    json_write_slice(w, q);
    json_write_key(w, "type");
    json_write_str(w, type);
    json_write_key(w, "operator");
    json_write_str(w, "and");
    json_write_key(w, "fields");
    json_write_raw(w, fields, strlen(fields));
    json_write_key(w, "boost");
    json_write_double(w, boost);
    if (fuzziness) {
        json_write_key(w, "fuzziness");
        json_write_str(w, fuzziness);
        json_write_key(w, "prefix_length");
        json_write_int(w, 1);
        json_write_key(w, "max_expansions");
        json_write_int(w, 30);
    }
    json_write_object_end(w);
    json_write_object_end(w);
}

void search_text_write(struct json_write *w, struct slice q, bool typo) {
    json_write_object(w);
    json_write_key(w, "dis_max");
    json_write_object(w);
    json_write_key(w, "tie_breaker");
    json_write_double(w, 0.1);
    json_write_key(w, "queries");
    json_write_array(w);
    write_code(w, q);
    write_multi_match(w, q, "cross_fields", korean_fields, NULL, 1);
    write_multi_match(w, q, "cross_fields", english_fields, NULL, 1);
    if (typo) {
        write_multi_match(w, q, "best_fields", "[\"name.ko\",\"brand.text\"]", "AUTO:4,8", 0.05);
        write_multi_match(w, q, "best_fields", "[\"name.en\",\"brand.text\"]", "AUTO:4,8", 0.05);
    }
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}
