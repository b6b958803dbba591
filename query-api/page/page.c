/* GET /, /p/{id} and /assets/{version}/{file}: the storefront page. Its files are built in. */
#include "query-api/page/page.h"
#include "query-api/query_api.h"
#include <string.h>
#include <strings.h>

/* Nothing from another host, no script or style within the page; what a product says cannot become one. */
static const char policy[] = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

static struct slice trim(struct slice s) {
    while (s.len && (*s.data == ' ' || *s.data == '\t'))
        s = (struct slice){s.data + 1, s.len - 1};
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* The part before `separator`; *rest is what follows it. */
static struct slice cut(struct slice *rest, char separator) {
    const char *found = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    struct slice part = {rest->data, found ? (size_t)(found - rest->data) : rest->len};
    *rest = found ? (struct slice){found + 1, rest->len - part.len - 1} : (struct slice){NULL, 0};
    return trim(part);
}

/* "q=0", "q=0.000": not at all (RFC 9110, 12.4.2) */
static bool is_zero_weight(struct slice s) {
    if (s.len < 3 || strncasecmp(s.data, "q=0", 3) != 0)
        return false;
    for (size_t i = 3; i < s.len; i++)
        if (s.data[i] != '0' && s.data[i] != '.')
            return false;
    return true;
}

static bool takes_gzip(struct slice accepted) {
    while (accepted.len) {
        struct slice coding = cut(&accepted, ',');
        struct slice name = cut(&coding, ';');
        if (name.len == 4 && strncasecmp(name.data, "gzip", 4) == 0)
            return !is_zero_weight(trim(coding));
    }
    return false;
}

/* Weak comparison; a shared cache may have put W/ before the tag. */
static bool has_tag(struct slice tags, const char *etag) {
    while (tags.len) {
        struct slice tag = cut(&tags, ',');
        if (tag.len > 2 && memcmp(tag.data, "W/", 2) == 0)
            tag = (struct slice){tag.data + 2, tag.len - 2};
        if (slice_eq(tag, slice_str(etag)) || slice_eq(tag, slice_str("*")))
            return true;
    }
    return false;
}

static void reply_file(struct http_request *request, const struct page_file *file, const char *cache_control) {
    bool gzip = takes_gzip(http_request_header(request, "Accept-Encoding"));
    const char *etag = gzip ? file->gzip_etag : file->etag;
    http_reply_header(request, "Cache-Control", cache_control);
    http_reply_header(request, "ETag", etag);
    http_reply_header(request, "Vary", "Accept-Encoding");
    http_reply_header(request, "Content-Security-Policy", policy);
    http_reply_header(request, "X-Content-Type-Options", "nosniff");
    http_reply_header(request, "Referrer-Policy", "same-origin");
    if (has_tag(http_request_header(request, "If-None-Match"), etag)) {
        http_reply_empty(request, 304);
        return;
    }
    if (gzip)
        http_reply_header(request, "Content-Encoding", "gzip");
    http_reply_static(request, 200, file->content_type, gzip ? file->gzip : file->data,
                      gzip ? *file->gzip_size : *file->size);
}

void handle_page(struct http_request *request, void *ctx) {
    (void)ctx;
    reply_file(request, &page_html, "no-cache");
}

/* A page that another version of this program has given out still finds its files here, but nobody is to keep them. */
void handle_page_asset(struct http_request *request, void *ctx) {
    (void)ctx;
    struct slice version = http_request_param(request, "version"), name = http_request_param(request, "file");
    bool same = slice_eq(version, slice_str(page_version));
    for (const struct page_file *file = page_files; file->name; file++) {
        if (slice_eq(name, slice_str(file->name))) {
            reply_file(request, file, same ? "public, max-age=31536000, immutable" : "no-cache");
            return;
        }
    }
    struct error error;
    error_set(&error, ERROR_NOT_FOUND, "the page has no file of this name");
    http_reply_error(request, &error);
}
