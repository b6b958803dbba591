/* core's sessions against real servers. Usage: e2e_core_stores [mysql|mongo|elasticsearch|kafka]; addresses come from
 * READSIDE_*. A server without an address is skipped, and said so: test_core_stores.py takes that for a failure. */
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
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (argc > 1 && strcmp(argv[1], groups[i].name) != 0)
            continue;
        failed += groups[i].run();
        ran++;
    }
    mongo_global_done();
    mysql_global_done();
    conf_done(tables, ARRAY_LEN(tables));
    return failed > 0 || ran == 0;
}
