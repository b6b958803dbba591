/*
 * Model numbers and EAN-13 / ISBN-13 codes that are unique by construction: they are made from
 * the product's number by one-to-one mappings, not drawn at random.
 */
#ifndef CATALOGUE_CODES_H
#define CATALOGUE_CODES_H

#include "mem.h"

enum { CODES_MAX_PRODUCTS = 9999999, CODE_MAX = 40, EAN_LENGTH = 13 };

/* In a pattern '#' is a digit, '?' a letter without I and O, anything else stands for itself. */
bool codes_pattern_fits(struct str pattern);

/* True if no string made from a can be the beginning of one made from b, or the other way round. */
bool codes_patterns_differ(struct str a, struct str b);

/* Writes the model number of product number (below 10,000,000); returns its length. */
uint32_t codes_model(struct str pattern, uint64_t seed, uint32_t number, char ret[CODE_MAX]);

/* GTIN of a product (slot 0) or its variant (slot 1..) with a GS1 prefix of three digits. */
void codes_ean(uint32_t prefix, uint64_t seed, uint32_t number, uint32_t slot, char ret[EAN_LENGTH]);

/* ISBN-13 of the Korean group 979-11. */
void codes_isbn(uint64_t seed, uint32_t number, char ret[EAN_LENGTH]);

#endif
