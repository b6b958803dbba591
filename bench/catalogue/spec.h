/*
 * The small language of the tables: words and attributes. data/README.md describes it.
 */
#ifndef CATALOGUE_SPEC_H
#define CATALOGUE_SPEC_H

#include "model.h"

/* Writes the message and returns false, so that a caller can return it. */
bool spec_fail(struct model_error *reterr, const char *what, struct str subject);

/* "black:블랙:BLK*1.2 | white:화이트" or "@list": appends to *ret. */
bool spec_words(const struct model *model, struct str text, struct vec *ret, struct model_error *reterr);

/* One attribute, "panel=IPS|VA". */
bool spec_attr(const struct model *model, struct str text, struct attr *ret, struct model_error *reterr);

/* Attributes separated by ";": appends struct attr to *ret; a name already there is replaced. */
bool spec_attrs(const struct model *model, struct str text, struct vec *ret, struct model_error *reterr);

/* "Samsung: panel=OLED ; hz#120": appends struct case_values to *ret. */
bool spec_cases(const struct model *model, struct str text, struct vec *ret, struct model_error *reterr);

/* "Samsung: rest" into its parts. */
bool spec_split(struct str text, struct str *ret_name, struct str *ret_rest);

#endif
