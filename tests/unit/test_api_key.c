#include "tests/unit/test.h"
#include "core/api_key.h"
#include "tests/unit/arena_fixture.h"
#include <stdio.h>

static void test_the_hash_is_sha_256(void **state) {
    (void)state;
    struct api_key_hash hash, other;
    static const unsigned char abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad}; /* FIPS 180-2, B.1 */
    api_key_hash(SLICE("abc"), &hash);
    assert_memory_equal(hash.bytes, abc, sizeof(abc));
    api_key_hash(SLICE("abd"), &other);
    assert_false(api_key_hash_equal(&hash, &other));
    other = hash;
    assert_true(api_key_hash_equal(&hash, &other));
    other.bytes[31] ^= 1;
    assert_false(api_key_hash_equal(&hash, &other));
}

static void test_secrets_differ(void **state) {
    (void)state;
    char a[API_KEY_SECRET_SIZE], b[API_KEY_SECRET_SIZE];
    assert_true(api_key_make_secret(a) && api_key_make_secret(b));
    assert_int_equal(strlen(a), 52);
    assert_memory_equal(a, "rsk_", 4);
    assert_string_not_equal(a, b);
}

static void test_bodies(void **state) {
    (void)state;
    static const struct {
        const char *body, *field; /* NULL: fine */
    } cases[] = {
        {"{\"scopes\":[\"search\"]}", NULL},
        {"{\"scopes\":[\"search\",\"write\",\"admin\"],\"rate\":100,\"burst\":200,\"expires_at\":\"2027-01-01T00:00:00Z\"}", NULL},
        {"{\"scopes\":[\"write\"],\"rate\":null,\"burst\":null,\"expires_at\":null}", NULL},
        {"[]", "body"},
        {"{}", "scopes"},
        {"{\"scopes\":[]}", "scopes"},
        {"{\"scopes\":\"search\"}", "scopes"},
        {"{\"scopes\":[\"root\"]}", "scopes"},
        {"{\"scopes\":[\"search\",1]}", "scopes"},
        {"{\"scopes\":[\"search\"],\"rate\":0}", "rate"},
        {"{\"scopes\":[\"search\"],\"rate\":1.5}", "rate"},
        {"{\"scopes\":[\"search\"],\"rate\":1000001}", "rate"},
        {"{\"scopes\":[\"search\"],\"rate\":\"9\"}", "rate"},
        {"{\"scopes\":[\"search\"],\"burst\":9}", "burst"},
        {"{\"scopes\":[\"search\"],\"rate\":9,\"burst\":-1}", "burst"},
        {"{\"scopes\":[\"search\"],\"expires_at\":\"tomorrow\"}", "expires_at"},
        {"{\"scopes\":[\"search\"],\"expires_at\":1}", "expires_at"},
        {"{\"scopes\":[\"search\"],\"hash\":\"00\"}", "hash"},
        {"{\"scopes\":[\"search\"],\"key\":\"mine\"}", "key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct api_key key;
        struct api_key_errors errors;
        bool ok = api_key_read(parse(cases[i].body), &key, &errors);
        if (ok != !cases[i].field || (!ok && strcmp(errors.items[0].field, cases[i].field) != 0))
            fail_msg("%s: %s", cases[i].body, ok ? "accepted" : errors.items[0].field);
    }
    struct api_key key;
    struct api_key_errors errors;
    assert_true(api_key_read(parse(cases[1].body), &key, &errors));
    assert_int_equal(key.scopes, HTTP_SCOPE_SEARCH | HTTP_SCOPE_WRITE | HTTP_SCOPE_ADMIN);
    assert_int_equal(key.rate, 100);
    assert_int_equal(key.burst, 200);
    assert_int_equal(key.expires_at_wall_usec, INT64_C(1798761600) * 1000000);
    assert_true(api_key_read(parse("{\"scopes\":[\"search\"],\"rate\":7}"), &key, &errors));
    assert_int_equal(key.burst, 7);
}

static void test_ids(void **state) {
    (void)state;
    char longest[API_KEY_ID_MAX_BYTES + 1];
    memset(longest, 'x', sizeof(longest));
    assert_true(api_key_id_valid(SLICE("shop.front_1-a")));
    assert_true(api_key_id_valid((struct slice){longest, API_KEY_ID_MAX_BYTES}));
    assert_false(api_key_id_valid((struct slice){longest, API_KEY_ID_MAX_BYTES + 1}));
    assert_false(api_key_id_valid(SLICE("")));
    assert_false(api_key_id_valid(SLICE("a b")));
    assert_false(api_key_id_valid(SLICE("\xEA\xB0\x80")));
}

/* What is written is read back; what is no stored key is none. */
static void test_storing(void **state) {
    (void)state;
    struct api_key key = {.id = "front", .scopes = HTTP_SCOPE_SEARCH | HTTP_SCOPE_ADMIN, .rate = 5, .burst = 9, .expires_at_wall_usec = 1798761600123456};
    struct api_key back;
    struct buf out = BUF_INIT(4096);
    struct json_write w;
    api_key_hash(SLICE("secret"), &key.hash);
    json_write_init(&w, &out);
    api_key_write_stored(&w, &key);
    assert_true(json_write_finish(&w));
    assert_null(strstr(out.data, "secret"));
    assert_true(api_key_read_stored(parse(out.data), &back));
    assert_string_equal(back.id, "front");
    assert_true(api_key_hash_equal(&key.hash, &back.hash));
    assert_true(back.scopes == key.scopes && back.rate == 5 && back.burst == 9);
    assert_int_equal(back.expires_at_wall_usec, key.expires_at_wall_usec);
    buf_done(&out);
    static const char *const broken[] = {"{}", "[]", "{\"id\":\"a\",\"hash\":\"00\",\"scopes\":[\"search\"]}",
                                         "{\"id\":\"a b\",\"scopes\":[\"search\"]}", "{\"id\":\"a\",\"hash\":7,\"scopes\":[\"search\"]}"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        assert_false(api_key_read_stored(parse(broken[i]), &back));
}

static void test_the_set(void **state) {
    (void)state;
    struct api_keys *keys = api_keys_new();
    struct api_key_hash hash;
    char secret[16];
    for (int i = 0; i < 500; i++) {
        struct api_key key = {.rate = i};
        size_t len = (size_t)snprintf(secret, sizeof(secret), "secret%d", i);
        api_key_hash((struct slice){secret, len}, &key.hash);
        assert_true(api_keys_add(keys, &key));
    }
    api_keys_finish(keys);
    assert_int_equal(api_keys_count(keys), 500);
    for (int i = 0; i < 600; i++) {
        size_t len = (size_t)snprintf(secret, sizeof(secret), "secret%d", i);
        api_key_hash((struct slice){secret, len}, &hash);
        const struct api_key *found = api_keys_find(keys, &hash);
        assert_true(i < 500 ? found && found->rate == i : !found);
    }
    api_keys_free(keys);
    assert_int_equal(api_keys_count(NULL), 0);
    assert_null(api_keys_find(NULL, &hash));
}

static void test_a_full_set(void **state) {
    (void)state;
    struct api_keys *keys = api_keys_new();
    for (unsigned i = 0; i < API_KEYS_MAX; i++) {
        struct api_key key = {.scopes = 0};
        assert_true(api_keys_has_room(keys, "new"));
        (void)snprintf(key.id, sizeof(key.id), "k%u", i);
        memcpy(key.hash.bytes, &i, sizeof(i));
        assert_true(api_keys_add(keys, &key));
    }
    api_keys_finish(keys);
    assert_false(api_keys_has_room(keys, "new"));
    assert_true(api_keys_has_room(keys, "k0") && api_keys_has_room(keys, "k9999")); /* may still be changed */
    assert_true(api_keys_has_room(NULL, "new"));
    api_keys_free(keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hash_is_sha_256),
        cmocka_unit_test(test_secrets_differ),
        cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
        cmocka_unit_test(test_ids),
        cmocka_unit_test_setup_teardown(test_storing, setup, teardown),
        cmocka_unit_test(test_the_set), cmocka_unit_test(test_a_full_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
