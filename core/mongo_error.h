/* mongo_error.h - what the driver's and the server's error numbers mean to us. Pure. */
#pragma once
#include "core/error.h"
#include <stdint.h>

/* domain and code of a bson_error_t of error API version 2. Never NONE; a number in no table is INTERNAL. */
enum error_code mongo_error_code(uint32_t domain, uint32_t code);
/* What a person can do about it, or NULL. */
const char *mongo_error_advice(uint32_t domain, uint32_t code);
