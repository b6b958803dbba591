/*
 * Korean particles whose form depends on the last sound of the word before them (을/를, 은/는,
 * 이/가, 과/와, 으로/로, 이라/라). Digits and Latin letters count as they are read aloud.
 */
#ifndef CATALOGUE_JOSA_H
#define CATALOGUE_JOSA_H

#include "mem.h"

/* The number of a particle written in its form after a consonant ("을"); 0 if there is none such. */
uint8_t josa_find(struct str name);

/* The form of particle 1.. that follows text. */
struct str josa_after(uint8_t particle, struct str text);

#endif
