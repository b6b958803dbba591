/* bson.h - the home of libbson's header, for pure modules that read documents without talking to a server. */
#pragma once
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <bson/bson.h>
#pragma GCC diagnostic pop
