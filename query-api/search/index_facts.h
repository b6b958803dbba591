/* index_facts.h - what the query-api has to know of the index that it searches. An index made by an older mapping, or by one
 * of a shop's own, may lack what the newest has (mappings/README.md).
 * Pure. Thread: that of the loop it belongs to. */
#pragma once
#include "query-api/search/code_names.h"

struct index_facts {
    struct code_names codes; /* attributes that stand in fields of their own */
    bool sharded;            /* it has several shards */
    bool sets;               /* its products have category_set and offers */
};

/* What INDEX_FACTS_PATHS leaves of GET /<index>, of the index itself. */
#define INDEX_FACTS_PATHS                                                                                              \
    "*.settings.index.number_of_shards,*.mappings.properties.any.properties.code_attrs.type,"                          \
    "*.mappings._meta.readside.projection.code_attributes,*.mappings._meta.readside.projection.rules.field,"           \
    "*.mappings._meta.readside.projection.rules.as"
void index_facts_read(struct index_facts *facts, const struct json *index);
