/*
 * Names and sentences with holes: "{brand} {series} {screen}인치 {type}".
 *
 *   {brand} {series} {type} {model}   what the product is
 *   {name}                            an attribute, in the text's language
 *   {name:을}                         with the fitting Korean particle after it (josa.h)
 *   {an:name}                         with the English article before it
 *   {s:fit}                           an English verb in the number of the type: fit, fits
 *   {?name:text} {!name:text}         text if a boolean is true / false, or an attribute is there / is not
 *
 * A hole that stays empty takes the blank before it along.
 */
#ifndef CATALOGUE_TEMPLATE_H
#define CATALOGUE_TEMPLATE_H

#include "draw.h"
#include "model.h"

/* Where text is put together. full: something did not fit; checked once per product. */
struct line {
    char *bytes;
    uint32_t length, capacity;
    bool full;
};

void line_put(struct line *line, const char *bytes, uint32_t length);
void line_put_number(struct line *line, uint64_t value);

/* Compiles "korean || english" for a leaf whose attributes are known. */
bool template_compile(const struct leaf *leaf, struct str text, struct phrase *ret, struct model_error *reterr);

/* sentence: an English text then begins with a capital. */
void template_render(const struct phrase *phrase, int lang, const struct draw *draw, bool sentence, struct line *line);

/* A number of a VALUE_RANGE, such as 13.3. */
void template_put_range(const struct values *values, uint32_t pick, struct line *line);

#endif
