/* projector run: follows the databases, or a topic of marks, and keeps the index true. */
#include "core/cleanup.h"
#include "projector/commands/command.h"
#include "projector/service.h"

static int run(const struct projector_options *options, int argc, char **argv) {
    static const struct {
        const char *name;
        enum service_kind kind;
    } sources[] = {{"databases", SERVICE_OWNER}, {"kafka", SERVICE_GROUP}};
    const char *from = "databases";
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--from=", 7) == 0)
            from = argv[i] + 7;
        else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
            from = argv[++i];
        else
            return command_usage_error(&command_run, "it takes no argument %s", argv[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        if (strcmp(from, sources[i].name) == 0)
            return service_run(options, sources[i].kind);
    return command_usage_error(&command_run, "--from takes databases or kafka, not %s", from);
}

const struct command command_run = {
    .name = "run",
    .usage = "[--from databases|kafka]",
    .summary = "keep the index true, until SIGTERM",
    .help = "  --from databases   follow MongoDB and MySQL (the default); a second instance is a hot standby\n"
            "  --from kafka       read the marks that `projector relay` writes to [kafka] marks_topic, as a member of\n"
            "                     the group [kafka] marks_group; instances share the partitions\n",
    .daemon = true,
    .run = run,
};
