/* admin_list.h - pages of the documents of an admin index, in the order of their ids.
 * Thread: the request's loop. */
#pragma once
#include "core/json_write.h"
#include "query-api/query_api.h"

enum { ADMIN_LIST_PAGE = 1000 };

/* Writes one item. Its id, which lives until the next call; NULL: the document is none, nothing is written. */
typedef const char *(*admin_list_item)(struct json_write *w, const struct json *source, void *ctx);

/* Appends the body of the question: a page behind the id after, if it has one. filter: a query as JSON, or NULL. */
void admin_list_ask(struct buf *body, const char *filter, struct slice after);

/* Answers request with {"total", "items", "next"} out of Elasticsearch's answer. */
void admin_list_reply(struct http_request *request, int status, const struct json *body, admin_list_item item, void *ctx);

/* The problems that every admin route may answer with. */
void admin_reply_nomem(struct http_request *request);
void admin_reply_unavailable(struct http_request *request, const char *why); /* 503; "; try again shortly" is added */
