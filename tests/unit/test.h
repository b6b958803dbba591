/* test.h - what every unit test includes: cmocka in its order, and a few shorthands. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/cleanup.h"
#include "core/error.h"

/* The message names what it has to name. */
#define assert_message(error, part)                                                                \
    do {                                                                                           \
        if (!strstr((error)->message, (part)))                                                     \
            fail_msg("'%s' does not say '%s'", (error)->message, (part));                          \
    } while (0)
