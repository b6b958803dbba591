/* ini text -> configuration -> ini text: whatever is accepted prints to a file that loads back to the same. */
#include "core/conf.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    char *listen, *note;
    int64_t threads, bytes;
    bool fast;
    usec_t wait;
    int format;
};
/* No secret: its _file form would open whatever path the input names. */
static const struct option table[] = {
    {"projector", "listen", OPTION_STRING, "127.0.0.1:0", 0, 0, NULL, "Where.", offsetof(struct target, listen), false},
    {"projector", "threads", OPTION_INT, "2", -5, 64, NULL, "How many.", offsetof(struct target, threads), false},
    {"projector", "bytes", OPTION_BYTES, "4m", 0, 0, NULL, "How large.", offsetof(struct target, bytes), false},
    {"projector", "fast", OPTION_BOOL, "true", 0, 0, NULL, "Faster.", offsetof(struct target, fast), true},
    {"projector", "wait", OPTION_DURATION, "5s", 0, 0, NULL, "How long.", offsetof(struct target, wait), true},
    {"core", "format", OPTION_ENUM, "logfmt", 0, 0, "logfmt|json", "Lines.", offsetof(struct target, format), false},
    {"core", "note", OPTION_STRING, "", 0, 0, NULL, "Anything.", offsetof(struct target, note), false},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct target t = {0};
    struct conf_group group = {table, sizeof(table) / sizeof(table[0]), &t};
    struct error error = {0};
    if (!conf_load_text(&group, 1, "fuzz.ini", (const char *)data, size, &error)) {
        if (error.code != ERROR_INVALID || error.message[0] == '\0' || t.listen || t.note)
            abort();
        return 0;
    }
    struct buf first = BUF_INIT(1 << 20), second = BUF_INIT(1 << 20);
    conf_print(&group, 1, &first);
    conf_done(&group, 1);
    if (!buf_ok(&first) || !conf_load_text(&group, 1, "printed.ini", first.data, first.len, &error))
        abort();
    conf_print(&group, 1, &second);
    conf_done(&group, 1);
    bool complete = !strstr(first.data, "cannot be written in an ini file");
    if (!buf_ok(&second) || (complete && strcmp(first.data, second.data) != 0))
        abort();
    buf_done(&first);
    buf_done(&second);
    return 0;
}
