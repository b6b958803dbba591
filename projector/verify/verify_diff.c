#include "projector/verify/verify_diff.h"

const char *const verify_kind_names[] = {"missing", "stale", "orphaned", "dead-lettered", NULL};

int verify_compare_ids(struct slice a, struct slice b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool verify_diff(const struct verify_item *source, size_t source_count, const struct verify_item *index,
                 size_t index_count, verify_diff_fn *fn, void *ctx, size_t *ret_compared) {
    size_t s = 0, i = 0;
    *ret_compared = 0;
    while (s < source_count || i < index_count) {
        int order = s == source_count ? 1 : i == index_count ? -1 : verify_compare_ids(source[s].id, index[i].id);
        const struct verify_item *left = order <= 0 ? &source[s++] : NULL, *right = order >= 0 ? &index[i++] : NULL;
        struct slice id = left ? left->id : right->id;
        bool same = left && right && left->state == VERIFY_PRESENT && right->state == VERIFY_PRESENT &&
                    left->hash == right->hash;
        ++*ret_compared;
        if (!same && !fn(ctx, id, left, right))
            return false;
        for (; i < index_count && verify_compare_ids(index[i].id, id) == 0; i++)
            if (!fn(ctx, id, NULL, &index[i]))
                return false;
    }
    return true;
}

static bool agree(const struct verify_look *source, const struct verify_look *index) {
    return source->state == index->state && source->state != VERIFY_BAD && source->hash == index->hash;
}

static bool unmoved(const struct verify_look *before, const struct verify_look *after) {
    return before->state == after->state && before->hash == after->hash && before->version == after->version;
}

/* Why this is exact. Let the source say A at the second look and everything committed before it be in the index at the
 * third. The last change that led to A was marked, and written before the third look; the index has one version from the
 * first to the third, so that write came before the first, and what stands there should be A. A document that is not
 * there has no version to compare: for it the source must say A at the fourth look as well. */
enum verify_verdict verify_judge(const struct verify_look *index_before, const struct verify_look *source_before,
                                 const struct verify_look *index_after, const struct verify_look *source_after) {
    if (agree(source_after, index_after))
        return VERIFY_EQUAL;
    return unmoved(source_before, source_after) && unmoved(index_before, index_after) ? VERIFY_DIFFERENT : VERIFY_AGAIN;
}

enum verify_kind verify_kind_of(const struct verify_look *source, const struct verify_look *index) {
    if (source->state == VERIFY_ABSENT)
        return VERIFY_ORPHANED;
    return index->state == VERIFY_ABSENT ? VERIFY_MISSING : VERIFY_STALE;
}
