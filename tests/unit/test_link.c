/* What links to the servers are configured with: files that are looked into, and secrets that are never shown. */
#include "core/cleanup.h"
#include "core/es.h"
#include "core/kafka.h"
#include "core/link.h"
#include "core/mongo.h"
#include "core/mysql.h"
#include "core/uri.h"
#include "tests/unit/test.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    struct mongo_conf mongo;
    struct mysql_conf mysql;
    struct es_conf es;
    struct kafka_conf kafka;
} t;
/* The tables' length is known at run time only. */
static struct conf_group groups[4];
enum { GROUPS = 4 };
static char folder[] = "/tmp/test_link.XXXXXX";

static int setup(void **state) {
    (void)state;
    groups[0] = (struct conf_group){mongo_option_table, mongo_option_count, &t.mongo};
    groups[1] = (struct conf_group){mysql_option_table, mysql_option_count, &t.mysql};
    groups[2] = (struct conf_group){es_option_table, es_option_count, &t.es};
    groups[3] = (struct conf_group){kafka_option_table, kafka_option_count, &t.kafka};
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    return rmdir(folder);
}

static void write_file(char *ret_path, size_t size, const char *name, const char *text) {
    snprintf(ret_path, size, "%s/%s", folder, name);
    FILE *f = fopen(ret_path, "w");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) < 0, 0);
    assert_int_equal(fclose(f), 0);
}

static bool load(char *const *environment, const char *const *overrides, struct error *e) {
    const struct conf_sources sources = {.environment = environment, .overrides = overrides};
    memset(&t, 0, sizeof(t));
    return conf_load(groups, GROUPS, &sources, e);
}

static void test_redaction(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"http://127.0.0.1:9200", "http://127.0.0.1:9200"},
        {"mongodb://h1:1,h2:2/db?replicaSet=rs0", "mongodb://h1:1,h2:2/db?replicaSet=rs0"},
        {"mongodb://u:hidden@h1:1,h2:2/?replicaSet=rs0", "mongodb://***@h1:1,h2:2/?replicaSet=rs0"},
        {"mongodb://u:hi@dden@h/", "mongodb://***@h/"},
        {"mongodb://u:hi/dden@h/", "mongodb://***@h/"},
        {"mongodb://u:hi?d=den@h/", "mongodb://***@h/"},
        {"mongodb+srv://hidden@h/", "mongodb+srv://***@h/"},
        {"u:hidden@h", "***@h"},
        {"https://u:hidden@h1:1,https://v:hidden@h2:2/", "https://***@h1:1,https://***@h2:2/"},
        {"https://h1:1,https://v:hidden@h2:2", "https://h1:1,https://***@h2:2"},
        {"https://u:hid,den@h1,http://h2", "https://***@h1,http://h2"},
        {"https://u:hidden://x@h", "https://***@h"},
        {"mongodb://h/?tlsCertificateKeyFilePassword=hidden&w=1", "mongodb://h/?tlsCertificateKeyFilePassword=***&w=1"},
        {"mongodb://h/?a=b&authMechanismProperties=AWS_SESSION_TOKEN:hidden",
         "mongodb://h/?a=b&authMechanismProperties=***"},
        {"mongodb://h/?password", "mongodb://h/?password"},
        {"://", "://"},
        {",://,", ",://,"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = BUF_INIT(1024);
        assert_true(uri_redact(&b, cases[i][0]));
        assert_string_equal(b.len ? b.data : "", cases[i][1]);
        buf_done(&b);
    }
}

static void test_nothing_secret_is_printed(void **state) {
    (void)state;
    char *environment[] = {
        (char *)(uintptr_t)"READSIDE_MONGO_URI=mongodb://u:hidden@h/?replicaSet=rs0",
        (char *)(uintptr_t)"READSIDE_MONGO_PASSWORD=hidden",
        (char *)(uintptr_t)"READSIDE_MONGO_KEY_PASSWORD=hidden",
        (char *)(uintptr_t)"READSIDE_MYSQL_PASSWORD=hidden",
        (char *)(uintptr_t)"READSIDE_MYSQL_KEY_PASSWORD=hidden",
        (char *)(uintptr_t)"READSIDE_ELASTICSEARCH_URL=https://u:hidden@h:9200,https://v:hidden@i:9200",
        (char *)(uintptr_t)"READSIDE_ELASTICSEARCH_PASSWORD=hidden",
        (char *)(uintptr_t)"READSIDE_ELASTICSEARCH_API_KEY=hidden",
        (char *)(uintptr_t)"READSIDE_KAFKA_PASSWORD=hidden",
        (char *)(uintptr_t)"READSIDE_KAFKA_KEY_PASSWORD=hidden",
        NULL,
    };
    struct buf b = BUF_INIT(1 << 20);
    struct error e = {0};
    assert_true(load(environment, NULL, &e));
    assert_string_equal(t.mongo.uri, "mongodb://u:hidden@h/?replicaSet=rs0");
    conf_print(groups, GROUPS, &b);
    assert_true(buf_ok(&b));
    assert_null(strstr(b.data, "hidden"));
    assert_non_null(strstr(b.data, "\nuri = mongodb://***@h/?replicaSet=rs0\n"));
    assert_non_null(strstr(b.data, "\nurl = https://***@h:9200,https://***@i:9200\n"));
    assert_non_null(strstr(b.data, "\napi_key = ***\n"));
    buf_done(&b);
    conf_done(groups, GROUPS);
}

static void test_no_secret_on_the_command_line(void **state) {
    (void)state;
    static const struct {
        const char *override, *message; /* NULL: taken */
    } cases[] = {
        {"mysql.password=hidden", "command line --mysql.password: every user"},
        {"elasticsearch.api_key=hidden", "give the secret by api_key_file or the environment"},
        {"mongo.uri=mongodb://u:hidden@h/", "give the secret by uri_file or the environment"},
        {"elasticsearch.url=http://h:1,https://u:hidden@h:2", "command line --elasticsearch.url"},
        {"mongo.uri=mongodb://h/?tlsCertificateKeyFilePassword=hidden", "command line --mongo.uri"},
        {"mongo.uri=mongodb://h/?replicaSet=rs0", NULL},
        {"elasticsearch.url=https://h:1,https://h:2", NULL},
        {"mysql.password=", NULL},
        {"mysqlpassword=hidden", "command line: 'mysqlpassword' is not section.key=value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const overrides[] = {cases[i].override, NULL};
        struct error e = {0};
        bool taken = load(NULL, overrides, &e);
        assert_int_equal(taken, cases[i].message == NULL);
        if (taken) {
            conf_done(groups, GROUPS);
            continue;
        }
        assert_int_equal(e.code, ERROR_INVALID);
        assert_non_null(strstr(e.message, cases[i].message));
        assert_null(strstr(e.message, "hidden"));
    }
}

static void test_secrets_from_files(void **state) {
    (void)state;
    char credentials[96], path[96], variable[128];
    struct error e = {0};
    write_file(path, sizeof(path), "mysql", "from the credentials\n");
    snprintf(credentials, sizeof(credentials), "CREDENTIALS_DIRECTORY=%s", folder);
    char *by_name[] = {credentials, (char *)(uintptr_t)"READSIDE_MYSQL_PASSWORD_FILE=mysql", NULL};
    assert_true(load(by_name, NULL, &e));
    assert_string_equal(t.mysql.password, "from the credentials");
    conf_done(groups, GROUPS);
    assert_false(load(by_name + 1, NULL, &e)); /* no such file here */
    assert_non_null(strstr(e.message, "[mysql] password_file: cannot open 'mysql'"));

    snprintf(variable, sizeof(variable), "READSIDE_MONGO_URI_FILE=%s", path);
    char *uri[] = {variable, NULL};
    assert_true(load(uri, NULL, &e));
    assert_string_equal(t.mongo.uri, "from the credentials");
    conf_done(groups, GROUPS);
    assert_int_equal(unlink(path), 0);
}

static void test_pem_files(void **state) {
    (void)state;
    static const char certificate[] = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    static const char key[] = "text\n-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n";
    static const struct {
        const char *option, *text, *message; /* NULL: taken */
    } cases[] = {
        {"mysql.ca_file", certificate, NULL},
        {"mysql.key_file", key, NULL},
        {"kafka.key_file", certificate, "holds no PEM block of a PRIVATE KEY"},
        {"mongo.cert_file", key, "holds no PEM block of a CERTIFICATE"},
        {"elasticsearch.ca_file", "", "holds no PEM block of a CERTIFICATE"},
        {"elasticsearch.ca_file", "-----BEGIN CERTIFICATE", "holds no PEM block of a CERTIFICATE"},
        {"elasticsearch.ca_file", "-----BEGIN -----", "holds no PEM block of a CERTIFICATE"},
    };
    char path[96], override[160];
    struct error e = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_file(path, sizeof(path), "pem", cases[i].text);
        snprintf(override, sizeof(override), "%s=%s", cases[i].option, path);
        const char *const overrides[] = {override, NULL};
        bool taken = load(NULL, overrides, &e);
        assert_int_equal(taken, cases[i].message == NULL);
        if (taken)
            conf_done(groups, GROUPS);
        else
            assert_non_null(strstr(e.message, cases[i].message));
    }
    assert_int_equal(unlink(path), 0);
    const char *const gone[] = {override, NULL}, *const directory[] = {"mysql.ca_file=/", NULL};
    assert_false(load(NULL, gone, &e));
    assert_non_null(strstr(e.message, "cannot be opened: No such file or directory"));
    assert_false(load(NULL, directory, &e));
    assert_non_null(strstr(e.message, "cannot be read: Is a directory"));
}

static void test_combinations(void **state) {
    (void)state;
    char file[] = "f", empty[] = "";
    struct error e = {0};
    assert_false(link_wants_tls(&(struct link_tls){.ca_file = empty, .cert_file = NULL}));
    assert_true(link_wants_tls(&(struct link_tls){.on = true}));
    assert_true(link_wants_tls(&(struct link_tls){.ca_file = file}));
    assert_true(link_wants_tls(&(struct link_tls){.cert_file = file}));
    assert_true(link_check(&(struct link_tls){.cert_file = file, .key_password = file}, "mysql", &e));
    assert_false(link_check(&(struct link_tls){.key_file = file}, "mysql", &e));
    assert_non_null(strstr(e.message, "[mysql] key_file without cert_file"));
    assert_false(link_check(&(struct link_tls){.ca_file = file, .key_password = file}, "kafka", &e));
    assert_non_null(strstr(e.message, "[kafka] key_password without cert_file"));
}

/* What can never work is refused before anything is sent. */
static void test_sessions_refuse_what_cannot_work(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"elasticsearch.user=u", "elasticsearch.api_key_file", "api_key and user exclude each other"},
        {"elasticsearch.url=u:hidden", "elasticsearch.password_file", "\"u:hidden\" is no http:// or https:// address"},
        {"mysql.tls=true", "mysql.key_password_file", "tls_verify = ca needs a ca_file"},
        {"mongo.database=x", "mongo.password_file", "[mongo] password without a user"},
        {"mongo.uri=mongodb://h/?tls=true", "mongo.key_password_file", "[mongo] tls_verify is for [mongo] tls"},
    };
    char path[96], file[160];
    write_file(path, sizeof(path), "secret", "hidden\n");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(file, sizeof(file), "%s=%s", cases[i][1], path);
        const char *const overrides[] = {cases[i][0], file, "mysql.tls_verify=ca", "mongo.tls_verify=ca", NULL};
        struct error e = {0};
        struct buf body = BUF_INIT(1024);
        assert_true(load(NULL, overrides, &e));
        if (cases[i][0][0] == 'e')
            assert_false(es_call(&t.es, "GET", "/", SLICE(""), 0, NULL, &body, &e));
        else if (cases[i][0][1] == 'y')
            assert_null(mysql_session_new(&t.mysql, &e));
        else
            assert_null(mongo_pool_new(&t.mongo, "test", 1, &e));
        assert_int_equal(e.code, ERROR_INVALID);
        assert_non_null(strstr(e.message, cases[i][2]));
        buf_done(&body);
        conf_done(groups, GROUPS);
    }
    assert_int_equal(unlink(path), 0);
}

static void test_messages_do_not_show_a_password(void **state) {
    (void)state;
    static char *const urls[] = {(char *)(uintptr_t)"https://u:hidden@ho st:1", (char *)(uintptr_t)"ftp://u:hidden@h:1",
                                 (char *)(uintptr_t)"http://u:hidden@127.0.0.1:1"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct es_conf conf = {.url = urls[i], .timeout_usec = USEC_PER_SEC};
        struct buf body = BUF_INIT(1024);
        struct error e = {0};
        assert_false(es_call(&conf, "GET", "/", SLICE(""), 0, NULL, &body, &e));
        assert_null(strstr(e.message, "hidden"));
        assert_true(i < 2 || strstr(e.message, "127.0.0.1:1"));
        buf_done(&body);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redaction),
        cmocka_unit_test(test_nothing_secret_is_printed),
        cmocka_unit_test(test_no_secret_on_the_command_line),
        cmocka_unit_test(test_secrets_from_files),
        cmocka_unit_test(test_pem_files),
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_sessions_refuse_what_cannot_work),
        cmocka_unit_test(test_messages_do_not_show_a_password),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
