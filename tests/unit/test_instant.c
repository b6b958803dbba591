/* The InstantSearch protocol without a server: filters, which queries fold into one search, results. */
#include "tests/unit/arena_fixture.h"
#include "query-api/instant/instant.h"
#include "query-api/search/search_key.h"

static struct category_list *list;
static struct instant_context context;

static int setup_shop(void **state) {
    size_t added = 0;
    int64_t last_id = 0;
    setup(state);
    list = category_list_new(1);
    assert_true(category_list_add(list, parse("[{\"_source\":{\"id\":1,\"path\":\"1\",\"name\":\"TV\"}},"
                                              "{\"_source\":{\"id\":4,\"path\":\"1/4\",\"name\":\"OLED\"}},"
                                              "{\"_source\":{\"id\":5,\"path\":\"1/5\",\"name\":\"OLED\"}},"
                                              "{\"_source\":{\"id\":2,\"path\":\"2\",\"name\":\"OLED\"}},"
                                              "{\"_source\":{\"id\":7,\"path\":\"6/7\",\"name\":\"TV\"}}," /* 6 is not there */
                                              "{\"_source\":{\"id\":8,\"path\":\"8\",\"name\":\"Pots\"}},"
                                              "{\"_source\":{\"id\":9,\"path\":\"8/9\",\"name\":\"Pans > Lids\"}},"
                                              "{\"_source\":{\"id\":10,\"path\":\"10\",\"name\":\"Pots > Pans\"}},"
                                              "{\"_source\":{\"id\":11,\"path\":\"10/11\",\"name\":\"Lids\"}}]"), &added, &last_id));
    assert_true(category_list_finish(list));
    context = (struct instant_context){.arena = &arena, .categories = list, .index = "shop"};
    return 0;
}

static int teardown_shop(void **state) {
    category_list_free(list);
    return teardown(state);
}

/* ---- filters ---- */

static void append_filter(struct buf *out, const struct filter *f) {
    static const char *const dims[] = {"category", "brand", "price", "stock", "attr."};
    buf_printf(out, "%s%.*s", dims[f->dim], (int)f->name.len, f->name.data);
    for (size_t i = 0; i < f->value_count; i++)
        buf_printf(out, "%c%.*s", i ? ',' : '=', (int)f->values[i].len, f->values[i].data);
    for (size_t i = 0; i < f->range_count; i++)
        buf_printf(out, "[%g..%g]", f->ranges[i].from, f->ranges[i].to);
}

/* "brand=LG & (price[5..6] | !attr.a=b)" */
static const char *shown(const struct instant_filters *f) {
    static char text[2048];
    struct buf out = BUF_INIT(sizeof(text) - 1);
    for (size_t i = 0; i < f->filter_count; i++) {
        buf_append_str(&out, out.len ? " & " : "");
        append_filter(&out, &f->filters[i]);
    }
    for (size_t i = 0; i < f->clause_count; i++) {
        buf_append_str(&out, out.len ? " & (" : "(");
        for (size_t k = 0; k < f->clauses[i].count; k++) {
            buf_append_str(&out, k ? " | " : "");
            buf_append_str(&out, f->clauses[i].literals[k].negated ? "!" : "");
            append_filter(&out, &f->clauses[i].literals[k].filter);
        }
        buf_append_char(&out, ')');
    }
    assert_true(buf_ok(&out));
    memcpy(text, out.data ? out.data : "", out.len + 1);
    buf_done(&out);
    return text;
}

static void test_filters(void **state) {
    (void)state;
    static const struct {
        const char *text, *meaning; /* NULL: refused */
    } cases[] = {
        {"brand:LG", "brand=LG"},
        {"brand:LG AND brand:Sony", "brand=LG & brand=Sony"},
        {"brand:LG OR brand:Sony", "brand=LG,Sony"},
        {"a:b AND c:d OR e:f", "attr.a=b & (attr.c=d | attr.e=f)"},
        {"(a:b AND c:d) AND e:f", "attr.a=b & attr.c=d & attr.e=f"},
        {"((a:b))", "attr.a=b"},
        {"NOT a:b", "(!attr.a=b)"},
        {"NOT a:-b", "attr.a=b"},
        {"a:\\-b", "attr.a=-b"},
        {"attr.a:\"b \\\" AND c\"", "attr.a=b \" AND c"},
        {"'a b':'c:d'", "attr.a b=c:d"},
        {"price>=5 AND price < 10", "price[5..10]"},
        {"price:5 TO 10 OR price = 20", "price[5..10][20..20]"},
        {"inch != 5", "(!attr.inch[5..5])"},
        {"in_stock = 1 AND in_stock:false", "stock=true & stock=false"},
        {"cat.lvl1:\"TV > OLED\"", "category=1/4,1/5"},
        {"cat.lvl0:OLED", "category=2"},
        {"cat.lvl1:OLED", "category=-"},
        {"cat.lvl1:TV", "category=-"}, /* what is above it has no name */
        {"cat.lvl1:\"Pots > Pans > Lids\"", "category=8/9,10/11"},
        {"ORANGE:ANDROID", "attr.ORANGE=ANDROID"},
        {"a:b OR (c:d AND e:f)", NULL},
        {"(a:b", NULL},
        {"a:b)", NULL},
        {"a:b c:d", NULL},
        {"a", NULL},
        {"a:", NULL},
        {":b", NULL},
        {"AND a:b", NULL},
        {"a:b AND", NULL},
        {"a:\"b", NULL},
        {"a > b", NULL},
        {"brand > 5", NULL},
        {"a:5 TO b", NULL},
        {"NOT (a:b OR c:d)", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct instant_parser *p = instant_parser_new(&context, "ko");
        struct instant_filters filters;
        struct error error = {0};
        bool ok = instant_read_filters(p, slice_str(cases[i].text), &error) && instant_parser_take(p, &filters, &error);
        if (ok != (cases[i].meaning != NULL))
            fail_msg("%s: %s", cases[i].text, ok ? shown(&filters) : error.message);
        if (cases[i].meaning)
            assert_string_equal(shown(&filters), cases[i].meaning);
        if (!ok)
            assert_int_equal(error.code, ERROR_INVALID);
    }
}

static void test_lists(void **state) {
    (void)state;
    struct instant_parser *p = instant_parser_new(&context, "ko");
    struct instant_filters filters;
    assert_true(instant_read_facet_filters(p, parse("[[\"brand:LG\",\"brand:a:b\"],\"x:y\",[\"x:y\",\"brand:-LG\"],[]]"), NULL));
    assert_true(instant_read_numeric_filters(p, parse("[\"price>=5\",\"price<=9\",[\"price<3\",\"price>4\"],\"w:1 TO 2\"]"), NULL));
    assert_true(instant_parser_take(p, &filters, NULL));
    assert_string_equal(shown(&filters), "brand=LG,a:b & attr.x=y & price[5..9] & price[-inf..3][4..inf] & attr.w[1..2] & (attr.x=y | !brand=LG)");
    assert_true(instant_read_numeric_filters(p, parse("[\"price>5\",\"price<9\"]"), NULL));
    assert_true(instant_parser_take(p, &filters, NULL));
    assert_true(filters.filters[0].ranges[0].from > 5 && filters.filters[0].ranges[0].to < 9);
}

/* ---- indexes ---- */

static void test_indexes(void **state) {
    (void)state;
    static const struct {
        const char *name, *lang; /* NULL: not served */
        enum sort_order sort;
    } cases[] = {
        {"products", "", SORT_RELEVANCE},      {"shop", "", SORT_RELEVANCE},          {"products_price_asc", "", SORT_PRICE_ASC},
        {"shop_price_desc", "", SORT_PRICE_DESC}, {"products_en", "en", SORT_RELEVANCE}, {"products_kor_newest", "kor", SORT_NEWEST},
        {"products_best_selling", "", SORT_BEST_SELLING}, {"products_", NULL, 0}, {"products_e", NULL, 0}, {"products_en_", NULL, 0},
        {"products_english", NULL, 0}, {"product", NULL, 0}, {"", NULL, 0}, {"products_en_price", NULL, 0}, {"products_EN", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char lang[4] = "";
        enum sort_order sort = SORT_RELEVANCE;
        bool ok = instant_index_read("shop", slice_str(cases[i].name), lang, &sort);
        if (ok != (cases[i].lang != NULL))
            fail_msg("%s", cases[i].name);
        if (ok) {
            assert_string_equal(lang, cases[i].lang);
            assert_int_equal(sort, cases[i].sort);
        }
    }
}

/* ---- plans ---- */

/* How many searches the batch makes; *ret_plan is its plan. */
static size_t plan(const char *requests, struct instant_plan *ret_plan) {
    static struct instant_query queries[8];
    struct error error = {0};
    size_t count = 0;
    for (const struct json *r = parse(requests)->child; r; r = r->next)
        if (!instant_query_read(&context, SLICE("shop"), r, &queries[count++], &error))
            fail_msg("%s: %s", requests, error.message);
    assert_true(instant_plan_make(&arena, queries, count, ret_plan));
    return ret_plan->search_count;
}

#define MAIN "{\"query\":\"x\",\"facets\":[\"brand\",\"a\"],\"facetFilters\":[[\"brand:LG\"],\"a:b\",[\"cat.lvl1:TV > OLED\"]],\"numericFilters\":[\"price>5\"]}"

static void test_plans(void **state) {
    (void)state;
    struct instant_plan p;
    assert_int_equal(plan("[" MAIN ",{\"query\":\"x\",\"hitsPerPage\":0,\"facets\":\"brand\",\"facetFilters\":[[\"a:b\"],[\"cat.lvl1:TV > OLED\"]],"
                          "\"numericFilters\":[\"price>5\"]}]", &p), 1);
    const struct search_params *s = &p.searches[0].params;
    assert_int_equal(s->filter_count, 4);
    assert_false(s->filters[0].strict); /* brand: asked for without itself */
    assert_true(s->filters[1].strict);  /* a */
    assert_false(s->filters[2].strict); /* categories are cut out of the tree */
    assert_true(s->filters[3].strict);
    assert_int_equal(s->facet_count, 2);
    assert_int_equal(plan("[" MAIN ",{\"query\":\"x\",\"hitsPerPage\":0,\"facets\":[\"cat.lvl0\",\"cat.lvl1\"],"
                          "\"facetFilters\":[[\"brand:LG\"],\"a:b\",[\"cat.lvl0:TV\"]],\"numericFilters\":[\"price>5\"]}]", &p), 1);
    assert_int_equal(p.searches[0].params.facet_count, 3);
    assert_int_equal(plan("[" MAIN "," MAIN "]", &p), 2);
    assert_int_equal(plan("[" MAIN ",{\"query\":\"x\",\"hitsPerPage\":0,\"facets\":[\"cat.lvl0\"],"
                          "\"facetFilters\":[[\"brand:LG\"],\"a:b\",[\"cat.lvl0:OLED\"]],\"numericFilters\":[\"price>5\"]}]", &p), 2);
    assert_int_equal(plan("[" MAIN ",{\"query\":\"x\",\"hitsPerPage\":0,\"facets\":\"brand\",\"facetFilters\":[\"a:b\"]}]", &p), 2);
    assert_int_equal(plan("[{\"facetFilters\":[\"a:b\",\"a:c\"]},{\"facets\":\"a\",\"hitsPerPage\":0}]", &p), 2);
    assert_int_equal(plan("[{\"type\":\"facet\",\"facet\":\"brand\"}]", &p), 0);
}

/* What counts otherwise is another search to the cache. */
static void test_keys(void **state) {
    (void)state;
    static const char *const batches[] = {
        "[{\"facets\":\"a\"}]", "[{\"facets\":\"a\",\"filters\":\"a:b\"}]", "[{\"facets\":\"a\",\"filters\":\"NOT a:b\"}]",
        "[{\"facets\":\"a\",\"filters\":\"a:b AND a:c\"}]", "[{\"facets\":\"a\",\"filters\":\"a:b OR a:c\"}]",
        "[{\"facets\":\"a\",\"filters\":\"a:b OR c:d\"}]", "[{\"facets\":\"a\",\"filters\":\"a:b OR NOT c:d\"}]",
        "[{\"facets\":\"a\",\"facetFilters\":[\"a:b\"]},{\"facets\":\"a\",\"hitsPerPage\":0}]", /* a:b is disjunctive */
    };
    char *keys[ARRAY_LEN(batches)];
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        struct instant_plan p;
        struct buf out = BUF_INIT(1 << 16);
        assert_int_equal(plan(batches[i], &p), 1);
        assert_true(search_key_write(&arena, &p.searches[0].params, &out));
        keys[i] = arena_strndup(&arena, out.data, out.len);
        buf_done(&out);
        for (size_t k = 0; k < i; k++)
            if (strcmp(keys[i], keys[k]) == 0)
                fail_msg("%s and %s have the same key", batches[i], batches[k]);
    }
}

/* ---- results ---- */

static const char answer[] =
    "{\"query\":{\"q\":\"oled tv\"},\"total\":{\"value\":45},\"hits\":[{\"id\":\"1\",\"name\":\"TV & <b>\",\"brand\":\"LG\",\"categories\":[4],"
    "\"highlight\":{\"name\":\"<em>TV</em> &amp; &lt;b&gt;&amp;lt;\"}}],\"facets\":{\"category\":{\"nodes\":[{\"path\":\"1\",\"name\":\"TV\","
    "\"count\":9,\"children\":[{\"path\":\"1/4\",\"name\":\"OLED\",\"count\":4,\"children\":[]},{\"path\":\"1/5\",\"name\":\"OLED\",\"count\":3,"
    "\"children\":[]}]},{\"path\":\"2\",\"name\":\"OLED\",\"count\":1,\"children\":[]}]}},\"degraded\":\"stale\",\"took_ms\":3,\"query_id\":\"q\"}";

static const struct json *result_of(const char *search, const char *request) {
    struct instant_query *q = arena_zalloc(&arena, sizeof(*q));
    struct instant_plan p;
    struct error error = {0};
    struct buf out = BUF_INIT(1 << 20);
    struct json_write w;
    assert_true(instant_query_read(&context, SLICE("shop"), parse(request), q, &error));
    assert_true(instant_plan_make(&arena, q, 1, &p));
    json_write_init(&w, &out);
    instant_result_write(&w, &context, q, &p.searches[0], parse(search));
    assert_true(json_write_finish(&w));
    const struct json *made = json_parse(&arena, out.data, out.len, NULL, &error);
    assert_non_null(made);
    buf_done(&out);
    return made;
}

static const struct json *result(const char *request) {
    return result_of(answer, request);
}

static int64_t number(const struct json *v) {
    int64_t n = -1;
    json_int64(v, &n);
    return n;
}

static void test_results(void **state) {
    (void)state;
    const struct json *r = result("{\"query\":\"oled tv\",\"facets\":[\"cat.lvl0\",\"cat.lvl1\"],\"highlightPreTag\":\"[\",\"highlightPostTag\":\"]\"}");
    const struct json *name = json_path(json_get(r, "hits")->child, "_highlightResult.name"), *facets = json_get(r, "facets");
    assert_true(json_string_is(json_get(name, "value"), "[TV] & <b>&lt;"));
    assert_true(json_string_is(json_get(name, "matchLevel"), "partial"));
    assert_true(json_string_is(json_get(name, "matchedWords")->child, "tv"));
    assert_int_equal(number(json_get(r, "nbPages")), 3);
    assert_true(json_string_is(json_get(r, "degraded"), "stale"));
    assert_int_equal(number(json_get(json_get(facets, "cat.lvl0"), "TV")), 9);
    assert_int_equal(number(json_get(json_get(facets, "cat.lvl1"), "TV > OLED")), 7); /* namesakes */
    /* under a choice: what lies in it, and those above it */
    facets = json_get(result("{\"facets\":[\"cat.lvl0\",\"cat.lvl1\"],\"facetFilters\":[\"cat.lvl1:TV > OLED\"]}"), "facets");
    assert_int_equal(number(json_get(json_get(facets, "cat.lvl0"), "TV")), 7);
    assert_int_equal(json_get(facets, "cat.lvl0")->count, 1);
    assert_int_equal(number(json_get(json_get(facets, "cat.lvl1"), "TV > OLED")), 7);
    /* chosen twice, and counted once */
    facets = json_get(result("{\"facets\":[\"cat.lvl0\"],\"facetFilters\":[[\"cat.lvl1:TV > OLED\",\"cat.lvl1:TV > OLED\"]]}"), "facets");
    assert_int_equal(number(json_get(json_get(facets, "cat.lvl0"), "TV")), 7);
    /* one product is in two of the chosen ones: six are found */
    const char *six = arena_printf(&arena, "{\"total\":{\"value\":6},%s", strstr(answer, "\"facets\""));
    facets = json_get(result_of(six, "{\"facets\":[\"cat.lvl0\"],\"facetFilters\":[\"cat.lvl1:TV > OLED\"]}"), "facets");
    assert_int_equal(number(json_get(json_get(facets, "cat.lvl0"), "TV")), 6);
}

/* A client shows what is in _highlightResult, and nothing where a field is not there. */
static void test_further_texts_can_be_shown(void **state) {
    (void)state;
    const struct json *hit = json_get(result_of("{\"total\":{\"value\":1},\"hits\":[{\"id\":\"1\",\"name\":\"TV\",\"brand\":null,"
                                                "\"description\":{\"en\":[\"Black & white\"],\"ko\":\"\xed\x9d\x91\xeb\xb0\xb1\"},\"skus\":[\"a\"]}]}",
                                                "{\"query\":\"white\",\"lang\":\"en\",\"attributesToRetrieve\":[\"description\",\"skus\"]}"), "hits")->child;
    const struct json *marked = json_get(hit, "_highlightResult");
    assert_true(json_string_is(json_get(hit, "description"), "Black & white"));
    assert_true(json_string_is(json_path(marked, "description.value"), "Black & white"));
    assert_true(json_string_is(json_path(marked, "description.matchLevel"), "none"));
    assert_null(json_get(marked, "skus"));
    assert_null(json_get(marked, "brand"));
}

/* ---- which hits ---- */

static bool read_one(const char *request, struct instant_query *ret) {
    struct error error = {0};
    return instant_query_read(&context, SLICE("shop"), parse(request), ret, &error);
}

static void test_offset_and_length(void **state) {
    (void)state;
    static const char five[] = "{\"total\":{\"value\":50},\"hits\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"},{\"id\":\"d\"},{\"id\":\"e\"}]}";
    struct instant_query q;
    struct instant_plan p;
    const struct json *r = result_of(five, "{\"offset\":1,\"length\":3}"), *hit = json_get(r, "hits")->child;
    assert_int_equal(json_get(r, "hits")->count, 3);
    assert_true(json_string_is(json_get(hit, "objectID"), "b") && json_string_is(json_get(hit->next->next, "objectID"), "d"));
    for (unsigned offset = 0; offset < 1000; offset += 7) {
        assert_true(read_one(arena_printf(&arena, "{\"offset\":%u,\"length\":20}", offset), &q));
        assert_true(instant_plan_make(&arena, &q, 1, &p));
        const struct search_params *asked = &p.searches[0].params;
        assert_int_equal((asked->page - 1) * asked->size + q.skip, offset);
        assert_true(q.skip + 20 <= asked->size && asked->size <= SEARCH_SIZE_MAX);
    }
    assert_true(read_one("{\"offset\":9974,\"length\":26}", &q) && instant_plan_make(&arena, &q, 1, &p));
    assert_in_range(p.searches[0].params.page * p.searches[0].params.size, 10000, SEARCH_WINDOW_MAX); /* the last of all */
    assert_true(read_one("{\"params\":\"offset=40&hitsPerPage=20\"}", &q) && q.page == 2 && q.asked_page == 2 && !q.skip);
    assert_true(read_one("{\"length\":7,\"page\":3}", &q) && q.size == 7 && q.page == 0);
    assert_true(read_one("{\"length\":0,\"offset\":5}", &q) && q.no_hits);
    assert_true(read_one("{\"length\":null,\"offset\":null,\"page\":3}", &q) && q.page == 3);
    assert_false(read_one("{\"offset\":50,\"length\":100}", &q));
}

static void test_what_else_clients_send(void **state) {
    (void)state;
    struct instant_query q;
    assert_true(read_one("{\"tagFilters\":\"\"}", &q) && read_one("{\"tagFilters\":[[\"\"],[]]}", &q) && read_one("{\"params\":\"tagFilters=\"}", &q));
    assert_false(read_one("{\"tagFilters\":\"sale\"}", &q) || read_one("{\"tagFilters\":[[\"-sale\"]]}", &q));
    assert_true(read_one("{}", &q) && !q.uncounted);
    assert_true(read_one("{\"analytics\":false}", &q) && q.uncounted && read_one("{\"params\":\"analytics=false\"}", &q) && q.uncounted);
    assert_true(read_one("{\"attributesToRetrieve\":[]}", &q) && !q.no_hits); /* hits with their objectID */
    assert_true(read_one("{\"attributesToRetrieve\":[],\"hitsPerPage\":1}", &q) && q.no_hits); /* older clients, for a facet */
}

static bool is_true(const struct json *v) {
    return json_is(v, JSON_BOOL) && v->boolean;
}

/* Of MongoDB's products there may be more than were looked at. */
static void test_a_total_that_is_not_exact(void **state) {
    (void)state;
    const struct json *exact = result_of("{\"total\":{\"value\":500,\"relation\":\"eq\"},\"hits\":[]}", "{}");
    const struct json *more = result_of("{\"total\":{\"value\":500,\"relation\":\"gte\"},\"hits\":[]}", "{}");
    assert_true(is_true(json_get(exact, "exhaustiveNbHits")) && is_true(json_path(exact, "exhaustive.nbHits")));
    assert_false(is_true(json_get(more, "exhaustiveNbHits")) || is_true(json_path(more, "exhaustive.nbHits")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_filters, setup_shop, teardown_shop), cmocka_unit_test_setup_teardown(test_lists, setup_shop, teardown_shop),
        cmocka_unit_test_setup_teardown(test_indexes, setup_shop, teardown_shop), cmocka_unit_test_setup_teardown(test_plans, setup_shop, teardown_shop),
        cmocka_unit_test_setup_teardown(test_keys, setup_shop, teardown_shop), cmocka_unit_test_setup_teardown(test_results, setup_shop, teardown_shop),
        cmocka_unit_test_setup_teardown(test_a_total_that_is_not_exact, setup_shop, teardown_shop),
        cmocka_unit_test_setup_teardown(test_offset_and_length, setup_shop, teardown_shop),
        cmocka_unit_test_setup_teardown(test_what_else_clients_send, setup_shop, teardown_shop),
        cmocka_unit_test_setup_teardown(test_further_texts_can_be_shown, setup_shop, teardown_shop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
