/* status_text.h - the status document (GET /v1/status, or status_stored.h) for people. Pure. Thread: any.
 *
 * Known sections have a layout of their own; any other is written member by member, arrays of objects as tables, so
 * that a new section shows without a change here. */
#pragma once
#include "core/json_read.h"

struct status_text {
    struct buf *out;
    bool color;          /* ANSI attributes */
    int64_t now_wall_usec; /* the document's time, for "3 s ago"; 0 unknown */
};

void status_text_write(struct status_text *t, const struct json *status);
/* Does somebody have to look at it? Counts the reasons; those are marked in the text. */
unsigned status_text_problems(const struct json *status);
