/* page.h - the files of the storefront page, as page/embed.cmake builds them in. */
#pragma once
#include <stddef.h>

struct page_file {
    const char *name;         /* the last part of its address */
    const char *content_type;
    const char *etag, *gzip_etag; /* quoted */
    const char *data;
    const size_t *size;
    const char *gzip;         /* the same, compressed */
    const size_t *gzip_size;
};
extern const struct page_file page_files[]; /* the last has no name */
extern const struct page_file page_html;    /* the page itself */
extern const char page_version[];           /* changes with any of them */
