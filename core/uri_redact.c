#include "core/uri.h"
#include <strings.h>

/* Parameters whose value opens something: MongoDB's connection string has tlsCertificateKeyFilePassword and
 * authMechanismProperties (with AWS_SESSION_TOKEN). */
static bool is_confidential_name(const char *name, size_t len) {
    static const char *const words[] = {"password", "passwd", "secret", "token", "properties", "apikey", "api_key"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = strlen(words[i]);
        for (size_t at = 0; at + n <= len; at++)
            if (strncasecmp(name + at, words[i], n) == 0)
                return true;
    }
    return false;
}

static void redact_parameters(struct buf *out, const char *s, size_t len) {
    while (len) {
        size_t piece = 0, name = 0;
        while (piece < len && s[piece] != '&')
            piece++;
        while (name < piece && s[name] != '=')
            name++;
        if (name < piece && is_confidential_name(s, name))
            buf_printf(out, "%.*s=***", (int)name, s);
        else
            buf_append(out, s, piece);
        if (piece < len)
            buf_append_char(out, s[piece++]);
        s += piece;
        len -= piece;
    }
}

/* What follows "://" (or a text without it). A password that was not escaped may hold any character, so the last '@'
 * counts. */
static void redact_one(struct buf *out, const char *s, size_t len) {
    for (size_t i = len; i-- > 0;) {
        if (s[i] == '@') {
            buf_append_str(out, "***");
            s += i;
            len -= i;
            break;
        }
    }
    const char *question = memchr(s, '?', len);
    size_t before = question ? (size_t)(question - s) + 1 : len;
    buf_append(out, s, before);
    redact_parameters(out, s + before, len - before);
}

bool uri_redact(struct buf *out, const char *uris) {
    for (const char *at = uris; *at;) {
        const char *colon = strstr(at, "://"), *start = colon ? colon + 3 : at;
        const char *next = colon ? strstr(start, "://") : NULL;
        const char *end = start + strlen(start);
        if (next) { /* back to the comma before its scheme; without one it is part of this address */
            const char *comma = next;
            while (comma > start && *comma != ',')
                comma--;
            end = comma > start ? comma : end;
        }
        buf_append(out, at, (size_t)(start - at));
        redact_one(out, start, (size_t)(end - start));
        at = end;
    }
    return buf_ok(out);
}
