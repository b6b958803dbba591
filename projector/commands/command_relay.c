/* projector relay: follows the databases and writes marks to a topic, for `projector run --from kafka` to work off. */
#include "projector/commands/command.h"
#include "projector/service.h"

static int run(const struct projector_options *options, int argc, char **argv) {
    if (argc > 1)
        return command_usage_error(&command_relay, "it takes no argument %s", argv[1]);
    return service_run(options, SERVICE_RELAY);
}

const struct command command_relay = {
    .name = "relay",
    .usage = "",
    .summary = "follow MongoDB and MySQL into a Kafka topic of marks, until SIGTERM",
    .help = "  Makes the topic [kafka] marks_topic if there is none. A second relay, or a `projector run` on the same\n"
            "  databases, is a hot standby: one of them follows the databases at a time. The index is written by\n"
            "  `projector run --from kafka`, any number of them.\n",
    .daemon = true,
    .run = run,
};
