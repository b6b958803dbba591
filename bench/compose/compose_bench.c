/* compose_bench CATALOGUE_FOLDER [--rounds N] [--write FILE] - CPU time of compose and of the bulk around it, on a
 * catalogue made by bench/catalogue (products.ndjson, categories.ndjson, stock.ndjson), without any server.
 *
 * Prints a line for people and a last line of JSON. --write: the bulk body of all products (ids, versions,
 * documents), for bench/mapping-variants. */
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/json_read.h"
#include "projector/compose/bulk.h"
#include "projector/compose/compose.h"
#include "projector/jobs/index_admin.h"
#include <stdio.h>
#include <time.h>

enum { BODY_BYTES = 8 << 20, ITEMS_MAX = 4000, LINE_JSON_BYTES = 1 << 24 };

struct bench {
    bson_t **products;
    size_t count, capacity;
    struct category_tree_builder *builder;
    struct category_tree *tree;
    struct stock_states stock;
    struct projection *projection;
    struct composer *composer;
    struct bulk bulk;
    size_t bytes;
    FILE *write;
};

static void die(const char *what, const struct error *error) {
    fprintf(stderr, "compose_bench: %s%s%s\n", what, error ? ": " : "", error ? error->message : "");
    exit(1);
}

static void each_line(const char *folder, const char *name, void (*fn)(struct bench *b, char *line, size_t len),
                      struct bench *b) {
    _cleanup_(freep) char *path = NULL, *line = NULL;
    size_t capacity = 0;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        die("no memory", NULL);
    FILE *file = fopen(path, "r");
    if (!file)
        die(path, NULL);
    for (ssize_t len; (len = getline(&line, &capacity, file)) > 0;)
        fn(b, line, (size_t)len);
    fclose(file);
}

static void on_product(struct bench *b, char *line, size_t len) {
    bson_error_t error;
    bson_t parsed;
    if (!bson_init_from_json(&parsed, line, (ssize_t)len, &error))
        die(error.message, NULL);
    if (b->count == b->capacity) {
        b->capacity = b->capacity ? b->capacity * 2 : 4096;
        b->products = realloc(b->products, b->capacity * sizeof(bson_t *));
        if (!b->products)
            die("no memory", NULL);
    }
    /* As the write-api stores it: _id first, and two dates. */
    bson_t *product = bson_sized_new(parsed.len + 128);
    bson_iter_t it;
    bson_iter_init(&it, &parsed);
    while (bson_iter_next(&it)) {
        const char *key = bson_iter_key(&it);
        bson_append_iter(product, strcmp(key, "id") ? key : "_id", -1, &it);
    }
    BSON_APPEND_INT64(product, "version", 1);
    BSON_APPEND_DATE_TIME(product, "created_at", 1767323045678 + (int64_t)b->count * 997);
    BSON_APPEND_DATE_TIME(product, "updated_at", 1767323045678 + (int64_t)b->count * 997);
    b->products[b->count++] = product;
    bson_destroy(&parsed);
}

static void on_stock(struct bench *b, char *line, size_t len) {
    struct arena arena;
    arena_init(&arena, LINE_JSON_BYTES);
    const struct json *v = json_parse(&arena, line, len, NULL, NULL);
    const struct json *sku = json_get(v, "sku");
    int64_t available = 0;
    if (!json_is(sku, JSON_STRING) || !json_int64(json_get(v, "available"), &available) ||
        !stock_states_want(&b->stock, sku->text))
        die("a line of stock.ndjson", NULL);
    stock_states_set(&b->stock, sku->text, available == 0 ? STOCK_OUT : available <= 5 ? STOCK_LOW : STOCK_IN);
    arena_done(&arena);
}

/* Parents stand before their children in the file; the path is put together on the way. */
static void on_category(struct bench *b, char *line, size_t len) {
    static struct {
        int64_t id;
        char path[512];
    } paths[10000];
    static size_t count;
    struct arena arena;
    struct error error = {0};
    arena_init(&arena, LINE_JSON_BYTES);
    const struct json *v = json_parse(&arena, line, len, NULL, &error);
    int64_t id = 0, parent = 0;
    if (!v || !json_int64(json_get(v, "id"), &id) || count == ARRAY_LEN(paths))
        die("a line of categories.ndjson", &error);
    json_int64(json_get(v, "parent_id"), &parent);
    const char *above = "";
    for (size_t i = 0; i < count; i++)
        if (paths[i].id == parent)
            above = paths[i].path;
    paths[count].id = id;
    if (snprintf(paths[count].path, sizeof(paths[count].path), "%s%lld/", above, (long long)id) >= (int)sizeof(paths[count].path))
        die("a path of categories.ndjson", &error);
    const struct json *name = json_get(v, "name"), *ko = json_get(name, "ko");
    const char *names = json_is(name, JSON_OBJECT) ? strstr(line, "{\"ko\"") : NULL;
    const char *names_end = names ? strchr(names, '}') : NULL;
    struct category_row row = {.id = id,
                               .parent_id = parent,
                               .path = slice_str(paths[count].path),
                               .name = ko ? ko->text : name->text,
                               .names = {names, names_end ? (size_t)(names_end - names) + 1 : 0}};
    count++;
    if (!category_tree_builder_add(b->builder, &row, &error))
        die("categories.ndjson", &error);
    arena_done(&arena);
}

static void flush(struct bench *b) {
    struct slice body = bulk_body(&b->bulk);
    b->bytes += body.len;
    if (b->write && fwrite(body.data, 1, body.len, b->write) != body.len)
        die("cannot write the bulk body", NULL);
    bulk_reset(&b->bulk);
}

static void compose_all(struct bench *b) {
    struct compose_result result;
    struct error error = {0};
    for (size_t i = 0; i < b->count; i++) {
        struct slice id = {0};
        struct compose_input input = {.product = b->products[i], .categories = b->tree, .stock = &b->stock};
        if (bulk_full(&b->bulk))
            flush(b);
        if (!compose_product_id(b->products[i], &id) || !bulk_begin(&b->bulk, id, (UINT64_C(1) << 40) + i, NULL) ||
            compose_product(b->composer, &input, &b->bulk.body, &result, &error) != COMPOSE_OK ||
            !bulk_commit(&b->bulk, result.content_hash))
            die("compose", &error);
    }
    flush(b);
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void load(struct bench *b, const char *folder) {
    struct error error = {0};
    if (!(b->builder = category_tree_builder_new(&error)))
        die("categories", &error);
    stock_states_init(&b->stock, (size_t)1 << 30);
    each_line(folder, "categories.ndjson", on_category, b);
    each_line(folder, "stock.ndjson", on_stock, b);
    each_line(folder, "products.ndjson", on_product, b);
    b->tree = category_tree_build(b->builder, 1, &error);
    b->projection = b->tree ? projection_parse_mapping("products-v1", index_mapping_products,
                                                       index_mapping_products_size, &error)
                            : NULL;
    b->composer = b->projection ? composer_new(b->projection, &error) : NULL;
    if (!b->composer || b->count == 0)
        die("load", &error);
}

static void unload(struct bench *b) {
    for (size_t i = 0; i < b->count; i++)
        bson_destroy(b->products[i]);
    free(b->products);
    bulk_done(&b->bulk);
    composer_free(b->composer);
    projection_free(b->projection);
    category_tree_unref(b->tree);
    category_tree_builder_free(b->builder);
    stock_states_done(&b->stock);
}

int main(int argc, char **argv) {
    enum { ROUNDS_MAX = 1000 };
    double times[ROUNDS_MAX];
    struct bench b = {0};
    long rounds = 11;
    const char *folder = NULL, *write = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--write") == 0 && i + 1 < argc)
            write = argv[++i];
        else
            folder = argv[i];
    }
    if (!folder || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: compose_bench CATALOGUE_FOLDER [--rounds 1..1000] [--write FILE]\n");
        return 2;
    }
    load(&b, folder);
    if (!bulk_init(&b.bulk, "products", BODY_BYTES, (size_t)BODY_BYTES * 4, ITEMS_MAX))
        die("bulk", NULL);
    if (write && !(b.write = fopen(write, "w")))
        die(write, NULL);
    compose_all(&b); /* warms up, and writes */
    if (b.write && fclose(b.write) != 0)
        die(write, NULL);
    b.write = NULL;
    size_t bytes = b.bytes;
    for (long r = 0; r < rounds; r++) {
        double start = cpu_seconds();
        compose_all(&b);
        times[r] = (cpu_seconds() - start) * 1e6 / (double)b.count;
    }
    qsort(times, (size_t)rounds, sizeof(times[0]), compare_doubles);
    printf("%zu products, %.0f bytes each in the bulk: %.2f us of CPU per product (best of %ld rounds %.2f)\n", b.count,
           (double)bytes / (double)b.count, times[rounds / 2], rounds, times[0]);
    printf("{\"products\": %zu, \"bytes_per_product\": %.1f, \"cpu_us_median\": %.3f, \"cpu_us_best\": %.3f}\n", b.count,
           (double)bytes / (double)b.count, times[rounds / 2], times[0]);
    unload(&b);
    return 0;
}
