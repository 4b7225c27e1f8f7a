/* cmd_doctor.c: doctor. */
#include "command.h"

#include "check.h"
#include "doctor.h"

static const struct drv_option options[] = {
    {.name = "load",
     .letter = 'l',
     .kind = DRV_OPTION_STRING,
     .argument = "FILE",
     .help = "try to load this module, as a worker would",
     .repeatable = true},
    {.name = "data",
     .kind = DRV_OPTION_STRING,
     .argument = "DIR",
     .help = "look at this directory, where a broker is to keep its data"},
};

static int run(struct cli *cli)
{
    struct diagnosis diagnosis = {.count = 0};
    doctor_fleet(&diagnosis, cli);
    doctor_programs(&diagnosis);
    for (size_t i = 0; i < drv_options_count(cli->options, "load"); i++) {
        doctor_module(&diagnosis, drv_options_at(cli->options, "load", i));
    }
    if (drv_options_is_set(cli->options, "data")) {
        doctor_data(&diagnosis, drv_options_string(cli->options, "data"));
    }
    doctor_temporary(&diagnosis);
    doctor_descriptors(&diagnosis);
    doctor_memory(&diagnosis);
    doctor_clock(&diagnosis);
    doctor_dumps(&diagnosis);
    int code = cli->json ? diagnosis_print_json(&diagnosis) : diagnosis_print(&diagnosis);
    if (code != CLI_OK) {
        return code;
    }
    return diagnosis_worst(&diagnosis) == FINDING_FAIL ? CLI_FAILED : CLI_OK;
}

const struct cli_command cmd_doctor = {
    .name = "doctor",
    .summary = "look for what is wrong here, and say what to do",
    .usage = "[--load FILE]... [--data DIR]",
    .about =
        "Looks at the broker and whether it can be reached, versions, workers, programs,\n"
        "modules, directories, and the limits, memory and clock of this machine. Exit code\n"
        "1 when something does not work, no broker included.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .run = run,
};
