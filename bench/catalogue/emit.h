/* The NDJSON lines. All texts of the tables are free of characters JSON would escape (reader.c). */
#ifndef CATALOGUE_EMIT_H
#define CATALOGUE_EMIT_H

#include "draw.h"
#include "template.h"

void emit_category(const struct category *category, struct line *line);
void emit_product(const struct draw *draw, struct line *line);

/* One line for each SKU of the product. */
void emit_stock(const struct draw *draw, struct line *line);

#endif
