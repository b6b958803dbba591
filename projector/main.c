/* projector: keeps the search index true. */
#include "core/cleanup.h"
#include "projector/commands/command.h"
#include "projector/control.h"
#include "projector/status.h"
#include <malloc.h>

/* Many threads that allocate a little: few arenas, and freed memory goes back, so that memory stays small. */
static void tune_malloc(void) {
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
    mallopt(M_MMAP_THRESHOLD, 16 << 20);
}

int main(int argc, char **argv) {
    static struct projector_options options;
    const struct conf_group groups[] = {
        {core_option_table, core_option_count, &options.core},
        {mongo_option_table, mongo_option_count, &options.mongo},
        {mysql_option_table, mysql_option_count, &options.mysql},
        {es_option_table, es_option_count, &options.es},
        {kafka_option_table, kafka_option_count, &options.kafka},
        {projector_option_table, projector_option_count, &options.projector},
    };
    _cleanup_(buf_done) struct buf commands = BUF_INIT(64 << 10);
    command_write_list(&commands);
    struct daemon_program program = {.name = "projector",
                                     .summary = "Keeps the search index in step with MongoDB and MySQL.",
                                     .commands = buf_ok(&commands) ? commands.data : NULL,
                                     .commands_have_help = true,
                                     .groups = groups,
                                     .group_count = ARRAY_LEN(groups),
                                     .core = &options.core,
                                     .check = projector_options_check,
                                     .check_ctx = &options};
    int code = 0;
    tune_malloc();
    if (!daemon_start(&program, argc, argv, &code))
        return code;
    projector_options_settle(&options.projector);
    if (CONTROL_NAME)
        log_error("negative_control", LOG_STR("rule_switched_off", CONTROL_NAME));
    mongo_global_init();
    mysql_global_init();
    code = command_dispatch(&options, program.argc, program.argv);
    mysql_global_done();
    mongo_global_done();
    daemon_finish(&program);
    return code;
}
