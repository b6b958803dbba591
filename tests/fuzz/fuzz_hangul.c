/* Any valid text through each transformation: the result is valid UTF-8; complete
 * syllables typed as keys come back. */
#include "core/hangul.h"
#include "core/text_fold.h"
#include "core/utf8.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool fine) {
    if (!fine)
        abort();
}

static struct slice of(const struct buf *b) {
    return (struct slice){b->data ? b->data : "", b->len};
}

static bool only_syllables(struct slice text) {
    struct hangul s;
    uint32_t cp;
    for (size_t i = 0, n; i < text.len; i += n) {
        n = utf8_decode(text.data + i, text.len - i, &cp);
        if (!hangul_decompose(cp, &s))
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = {(const char *)data, size};
    struct buf a = BUF_INIT(1 << 22), b = BUF_INIT(1 << 22);
    if (!utf8_valid(text.data ? text.data : "", text.len))
        return 0;
    check(text_fold_append(&a, text) && utf8_valid(of(&a).data, a.len));
    check(text_fold_append(&b, of(&a)) && slice_eq(of(&b), of(&a)));
    buf_reset(&a);
    buf_reset(&b);
    check(hangul_append_initials(&a, text) && utf8_valid(of(&a).data, a.len));
    hangul_is_initials(text);
    buf_reset(&a);
    check(hangul_append_keys(&a, text) && utf8_valid(of(&a).data, a.len));
    check(hangul_append_typed(&b, of(&a)) && utf8_valid(of(&b).data, b.len));
    check(!only_syllables(text) || slice_eq(of(&b), text));
    buf_reset(&b);
    check(hangul_append_typed(&b, text) && utf8_valid(of(&b).data, b.len));
    buf_done(&a);
    buf_done(&b);
    return 0;
}
