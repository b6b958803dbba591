#include "write-api/category_ids.h"
#include "write-api/service.h"

void category_ids_done(struct category_ids *c) {
    free(c->ids);
    *c = (struct category_ids){0};
}

static bool has(const struct category_ids *c, int64_t id) {
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->ids[middle] == id)
            return true;
        if (c->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool look_up(const struct category_ids *c, const int64_t *ids, size_t count, bool *ret_known) {
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        ret_known[i] = has(c, ids[i]);
        all &= ret_known[i];
    }
    return all;
}

static bool read_u64(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)lengths, (void)count;
    *(uint64_t *)ctx = strtoull(columns[0], NULL, 10);
    return false;
}

struct loading {
    struct category_ids *c;
    bool failed;
};

static bool read_id(void *ctx, char **columns, const unsigned long *lengths, unsigned count) {
    (void)lengths, (void)count;
    struct loading *loading = ctx;
    struct category_ids *c = loading->c;
    if (c->count == c->room) {
        size_t room = c->room ? c->room * 2 : 256;
        uint32_t *ids = realloc(c->ids, room * sizeof(*ids));
        if (!ids) {
            loading->failed = true;
            return false;
        }
        c->ids = ids;
        c->room = room;
    }
    c->ids[c->count++] = (uint32_t)strtoul(columns[0], NULL, 10);
    return true;
}

/* The revision first: the list is then at least as new, and a change in between is seen at the next look. */
static bool refresh(struct session *s, struct error *reterr) {
    struct category_ids *c = &s->category_ids;
    uint64_t changes = __atomic_load_n(&s->service->category_changes, __ATOMIC_ACQUIRE), revision = 0;
    usec_t now = clock_now_usec();
    if (!health_allows(s->service->health, HEALTH_MYSQL, reterr) ||
        !mysql_session_query(s->mysql, read_u64, &revision, reterr, "SELECT revision FROM category_revision WHERE id=1"))
        return false;
    if (!c->loaded || revision != c->revision) {
        struct loading loading = {.c = c};
        c->loaded = false;
        c->count = 0;
        if (!mysql_session_query(s->mysql, read_id, &loading, reterr, "SELECT id FROM categories ORDER BY id"))
            return false;
        if (loading.failed)
            return error_nomem(reterr);
        c->loaded = true;
        c->revision = revision;
    }
    c->changes = changes;
    c->looked_at = now;
    return true;
}

static bool is_trusted(const struct session *s) {
    const struct category_ids *c = &s->category_ids;
    return c->loaded && clock_now_usec() - c->looked_at < s->service->conf->category_cache_usec &&
           c->changes == __atomic_load_n(&s->service->category_changes, __ATOMIC_ACQUIRE);
}

bool category_ids_check(struct session *s, const int64_t *ids, size_t count, bool *ret_known, struct error *reterr) {
    struct category_ids *c = &s->category_ids;
    if (count == 0)
        return true;
    if (is_trusted(s) && look_up(c, ids, count, ret_known))
        return true;
    if (!refresh(s, reterr))
        return false;
    look_up(c, ids, count, ret_known);
    return true;
}

bool category_ids_changed(struct session *s, uint64_t revision) {
    struct error ignored;
    return (is_trusted(s) || refresh(s, &ignored)) && s->category_ids.revision != revision;
}
