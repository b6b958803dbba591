/* search_spelling.h - words that the index does not have, and the likeliest that it has: the engine's term suggester,
 * asked along with the search. Pure. Thread: any. */
#pragma once
#include "query-api/text/search_text.h"

/* Writes the member "suggest", or nothing if the text is not one to repair. */
void search_spelling_write(struct json_write *w, const struct search_text *text);
/* The text as the index would spell it, in the arena; empty if it has all words, or none that are near. */
struct slice search_spelling_read(struct arena *arena, const struct search_text *text, const struct json *answer);
