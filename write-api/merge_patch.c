#include "write-api/merge_patch.h"

/* Members that the patch adds. They are collected beside the target's own and joined at the end: no key stands
 * twice in a patch, so the search goes through the target's own members only, and a patch of very many members
 * costs no square. */
struct added {
    struct json *first, **end;
    unsigned count;
};

static struct json **find(struct json *object, struct slice key) {
    struct json **at = &object->child;
    while (*at && !slice_eq((*at)->key, key))
        at = &(*at)->next;
    return at;
}

static struct json *copy_node(struct arena *arena, const struct json *v) {
    struct json *copy = arena_alloc(arena, sizeof(*copy));
    if (copy) {
        *copy = *v;
        copy->next = NULL;
    }
    return copy;
}

/* One member of the patch into the object (RFC 7396, section 2). */
static bool apply_member(struct arena *arena, struct json *object, struct added *added, const struct json *member) {
    struct json **at = find(object, member->key);
    struct json *old = *at;
    if (member->type == JSON_NULL) {
        if (old) {
            *at = old->next;
            object->count--;
        }
        return true;
    }
    struct json *next = old ? old->next : NULL;
    struct json *value = merge_patch(arena, old, member);
    if (!value)
        return false;
    value->key = member->key;
    value->next = next;
    if (old) {
        *at = value;
        return true;
    }
    *added->end = value;
    added->end = &value->next;
    added->count++;
    return true;
}

/* Recursion is bounded by the JSON reader's depth limit. */
struct json *merge_patch(struct arena *arena, struct json *target, const struct json *patch) {
    if (patch->type != JSON_OBJECT)
        return copy_node(arena, patch);
    if (!target || target->type != JSON_OBJECT) {
        target = copy_node(arena, patch);
        if (!target)
            return NULL;
        target->child = NULL; /* built anew: the patch's own nulls must not stay */
        target->count = 0;
    }
    struct added added = {.end = &added.first};
    for (const struct json *m = patch->child; m; m = m->next) {
        if (!apply_member(arena, target, &added, m))
            return NULL;
    }
    struct json **end = &target->child;
    while (*end)
        end = &(*end)->next;
    *end = added.first;
    target->count += added.count;
    return target;
}
