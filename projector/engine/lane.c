#include "projector/control.h"
#include "projector/engine/lane.h"
#include <stdlib.h>

enum { LANE_BUCKETS_MIN = 256, LANE_UNUSED_MAX = 4096 };

void lane_init(struct lane *lane) {
    *lane = (struct lane){0};
}

void lane_done_all(struct lane *lane) {
    for (size_t i = 0; i < lane->bucket_count; i++) {
        for (struct lane_entry *e = lane->buckets[i], *next; e; e = next) {
            next = e->chain;
            free(e);
        }
    }
    for (int i = 0; i < LANE_ID_CLASSES; i++) {
        for (struct lane_entry *e = lane->unused[i], *next; e; e = next) {
            next = e->chain;
            free(e);
        }
    }
    free(lane->buckets);
    lane_init(lane);
}

static void list_remove(struct lane *lane, struct lane_entry *e) {
    if (e->queue == LANE_QUEUE_NONE)
        return;
    struct lane_list *list = &lane->queues[e->queue];
    *(e->prev ? &e->prev->next : &list->head) = e->next;
    *(e->next ? &e->next->prev : &list->tail) = e->prev;
    list->count--;
    e->prev = e->next = NULL;
    e->queue = LANE_QUEUE_NONE;
}

static void list_append(struct lane *lane, enum lane_queue queue, struct lane_entry *e) {
    struct lane_list *list = &lane->queues[queue];
    e->prev = list->tail;
    e->next = NULL;
    *(list->tail ? &list->tail->next : &list->head) = e;
    list->tail = e;
    list->count++;
    e->queue = (uint8_t)queue;
}

static void list_prepend(struct lane *lane, enum lane_queue queue, struct lane_entry *e) {
    struct lane_list *list = &lane->queues[queue];
    e->prev = NULL;
    e->next = list->head;
    *(list->head ? &list->head->prev : &list->tail) = e;
    list->head = e;
    list->count++;
    e->queue = (uint8_t)queue;
}

static enum lane_queue queue_of(const struct mark_set *set) {
    return set->priority == MARK_LIVE ? LANE_QUEUE_LIVE : LANE_QUEUE_BACKGROUND;
}

struct lane_entry *lane_find(const struct lane *lane, const char *id, size_t len, uint64_t hash) {
    if (lane->bucket_count == 0)
        return NULL;
    struct lane_entry *e = lane->buckets[hash & (lane->bucket_count - 1)];
    while (e && !(e->hash == hash && e->id_len == len && memcmp(e->id, id, len) == 0))
        e = e->chain;
    return e;
}

/* Doubling keeps most chains empty or of one entry; without memory for it the chains grow instead. */
static void table_grow(struct lane *lane) {
    size_t count = lane->bucket_count * 2;
    struct lane_entry **buckets = calloc(count, sizeof(struct lane_entry *));
    if (!buckets)
        return;
    for (size_t i = 0; i < lane->bucket_count; i++) {
        for (struct lane_entry *e = lane->buckets[i], *next; e; e = next) {
            next = e->chain;
            e->chain = buckets[e->hash & (count - 1)];
            buckets[e->hash & (count - 1)] = e;
        }
    }
    free(lane->buckets);
    lane->buckets = buckets;
    lane->bucket_count = count;
}

static size_t id_class(size_t len) {
    return (len - 1) / LANE_ID_STEP;
}

static struct lane_entry *entry_new(struct lane *lane, size_t len) {
    struct lane_entry **unused = &lane->unused[id_class(len)], *e = *unused;
    if (!e)
        return malloc(sizeof(*e) + (id_class(len) + 1) * LANE_ID_STEP);
    *unused = e->chain;
    lane->unused_count--;
    return e;
}

static struct lane_entry *entry_add(struct lane *lane, const char *id, size_t len, uint64_t hash) {
    if (!lane->buckets) {
        lane->buckets = calloc(LANE_BUCKETS_MIN, sizeof(struct lane_entry *));
        if (!lane->buckets)
            return NULL;
        lane->bucket_count = LANE_BUCKETS_MIN;
    }
    if (lane->entry_count >= lane->bucket_count / 4)
        table_grow(lane);
    struct lane_entry *e = entry_new(lane, len);
    if (!e)
        return NULL;
    *e = (struct lane_entry){.hash = hash, .id_len = (uint8_t)len};
    memcpy(e->id, id, len);
    e->chain = lane->buckets[hash & (lane->bucket_count - 1)];
    lane->buckets[hash & (lane->bucket_count - 1)] = e;
    lane->entry_count++;
    return e;
}

static void entry_free(struct lane *lane, struct lane_entry *entry) {
    struct lane_entry **p = &lane->buckets[entry->hash & (lane->bucket_count - 1)];
    while (*p != entry)
        p = &(*p)->chain;
    *p = entry->chain;
    lane->entry_count--;
    if (lane->unused_count >= LANE_UNUSED_MAX) {
        free(entry);
        return;
    }
    struct lane_entry **unused = &lane->unused[id_class(entry->id_len)];
    entry->chain = *unused;
    *unused = entry;
    lane->unused_count++;
}

static void uncount(struct lane *lane, struct segment *segment) {
    segment->pending--;
    lane->released[segment->source]++;
}

/* Takes over one counted segment: the older of the two stays, the newer one no longer counts this mark. */
static void set_join(struct lane *lane, struct mark_set *set, struct segment *segment) {
    struct segment **held = &set->segments[segment->source];
    if (!*held) {
        *held = segment;
    } else if (segment->seq < (*held)->seq) {
        uncount(lane, *held);
        *held = segment;
    } else {
        uncount(lane, segment);
    }
}

static void set_oldest(int64_t *held, int64_t wall_usec) {
    if (wall_usec != 0 && (*held == 0 || wall_usec < *held))
        *held = wall_usec;
}

static void set_raise(struct mark_set *set, uint64_t cluster_time, uint64_t revision, enum mark_priority priority,
                      bool force, uint8_t targets) {
    if (cluster_time > set->cluster_time)
        set->cluster_time = cluster_time;
    if (revision > set->category_revision)
        set->category_revision = revision;
    if (priority < set->priority)
        set->priority = priority;
    set->force = set->force || force;
    set->targets |= targets;
}

static void set_merge(struct lane *lane, struct mark_set *into, const struct mark_set *from) {
    for (int s = 0; s < MARK_SOURCE_COUNT; s++) {
        if (from->segments[s])
            set_join(lane, into, from->segments[s]);
    }
    for (int s = 0; s < MARK_JOB; s++)
        set_oldest(&into->commit_wall_usec[s], from->commit_wall_usec[s]);
    set_raise(into, from->cluster_time, from->category_revision, from->priority, from->force,
              from->targets);
}

/* A dirty entry that may be taken stands in the queue of its priority; one that waits or flies does not. */
static void entry_enqueue(struct lane *lane, struct lane_entry *e) {
    enum lane_queue queue = queue_of(&e->dirty);
    if (e->in_flight || e->queue == queue || e->queue == LANE_QUEUE_DELAYED)
        return;
    list_remove(lane, e);
    list_append(lane, queue, e);
}

bool lane_mark(struct lane *lane, const char *id, size_t len, uint64_t hash, int64_t commit_wall_usec,
               struct segment *segment) {
    struct lane_entry *e = lane_find(lane, id, len, hash);
    if (!e && !(e = entry_add(lane, id, len, hash)))
        return false;
    struct mark_set *set = CONTROL_COALESCING && e->in_flight ? &e->flight : &e->dirty;
    if (set == &e->dirty && !e->is_dirty) {
        e->is_dirty = true;
        e->dirty = (struct mark_set){.priority = segment->priority};
    }
    if (!e->in_flight) { /* the change behind this mark may use a category that no refresh so far has seen */
        e->tree_is_fresh = false;
        e->tree_asked = UINT32_MAX;
    }
    segment->pending++;
    set_join(lane, set, segment);
    if (segment->source < MARK_JOB)
        set_oldest(&set->commit_wall_usec[segment->source], commit_wall_usec);
    set_raise(set, segment->cluster_time, segment->category_revision, segment->priority, segment->force,
              segment->targets ? segment->targets : LANE_ALL_TARGETS);
    entry_enqueue(lane, e);
    return true;
}

size_t lane_take(struct lane *lane, enum mark_priority priority, size_t max, struct lane_entry **ret) {
    struct lane_list *list = &lane->queues[priority == MARK_LIVE ? LANE_QUEUE_LIVE : LANE_QUEUE_BACKGROUND];
    size_t n = 0;
    while (n < max && list->head) {
        struct lane_entry *e = list->head;
        list_remove(lane, e);
        __builtin_prefetch(list->head ? &list->head->flight : NULL);
        e->flight = e->dirty;
        e->is_dirty = false;
        e->in_flight = true;
        ret[n++] = e;
    }
    lane->in_flight += n;
    return n;
}

static void flight_over(struct lane *lane, struct lane_entry *entry) {
    for (int s = 0; s < MARK_SOURCE_COUNT; s++) {
        if (entry->flight.segments[s])
            uncount(lane, entry->flight.segments[s]);
    }
    entry->in_flight = false;
    entry->attempts = 0;
    entry->tree_is_fresh = false;
    lane->in_flight--;
}

void lane_done(struct lane *lane, struct lane_entry *entry) {
    flight_over(lane, entry);
    if (entry->is_dirty)
        entry_enqueue(lane, entry);
    else
        entry_free(lane, entry);
}

usec_t lane_rest(struct lane *lane, struct lane_entry *entry, usec_t now) {
    if (entry->is_dirty && entry->heat < UINT8_MAX)
        entry->heat++;
    if (entry->heat < LANE_HOT_FLIGHTS) {
        lane_done(lane, entry);
        return 0;
    }
    flight_over(lane, entry);
    unsigned doublings = entry->heat - LANE_HOT_FLIGHTS;
    usec_t rest = (usec_t)LANE_REST_MIN_USEC << (doublings < 8 ? doublings : 8);
    entry->due = now + (rest < LANE_REST_MAX_USEC ? rest : LANE_REST_MAX_USEC);
    list_append(lane, LANE_QUEUE_DELAYED, entry);
    return entry->due;
}

void lane_fail(struct lane *lane, struct lane_entry *entry, usec_t due) {
    entry->in_flight = false;
    lane->in_flight--;
    if (entry->is_dirty) {
        set_merge(lane, &entry->dirty, &entry->flight);
        entry->tree_is_fresh = false; /* a newer mark may bring a newer category */
    } else {
        entry->dirty = entry->flight;
        entry->is_dirty = true;
    }
    if (due == 0) {
        list_prepend(lane, queue_of(&entry->dirty), entry);
        return;
    }
    entry->due = due;
    if (due != USEC_NEVER && entry->attempts < UINT16_MAX)
        entry->attempts++;
    list_append(lane, LANE_QUEUE_DELAYED, entry);
}

usec_t lane_run_due(struct lane *lane, usec_t now) {
    usec_t next_due = USEC_NEVER;
    struct lane_entry *next;
    for (struct lane_entry *e = lane->queues[LANE_QUEUE_DELAYED].head; e; e = next) {
        next = e->next;
        if (e->due <= now) {
            list_remove(lane, e);
            if (e->is_dirty)
                list_append(lane, queue_of(&e->dirty), e);
            else /* it rested, and nothing came */
                entry_free(lane, e);
        } else if (e->due < next_due) {
            next_due = e->due;
        }
    }
    return next_due;
}

void lane_wake(struct lane *lane, uint32_t refresh) {
    struct lane_entry *next;
    for (struct lane_entry *e = lane->queues[LANE_QUEUE_DELAYED].head; e; e = next) {
        next = e->next;
        if (e->due != USEC_NEVER)
            continue;
        e->tree_is_fresh = e->tree_asked <= refresh;
        list_remove(lane, e);
        list_append(lane, queue_of(&e->dirty), e);
    }
}
