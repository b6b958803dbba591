/* replay.c - a main for fuzz targets where there is no libFuzzer: runs every file of the corpus folders and seeded
 * mutations of each. The same seed gives the same inputs, so a failure can be repeated.
 *
 *   fuzz_json tests/fuzz/corpus/json --runs 100000 --seed 7
 *
 * When an input kills the target, its number is printed and it is written to the file named by --keep, if given. */
#include "core/clock.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Exists under AddressSanitizer only. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { FILES_MAX = 4096, INPUT_MAX = 1 << 16, DEFAULT_RUNS = 3000, DEFAULT_SEED = 20261121 };

struct input {
    char name[256];
    uint8_t *data;
    size_t size;
};
static struct input files[FILES_MAX];
static size_t file_count;

static struct {
    const char *keep;
    const char *name;
    const uint8_t *data;
    size_t size;
    unsigned long long seed, number;
} current;

static void say_current(void) {
    char text[512];
    int n = snprintf(text, sizeof(text), "replay: died at %s, mutation %llu, seed %llu\n", current.name, current.number,
                     current.seed);
    if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
        return;
    int fd = current.keep ? open(current.keep, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (fd >= 0) {
        if (write(fd, current.data, current.size) < 0)
            perror("replay: keep");
        close(fd);
    }
}

static void on_signal(int number) {
    say_current();
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t below(uint64_t *state, size_t n) {
    return n ? (size_t)(next_random(state) % n) : 0;
}

/* A byte that parsers care about, or any. */
static uint8_t pick_byte(uint64_t *state) {
    static const char liked[] = "\0\n\r\t \"'\\/{}[]():;,.=&%+-_#*0123456789eEuU\x7F\x80\xC0\xED\xF4\xFF";
    uint64_t r = next_random(state);
    return r & 1 ? (uint8_t)liked[(r >> 1) % (sizeof(liked) - 1)] : (uint8_t)(r >> 1);
}

/* Puts `count` bytes from `from` (or picked ones if NULL) in at a random place. */
static size_t insert(uint8_t *data, size_t size, const uint8_t *from, size_t count, uint64_t *state) {
    size_t at = below(state, size + 1);
    if (count > INPUT_MAX - size)
        count = INPUT_MAX - size;
    memmove(data + at + count, data + at, size - at);
    for (size_t i = 0; i < count; i++)
        data[at + i] = from ? from[i] : pick_byte(state);
    return size + count;
}

static size_t insert_part(uint8_t *data, size_t size, const struct input *from, uint64_t *state) {
    uint8_t part[256];
    size_t at = below(state, from->size), left = from->size - at;
    size_t count = below(state, (left < sizeof(part) ? left : sizeof(part)) + 1);
    if (count)
        memcpy(part, from->data + at, count);
    return insert(data, size, part, count, state);
}

static size_t mutate_once(uint8_t *data, size_t size, const struct input *own, uint64_t *state) {
    size_t at = below(state, size), count;
    switch (next_random(state) % 8) {
    case 0:
        if (size)
            data[at] ^= (uint8_t)(1u << below(state, 8));
        return size;
    case 1:
    case 2:
        if (size)
            data[at] = pick_byte(state);
        return size;
    case 3:
        return insert(data, size, NULL, 1 + below(state, 4), state);
    case 4:
        count = below(state, size - at + 1);
        count = count > 16 ? 16 : count;
        memmove(data + at, data + at + count, size - at - count);
        return size - count;
    case 5:
        return insert_part(data, size, own, state);
    case 6:
        return insert_part(data, size, &files[below(state, file_count)], state);
    default:
        return at; /* cut off */
    }
}

/* Each run gets memory of exactly its size, so that AddressSanitizer sees a read behind its end. */
static void run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    current.data = copy;
    current.size = size;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_mutations(const struct input *in, unsigned long long runs) {
    static uint8_t data[INPUT_MAX];
    current.name = in->name;
    current.number = 0;
    run(in->data, in->size);
    for (unsigned long long n = 1; n <= runs; n++) {
        uint64_t state = (current.seed * 0x9E3779B97F4A7C15u + n) * 0xBF58476D1CE4E5B9u | 1;
        size_t size = in->size < INPUT_MAX ? in->size : INPUT_MAX;
        memcpy(data, in->data, size);
        for (size_t i = 1 + below(&state, 5); i > 0; i--)
            size = mutate_once(data, size, in, &state);
        current.number = n;
        run(data, size);
    }
}

static bool read_input(const char *folder, const char *name) {
    char path[4096];
    struct input *in = &files[file_count];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(in->name, sizeof(in->name), "%.255s", name);
    FILE *f = fopen(path, "rb");
    in->data = malloc(INPUT_MAX);
    if (!f || !in->data) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return false;
    }
    in->size = fread(in->data, 1, INPUT_MAX, f);
    fclose(f);
    file_count++;
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

static bool read_folder(const char *folder) {
    DIR *d = opendir(folder);
    if (!d) {
        fprintf(stderr, "replay: %s: %s\n", folder, strerror(errno));
        return false;
    }
    bool ok = true;
    for (struct dirent *e; ok && file_count < FILES_MAX && (e = readdir(d));)
        if (e->d_name[0] != '.')
            ok = read_input(folder, e->d_name);
    closedir(d);
    return ok;
}

static bool parse_number(const char *text, unsigned long long *ret) {
    char *end;
    errno = 0;
    *ret = text ? strtoull(text, &end, 10) : 0;
    return text && *text && *end == '\0' && errno == 0;
}

int main(int argc, char **argv) {
    unsigned long long runs = DEFAULT_RUNS;
    bool ok = argc > 1;
    current.seed = DEFAULT_SEED;
    for (int i = 1; ok && i < argc; i++) {
        if (strcmp(argv[i], "--runs") == 0)
            ok = parse_number(argv[++i], &runs);
        else if (strcmp(argv[i], "--seed") == 0)
            ok = parse_number(argv[++i], &current.seed);
        else if (strcmp(argv[i], "--keep") == 0)
            ok = (current.keep = argv[++i]) != NULL;
        else
            ok = read_folder(argv[i]);
    }
    if (!ok || file_count == 0) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER... [--runs N] [--seed N] [--keep FILE]\n", argv[0]);
        return 2;
    }
    qsort(files, file_count, sizeof(files[0]), by_name);
    signal(SIGABRT, on_signal);
    signal(SIGFPE, on_signal);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(say_current);
    } else {
        signal(SIGSEGV, on_signal);
        signal(SIGBUS, on_signal);
    }
    usec_t start = clock_now_usec();
    for (size_t i = 0; i < file_count; i++)
        run_mutations(&files[i], runs);
    printf("replay: %zu files, %llu mutations of each, seed %llu, %.1f s\n", file_count, runs, current.seed,
           (double)(clock_now_usec() - start) / 1e6);
    for (size_t i = 0; i < file_count; i++)
        free(files[i].data);
    return 0;
}
