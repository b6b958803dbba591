#include "core/link.h"
#include "core/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The bundle of a system's authorities has about 250 KiB. */
enum { PEM_MAX_BYTES = 4 << 20 };

static bool is_set(const char *s) {
    return s && s[0];
}

bool link_wants_tls(const struct link_tls *tls) {
    return tls->on || is_set(tls->ca_file) || is_set(tls->cert_file);
}

bool link_check(const struct link_tls *tls, const char *section, struct error *reterr) {
    if (is_set(tls->key_file) && !is_set(tls->cert_file))
        return error_set(reterr, ERROR_INVALID, "[%s] key_file without cert_file; give the certificate that it belongs to",
                         section);
    if (is_set(tls->key_password) && !is_set(tls->cert_file))
        return error_set(reterr, ERROR_INVALID, "[%s] key_password without cert_file; there is no key to open", section);
    return true;
}

static bool read_pem(const char *path, struct buf *ret, struct error *reterr) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(reterr, ERROR_INVALID, "cannot be opened: %s", strerror(errno));
    ssize_t n;
    do {
        n = buf_reserve(ret, 16384) ? read(fd, ret->data + ret->len, 16384) : 0;
        if (n > 0)
            ret->len += (size_t)n;
    } while (n > 0);
    int read_errno = errno;
    close(fd);
    if (n < 0)
        return error_set(reterr, ERROR_INVALID, "cannot be read: %s", strerror(read_errno));
    return !ret->failed || error_set(reterr, ERROR_INVALID, "is larger than %d MiB: no PEM file", PEM_MAX_BYTES >> 20);
}

/* "-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----": RFC 7468, section 2. */
static bool has_block(const struct buf *text, const char *label) {
    static const char begin[] = "-----BEGIN ", dashes[] = "-----";
    size_t label_len = strlen(label);
    const char *at = text->data, *end = text->data + text->len;
    while (at && (at = memmem(at, (size_t)(end - at), begin, sizeof(begin) - 1))) {
        at += sizeof(begin) - 1;
        const char *close = memmem(at, (size_t)(end - at), dashes, sizeof(dashes) - 1);
        if (close && (size_t)(close - at) >= label_len && memcmp(close - label_len, label, label_len) == 0)
            return true;
    }
    return false;
}

bool link_check_pem(const char *path, const char *label, struct error *reterr) {
    _cleanup_(buf_done) struct buf text = BUF_INIT(PEM_MAX_BYTES);
    if (!read_pem(path, &text, reterr))
        return false;
    return (text.len && has_block(&text, label)) ||
           error_set(reterr, ERROR_INVALID, "holds no PEM block of a %s", label);
}
