/* The lines of a "kind" in the tables. */
#ifndef CATALOGUE_KIND_H
#define CATALOGUE_KIND_H

#include "model.h"

/* "laptop" or "gaming_laptop < laptop": a kind that starts as a copy of another. */
bool kind_begin(struct model *model, struct str text, struct model_error *reterr);

/* One line of the kind begun last: its keyword and the rest. */
bool kind_line(struct model *model, struct str keyword, struct str rest, struct model_error *reterr);

const struct kind *kind_find(const struct model *model, struct str name);

#endif
