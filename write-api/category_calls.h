/* category_calls.h - what categories.c and category_changes.c share: answers about categories. Those that return
 * bool return false once the call is answered (or reterr is set where they take one). */
#pragma once
#include "write-api/call.h"
#include "write-api/category.h"
#include "write-api/transaction.h"

bool category_call_id(struct call *call, uint32_t *ret);
bool category_call_missing(struct call *call, uint32_t id);
bool category_call_get(struct call *call, struct session *s, uint32_t id, bool lock, struct category *ret,
                       struct error *reterr);
bool category_call_matches(struct call *call, const struct precondition *match, const struct category *c);
void category_call_reply(struct call *call, struct session *s, int status, const struct category *c);
bool category_call_transaction(struct call *call, struct session *s, transaction_body *body, void *ctx);
bool category_call_name_taken(struct call *call);
bool category_call_too_deep(struct call *call, const char *field);
