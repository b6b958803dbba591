/* index_admin.h - the indexes themselves: mapping files, creation, template, aliases, what an index remembers.
 *
 * Every call blocks (es_call) and belongs on a thread without a loop: at start, in jobs, on the control thread.
 * Names: `base` is the option [projector] index, default "products": the alias is base, physical indexes are
 * base-<yyyymmddhhmmss>-<4 hex>, the template is readside-<base> for base-*. */
#pragma once
#include "core/es.h"
#include "projector/compose/category_tree.h"
#include "projector/compose/projection.h"

/* The mapping files in the binary. */
extern const char index_mapping_products[], index_mapping_products_plain[], index_mapping_categories[];
extern const size_t index_mapping_products_size, index_mapping_products_plain_size, index_mapping_categories_size;

struct index_mapping {
    char *name;   /* "products-v1", or the path it was read from */
    struct buf text;
    struct projection *projection;
};
/* option: "auto" takes products-v1 where the server has the nori tokenizer and products-v1-plain where not;
 * "products-v1" and "products-v1-plain" name one; anything else is the path of a mapping file. products-v1 is without its
 * index.sort where the server does not sort an index that has nested documents. */
bool index_mapping_load(const struct es_conf *es, const char *option, struct index_mapping *ret, struct error *reterr);
/* From the text of a mapping file; name is what it is called in messages and in the index. */
bool index_mapping_from_text(const char *name, const char *text, size_t len, struct index_mapping *ret,
                             struct error *reterr);
void index_mapping_done(struct index_mapping *mapping);

enum index_guard {
    INDEX_GUARD_TEMPLATE, /* the template forbids auto-creation (allow_auto_create: false) */
    INDEX_GUARD_CLUSTER,  /* action.auto_create_index of the cluster forbids it */
    INDEX_GUARD_NONE,     /* nothing does: the caller should warn */
};
/* Sees to it that a write to a missing base-* index fails instead of creating one with a guessed mapping. */
bool index_admin_guard(const struct es_conf *es, const char *base, enum index_guard *ret, struct error *reterr);

struct index_names {
    char **names; /* sorted */
    size_t count;
};
void index_names_done(struct index_names *names);

/* Creates a physical index with the mapping, its projection in mappings._meta.readside. *ret_index is malloc'ed. */
bool index_admin_create(const struct es_conf *es, const char *base, const struct index_mapping *mapping,
                        char **ret_index, struct error *reterr);
/* A new name, base-<stamp>; malloc'ed. */
bool index_admin_name(const char *base, char **ret, struct error *reterr);
/* Creates the index of that name. CONFLICT: it exists. INVALID: the server refuses the mapping. */
bool index_admin_create_as(const struct es_conf *es, const char *index, const struct index_mapping *mapping,
                           struct error *reterr);
bool index_admin_delete(const struct es_conf *es, const char *index, struct error *reterr);
/* The physical indexes behind an alias; none if there is no such alias. CONFLICT if an index has that name. */
bool index_admin_resolve(const struct es_conf *es, const char *alias, struct index_names *ret, struct error *reterr);
/* All base-<stamp> indexes, with or without alias. */
bool index_admin_list(const struct es_conf *es, const char *base, struct index_names *ret, struct error *reterr);
/* Points the alias at index and at nothing else, in one atomic step. */
bool index_admin_alias(const struct es_conf *es, const char *alias, const char *index, struct error *reterr);
/* Resolves the alias; creates index and alias if there is none. *ret_index is malloc'ed, *ret_created may be NULL.
 * CONFLICT if the alias has several indexes. */
bool index_admin_ensure(const struct es_conf *es, const char *base, const struct index_mapping *mapping,
                        char **ret_index, bool *ret_created, struct error *reterr);

/* The projection that the index was made with. CORRUPT if it has none. */
bool index_admin_projection(const struct es_conf *es, const char *index, struct projection **ret, struct error *reterr);
/* The highest `version` of any document (refreshes first); 0 for an empty index. The epoch is version >> 40. */
bool index_admin_highest_version(const struct es_conf *es, const char *index, uint64_t *ret, struct error *reterr);
/* index.refresh_interval as the index has it; "": none of its own, so the server's. Cut to size. */
bool index_admin_refresh_interval(const struct es_conf *es, const char *index, char *ret, size_t size,
                                  struct error *reterr);
bool index_admin_set_refresh_interval(const struct es_conf *es, const char *index, const char *interval,
                                      struct error *reterr);

/* Has the server merge the index into as few segments as it makes by itself where there is time (5 GB each), and does not wait
 * for that. *ret_segments: how many that is. */
bool index_admin_merge(const struct es_conf *es, const char *index, int64_t *ret_segments, struct error *reterr);

/* Creates the index of categories if it is missing. */
bool index_admin_categories_ensure(const struct es_conf *es, const char *index, struct error *reterr);
/* Brings it to `tree`: one bulk with the differences from `previous`, "_meta" last, visible on return. previous
 * NULL: everything is written and whatever else stands there is deleted. version: as for products
 * (epoch << 40 | counter). CONFLICT: a newer owner wrote. */
bool index_admin_categories_write(const struct es_conf *es, const char *index, const struct category_tree *tree,
                                  const struct category_tree *previous, uint64_t version, struct error *reterr);
/* The revision in "_meta"; 0 if there is none. */
bool index_admin_categories_revision(const struct es_conf *es, const char *index, uint64_t *ret, struct error *reterr);
