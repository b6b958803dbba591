#include "query-api/search/index_facts.h"

static bool has_rule(const struct json *rules, const char *name) {
    for (const struct json *rule = json_is(rules, JSON_ARRAY) ? rules->child : NULL; rule; rule = rule->next)
        if (json_string_is(json_get(rule, "field"), name) && json_string_is(json_get(rule, "as"), name))
            return true;
    return false;
}

void index_facts_read(struct index_facts *facts, const struct json *index) {
    const struct json *shards = json_path(index, "settings.index.number_of_shards");
    const struct json *projection = json_path(index, "mappings._meta.readside.projection");
    const struct json *rules = json_get(projection, "rules");
    bool apart = json_path(index, "mappings.properties.any.properties.code_attrs") != NULL; /* if not, no code stands apart */
    code_names_read(&facts->codes, apart ? json_get(projection, "code_attributes") : NULL);
    facts->sharded = json_is(shards, JSON_STRING) && !slice_eq(shards->text, SLICE("1"));
    facts->sets = has_rule(rules, "category_set") && has_rule(rules, "offers");
}
