/* compose_paths.h - the two fields that say where in the tree a product stands. Internal to compose. */
#pragma once
#include "projector/compose/compose_source.h"

/* Of a product without categories there are no paths, and the set is "". False: no memory. */
bool compose_put_category_paths(struct composer *c, const struct projection_rule *rule, struct sink *out);
bool compose_put_category_set(struct composer *c, const struct projection_rule *rule, struct sink *out);
