/* trace.h - W3C Trace Context (https://www.w3.org/TR/trace-context/), version 00. Pure but for random ids. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;
};
#define TRACEPARENT_SIZE 56 /* 55 characters and NUL */
#define TRACE_ID_HEX_SIZE 33

bool trace_parse(const char *s, size_t len, struct trace *ret); /* false: invalid, ret untouched */
void trace_new(struct trace *ret);
/* Same trace, new span id: what goes out with a call. */
void trace_child(const struct trace *parent, struct trace *ret);
void trace_format(const struct trace *trace, char ret[TRACEPARENT_SIZE]);
void trace_id_hex(const struct trace *trace, char ret[TRACE_ID_HEX_SIZE]);
