/* conf_print.c - what is generated from option tables: an ini file, --help, Markdown. */
#include "core/conf.h"
#include "core/conf_value.h"
#include "core/uri.h"
#include <ctype.h>
#include <ini.h>
#include <stdio.h>

typedef void print_option_fn(const struct option *option, const void *target, struct buf *out);
typedef void print_section_fn(const char *section, struct buf *out);

static void for_each_option(const struct conf_group *groups, size_t count, struct buf *out,
                            print_section_fn *print_section, print_option_fn *print_option) {
    const char *section = "";
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < groups[i].count; j++) {
            const struct option *o = &groups[i].options[j];
            if (strcmp(o->section, section) != 0) {
                section = o->section;
                print_section(section, out);
            }
            print_option(o, groups[i].target, out);
        }
    }
}

static bool is_secret(const struct option *o) {
    return o->type == OPTION_SECRET;
}

static const char *default_text(const struct option *o) {
    return o->value && o->value[0] ? o->value : "empty";
}

/* inih strips spaces at both ends, takes " ;" for a comment and has a limit for lines. */
static bool fits_in_a_line(const struct option *o, const char *value, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (value[i] == '\n' || value[i] == '\r' ||
            (value[i] == ';' && (i == 0 || isspace((unsigned char)value[i - 1]))))
            return false;
    if (len && (isspace((unsigned char)value[0]) || isspace((unsigned char)value[len - 1])))
        return false;
    return strlen(o->key) + 3 + len <= INI_MAX_LINE - 3;
}

static void print_value(const struct option *o, const void *target, struct buf *out) {
    struct buf value = BUF_INIT(1 << 20);
    conf_value_format(o, target, &value);
    if (is_secret(o) && value.len) {
        buf_reset(&value);
        buf_append_str(&value, "***");
    } else if (o->type == OPTION_URL && buf_ok(&value) && value.len) {
        struct buf redacted = BUF_INIT(1 << 20);
        uri_redact(&redacted, value.data);
        buf_done(&value);
        value = redacted;
    }
    if (!buf_ok(&value))
        out->failed = true;
    else if (fits_in_a_line(o, value.data, value.len))
        buf_printf(out, value.len ? "%s = %s\n" : "%s =\n", o->key, value.data);
    else
        buf_printf(out, "# %s cannot be written in an ini file; give it by environment\n", o->key);
    buf_done(&value);
}

static void print_ini_section(const char *section, struct buf *out) {
    buf_printf(out, "%s[%s]\n", out->len ? "\n" : "", section);
}

static void print_ini_option(const struct option *o, const void *target, struct buf *out) {
    buf_printf(out, "# %s\n# ", o->help);
    conf_value_describe(o, out);
    if (!is_secret(o))
        buf_printf(out, "; default %s", default_text(o));
    buf_append_str(out, o->reload ? "; taken over at SIGHUP\n" : "\n");
    print_value(o, target, out);
}

void conf_print(const struct conf_group *groups, size_t count, struct buf *ret) {
    for_each_option(groups, count, ret, print_ini_section, print_ini_option);
}

static void print_help_section(const char *section, struct buf *out) {
    buf_printf(out, "\n[%s]\n", section);
}

static void print_help_option(const struct option *o, const void *target, struct buf *out) {
    (void)target;
    buf_printf(out, "  --%s.%s%s\n      %s\n      ", o->section, o->key, is_secret(o) ? "_file=PATH" : "=VALUE", o->help);
    conf_value_describe(o, out);
    if (is_secret(o))
        buf_printf(out, "; also as %s = VALUE, but not on the command line\n", o->key);
    else
        buf_printf(out, "; default %s%s%s%s\n", default_text(o), o->type == OPTION_URL ? "; also as " : "",
                   o->type == OPTION_URL ? o->key : "", o->type == OPTION_URL ? "_file = PATH" : o->reload ? "; taken over at SIGHUP" : "");
}

void conf_help(const struct conf_group *groups, size_t count, struct buf *ret) {
    for_each_option(groups, count, ret, print_help_section, print_help_option);
}

static void print_markdown_section(const char *section, struct buf *out) {
    buf_printf(out, "%s### [%s]\n\n| option | values | default | at SIGHUP | what it does |\n|---|---|---|---|---|\n",
               out->len ? "\n" : "", section);
}

/* '|' would end the cell. */
static void append_cell(struct buf *out, const char *text) {
    for (const char *s = text; *s; s++) {
        if (*s == '|')
            buf_append_char(out, '\\');
        buf_append_char(out, *s);
    }
}

static void print_markdown_option(const struct option *o, const void *target, struct buf *out) {
    (void)target;
    struct buf values = BUF_INIT(1024);
    if (!conf_value_describe(o, &values)) {
        out->failed = true;
        return;
    }
    buf_printf(out, "| `%s` | ", o->key);
    append_cell(out, values.data);
    if (is_secret(o) || !o->value || !o->value[0]) {
        buf_append_str(out, " | ");
    } else {
        buf_append_str(out, " | `");
        append_cell(out, o->value);
        buf_append_char(out, '`');
    }
    buf_printf(out, " | %s | ", o->reload ? "yes" : "");
    append_cell(out, o->help);
    buf_append_str(out, " |\n");
    buf_done(&values);
}

void conf_markdown(const struct conf_group *groups, size_t count, struct buf *ret) {
    for_each_option(groups, count, ret, print_markdown_section, print_markdown_option);
}
