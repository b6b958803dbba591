/* core_stores.h - what the parts of e2e_core_stores share. Each part is a cmocka group of its own. */
#pragma once
#include "core/cleanup.h"
#include "core/error.h"
#include "core/es.h"
#include "core/kafka.h"
#include "core/mongo.h"
#include "core/mysql.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* As the programs read it from READSIDE_*: addresses, users, passwords, certificates. */
struct store_confs {
    struct mongo_conf mongo;
    struct mysql_conf mysql;
    struct es_conf es;
    struct kafka_conf kafka;
};
extern struct store_confs store_confs;

/* The value of an environment variable; without one the test is skipped, loudly. */
char *env_or_skip(const char *name);
/* A name no other run has: "readside_e2e_<pid>_<what>". */
void unique_name(const char *what, char ret[64]);

/* Says the error before failing. */
#define assert_ok(call, e)                                                                                             \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s %s", #call, error_code_name((e).code), (e).message);                                      \
    } while (0)
/* The call fails with this code; the error is printed if it is another. */
#define assert_error(call, e, expected)                                                                                \
    do {                                                                                                               \
        (e) = (struct error){0};                                                                                       \
        assert_false(call);                                                                                            \
        if ((e).code != (expected))                                                                                    \
            fail_msg("%s: %s %s", #call, error_code_name((e).code), (e).message);                                      \
    } while (0)

int run_mysql_tests(void);
int run_mongo_tests(void);
int run_es_tests(void);
int run_kafka_tests(void);
void group_offsets_are_stored_by_word_and_found_again(void **state); /* two of Kafka's */
void group_every_partition_is_read_after_a_rewind(void **state);
