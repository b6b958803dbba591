/* request_params.c - the query of endpoints other than the search, read by their tables. */
#include "core/http_param_read.h"
#include "query-api/query_api.h"

const struct http_param request_lang_params[] = {
    {.name = "lang", .about = "Language of names, two or three letters; ko by default.", .example = "en", .max = 3},
    {.name = NULL},
};

static void refuse(struct http_request *request, const struct field_error *bad) {
    http_reply_problem(request, 400, "the request has invalid parameters", bad, 1);
}

bool request_params(struct http_request *request, struct slice *ret_values) {
    struct field_error bad = {NULL, NULL};
    if (http_params_read(http_request_arena(request), http_request_route(request)->params, http_request_query(request),
                         ret_values, &bad))
        return true;
    if (bad.field) {
        refuse(request, &bad);
    } else {
        struct error error;
        error_nomem(&error);
        http_reply_error(request, &error);
    }
    return false;
}

bool request_lang(struct http_request *request, struct slice value, char ret[4]) {
    static const struct field_error bad = {"lang", "must be a language code such as ko or en"};
    bool ok = !value.data || value.len == 2 || value.len == 3;
    for (size_t i = 0; ok && i < value.len; i++)
        ok = value.data[i] >= 'a' && value.data[i] <= 'z';
    if (!ok) {
        refuse(request, &bad);
        return false;
    }
    memcpy(ret, value.data ? value.data : "ko", value.data ? value.len : 2);
    ret[value.data ? value.len : 2] = '\0';
    return true;
}
