/* cmd_kv_watch.c: kv watch. */
#include "command.h"

#include "check.h"
#include "event.h"

#include <string.h>

enum { KEY_MAX = 256 };

static const struct drv_option options[] = {
    {.name = "count",
     .letter = 'n',
     .kind = DRV_OPTION_INT,
     .min = 1,
     .max = INT64_MAX,
     .argument = "N",
     .help = "stop after N changes"},
    {.name = "timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "stop after TIME; exit 124 when --count was not reached"},
    {.name = "new",
     .kind = DRV_OPTION_FLAG,
     .help = "only what changes from now on, not what is there"},
};

static int run(struct cli *cli)
{
    char key[KEY_MAX + 2];
    const char *operand = cli_operand(cli, 0);
    size_t len = strlen(operand);
    unsigned flags = drv_options_flag(cli->options, "new") ? 0 : DROVER_KV_WATCH_PRESENT;
    if (len == 0 || len > KEY_MAX + 1) {
        return cli_say(CLI_USAGE, "a key has 1 to %d bytes", KEY_MAX);
    }
    memcpy(key, operand, len + 1);
    if (key[len - 1] == '*') {
        key[len - 1] = '\0';
        flags |= DROVER_KV_WATCH_PREFIX;
    }
    int code = cli_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    drover_stream *stream = NULL;
    drover_status status = drover_kv_watch(cli->client, key, flags, &stream);
    if (status != DROVER_OK) {
        return cli_failed(cli, status, operand);
    }
    uint64_t count = drv_options_is_set(cli->options, "count")
                         ? (uint64_t)drv_options_int(cli->options, "count")
                         : 0;
    code = event_print_all(cli, stream, count, deadline_in(cli_duration(cli, "timeout")),
                           operand);
    drover_stream_close(&stream);
    return code;
}

const struct cli_command cmd_kv_watch = {
    .group = "kv",
    .name = "watch",
    .summary = "tell what is there and how it changes",
    .usage = "KEY|PREFIX* [--new] [--count N] [--timeout TIME]",
    .about = "First what is there (kv.present, then kv.ready), then every kv.set, kv.deleted\n"
             "and kv.expired. Quote the star, or the shell takes it.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .operand_min = 1,
    .operand_max = 1,
    .run = run,
};
