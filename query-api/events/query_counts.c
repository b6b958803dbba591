#include "core/hash.h"
#include "core/utf8.h"
#include "query-api/events/query_counts.h"

void query_counts_init(struct query_counts *c, uint64_t seed) {
    for (size_t i = 0; i < QUERY_COUNTS_SLOTS; i++)
        c->slots[i].len = 0;
    c->seed = seed;
    c->used = 0;
}

static size_t normalize(struct slice text, char ret[QUERY_COUNTS_TEXT_BYTES]) {
    size_t len = 0;
    text.len = utf8_cut(text.data, text.len, QUERY_COUNTS_TEXT_BYTES);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' && (len == 0 || ret[len - 1] == ' '))
            continue;
        ret[len++] = (char)(c <= ' ' ? ' ' : c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    return len && ret[len - 1] == ' ' ? len - 1 : len;
}

void query_count_init(struct query_count *ret, struct slice text) {
    ret->searches = ret->clicks = 0;
    ret->results = -1;
    ret->len = (uint8_t)normalize(text, ret->text);
}

/* Where the text is, or would be. */
static struct query_count *slot_of(struct query_counts *c, const struct query_count *wanted) {
    size_t at = hash_bytes_seeded(wanted->text, wanted->len, c->seed) & (QUERY_COUNTS_SLOTS - 1);
    while (c->slots[at].len && (c->slots[at].len != wanted->len || memcmp(c->slots[at].text, wanted->text, wanted->len) != 0))
        at = (at + 1) & (QUERY_COUNTS_SLOTS - 1);
    return &c->slots[at];
}

struct query_count *query_counts_find(struct query_counts *c, struct slice text) {
    struct query_count wanted;
    query_count_init(&wanted, text);
    struct query_count *slot = slot_of(c, &wanted);
    return wanted.len && slot->len ? slot : NULL;
}

struct query_count *query_counts_of(struct query_counts *c, struct slice text) {
    struct query_count wanted;
    query_count_init(&wanted, text);
    if (!wanted.len)
        return NULL;
    struct query_count *slot = slot_of(c, &wanted);
    if (slot->len)
        return slot;
    if (c->used >= QUERY_COUNTS_SLOTS / 4 * 3)
        return NULL;
    c->used++;
    *slot = wanted;
    return slot;
}

uint64_t query_counts_merge(struct query_counts *into, const struct query_counts *from) {
    uint64_t lost = 0;
    for (size_t i = 0; i < QUERY_COUNTS_SLOTS; i++) {
        const struct query_count *old = &from->slots[i];
        struct query_count *sum = old->len ? query_counts_of(into, (struct slice){old->text, old->len}) : NULL;
        if (!sum) {
            lost += old->len ? old->searches : 0;
            continue;
        }
        sum->searches += old->searches;
        sum->clicks += old->clicks;
        sum->results = sum->results < 0 ? old->results : sum->results;
    }
    return lost;
}
