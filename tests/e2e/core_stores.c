/* core's sessions against real servers. Usage: e2e_core_stores [mysql|mongo|elasticsearch|kafka]; addresses come from
 * READSIDE_*. "e2e_core_stores reach NAME" tries once to reach that server and prints what is said about it. A server without an address is skipped, and said so: test_core_stores.py takes that for a failure. */
#include "tests/e2e/core_stores.h"
#include <stdlib.h>
#include <unistd.h>

struct store_confs store_confs;

char *env_or_skip(const char *name) {
    char *value = getenv(name);
    if (!value) {
        print_message("SKIPPED: %s is not set\n", name);
        skip();
    }
    return value;
}

void unique_name(const char *what, char ret[64]) {
    snprintf(ret, 64, "readside_e2e_%d_%s", (int)getpid(), what);
}

static const struct {
    const char *name;
    int (*run)(void);
} groups[] = {
    {"mysql", run_mysql_tests},
    {"mongo", run_mongo_tests},
    {"elasticsearch", run_es_tests},
    {"kafka", run_kafka_tests},
};

static bool stop_at_once(void *ctx, const struct error *why, usec_t retry_in) {
    (void)ctx, (void)why, (void)retry_in;
    return false;
}

static bool reach_mongo(struct error *reterr) {
    mongoc_client_pool_t *pool = mongo_pool_new(&store_confs.mongo, "e2e_core_stores", 1, reterr);
    if (!pool)
        return false;
    mongoc_client_t *client = mongoc_client_pool_pop(pool);
    bool ok = mongo_wait(client, stop_at_once, NULL, reterr);
    mongoc_client_pool_push(pool, client);
    mongoc_client_pool_destroy(pool);
    return ok;
}

static bool reach_mysql(struct error *reterr) {
    struct mysql_session *s = mysql_session_new(&store_confs.mysql, reterr);
    bool ok = s && mysql_wait(s, stop_at_once, NULL, reterr);
    mysql_session_free(s);
    return ok;
}

/* 0 reached, 3 it may be reached later, 4 never. */
static int reach(const char *name) {
    struct error e = {0};
    bool ok = strcmp(name, "mongo") == 0   ? reach_mongo(&e)
              : strcmp(name, "mysql") == 0 ? reach_mysql(&e)
              : strcmp(name, "kafka") == 0 ? kafka_wait(&store_confs.kafka, stop_at_once, NULL, &e)
                                           : es_wait(&store_confs.es, stop_at_once, NULL, &e);
    print_message("%s\n", ok ? "reached" : e.message);
    return ok ? 0 : error_is_retriable(&e) ? 3 : 4;
}

int main(int argc, char **argv) {
    const struct conf_group tables[] = {{mongo_option_table, mongo_option_count, &store_confs.mongo},
                                        {mysql_option_table, mysql_option_count, &store_confs.mysql},
                                        {es_option_table, es_option_count, &store_confs.es},
                                        {kafka_option_table, kafka_option_count, &store_confs.kafka}};
    const struct conf_sources sources = {.environment = environ};
    struct error error = {0};
    int failed = 0, ran = 0;
    if (!conf_load(tables, ARRAY_LEN(tables), &sources, &error)) {
        print_error("%s\n", error.message);
        return 2;
    }
    mysql_global_init();
    mongo_global_init();
    bool reach_only = argc == 3 && strcmp(argv[1], "reach") == 0;
    int reached = reach_only ? reach(argv[2]) : 0;
    for (size_t i = 0; !reach_only && i < ARRAY_LEN(groups); i++) {
        if (argc > 1 && strcmp(argv[1], groups[i].name) != 0)
            continue;
        failed += groups[i].run();
        ran++;
    }
    mongo_global_done();
    mysql_global_done();
    conf_done(tables, ARRAY_LEN(tables));
    return reach_only ? reached : failed > 0 || ran == 0;
}
