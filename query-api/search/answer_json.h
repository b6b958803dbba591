/* answer_json.h - the JSON of Elasticsearch's answers as a tree, read in place.
 *
 * Half of a search's CPU went into reading the answer: some 30 KB through yajl's lexer, with a copy of every key and
 * value. Here the tree points into the answer itself, which is decoded where it stands and must live as long as the
 * tree. As strict as json_parse (RFC 8259, UTF-8, depth), except that a key may stand twice in an object: the first
 * one counts. Of an array "buckets" the elements that have a key, perhaps its ends, and a count are one node each, a
 * JSON_BUCKET. For answers only: what clients send goes through json_parse.
 * Pure. Thread: any. */
#pragma once
#include "core/json_read.h"

/* text[len] must be a NUL and text is changed. NULL on failure: INVALID, or INTERNAL when the arena is exhausted. */
const struct json *answer_json_parse(struct arena *arena, char *text, size_t len, unsigned depth_max, struct error *reterr);
