/* mysql_sql.h - SQL as text: putting values into '?' places, and cutting a script into statements. Pure.
 *
 * Both read SQL as the server's lexer does with ANSI_QUOTES and NO_BACKSLASH_ESCAPES off (a session sets its
 * sql_mode): '..' and ".." with backslash escapes and doubled quotes, `..` with doubled quotes only, and the
 * comments "-- " to the line's end, "#" to the line's end and slash-star; a '?' inside any of them is no place. */
#pragma once
#include "core/mysql.h"

/* Appends 'text', quoted and escaped for where the SQL goes to. False if out refused it. */
typedef bool mysql_sql_quote(void *ctx, struct buf *out, const char *text, size_t len);

/* Appends sql to out with the values in its places. INTERNAL if places and values differ in number or a quote
 * or comment has no end (both are mistakes in the program), INVALID if out is full. */
bool mysql_sql_expand(struct buf *out, const char *sql, const struct mysql_value *values, size_t count,
                      mysql_sql_quote *quote, void *ctx, struct error *reterr);

/* Cuts a script: see mysql_session_script. Start with text and len, the rest zero. */
struct mysql_sql_script {
    const char *text;
    size_t len;
    size_t pos;            /* read up to here */
    unsigned line;         /* of the statement last returned, from 1 */
    unsigned next_line;    /* of pos, from 0 */
    struct slice delimiter; /* empty: ';' */
};

/* The next statement without its delimiter, as a view of the script. False at the end, or with *reterr set
 * (code other than NONE) for an unfinished quote or a DELIMITER line without one. */
bool mysql_sql_next(struct mysql_sql_script *script, struct slice *ret, struct error *reterr);
