/* The word tables of data/, embedded at build time by embed.cmake in the order of their names. */
#ifndef CATALOGUE_DATA_H
#define CATALOGUE_DATA_H

#include <stddef.h>

struct data_file {
    const char *name;
    const unsigned char *bytes;
    size_t length;
};

extern const struct data_file data_files[];
extern const size_t data_file_count;

#endif
