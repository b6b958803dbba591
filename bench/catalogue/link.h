/* Ties the tables together after reading: each leaf gets its attributes, sentences, brands and prices. */
#ifndef CATALOGUE_LINK_H
#define CATALOGUE_LINK_H

#include "model.h"

bool link_model(struct model *model, struct model_error *reterr);

/* Puts "file:line: " before the message. */
void link_locate(struct model_error *err, struct str file, unsigned line);

#endif
