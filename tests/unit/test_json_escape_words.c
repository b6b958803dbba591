/* The same for machines without SSE2. */
#define JSON_ESCAPE_WORDS
#include "tests/unit/test_json_escape.c"
