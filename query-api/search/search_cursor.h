/* search_cursor.h - where a walk over all hits of a search stands, as a text that goes to the client and comes back.
 *
 *   1.<base64url of ["<hash of the search>","<view>",[sort values of the last hit]]>.<checksum>
 *
 * The hash keeps a cursor from being used with another search, the checksum from being cut or edited. It is no signature:
 * what stands inside is a position in a list that anybody may walk, and each value is checked for its type. Pure.
 * Thread: any. */
#pragma once
#include "core/json_write.h"
#include "query-api/search/search_params.h"

/* Reads params->cursor into params->view and params->after. False: *ret_why says what is wrong with it. */
bool search_cursor_read(struct arena *arena, struct search_params *params, const char **ret_why);

/* Is there a page behind this answer? */
bool search_cursor_is_more(const struct search_params *params, const struct json *answer);
/* Writes the cursor that goes on behind the last hit of this answer as one JSON value, null if there is nothing more. */
bool search_cursor_write(struct json_write *w, const struct search_params *params, const struct json *answer);
