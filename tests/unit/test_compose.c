#include "tests/unit/test.h"
#include "core/hash.h"
#include "core/json_read.h"
#include "tests/unit/projector_fixture.h"

struct fixture {
    struct projection *projection;
    struct category_tree *tree;
    struct composer *composer;
    struct stock_states stock;
    struct buf out;
    struct compose_result result;
    struct error error;
    bool skip_unknown;
    struct product_signals signals;
};

static int setup(void **state) {
    static struct fixture f;
    f = (struct fixture){.projection = fixture_projection(), .tree = fixture_tree(), .out = BUF_INIT(1 << 20)};
    f.composer = composer_new(f.projection, &f.error);
    stock_states_init(&f.stock, 1 << 20);
    *state = &f;
    return f.composer ? 0 : -1;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    composer_free(f->composer);
    category_tree_unref(f->tree);
    projection_free(f->projection);
    stock_states_done(&f->stock);
    buf_done(&f->out);
    return 0;
}

static void stock(struct fixture *f, const char *sku, int64_t state) {
    assert_true(stock_states_want(&f->stock, slice_str(sku)));
    stock_states_set(&f->stock, slice_str(sku), state);
}

static enum compose_status compose_bson(struct fixture *f, const bson_t *product) {
    struct compose_input input = {product, f->tree, &f->stock, f->skip_unknown, f->signals, 0};
    f->error = (struct error){0};
    size_t before = f->out.len;
    enum compose_status status = compose_product(f->composer, &input, &f->out, &f->result, &f->error);
    if (status != COMPOSE_OK)
        assert_int_equal(f->out.len, before);
    return status;
}

static enum compose_status compose(struct fixture *f, const char *json) {
    bson_t *product = fixture_bson(json);
    buf_reset(&f->out);
    enum compose_status status = compose_bson(f, product);
    bson_destroy(product);
    return status;
}

static void assert_document(struct fixture *f, const char *product, const char *document) {
    enum compose_status status = compose(f, product);
    if (status != COMPOSE_OK)
        fail_msg("status %d: %s", status, f->error.message);
    assert_string_equal(f->out.data, document);
    assert_int_equal(f->result.content_hash, hash_bytes(document, strlen(document)));
}

static uint64_t hash_of(struct fixture *f, const char *product) {
    assert_int_equal(compose(f, product), COMPOSE_OK);
    return f->result.content_hash;
}

/* The value of `path` in the document, with the closing brace that bulk_commit adds. */
static void assert_field(struct fixture *f, const char *product, const char *path, const char *value) {
    struct arena arena;
    struct buf text = BUF_INIT(1 << 20);
    if (compose(f, product) != COMPOSE_OK)
        fail_msg("%s", f->error.message);
    buf_append(&text, f->out.data, f->out.len);
    buf_append_char(&text, '}');
    arena_init(&arena, 1 << 20);
    const struct json *v = json_path(json_parse(&arena, text.data, text.len, NULL, &f->error), path);
    if (!v && value)
        fail_msg("no %s in %s", path, f->out.data);
    if (v && !value)
        fail_msg("%s in %s", path, f->out.data);
    if (value && v->type == JSON_STRING)
        assert_string_equal(v->text.data, value);
    else if (value && !strstr(f->out.data, value))
        fail_msg("%s is not in %s", value, f->out.data);
    arena_done(&arena);
    buf_done(&text);
}

static void test_flat_product(void **state) {
    struct fixture *f = *state;
    stock(f, "p1", STOCK_LOW);
    assert_document(
        f,
        "{\"_id\":\"p1\",\"name\":{\"en\":\"Laptop \\\"15\\\"\",\"ko\":\"노트북\"},\"description\":\"Thin\",\"brand\":\" LG \","
        "\"price\":1200000,\"currency\":\"KRW\",\"attributes\":{\"screen_inch\":13.3,\"color\":[\"black\",\"white\",\"black\"],"
        "\"waterproof\":true,\"dimensions\":{\"width\":30.0,\"note\":null},\"model\":\"NT-940\"},\"categories\":[13,2],"
        "\"created_at\":{\"$date\":\"2026-01-02T03:04:05.678Z\"},\"traceparent\":\"x\",\"version\":3}",
        "{\"id\":\"p1\",\"name\":{\"ko\":\"노트북\",\"en\":\"Laptop \\\"15\\\"\"},\"description\":{\"en\":\"Thin\"},\"brand\":\"LG\","
        "\"category_names\":{\"ko\":[\"컴퓨터\",\"가전\",\"노트북\"],"
        "\"en\":[\"Computers \\\"PC\\\"\",\"Ordinateurs\",\"Laptops\",\"Gaming\"]},"
        "\"codes\":[\"p1\",\"NT-940\"],\"categories\":[2,13],\"primary_category\":13,"
        "\"category_paths\":[\"1\",\"1/4\",\"1/4/13\",\"2\"],\"category_set\":\"1/4/13,2\",\"price_min\":1200000,\"price_max\":1200000,\"currency\":\"KRW\","
        "\"in_stock\":true,\"stock\":\"low\",\"offers\":\"low 13\",\"skus\":[\"p1\"],\"created_at\":\"2026-01-02T03:04:05.678Z\","
        "\"attrs\":[\"screen_inch=13.3\",\"color=black\",\"color=white\",\"color=black\",\"waterproof=true\","
        "\"dimensions.width=30\"],\"code_attrs\":[\"model=NT-940\"],\"numbers\":[\"screen_inch=c02a99999999999a\","
        "\"dimensions.width=c03e000000000000\"],\"flat\":{\"sku\":\"p1\",\"price\":1200000,\"stock\":\"low\"}");
}

static void test_varied_product(void **state) {
    struct fixture *f = *state;
    stock(f, "p2-S", STOCK_OUT);
    stock(f, "p2-L", STOCK_IN);
    assert_document(
        f,
        "{\"_id\":\"p2\",\"price\":100,\"currency\":\"USD\",\"attributes\":{\"color\":\"red\",\"size\":5,\"fit\":\"slim\"},"
        "\"variants\":[{\"sku\":\"p2-S\",\"attributes\":{\"size\":\"S\"},\"price\":90},"
        "{\"sku\":\"p2-L\",\"attributes\":{\"size\":7.5,\"color\":[\"blue\",\"navy\"],\"ean\":8801234567890}}]}",
        "{\"id\":\"p2\",\"codes\":[\"p2\",\"p2-S\",\"8801234567890\",\"p2-L\"],\"category_set\":\"\",\"price_min\":90,\"price_max\":100,"
        "\"currency\":\"USD\",\"in_stock\":true,\"stock\":\"in\",\"offers\":\"in,out 00,01\",\"skus\":[\"p2-S\",\"p2-L\"],"
        "\"attrs\":[\"fit=slim\"],\"varied\":[\"color\",\"ean\",\"size\"],"
        "\"variants\":[{\"sku\":\"p2-S\",\"names\":[\"color\",\"ean\",\"size\"],\"attrs\":[\"color=red\",\"size=S\"],"
        "\"price\":90,\"stock\":\"out\"},"
        "{\"sku\":\"p2-L\",\"names\":[\"color\",\"ean\",\"size\"],"
        "\"attrs\":[\"color=blue\",\"color=navy\",\"size=7.5\"],\"code_attrs\":[\"ean=8801234567890\"],"
        "\"numbers\":[\"ean=c2a00264eb85a400\",\"size=c01e000000000000\"],\"price\":100,\"stock\":\"in\"}]");
}

/* An index that was made before codes stood apart. */
static void test_codes_among_attributes(void **state) {
    struct fixture *f = *state;
    static const char product[] = "{\"_id\":\"p\",\"attributes\":{\"model\":\"M-1\"},\"variants\":[{\"sku\":\"a\","
                                  "\"attributes\":{\"ean\":\"880\"}}]}";
    f->projection->codes_apart = false;
    assert_field(f, product, "attrs", "[\"model=M-1\"]");
    assert_field(f, product, "variants", "[{\"sku\":\"a\",\"names\":[\"ean\"],\"attrs\":[\"ean=880\"],\"stock\":\"out\"}]");
}

/* A variant without a code of its own has the product's; what counts is the last key, under whatever name. Names of
 * more and of less than 16 bytes, which agree in their first 16, stand apart. */
static void test_codes_of_variants(void **state) {
    struct fixture *f = *state;
    assert_field(f,
                 "{\"_id\":\"p\",\"attributes\":{\"ean\":\"880\",\"a\":{\"model\":\"Q1\"}},\"variants\":["
                 "{\"sku\":\"s\",\"attributes\":{\"ean\":\"881\"}},{\"sku\":\"t\",\"attributes\":{\"a.model\":\"W\"}}]}",
                 "variants",
                 "[{\"sku\":\"s\",\"names\":[\"a.model\",\"ean\"],\"code_attrs\":[\"a.model=Q1\",\"ean=881\"],\"stock\":\"out\"},"
                 "{\"sku\":\"t\",\"names\":[\"a.model\",\"ean\"],\"attrs\":[\"a.model=W\"],\"code_attrs\":[\"ean=880\"],"
                 "\"stock\":\"out\"}]");
    assert_field(f,
                 "{\"_id\":\"p\",\"attributes\":{\"ean\":\"880\"},\"variants\":[{\"sku\":\"s\",\"attributes\":{\"size\":\"S\"}}]}",
                 "variants", "[{\"sku\":\"s\",\"names\":[\"size\"],\"attrs\":[\"size=S\"],\"stock\":\"out\"}]");
    assert_field(f,
                 "{\"_id\":\"p\",\"attributes\":{\"abcdefghijklmno\":1,\"abcdefghijklmnop\":2,\"abcdefghijklmnopq\":3,"
                 "\"abcdefghijklmnopr\":4,\"abcdefg\":5,\"abcdefgh\":6},\"variants\":["
                 "{\"sku\":\"s\",\"attributes\":{\"abcdefghijklmnop\":\"x\",\"abcdefghijklmnopr\":\"y\",\"abcdefgh\":\"z\"}}]}",
                 "attrs", "[\"abcdefg=5\",\"abcdefghijklmno=1\",\"abcdefghijklmnopq=3\"]");
}

static void test_one_place_for_dimensions(void **state) {
    struct fixture *f = *state;
    /* One variant without attributes of its own is flat; with some, or two variants, it is not. */
    assert_field(f, "{\"_id\":\"a\",\"variants\":[{\"sku\":\"s1\",\"price\":5}]}", "flat.sku", "s1");
    assert_field(f, "{\"_id\":\"a\",\"variants\":[{\"sku\":\"s1\",\"attributes\":{}}]}", "flat.sku", "s1");
    assert_field(f, "{\"_id\":\"a\",\"variants\":[]}", "flat.sku", "a");
    assert_field(f, "{\"_id\":\"a\",\"variants\":[{\"sku\":\"s1\",\"attributes\":{\"a\":1}}]}", "flat", NULL);
    assert_field(f, "{\"_id\":\"a\",\"variants\":[{\"sku\":\"s1\"},{\"sku\":\"s2\"}]}", "flat", NULL);
    assert_field(f, "{\"_id\":\"a\",\"variants\":[{\"sku\":\"s1\"}]}", "variants", NULL);
    assert_field(f, "{\"_id\":\"a\",\"variants\":[{\"sku\":\"s1\"}]}", "price_min", NULL);
}

static void test_hash_ignores_what_does_not_show(void **state) {
    struct fixture *f = *state;
    uint64_t one = hash_of(f, "{\"_id\":\"p\",\"name\":{\"fr\":\"Sac\",\"ko\":\"가방\",\"en\":\"Bag\",\"de\":\"Tasche\"},\"price\":1,"
                              "\"attributes\":{\"a\":[1,2],\"b\":{\"c\":\"x\",\"d\":true}},\"categories\":[2,13],"
                              "\"primary_category_id\":13}");
    uint64_t two = hash_of(f, "{\"primary_category_id\":13,\"categories\":[13,2,13],"
                              "\"attributes\":{\"a\":[1,2.0],\"b\":{\"c\":\" x \",\"d\":true}},\"version\":99,\"price\":1.0,"
                              "\"name\":{\"de\":\"Tasche\",\"en\":\"Bag\",\"ko\":\"가방\",\"fr\":\"Sac\"},\"_id\":\"p\"}");
    assert_int_equal(one, two);
    uint64_t other = hash_of(f, "{\"_id\":\"p\",\"name\":\"Bag\",\"price\":1}");
    assert_int_not_equal(one, other);
}

/* Names are looked for in order: many of them, and names that begin alike. */
static void test_names_that_vary(void **state) {
    struct fixture *f = *state;
    struct buf json = BUF_INIT(1 << 20);
    buf_append_str(&json, "{\"_id\":\"p\",\"attributes\":{");
    for (int i = 0; i < 500; i++)
        buf_printf(&json, "%s\"a%03d\":[\"%d\",\"x\"]", i ? "," : "", (i * 7919) % 500, i);
    buf_append_str(&json, ",\"a01\":\"short\",\"a0100\":\"long\",\"b\":1},\"variants\":["
                          "{\"sku\":\"s0\",\"attributes\":{\"a010\":\"own\",\"new\":true}},"
                          "{\"sku\":\"s1\",\"attributes\":{\"zed\":1,\"a499\":2,\"a010\":\"mine\"}},{\"sku\":\"s2\"}]}");
    assert_int_equal(compose(f, json.data), COMPOSE_OK);
    const char *variants = strstr(f->out.data, "\"variants\":[");
    const char *varied = strstr(f->out.data, "\"varied\":[\"a010\",\"a499\",\"new\",\"zed\"]");
    assert_non_null(variants);
    assert_non_null(varied);
    unsigned terms = 0;
    for (const char *at = f->out.data; (at = strstr(at, "\"a")) && at < varied; at++)
        terms += strchr(at, '=') && strchr(at, '=') < strchr(at + 1, '"');
    assert_int_equal(terms, 498 * 2 + 2);
    assert_null(strstr(f->out.data, "\"a010=x\"") < variants ? strstr(f->out.data, "\"a010=x\"") : NULL);
    assert_non_null(strstr(variants, "\"s0\",\"names\":[\"a010\",\"a499\",\"new\",\"zed\"],\"attrs\":[\"a010=own\",\"a499="));
    assert_non_null(strstr(variants, "\"a499=x\",\"new=true\"]"));
    assert_non_null(strstr(variants, "\"attrs\":[\"a010=mine\",\"a499=2\",\"zed=1\"],\"numbers\":[\"a499=c000000000000000\","));
    assert_non_null(strstr(variants, "\"a010=x\",\"a499="));
    buf_done(&json);
}

static void test_numbers(void **state) {
    struct fixture *f = *state;
    static const char *const ascending[] = {"-1e300", "-2.5", "-1", "-1e-5", "0", "1e-5", "0.5", "2", "13.3", "1e15", "1e300"};
    static const char *const text[] = {"-1e+300", "-2.5", "-1", "-1e-05", "0", "1e-05", "0.5", "2", "13.3", "1e+15", "1e+300"};
    char last[17] = "0000000000000000", product[200], want[64];
    for (size_t i = 0; i < ARRAY_LEN(ascending); i++) {
        snprintf(product, sizeof(product), "{\"_id\":\"p\",\"attributes\":{\"n\":{\"$numberDouble\":\"%s\"}}}", ascending[i]);
        assert_int_equal(compose(f, product), COMPOSE_OK);
        const char *hex = strstr(f->out.data, "\"numbers\":[\"n=");
        assert_non_null(hex);
        assert_true(memcmp(last, hex + 14, 16) < 0);
        memcpy(last, hex + 14, 16);
        snprintf(want, sizeof(want), "\"n=%s\"", text[i]);
        if (!strstr(f->out.data, want)) /* another shortest form of the same number */
            assert_true(strtod(strstr(f->out.data, "\"attrs\":[\"n=") + 12, NULL) == strtod(ascending[i], NULL));
    }
    assert_field(f, "{\"_id\":\"p\",\"attributes\":{\"n\":{\"$numberDouble\":\"-0.0\"}}}", "numbers",
                 "\"n=8000000000000000\"");
    assert_field(f, "{\"_id\":\"p\",\"attributes\":{\"n\":{\"$numberLong\":\"9007199254740993\"}}}", "attrs",
                 "\"n=9007199254740993\"");
    assert_field(f, "{\"_id\":\"p\",\"attributes\":{\"n\":{\"$numberDecimal\":\"12.50\"}}}", "attrs", "\"n=12.5\"");
    assert_field(f, "{\"_id\":\"p\",\"attributes\":{\"n\":[0.1,0.25,19.99,1.28]}}", "attrs",
                 "[\"n=0.1\",\"n=0.25\",\"n=19.99\",\"n=1.28\"]");
}

static void test_odd_values_are_left_out(void **state) {
    struct fixture *f = *state;
    static const char *const odd[] = {
        "{\"$numberDouble\":\"NaN\"}", "{\"$numberDouble\":\"Infinity\"}", "{\"$numberDecimal\":\"NaN\"}",
        "{\"$oid\":\"0123456789abcdef01234567\"}", "{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"00\"}}", "{\"$minKey\":1}",
        "{\"$maxKey\":1}", "{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"i\"}}", "{\"$code\":\"x\"}",
        "{\"$code\":\"x\",\"$scope\":{\"a\":1}}", "{\"$timestamp\":{\"t\":1,\"i\":1}}", "{\"$symbol\":\"s\"}",
        "{\"$dbPointer\":{\"$ref\":\"a\",\"$id\":{\"$oid\":\"0123456789abcdef01234567\"}}}", "{\"$date\":\"2026-01-02T03:04:05Z\"}",
    };
    char product[400];
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        snprintf(product, sizeof(product), "{\"_id\":\"p\",\"attributes\":{\"x\":%s,\"y\":1}}", odd[i]);
        assert_field(f, product, "attrs", "[\"y=1\"]");
        assert_int_equal(f->result.ignored, 1);
    }
    assert_field(f, "{\"_id\":\"p\",\"attributes\":{\"a=b\":1,\"\":2,\"tab\\t\":3,\"ok\":4}}", "attrs", "[\"ok=4\"]");
    assert_int_equal(f->result.ignored, 3);
    assert_field(f, "{\"_id\":\"p\",\"attributes\":{\"x\":null,\"y\":\"\",\"z\":\"  \"}}", "attrs", NULL);
    assert_int_equal(f->result.ignored, 0);
    assert_field(f, "{\"_id\":\"p\",\"created_at\":\"yesterday\"}", "created_at", NULL);
    assert_int_equal(f->result.ignored, 1);
    assert_field(f, "{\"_id\":\"p\",\"attributes\":{\"q\\\"\\\\\":\"v\\\"\\u0001\"}}", "attrs",
                 "\"q\\\"\\\\=v\\\"\\u0001\"");
}

static void test_dates(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *msec, *text;
    } cases[] = {
        {"0", "1970-01-01T00:00:00.000Z"},          {"951782399999", "2000-02-28T23:59:59.999Z"},
        {"951782400000", "2000-02-29T00:00:00.000Z"}, {"-1", "1969-12-31T23:59:59.999Z"},
        {"-62167219200000", "0000-01-01T00:00:00.000Z"}, {"253402300799999", "9999-12-31T23:59:59.999Z"},
        {"4102444800000", "2100-01-01T00:00:00.000Z"},
    };
    char product[200];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(product, sizeof(product), "{\"_id\":\"p\",\"created_at\":{\"$date\":{\"$numberLong\":\"%s\"}}}", cases[i].msec);
        assert_field(f, product, "created_at", cases[i].text);
    }
}

static void test_long_values_are_cut(void **state) {
    struct fixture *f = *state;
    struct buf json = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);
    buf_append_str(&json, "{\"_id\":\"p\",\"attributes\":{\"a\":\"");
    buf_append_str(&want, "[\"a=");
    for (int i = 0; i < 200; i++)
        buf_append_str(&json, "가");
    for (int i = 0; i < 85; i++) /* 255 bytes; a 256th would cut the next character */
        buf_append_str(&want, "가");
    buf_append_str(&json, "\"}}");
    buf_append_str(&want, "\"]");
    assert_field(f, json.data, "attrs", want.data);
    buf_done(&json);
    buf_done(&want);
}

static void test_localized(void **state) {
    struct fixture *f = *state;
    assert_field(f, "{\"_id\":\"p\",\"name\":\"삼성 TV\"}", "name.ko", "삼성 TV");
    assert_field(f, "{\"_id\":\"p\",\"name\":\"삼성 TV\"}", "name.en", NULL);
    assert_field(f, "{\"_id\":\"p\",\"name\":\"中文\"}", "name.en", "中文");
    assert_field(f, "{\"_id\":\"p\",\"name\":{\"fr\":\"Sac\"}}", "name.en", "Sac");
    assert_field(f, "{\"_id\":\"p\",\"name\":{\"fr\":\"Sac\",\"en\":\"Bag\",\"de\":\"Tasche\"}}", "name.en",
                 "{\"en\":[\"Bag\",\"Tasche\",\"Sac\"]}");
    assert_field(f, "{\"_id\":\"p\",\"name\":{}}", "name", NULL);
    assert_field(f, "{\"_id\":\"p\",\"name\":\"  \"}", "name", NULL);
    assert_field(f, "{\"_id\":\"p\",\"name\":{\"ko\":5}}", "name", NULL);
}

static void test_categories(void **state) {
    struct fixture *f = *state;
    assert_int_equal(compose(f, "{\"_id\":\"p\",\"categories\":[4,99]}"), COMPOSE_UNKNOWN_CATEGORY);
    assert_int_equal(f->result.unknown_category, 99);
    f->skip_unknown = true;
    assert_field(f, "{\"_id\":\"p\",\"categories\":[99,4],\"primary_category_id\":99}", "primary_category",
                 "\"categories\":[4],\"primary_category\":4,");
    assert_int_equal(f->result.ignored, 1);
    f->skip_unknown = false;
    assert_field(f, "{\"_id\":\"p\",\"categories\":[4,13],\"primary_category_id\":13}", "primary_category",
                 "\"primary_category\":13,");
    assert_field(f, "{\"_id\":\"p\",\"categories\":[]}", "categories", NULL);
}

static void test_bad_products_name_the_field(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *product, *message;
    } cases[] = {
        {"{\"name\":\"x\"}", "_id"},
        {"{\"_id\":5}", "_id"},
        {"{\"_id\":\"\"}", "_id"},
        {"{\"_id\":\"p\",\"name\":5}", "name"},
        {"{\"_id\":\"p\",\"description\":[1]}", "description"},
        {"{\"_id\":\"p\",\"brand\":{\"a\":1}}", "brand"},
        {"{\"_id\":\"p\",\"price\":\"5\"}", "price"},
        {"{\"_id\":\"p\",\"price\":19.99}", "price"},
        {"{\"_id\":\"p\",\"price\":-1}", "price"},
        {"{\"_id\":\"p\",\"price\":{\"$numberLong\":\"9000000000000001\"}}", "price"},
        {"{\"_id\":\"p\",\"price\":{\"$numberDouble\":\"NaN\"}}", "price"},
        {"{\"_id\":\"p\",\"attributes\":[1]}", "attributes"},
        {"{\"_id\":\"p\",\"variants\":{\"a\":1}}", "variants"},
        {"{\"_id\":\"p\",\"variants\":[{\"sku\":\"a\"},5]}", "variants[1]"},
        {"{\"_id\":\"p\",\"variants\":[{\"sku\":7}]}", "variants[0]: sku"},
        {"{\"_id\":\"p\",\"variants\":[{\"price\":7}]}", "variants[0]: sku"},
        {"{\"_id\":\"p\",\"variants\":[{\"sku\":\"a\",\"price\":\"7\"}]}", "variants[0]: price"},
        {"{\"_id\":\"p\",\"variants\":[{\"sku\":\"a\",\"attributes\":7}]}", "variants[0]: attributes"},
        {"{\"_id\":\"p\",\"categories\":4}", "categories"},
        {"{\"_id\":\"p\",\"categories\":[4,\"x\"]}", "categories[1]"},
        {"{\"_id\":\"p\",\"categories\":[-4]}", "categories[0]"},
        {"{\"_id\":\"p\",\"categories\":[4000000000]}", "categories[0]"},
        {"{\"_id\":\"p\",\"categories\":[4],\"primary_category_id\":\"4\"}", "primary_category_id"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum compose_status status = compose(f, cases[i].product);
        if (status != COMPOSE_BAD)
            fail_msg("%s: status %d", cases[i].product, status);
        assert_int_equal(f->error.code, ERROR_INVALID);
        assert_message(&f->error, cases[i].message);
    }
}

/* BSON strings may hold what is not UTF-8; JSON must not. */
static void test_invalid_utf8(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {"\xff", "a\xc0\x80", "\xed\xa0\x80", "\xea\xb0", "\xf4\x90\x80\x80"};
    static const char *const fields[] = {"_id", "name", "brand", "description"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
            bson_t *product = k ? BCON_NEW("_id", "p", fields[k], BCON_UTF8(bad[i])) : BCON_NEW("_id", BCON_UTF8(bad[i]));
            assert_int_equal(compose_bson(f, product), COMPOSE_BAD);
            assert_message(&f->error, fields[k]);
            bson_destroy(product);
        }
        bson_t *value = BCON_NEW("_id", "p", "attributes", "{", "a", BCON_UTF8(bad[i]), "}");
        bson_t *name = BCON_NEW("_id", "p", "attributes", "{", bad[i], "a", "}");
        bson_t *sku = BCON_NEW("_id", "p", "variants", "[", "{", "sku", BCON_UTF8(bad[i]), "}", "]");
        assert_int_equal(compose_bson(f, value), COMPOSE_BAD);
        assert_message(&f->error, "attributes");
        assert_int_equal(compose_bson(f, name), COMPOSE_BAD);
        assert_int_equal(compose_bson(f, sku), COMPOSE_BAD);
        bson_destroy(value);
        bson_destroy(name);
        bson_destroy(sku);
    }
}

static void test_depth_is_bounded(void **state) {
    struct fixture *f = *state;
    struct buf json = BUF_INIT(1 << 20);
    buf_append_str(&json, "{\"_id\":\"p\",\"attributes\":{\"x\":1,");
    for (int i = 0; i < 60; i++)
        buf_append_str(&json, "\"a\":{");
    buf_append_str(&json, "\"deep\":1");
    for (int i = 0; i < 62; i++)
        buf_append_char(&json, '}');
    assert_field(f, json.data, "attrs", "[\"x=1\"]");
    assert_int_equal(f->result.ignored, 1);
    buf_done(&json);
}

/* A document that ends anywhere, with its length and last byte put right: damaged, or shorter but sound. */
static void test_cut_bson(void **state) {
    struct fixture *f = *state;
    bson_t *whole = fixture_bson("{\"_id\":\"p\",\"name\":{\"ko\":\"가\"},\"attributes\":{\"a\":[1,2.5,\"x\"],\"b\":{\"c\":true}},"
                                 "\"variants\":[{\"sku\":\"s\",\"attributes\":{\"d\":null}}],\"categories\":[4]}");
    unsigned damaged = 0;
    for (uint32_t len = 5; len < whole->len; len++) {
        uint8_t *cut = malloc(len);
        bson_t product;
        assert_non_null(cut);
        memcpy(cut, bson_get_data(whole), len);
        cut[0] = (uint8_t)len;
        cut[1] = 0;
        cut[len - 1] = 0;
        assert_true(bson_init_static(&product, cut, len));
        enum compose_status status = compose_bson(f, &product);
        assert_true(status == COMPOSE_OK || status == COMPOSE_BAD);
        damaged += status == COMPOSE_BAD;
        free(cut);
    }
    assert_true(damaged > whole->len / 2);
    bson_destroy(whole);
}

/* What stands in the buffer already survives a document that does not fit. */
static void test_no_room(void **state) {
    struct fixture *f = *state;
    struct buf small = BUF_INIT(400);
    bson_t *product = fixture_bson("{\"_id\":\"p\",\"attributes\":{\"v\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]}}");
    struct compose_input input = {.product = product, .categories = f->tree};
    buf_append_str(&small, "before");
    assert_int_equal(compose_product(f->composer, &input, &small, &f->result, &f->error), COMPOSE_NO_ROOM);
    assert_true(buf_ok(&small));
    assert_string_equal(small.data, "before");
    small.max = 4000;
    assert_int_equal(compose_product(f->composer, &input, &small, &f->result, &f->error), COMPOSE_OK);
    assert_memory_equal(small.data, "before{\"id\"", 11);
    bson_destroy(product);
    buf_done(&small);
}

/* The limit is exact and the document's own: neither what is in the buffer nor how much room is left has a say. */
static void test_the_largest_document(void **state) {
    struct fixture *f = *state;
    const size_t before[] = {0, 1, 999, 5000};
    bson_t *product = fixture_bson("{\"_id\":\"p\",\"name\":\"a name\",\"attributes\":{\"v\":[1,2,3,4,5,6,7,8,9,10]}}");
    struct compose_input input = {.product = product, .categories = f->tree};
    struct buf out = BUF_INIT(1 << 20);
    assert_int_equal(compose_product(f->composer, &input, &out, &f->result, &f->error), COMPOSE_OK);
    const size_t len = out.len;
    for (size_t i = 0; i < ARRAY_LEN(before) * 2; i++)
        for (input.bytes_max = len - 2; input.bytes_max <= len + 2; input.bytes_max++) {
            bool allowed = input.bytes_max >= len;
            out.max = 1 << 20;
            buf_reset(&out);
            for (size_t n = 0; n < before[i / 2]; n++)
                buf_append_char(&out, ' ');
            if (i & 1)
                out.max = out.len + input.bytes_max + COMPOSE_SLACK_BYTES;
            assert_int_equal(compose_product(f->composer, &input, &out, &f->result, &f->error),
                             allowed ? COMPOSE_OK : COMPOSE_TOO_LARGE);
            assert_int_equal(out.len, before[i / 2] + (allowed ? len : 0));
        }
    bson_destroy(product);
    buf_done(&out);
}

/* One that is far over the limit need not fit to be known as such; one that lacks room only may be allowed. */
static void test_far_too_large(void **state) {
    struct fixture *f = *state;
    char name[20001];
    struct buf out = BUF_INIT(100 + COMPOSE_SLACK_BYTES);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    bson_t *product = BCON_NEW("_id", "p", "name", BCON_UTF8(name));
    struct compose_input input = {.product = product, .categories = f->tree, .bytes_max = 100};
    assert_int_equal(compose_product(f->composer, &input, &out, &f->result, &f->error), COMPOSE_TOO_LARGE);
    input.bytes_max = 101;
    assert_int_equal(compose_product(f->composer, &input, &out, &f->result, &f->error), COMPOSE_NO_ROOM);
    bson_destroy(product);
    buf_done(&out);
}

static void test_source_hash(void **state) {
    struct fixture *f = *state;
    struct bulk bulk;
    bson_t *product = fixture_bson("{\"_id\":\"p\",\"name\":\",\\\"content_hash\\\":\",\"price\":5}");
    struct compose_input input = {.product = product, .categories = f->tree};
    uint64_t hash = 0;
    assert_true(bulk_init(&bulk, "i", 1 << 20, 1 << 20, 10));
    assert_true(bulk_begin(&bulk, SLICE("p"), 5, NULL));
    assert_int_equal(compose_product(f->composer, &input, &bulk.body, &f->result, &f->error), COMPOSE_OK);
    assert_true(bulk_commit(&bulk, f->result.content_hash));
    assert_true(compose_source_hash(bulk_document(&bulk, 0), &hash));
    assert_int_equal(hash, f->result.content_hash);
    assert_false(compose_source_hash(SLICE("{\"id\":\"p\"}"), &hash));
    assert_false(compose_source_hash(SLICE(""), &hash));
    bson_destroy(product);
    bulk_done(&bulk);
}

static bool collect(void *ctx, struct slice sku) {
    struct buf *all = ctx;
    buf_append(all, sku.data, sku.len);
    return buf_append_char(all, ' ') && !slice_eq(sku, SLICE("stop"));
}

static void test_collect_skus(void **state) {
    (void)state;
    static const struct {
        const char *product, *skus;
        bool result;
    } cases[] = {
        {"{\"_id\":\"p\"}", "p ", true},
        {"{\"_id\":\"p\",\"variants\":[]}", "p ", true},
        {"{\"_id\":\"p\",\"variants\":5}", "p ", true},
        {"{\"_id\":\"p\",\"variants\":[{\"sku\":\"a\"},{\"sku\":5},7,{\"sku\":\"b\"}]}", "a b ", true},
        {"{\"_id\":\"p\",\"variants\":[{\"sku\":\"stop\"},{\"sku\":\"b\"}]}", "stop ", false},
        {"{\"name\":\"x\"}", "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf all = BUF_INIT(100);
        bson_t *product = fixture_bson(cases[i].product);
        buf_append_str(&all, "");
        assert_int_equal(compose_collect_skus(product, collect, &all), cases[i].result);
        assert_string_equal(all.data ? all.data : "", cases[i].skus);
        bson_destroy(product);
        buf_done(&all);
    }
}

static void test_stock_states(void **state) {
    struct fixture *f = *state;
    char sku[16];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(sku, sizeof(sku), "sku%d", i % 700);
            assert_true(stock_states_want(&f->stock, slice_str(sku)));
        }
        assert_int_equal(f->stock.count, 700);
        for (int i = 0; i < 700; i++) {
            snprintf(sku, sizeof(sku), "sku%d", i);
            assert_int_equal(stock_states_get(&f->stock, slice_str(sku)), STOCK_OUT);
            stock_states_set(&f->stock, slice_str(sku), i % 4);
            assert_int_equal(stock_states_get(&f->stock, slice_str(sku)), i % 4 == 3 ? STOCK_OUT : i % 4);
        }
        stock_states_set(&f->stock, SLICE("unwanted"), STOCK_IN);
        assert_int_equal(stock_states_get(&f->stock, SLICE("unwanted")), STOCK_OUT);
        stock_states_reset(&f->stock);
        assert_int_equal(stock_states_get(&f->stock, SLICE("sku1")), STOCK_OUT);
    }
}

static void test_signals_of_a_product(void **state) {
    struct fixture *f = *state;
    uint64_t without = hash_of(f, "{\"_id\":\"p\"}");
    assert_null(strstr(f->out.data, "sales"));
    f->signals = (struct product_signals){4, 0};
    assert_true(hash_of(f, "{\"_id\":\"p\"}") != without);
    assert_non_null(strstr(f->out.data, ",\"sales\":4"));
    assert_null(strstr(f->out.data, "popularity"));
    f->signals.popularity = 9;
    assert_int_equal(compose(f, "{\"_id\":\"p\"}"), COMPOSE_OK);
    assert_non_null(strstr(f->out.data, ",\"popularity\":9"));
    f->signals = (struct product_signals){0, 0};
    assert_int_equal(hash_of(f, "{\"_id\":\"p\"}"), without);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_flat_product), T(test_codes_among_attributes), T(test_codes_of_variants), T(test_varied_product), T(test_one_place_for_dimensions), T(test_hash_ignores_what_does_not_show),
        T(test_names_that_vary), T(test_numbers), T(test_odd_values_are_left_out), T(test_dates),
        T(test_long_values_are_cut), T(test_localized), T(test_categories), T(test_bad_products_name_the_field),
        T(test_invalid_utf8), T(test_depth_is_bounded), T(test_cut_bson), T(test_no_room),
        T(test_the_largest_document), T(test_far_too_large), T(test_source_hash), T(test_collect_skus),
        T(test_stock_states), T(test_signals_of_a_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
