/* mysql_error.h - what the error numbers of MySQL, MariaDB and their client library mean to us. Pure. */
#pragma once
#include "core/error.h"

/* Never NONE; a number that is in no table is INTERNAL. */
enum error_code mysql_error_code(unsigned number);
/* The connection is of no use after it. */
bool mysql_error_is_lost(unsigned number);
/* What a person can do about it, or NULL. */
const char *mysql_error_advice(unsigned number);
