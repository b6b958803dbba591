/* precondition.h - If-Match and If-None-Match (RFC 9110, 13.1). Every resource here has the strong entity tag
 * "<version>"; other tags are legal and match nothing. Pure. */
#pragma once
#include "core/buf.h"
#include "core/error.h"
#include <stdint.h>

enum { PRECONDITION_TAGS_MAX = 16 };

struct precondition {
    bool present;
    bool any; /* "*" */
    unsigned count;
    int64_t versions[PRECONDITION_TAGS_MAX];
};

/* header.data NULL: absent. weak: the weak comparison of If-None-Match, where W/"3" is "3". INVALID for a text that
 * is no list of entity tags or a too long one; `name` is the header's, for the message. */
bool precondition_parse(const char *name, struct slice header, bool weak, struct precondition *ret,
                        struct error *reterr);
/* Does a resource at this version match? False without the header. */
bool precondition_matches(const struct precondition *p, int64_t version);

/* "\"12\"" */
#define ETAG_SIZE 24
void etag_format(int64_t version, char ret[ETAG_SIZE]);
