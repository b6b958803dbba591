#include "core/mysql.h"
#include "tests/e2e/core_stores.h"
#include <pthread.h>
#include <stdlib.h>

enum { TEXT_MAX = 512 };

struct fixture {
    struct mysql_conf conf;
    char database[64];
    struct mysql_session *a, *b;
    bool mariadb;
};

static struct mysql_conf conf_from_env(void) {
    struct mysql_conf conf = store_confs.mysql;
    env_or_skip("READSIDE_MYSQL_HOST");
    conf.database = (char *)(uintptr_t)"";
    conf.connect_timeout_usec = 5 * USEC_PER_SEC;
    conf.timeout_usec = 6 * USEC_PER_SEC;
    return conf;
}

/* The first column of the last row. */
static bool keep_text(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    char *ret = ctx;
    assert_true(count >= 1);
    snprintf(ret, TEXT_MAX, "%.*s", columns[0] ? (int)lengths[0] : 4, columns[0] ? columns[0] : "NULL");
    return true;
}

static void assert_query(struct mysql_session *s, const char *sql, const char *expected) {
    struct error e = {0};
    char text[TEXT_MAX] = "no row";
    assert_ok(mysql_session_query(s, keep_text, text, &e, sql), e);
    assert_string_equal(text, expected);
}

static int setup(void **state) {
    struct error e = {0};
    struct fixture *f = calloc(1, sizeof(*f));
    char sql[160], version[TEXT_MAX] = "";
    assert_non_null(f);
    *state = f;
    f->conf = conf_from_env();
    struct mysql_session *admin = mysql_session_new(&f->conf, &e);
    unique_name("mysql", f->database);
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s CHARACTER SET utf8mb4", f->database);
    assert_ok(mysql_wait(admin, NULL, NULL, &e), e);
    assert_ok(mysql_session_query(admin, keep_text, version, &e, "SELECT @@version"), e);
    f->mariadb = strstr(version, "MariaDB") != NULL;
    assert_ok(mysql_session_exec(admin, NULL, &e, sql), e);
    mysql_session_free(admin);
    f->conf.database = f->database;
    f->a = mysql_session_new(&f->conf, &e);
    f->b = mysql_session_new(&f->conf, &e);
    assert_ok(mysql_session_exec(f->a, NULL, &e,
                                 "CREATE TABLE t(id INT PRIMARY KEY, n TINYINT UNSIGNED, s VARCHAR(200), "
                                 "raw VARBINARY(200)) ENGINE=InnoDB"),
              e);
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    char sql[160];
    mysql_session_rollback(f->a);
    snprintf(sql, sizeof(sql), "DROP DATABASE %s", f->database);
    mysql_session_free(f->b);
    mysql_session_exec(f->a, NULL, NULL, sql);
    mysql_session_free(f->a);
    free(f);
    return 0;
}

static void sessions_are_strict_utc_and_read_committed(void **state) {
    struct fixture *f = *state;
    assert_query(f->a, "SELECT @@time_zone", "+00:00");
    assert_query(f->a, "SELECT @@character_set_client", "utf8mb4");
    assert_query(f->a, "SELECT @@autocommit", "1");
    assert_query(f->a, "SELECT @@innodb_lock_wait_timeout", "3");
    assert_query(f->a, f->mariadb ? "SELECT @@tx_isolation" : "SELECT @@transaction_isolation", "READ-COMMITTED");
}

static void nasty_strings_come_back_as_they_were(void **state) {
    static const struct slice texts[] = {
        {"", 0},
        {"it's \"quoted\" `back`", 20},
        {"back\\slash \\' \\\\ end\\", 21},
        {"nul \0 inside", 12},
        {"\xf0\x9f\x98\x80 \xec\x82\xbc\xec\x84\xb1", 11},
        {"line\nfeed\r\x1a%_;--#/*?*/", 22},
        {"'; DROP TABLE t; -- ", 20},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct error e = {0};
        assert_ok(mysql_session_exec(f->a, NULL, &e, "REPLACE INTO t(id, s, raw) VALUES(1, ?, ?)", MYSQL_SLICE(texts[i]),
                                     MYSQL_SLICE(texts[i])),
                  e);
        char same[TEXT_MAX] = "";
        assert_ok(mysql_session_query(f->a, keep_text, same, &e,
                                      "SELECT s=? AND raw=? AND LENGTH(raw)=? AND HEX(s)=HEX(raw) FROM t", MYSQL_SLICE(texts[i]),
                                      MYSQL_SLICE(texts[i]), MYSQL_I64((int64_t)texts[i].len)),
                  e);
        assert_string_equal(same, "1");
    }
}

static void bad_utf8_is_refused(void **state) {
    /* The last is a surrogate, which MariaDB stores. */
    static const struct slice texts[] = {{"a\xffz", 3}, {"cut \xec\x82", 6}, {"\xf0'", 2}, {"\xbf\\", 2}, {"\xed\xa0\x80", 3}};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(texts) - f->mariadb; i++) {
        struct error e;
        assert_error(mysql_session_exec(f->a, NULL, &e, "REPLACE INTO t(id, s) VALUES(1, ?)", MYSQL_SLICE(texts[i])), e,
                     ERROR_INVALID);
    }
}

static void errors_are_mapped(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    struct mysql_result r = {0};
    assert_ok(mysql_session_exec(f->a, &r, &e, "INSERT INTO t(id, n) VALUES(?, ?)", MYSQL_I64(10), MYSQL_U64(255)), e);
    assert_int_equal(r.affected, 1);
    assert_error(mysql_session_exec(f->a, NULL, &e, "INSERT INTO t(id) VALUES(10)"), e, ERROR_CONFLICT);
    assert_non_null(strstr(e.message, "Duplicate entry"));
    assert_error(mysql_session_exec(f->a, NULL, &e, "INSERT INTO t(id, n) VALUES(11, 256)"), e, ERROR_INVALID);
    assert_error(mysql_session_exec(f->a, NULL, &e, "INSERT INTO t(id, s) VALUES(12, REPEAT('x', 201))"), e, ERROR_INVALID);
    assert_error(mysql_session_exec(f->a, NULL, &e, "SELEKT 1"), e, ERROR_INTERNAL);
    assert_error(mysql_session_exec(f->a, NULL, &e, "DELETE FROM nowhere"), e, ERROR_UNAVAILABLE);
    assert_error(mysql_session_exec(f->a, NULL, &e, "DELETE FROM t WHERE id=?"), e, ERROR_INTERNAL);
    assert_error(mysql_session_query(f->a, keep_text, NULL, &e, "DELETE FROM t WHERE id=99"), e, ERROR_INTERNAL);
    assert_error(mysql_session_exec(f->a, NULL, &e, "DO 1; DROP TABLE t"), e, ERROR_INTERNAL);
    assert_query(f->a, "SELECT COUNT(*) FROM t WHERE id=10", "1");
}

static void a_script_makes_triggers_that_refuse(void **state) {
    static const char script[] = "-- stock may not be seven;\n"
                                 "CREATE TABLE s(n INT);\n"
                                 "DELIMITER //\n"
                                 "CREATE TRIGGER s_before BEFORE INSERT ON s FOR EACH ROW BEGIN\n"
                                 "  IF NEW.n = 7 THEN\n"
                                 "    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not seven; never';\n"
                                 "  END IF;\n"
                                 "END//\n"
                                 "DELIMITER ;\n"
                                 "INSERT INTO s VALUES(6);\n"
                                 "SELECT n FROM s;\n";
    struct fixture *f = *state;
    struct error e = {0};
    assert_ok(mysql_session_script(f->a, script, sizeof(script) - 1, &e), e);
    assert_error(mysql_session_exec(f->a, NULL, &e, "INSERT INTO s VALUES(7)"), e, ERROR_INVALID);
    assert_non_null(strstr(e.message, "not seven; never"));
    assert_error(mysql_session_script(f->a, "DO 1;\n\nDO nonsense(;\n", 20, &e), e, ERROR_INTERNAL);
    assert_memory_equal(e.message, "line 3: ", 8);
}

static void kill_session(struct mysql_session *by, struct mysql_session *victim) {
    struct error e = {0};
    char sql[64];
    snprintf(sql, sizeof(sql), "KILL CONNECTION %lu", mysql_thread_id(mysql_session_handle(victim)));
    assert_ok(mysql_session_exec(by, NULL, &e, sql), e);
    /* Gone when the server lists it no more. */
    snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM information_schema.processlist WHERE id=%lu",
             mysql_thread_id(mysql_session_handle(victim)));
    usec_t deadline = clock_now_usec() + 60 * USEC_PER_SEC;
    char left[TEXT_MAX];
    do {
        assert_true(clock_now_usec() < deadline);
        assert_ok(mysql_session_query(by, keep_text, left, &e, sql), e);
    } while (strcmp(left, "0") != 0);
}

static void an_idle_connection_that_died_costs_nothing(void **state) {
    struct fixture *f = *state;
    assert_query(f->a, "SELECT 1", "1");
    kill_session(f->b, f->a);
    assert_query(f->a, "SELECT 2", "2");
}

static void a_transaction_dies_with_its_connection(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    assert_ok(mysql_session_begin(f->a, &e), e);
    assert_ok(mysql_session_exec(f->a, NULL, &e, "INSERT INTO t(id) VALUES(20)"), e);
    kill_session(f->b, f->a);
    assert_error(mysql_session_exec(f->a, NULL, &e, "INSERT INTO t(id) VALUES(21)"), e, ERROR_UNAVAILABLE);
    assert_error(mysql_session_exec(f->a, NULL, &e, "INSERT INTO t(id) VALUES(22)"), e, ERROR_UNAVAILABLE);
    assert_error(mysql_session_commit(f->a, &e), e, ERROR_UNAVAILABLE);
    assert_query(f->a, "SELECT COUNT(*) FROM t WHERE id BETWEEN 20 AND 22", "0");

    assert_ok(mysql_session_begin(f->a, &e), e);
    kill_session(f->b, f->a);
    mysql_session_rollback(f->a);
    assert_ok(mysql_session_exec(f->a, NULL, &e, "INSERT INTO t(id) VALUES(23)"), e);
}

static void a_wait_for_a_lock_is_overload_and_keeps_the_connection(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    assert_ok(mysql_session_exec(f->a, NULL, &e, "INSERT INTO t(id) VALUES(30)"), e);
    assert_ok(mysql_session_begin(f->a, &e), e);
    assert_ok(mysql_session_exec(f->a, NULL, &e, "UPDATE t SET n=1 WHERE id=30"), e);
    assert_error(mysql_session_exec(f->b, NULL, &e, "UPDATE t SET n=2 WHERE id=30"), e, ERROR_OVERLOADED);
    assert_non_null(mysql_session_handle(f->b));
    assert_ok(mysql_session_commit(f->a, &e), e);
    assert_ok(mysql_session_exec(f->b, NULL, &e, "UPDATE t SET n=2 WHERE id=30"), e);
}

struct crossing {
    struct mysql_session *session;
    int id;
    bool ok;
    struct error e;
};

static void *update_row(void *arg) {
    struct crossing *c = arg;
    c->ok = mysql_session_exec(c->session, NULL, &c->e, "UPDATE t SET n=3 WHERE id=?", MYSQL_I64(c->id));
    return NULL;
}

static void a_deadlock_is_overload_for_one_of_the_two(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    assert_ok(mysql_session_exec(f->a, NULL, &e, "INSERT INTO t(id) VALUES(40), (41)"), e);
    assert_ok(mysql_session_begin(f->a, &e), e);
    assert_ok(mysql_session_begin(f->b, &e), e);
    assert_ok(mysql_session_exec(f->a, NULL, &e, "UPDATE t SET n=1 WHERE id=40"), e);
    assert_ok(mysql_session_exec(f->b, NULL, &e, "UPDATE t SET n=1 WHERE id=41"), e);
    struct crossing first = {.session = f->a, .id = 41}, second = {.session = f->b, .id = 40};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, update_row, &first), 0);
    update_row(&second);
    pthread_join(thread, NULL);
    assert_true(first.ok != second.ok);
    assert_int_equal(first.ok ? second.e.code : first.e.code, ERROR_OVERLOADED);
    mysql_session_rollback(f->a);
    mysql_session_rollback(f->b);
}

static void silence_is_a_timeout(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    char text[TEXT_MAX];
    struct mysql_conf conf = f->conf;
    conf.timeout_usec = USEC_PER_SEC;
    struct mysql_session *s = mysql_session_new(&conf, &e);
    assert_error(mysql_session_query(s, keep_text, text, &e, "SELECT SLEEP(5)"), e, ERROR_TIMEOUT);
    assert_query(s, "SELECT 3", "3");
    mysql_session_free(s);
}

static bool stop_at_once(void *ctx, const struct error *why, usec_t retry_in) {
    (void)retry_in;
    *(enum error_code *)ctx = why->code;
    return false;
}

static void who_cannot_come_in_is_told_why(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    enum error_code seen = ERROR_NONE;
    struct mysql_conf closed = f->conf, stranger = f->conf, nowhere = f->conf;
    closed.port = 1; /* tcpmux: nobody listens there */
    stranger.password = (char *)(uintptr_t)"wrong";
    nowhere.database = (char *)(uintptr_t)"readside_e2e_no_such_database";

    struct mysql_session *s = mysql_session_new(&closed, &e);
    assert_error(mysql_wait(s, stop_at_once, &seen, &e), e, ERROR_UNAVAILABLE);
    assert_int_equal(seen, ERROR_UNAVAILABLE);
    mysql_session_free(s);
    s = mysql_session_new(&stranger, &e);
    assert_error(mysql_session_connect(s, &e), e, ERROR_UNAVAILABLE);
    assert_non_null(strstr(e.message, "check [mysql] user and password"));
    mysql_session_free(s);
    s = mysql_session_new(&nowhere, &e);
    assert_error(mysql_session_connect(s, &e), e, ERROR_UNAVAILABLE);
    mysql_session_free(s);
}

static void caching_sha2_password_works_without_tls(void **state) {
    struct fixture *f = *state;
    struct error e = {0};
    char user[64], sql[200];
    if (f->mariadb) {
        print_message("MariaDB has no caching_sha2_password\n");
        return;
    }
    snprintf(user, sizeof(user), "rs_e2e_%lu", mysql_thread_id(mysql_session_handle(f->a)));
    snprintf(sql, sizeof(sql), "CREATE USER '%s'@'%%' IDENTIFIED WITH caching_sha2_password BY 'se''cret'", user);
    assert_ok(mysql_session_exec(f->a, NULL, &e, sql), e);
    struct mysql_conf conf = f->conf;
    conf.user = user;
    conf.password = (char *)(uintptr_t)"se'cret";
    conf.database = (char *)(uintptr_t)"";
    /* Twice: the first login is the full exchange, the second the cached one. */
    for (int i = 0; i < 2; i++) {
        struct mysql_session *s = mysql_session_new(&conf, &e);
        assert_ok(mysql_session_connect(s, &e), e);
        mysql_session_free(s);
    }
    snprintf(sql, sizeof(sql), "DROP USER '%s'@'%%'", user);
    assert_ok(mysql_session_exec(f->a, NULL, &e, sql), e);
}

static bool count_row(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)columns, (void)lengths, (void)count;
    unsigned *rows = ctx;
    return ++*rows < 5;
}

static void long_lists_and_early_ends(void **state) {
    enum { IDS = 3000 };
    struct fixture *f = *state;
    struct error e = {0};
    _cleanup_(buf_done) struct buf sql = BUF_INIT(1 << 20);
    assert_ok(mysql_session_connect(f->a, &e), e);
    buf_append_str(&sql, "INSERT INTO t(id, s) VALUES");
    for (int i = 0; i < IDS; i++)
        buf_printf(&sql, "%s(%d,'sku-%d')", i ? "," : "", 1000 + i, i);
    assert_ok(mysql_session_exec(f->a, NULL, &e, sql.data), e);
    buf_reset(&sql);
    buf_append_str(&sql, "SELECT s FROM t WHERE s IN (");
    for (int i = 0; i < IDS; i++) {
        char sku[32];
        int len = snprintf(sku, sizeof(sku), "sku-%d", i);
        assert_true((i == 0 || buf_append_char(&sql, ',')) && mysql_session_quote(f->a, &sql, sku, (size_t)len));
    }
    buf_append_str(&sql, ")");
    unsigned rows = 0;
    assert_ok(mysql_session_query_raw(f->a, (struct slice){sql.data, sql.len}, count_row, &rows, &e), e);
    assert_int_equal(rows, 5);
    assert_query(f->a, "SELECT COUNT(*) FROM t WHERE s LIKE 'sku-%'", "3000");
}

int run_mysql_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sessions_are_strict_utc_and_read_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(nasty_strings_come_back_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_utf8_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_are_mapped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_script_makes_triggers_that_refuse, setup, teardown),
        cmocka_unit_test_setup_teardown(an_idle_connection_that_died_costs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_transaction_dies_with_its_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_for_a_lock_is_overload_and_keeps_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deadlock_is_overload_for_one_of_the_two, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_is_a_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(who_cannot_come_in_is_told_why, setup, teardown),
        cmocka_unit_test_setup_teardown(caching_sha2_password_works_without_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lists_and_early_ends, setup, teardown),
    };
    return cmocka_run_group_tests_name("mysql", tests, NULL, NULL);
}
