/* plain_insert: the same inserts by the plain driver in one process, for bench/run write.
 *
 *   plain_insert URI DATABASE one|bulk THREADS FILE [SECONDS]
 *
 * one:  insertOne, each thread on its own connection, w:majority. bulk: insertMany of 1,000, unordered.
 * Lines are parsed with the driver's own JSON parser. Prints {"documents":N,"seconds":S}. */
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/mongo.h"
#include <pthread.h>
#include <stdio.h>

enum { BATCH = 1000 };

struct input {
    FILE *file;
    pthread_mutex_t lock;
    usec_t deadline;
    mongoc_client_pool_t *pool;
    const char *database;
    size_t batch;
    uint64_t inserted;
    bool failed;
};

/* The next lines as documents with their id as _id; fewer than asked at the end. */
static size_t take(struct input *in, bson_t **documents, size_t max) {
    static char *line; /* under the lock */
    static size_t size;
    size_t n = 0;
    ssize_t len;
    pthread_mutex_lock(&in->lock);
    while (n < max && clock_now_usec() < in->deadline && (len = getline(&line, &size, in->file)) > 0) {
        bson_error_t e;
        bson_t *parsed = bson_new_from_json((const uint8_t *)line, len, &e);
        bson_iter_t id;
        if (!parsed || !bson_iter_init_find(&id, parsed, "id"))
            continue;
        documents[n] = bson_new();
        bson_append_iter(documents[n], "_id", 3, &id);
        bson_concat(documents[n], parsed);
        bson_destroy(parsed);
        n++;
    }
    pthread_mutex_unlock(&in->lock);
    return n;
}

static bool insert(mongoc_collection_t *c, bson_t **documents, size_t n, size_t batch) {
    bson_error_t e;
    if (batch == 1)
        return mongoc_collection_insert_one(c, documents[0], NULL, NULL, &e);
    bson_t options = BSON_INITIALIZER;
    BSON_APPEND_BOOL(&options, "ordered", false);
    bool ok = mongoc_collection_insert_many(c, (const bson_t **)documents, n, &options, NULL, &e);
    bson_destroy(&options);
    return ok;
}

static void *work(void *arg) {
    struct input *in = arg;
    mongoc_client_t *client = mongoc_client_pool_pop(in->pool);
    mongoc_collection_t *collection = mongoc_client_get_collection(client, in->database, "products");
    bson_t *documents[BATCH];
    size_t n;
    while ((n = take(in, documents, in->batch)) > 0) {
        bool ok = insert(collection, documents, n, in->batch);
        for (size_t i = 0; i < n; i++)
            bson_destroy(documents[i]);
        if (ok)
            __atomic_add_fetch(&in->inserted, n, __ATOMIC_RELAXED);
        else
            __atomic_store_n(&in->failed, true, __ATOMIC_RELAXED);
    }
    mongoc_collection_destroy(collection);
    mongoc_client_pool_push(in->pool, client);
    return NULL;
}

int main(int argc, char **argv) {
    enum { THREADS_MAX = 64 };
    pthread_t threads[THREADS_MAX];
    long count = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
    if (argc < 6 || count < 1 || count > THREADS_MAX) {
        fprintf(stderr, "plain_insert URI DATABASE one|bulk THREADS FILE [SECONDS]\n");
        return 2;
    }
    struct input in = {.file = fopen(argv[5], "r"), .lock = PTHREAD_MUTEX_INITIALIZER, .database = argv[2],
                       .batch = strcmp(argv[3], "bulk") == 0 ? BATCH : 1};
    usec_t begun = clock_now_usec();
    in.deadline = argc > 6 ? begun + (usec_t)(strtod(argv[6], NULL) * 1e6) : USEC_NEVER;
    if (!in.file) {
        perror(argv[5]);
        return 1;
    }
    struct mongo_conf conf = {.uri = argv[1], .database = argv[2], .timeout_usec = 60 * USEC_PER_SEC,
                              .server_selection_usec = 10 * USEC_PER_SEC};
    struct error error = {0};
    mongo_global_init();
    in.pool = mongo_pool_new(&conf, "plain_insert", (unsigned)count, &error);
    if (!in.pool) {
        fprintf(stderr, "plain_insert: %s\n", error.message);
        return 1;
    }
    for (long i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work, &in);
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("{\"documents\":%llu,\"seconds\":%.3f}\n", (unsigned long long)in.inserted, (double)(clock_now_usec() - begun) / 1e6);
    mongoc_client_pool_destroy(in.pool);
    mongo_global_done();
    fclose(in.file);
    return in.failed ? 1 : 0;
}
