/* search_again.h - whether words are asked for a second time, after an answer with few products or none: repaired, or with
 * products that have only some of the words. It must not depend on what is shown (page, sort, filters, facets), or counts
 * would not be the totals of what they lead to: the second request counts what the first finds without any of these. Pure.
 * Thread: any. */
#pragma once
#include "core/json_read.h"
#include "query-api/text/search_text.h"

/* How many products an answer has. */
int64_t search_again_found(const struct json *answer);
/* After the first answer. True: text now stands for the second request, and text->first for the first. */
bool search_again(const struct search_text_context *context, struct search_text *text, const struct json *answer);

enum search_again_verdict {
    SEARCH_AGAIN_FIRST,  /* the first answer stays, and text is as it was then */
    SEARCH_AGAIN_SECOND, /* the second one counts */
    SEARCH_AGAIN_THIRD,  /* too much was asked for: text now stands for a request whose answer is judged in the same way */
};
/* second: NULL if there is none. */
enum search_again_verdict search_again_judge(struct search_text *text, const struct json *second);
