/* merge_patch.h - JSON Merge Patch (RFC 7396). Pure. */
#pragma once
#include "core/json_read.h"

/* Applies patch to target and returns the result, which shares nodes with both (and may change target's); all of it
 * lives in the arena. NULL: out of memory. target NULL: nothing there yet. */
struct json *merge_patch(struct arena *arena, struct json *target, const struct json *patch);
