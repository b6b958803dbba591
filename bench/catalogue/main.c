/* Command line of the sample catalogue generator. */
#include "emit.h"
#include "model.h"
#include "out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef CATALOGUE_VERSION
#define CATALOGUE_VERSION "0.1.0"
#endif

enum { EXIT_USAGE = 2, LINE_BYTES = 1 << 16, PROGRESS_EVERY = 4096 };
enum { OUT_CATEGORIES, OUT_PRODUCTS, OUT_STOCK, OUT_COUNT };

static const char *const out_names[OUT_COUNT] = {"categories", "products", "stock"};

static const char usage[] =
    "Usage: catalogue --products N [--seed S] [--out DIR]\n"
    "       catalogue categories|products|stock --products N [--seed S]\n"
    "\n"
    "Makes up a Korean/English shop catalogue as NDJSON. The same N and S give the same bytes on\n"
    "every machine, and a larger N only adds products.\n"
    "\n"
    "The first form writes DIR/categories.ndjson, DIR/products.ndjson and DIR/stock.ndjson;\n"
    "the second writes one of them to standard output.\n"
    "\n"
    "  --products N   how many products, 0 to 9999999\n"
    "  --seed S       another seed makes another catalogue, 0 to 18446744073709551615 (default 1)\n"
    "  --out DIR      the folder to write to, made if missing (default .)\n"
    "  --quiet        no progress on standard error\n"
    "  --help         this text\n"
    "  --version      the version\n"
    "\n"
    "Exit status: 0 done, 1 could not write, 2 wrong usage.\n";

struct options {
    uint64_t products, seed;
    const char *folder;
    int only; /* OUT_..., or -1: all into the folder */
    bool have_products, quiet;
};

struct run {
    const struct options *options;
    struct model model;
    struct out outs[OUT_COUNT];
    bool wanted[OUT_COUNT];
    struct line line;
    bool progress;
    struct timespec started, shown;
};

static int usage_error(const char *message, const char *subject) {
    fprintf(stderr, "catalogue: %s: '%s'\nTry 'catalogue --help'.\n", message, subject);
    return EXIT_USAGE;
}

static bool parse_number(const char *text, uint64_t limit, uint64_t *ret) {
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return value <= limit;
}

static int parse_value(struct options *options, const char *name, const char *value) {
    if (strcmp(name, "--products") == 0) {
        options->have_products = true;
        if (!parse_number(value, CODES_MAX_PRODUCTS, &options->products))
            return usage_error("--products must be a whole number from 0 to 9999999", value);
    } else if (strcmp(name, "--seed") == 0) {
        if (!parse_number(value, UINT64_MAX, &options->seed))
            return usage_error("--seed must be a whole number from 0 to 18446744073709551615", value);
    } else {
        options->folder = value;
        if (*value == '\0')
            return usage_error("--out must name a folder", value);
    }
    return 0;
}

static int parse_word(struct options *options, const char *word) {
    for (int i = 0; i < OUT_COUNT; i++) {
        if (strcmp(word, out_names[i]) != 0)
            continue;
        if (options->only >= 0)
            return usage_error("only one of categories, products, stock", word);
        options->only = i;
        return 0;
    }
    return usage_error("unknown argument", word);
}

/* Takes "--name value" or "--name=value" at argv[*at]; -1 if it is no such option. */
static int parse_valued(struct options *options, int argc, char **argv, int *at) {
    static const char *const valued[] = {"--products", "--seed", "--out"};
    const char *arg = argv[*at];
    for (size_t k = 0; k < sizeof valued / sizeof valued[0]; k++) {
        size_t length = strlen(valued[k]);
        if (strncmp(arg, valued[k], length) != 0)
            continue;
        if (arg[length] == '=')
            return parse_value(options, valued[k], arg + length + 1);
        if (arg[length] != '\0')
            continue;
        if (++*at >= argc)
            return usage_error("option without a value", arg);
        return parse_value(options, valued[k], argv[*at]);
    }
    return -1;
}

static int parse_options(struct options *options, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        int code = parse_valued(options, argc, argv, &i);
        if (code > 0)
            return code;
        if (code == 0)
            continue;
        if (strcmp(argv[i], "--quiet") == 0)
            options->quiet = true;
        else if ((code = parse_word(options, argv[i])) != 0)
            return code;
    }
    if (!options->have_products && options->only != OUT_CATEGORIES)
        return usage_error("how many products? missing", "--products N");
    if (options->only >= 0 && options->folder)
        return usage_error("goes to standard output, so it does not take", "--out");
    return 0;
}

static double seconds_since(const struct timespec *then) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

static void show_progress(struct run *run, uint64_t done, bool last) {
    if (!run->progress || (!last && seconds_since(&run->shown) < 0.2))
        return;
    clock_gettime(CLOCK_MONOTONIC, &run->shown);
    double seconds = seconds_since(&run->started);
    fprintf(stderr, "\r%llu of %llu products, %.0f a second%s", (unsigned long long)done,
            (unsigned long long)run->options->products, seconds > 0 ? (double)done / seconds : 0.0, last ? "\n" : "");
    fflush(stderr);
}

static void put_line(struct run *run, int which) {
    out_write(&run->outs[which], run->line.bytes, run->line.length);
    run->line.length = 0;
}

static bool write_failed(const struct run *run) {
    for (int i = 0; i < OUT_COUNT; i++)
        if (run->wanted[i] && run->outs[i].error != 0)
            return true;
    return false;
}

static void write_categories(struct run *run) {
    const struct category *categories = run->model.categories.items;
    for (uint32_t i = 0; i < run->model.categories.count; i++) {
        emit_category(&categories[i], &run->line);
        put_line(run, OUT_CATEGORIES);
    }
}

static void write_products(struct run *run) {
    struct draw draw;
    for (uint64_t i = 1; i <= run->options->products && !write_failed(run); i++) {
        draw_product(&run->model, run->options->seed, (uint32_t)i, &draw);
        if (run->wanted[OUT_PRODUCTS]) {
            emit_product(&draw, &run->line);
            put_line(run, OUT_PRODUCTS);
        }
        if (run->wanted[OUT_STOCK]) {
            emit_stock(&draw, &run->line);
            put_line(run, OUT_STOCK);
        }
        if (i % PROGRESS_EVERY == 0)
            show_progress(run, i, false);
    }
    show_progress(run, run->options->products, true);
}

static bool open_outs(struct run *run) {
    const char *folder = run->options->folder ? run->options->folder : ".";
    if (run->options->only >= 0)
        return out_begin(&run->outs[run->options->only], NULL);
    if (!out_make_folder(folder)) {
        fprintf(stderr, "catalogue: cannot make the folder %s: %s\n", folder, strerror(errno));
        return false;
    }
    for (int i = 0; i < OUT_COUNT; i++) {
        char path[OUT_PATH_MAX];
        int length = snprintf(path, sizeof path, "%s/%s.ndjson", folder, out_names[i]);
        if (length < 0 || (size_t)length >= sizeof path)
            errno = ENAMETOOLONG;
        else if (out_begin(&run->outs[i], path))
            continue;
        fprintf(stderr, "catalogue: cannot write %s/%s.ndjson: %s\n", folder, out_names[i], strerror(errno));
        while (i-- > 0)
            out_abort(&run->outs[i]);
        return false;
    }
    return true;
}

static int close_outs(struct run *run) {
    bool failed = write_failed(run);
    for (int i = 0; i < OUT_COUNT; i++) {
        struct out *out = &run->outs[i];
        if (!run->wanted[i])
            continue;
        if (failed && out->error == 0) {
            out_abort(out);
            continue;
        }
        if (out_finish(out))
            continue;
        failed = true;
        fprintf(stderr, "catalogue: cannot write %s: %s\n", out->path[0] != '\0' ? out->path : "standard output",
                strerror(errno));
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_all(const struct options *options) {
    static char bytes[LINE_BYTES];
    static struct run run;
    struct model_error err;
    run.options = options;
    run.line = (struct line){bytes, 0, sizeof bytes, false};
    for (int i = 0; i < OUT_COUNT; i++)
        run.wanted[i] = options->only < 0 || options->only == i;
    if (!model_load(&run.model, &err)) {
        fprintf(stderr, "catalogue: in the word tables: %s\n", err.message);
        return EXIT_FAILURE;
    }
    if (!open_outs(&run))
        return EXIT_FAILURE;
    run.progress = !options->quiet && isatty(STDERR_FILENO) && options->only != OUT_CATEGORIES;
    clock_gettime(CLOCK_MONOTONIC, &run.started);
    run.shown = run.started;
    if (run.wanted[OUT_CATEGORIES])
        write_categories(&run);
    if (run.wanted[OUT_PRODUCTS] || run.wanted[OUT_STOCK])
        write_products(&run);
    if (run.line.full) {
        fputs("catalogue: a line is longer than the buffer\n", stderr);
        return EXIT_FAILURE;
    }
    return close_outs(&run);
}

int main(int argc, char **argv) {
    struct options options = {.seed = 1, .only = -1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        }
        if (strcmp(argv[i], "--version") == 0) {
            puts("catalogue " CATALOGUE_VERSION);
            return EXIT_SUCCESS;
        }
    }
    int code = parse_options(&options, argc, argv);
    if (code == 0)
        code = run_all(&options);
    mem_done();
    return code;
}
