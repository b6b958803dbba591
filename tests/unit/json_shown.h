/* json_shown.h - a JSON value as text, to look for what must and must not be in it. */
#pragma once
#include "tests/unit/test.h"
#include "core/json_write.h"

/* Valid until the next call; "" of NULL. */
static const char *json_shown(const struct json *v) {
    static char text[1 << 16];
    struct buf out = BUF_INIT(sizeof(text) - 1);
    struct json_write w;
    text[0] = '\0';
    if (!v)
        return text;
    assert_true(json_write_init(&w, &out));
    json_write_json(&w, v);
    assert_true(json_write_finish(&w));
    memcpy(text, out.data, out.len + 1);
    buf_done(&out);
    return text;
}
