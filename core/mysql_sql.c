#include "core/mysql_sql.h"
#include <inttypes.h>
#include <strings.h>

/* ---- lexing ---------------------------------------------------------------------------------------------- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static const char *line_end(const char *p, const char *end) {
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    return newline ? newline : end;
}

/* "--" opens a comment only before white space, a control character or the end; "1--1" is arithmetic. */
static bool at_line_comment(const char *p, const char *end) {
    if (*p == '#')
        return true;
    return *p == '-' && end - p >= 2 && p[1] == '-' && (end - p == 2 || (unsigned char)p[2] <= ' ');
}

/* p stands on an opening quote. Returns what follows the closing one, NULL if there is none. A doubled quote is
 * read as a closing and an opening one. */
static const char *skip_quoted(const char *p, const char *end) {
    char quote = *p++;
    while (p < end) {
        if (*p == '\\' && quote != '`') {
            p += end - p >= 2 ? 2 : 1;
            continue;
        }
        if (*p++ == quote)
            return p;
    }
    return NULL;
}

static const char *skip_block_comment(const char *p, const char *end) {
    const char *close = memmem(p + 2, (size_t)(end - p) - 2, "*/", 2);
    return close ? close + 2 : NULL;
}

/* If p stands on a quote or a comment, returns what follows it; p itself if it does not; NULL if it has no end. */
static const char *skip_opaque(const char *p, const char *end) {
    if (*p == '\'' || *p == '"' || *p == '`')
        return skip_quoted(p, end);
    if (*p == '/' && end - p >= 2 && p[1] == '*')
        return skip_block_comment(p, end);
    if (at_line_comment(p, end))
        return line_end(p, end);
    return p;
}

/* ---- places ---------------------------------------------------------------------------------------------- */

static bool append_value(struct buf *out, const struct mysql_value *value, mysql_sql_quote *quote, void *ctx) {
    switch (value->type) {
    case MYSQL_VALUE_NULL:
        return buf_append(out, "NULL", 4);
    case MYSQL_VALUE_I64:
        /* A space before a minus sign: "a-?" with -1 would otherwise open a comment. */
        return (value->i >= 0 || buf_append_char(out, ' ')) && buf_append_i64(out, value->i);
    case MYSQL_VALUE_U64:
        return buf_append_u64(out, value->u);
    case MYSQL_VALUE_STR:
        if (!value->s.data && value->s.len == 0)
            return buf_append(out, "NULL", 4);
        return quote(ctx, out, value->s.data, value->s.len);
    }
    return false;
}

bool mysql_sql_expand(struct buf *out, const char *sql, const struct mysql_value *values, size_t count,
                      mysql_sql_quote *quote, void *ctx, struct error *reterr) {
    const char *end = sql + strlen(sql), *from = sql, *p = sql;
    size_t places = 0;

    while (p < end) {
        const char *next = skip_opaque(p, end);
        if (!next)
            return error_set(reterr, ERROR_INTERNAL, "SQL has an unfinished quote or comment: %.80s", p);
        if (next != p) {
            p = next;
            continue;
        }
        if (*p++ != '?')
            continue;
        if (places < count) {
            buf_append(out, from, (size_t)(p - 1 - from));
            append_value(out, &values[places], quote, ctx);
            from = p;
        }
        places++;
    }
    if (places != count)
        return error_set(reterr, ERROR_INTERNAL, "SQL has %zu places for %zu values: %.120s", places, count, sql);
    buf_append(out, from, (size_t)(end - from));
    if (!buf_ok(out))
        return error_set(reterr, ERROR_INVALID, "SQL statement over %zu bytes, or no memory: %.80s...", out->max, sql);
    return true;
}

/* ---- scripts --------------------------------------------------------------------------------------------- */

static void advance(struct mysql_sql_script *script, const char *to) {
    for (const char *p = script->text + script->pos; p < to; p++)
        script->next_line += *p == '\n';
    script->pos = (size_t)(to - script->text);
}

static const char *skip_blank(const char *p, const char *end) {
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* Reads "DELIMITER x" at p (the start of a line). 1: it was one, 0: it was not, -1: it names none. */
static int read_delimiter(struct mysql_sql_script *script, const char *p, const char *end) {
    static const char word[] = "DELIMITER";
    const size_t word_len = sizeof(word) - 1;
    if ((size_t)(end - p) < word_len || strncasecmp(p, word, word_len) != 0)
        return 0;
    const char *stop = line_end(p, end), *start = skip_blank(p + word_len, stop);
    if (start == p + word_len && start < stop)
        return 0;
    while (stop > start && is_blank(stop[-1]))
        stop--;
    if (start == stop)
        return -1;
    script->delimiter = (struct slice){start, (size_t)(stop - start)};
    advance(script, line_end(p, end));
    return 1;
}

/* Between statements: passes white space, comment lines and DELIMITER lines. False at the end or on an error. */
static bool find_start(struct mysql_sql_script *script, const char *end, struct error *reterr) {
    for (;;) {
        const char *p = script->text + script->pos;
        while (p < end && (is_blank(*p) || *p == '\n'))
            p++;
        advance(script, p);
        if (p == end)
            return false;
        if (at_line_comment(p, end)) {
            advance(script, line_end(p, end));
            continue;
        }
        int delimiter = read_delimiter(script, p, end);
        if (delimiter < 0)
            return error_set(reterr, ERROR_INVALID, "line %u: DELIMITER without a delimiter", script->next_line + 1);
        if (delimiter == 0)
            return true;
    }
}

/* A delimiter counts when nothing but blanks or a comment follows it on its line. */
static bool at_delimiter(const struct mysql_sql_script *script, const char *p, const char *end) {
    struct slice delimiter = script->delimiter.len ? script->delimiter : SLICE(";");
    if ((size_t)(end - p) < delimiter.len || memcmp(p, delimiter.data, delimiter.len) != 0)
        return false;
    p = skip_blank(p + delimiter.len, end);
    return p == end || *p == '\n' || at_line_comment(p, end);
}

bool mysql_sql_next(struct mysql_sql_script *script, struct slice *ret, struct error *reterr) {
    const char *end = script->text + script->len;
    size_t delimiter_len;

    for (;;) {
        if (!find_start(script, end, reterr))
            return false;
        const char *start = script->text + script->pos, *p = start;
        delimiter_len = script->delimiter.len ? script->delimiter.len : 1;
        script->line = script->next_line + 1;
        while (p < end && !at_delimiter(script, p, end)) {
            const char *next = skip_opaque(p, end);
            if (!next)
                return error_set(reterr, ERROR_INVALID, "line %u: a quote or comment in this statement has no end",
                                 script->line);
            p = next == p ? p + 1 : next;
        }
        const char *after = p < end ? p + delimiter_len : end;
        while (p > start && (is_blank(p[-1]) || p[-1] == '\n'))
            p--;
        advance(script, after);
        if (p > start) {
            *ret = (struct slice){start, (size_t)(p - start)};
            return true;
        }
    }
}
