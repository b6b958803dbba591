#include "core/trace.h"
#include "core/clock.h"
#include <string.h>

static const char digits[] = "0123456789abcdef";

/* Only lower case: section 3.2.2.1 of the recommendation. */
static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool read_hex(const char *s, uint8_t *ret, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int high = hex_value(s[2 * i]), low = hex_value(s[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void write_hex(char *to, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 15];
    }
}

static bool all_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i])
            return false;
    return true;
}

/* version "-" trace-id "-" parent-id "-" flags; a later version may append "-" and more (section 3.2.4). */
bool trace_parse(const char *s, size_t len, struct trace *ret) {
    struct trace t;
    uint8_t version;
    if (len < TRACEPARENT_SIZE - 1 || !read_hex(s, &version, 1) || version == 0xFF)
        return false;
    if (len > TRACEPARENT_SIZE - 1 && (version == 0 || s[TRACEPARENT_SIZE - 1] != '-'))
        return false;
    if (s[2] != '-' || s[35] != '-' || s[52] != '-')
        return false;
    if (!read_hex(s + 3, t.trace_id, 16) || !read_hex(s + 36, t.span_id, 8) || !read_hex(s + 53, &t.flags, 1))
        return false;
    if (all_zero(t.trace_id, sizeof(t.trace_id)) || all_zero(t.span_id, sizeof(t.span_id)))
        return false;
    if (version != 0)
        t.flags &= 1; /* of a later version only the sampled bit is known */
    *ret = t;
    return true;
}

static void random_bytes(uint8_t *ret, size_t count) {
    do {
        for (size_t i = 0; i < count; i += sizeof(uint64_t)) {
            uint64_t r = clock_random_u64();
            memcpy(ret + i, &r, sizeof(r));
        }
    } while (all_zero(ret, count));
}

void trace_new(struct trace *ret) {
    random_bytes(ret->trace_id, sizeof(ret->trace_id));
    random_bytes(ret->span_id, sizeof(ret->span_id));
    ret->flags = 1;
}

void trace_child(const struct trace *parent, struct trace *ret) {
    *ret = *parent;
    random_bytes(ret->span_id, sizeof(ret->span_id));
}

void trace_format(const struct trace *trace, char ret[TRACEPARENT_SIZE]) {
    memcpy(ret, "00-", 3);
    write_hex(ret + 3, trace->trace_id, 16);
    ret[35] = '-';
    write_hex(ret + 36, trace->span_id, 8);
    ret[52] = '-';
    write_hex(ret + 53, &trace->flags, 1);
    ret[55] = '\0';
}

void trace_id_hex(const struct trace *trace, char ret[TRACE_ID_HEX_SIZE]) {
    write_hex(ret, trace->trace_id, 16);
    ret[32] = '\0';
}
