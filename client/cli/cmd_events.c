/* cmd_events.c: events. */
#include "command.h"

#include "check.h"
#include "event.h"
#include "target.h"

#include <string.h>

static const struct drv_option options[] = {
    {.name = "follow",
     .letter = 'f',
     .kind = DRV_OPTION_FLAG,
     .help = "go on until stopped (as it does anyway)"},
    {.name = "kind",
     .letter = 'k',
     .kind = DRV_OPTION_STRING,
     .argument = "KIND,...",
     .help = "only these: task.ended, worker.lost; a first word stands for all of its kind"},
    {.name = "queue",
     .letter = 'q',
     .kind = DRV_OPTION_STRING,
     .argument = "QUEUE",
     .help = "only of this queue and its tasks"},
    {.name = "type",
     .kind = DRV_OPTION_STRING,
     .argument = "TYPE",
     .help = "only of tasks of this type"},
    {.name = "worker",
     .kind = DRV_OPTION_STRING,
     .argument = "WORKER",
     .help = "only of this worker and what it runs"},
    {.name = "task",
     .kind = DRV_OPTION_STRING,
     .argument = "ID|ID.N|key:NAME",
     .help = "only of this task, element or array"},
    {.name = "group",
     .letter = 'g',
     .kind = DRV_OPTION_STRING,
     .argument = "GROUP",
     .help = "only of tasks of this group"},
    {.name = "tag",
     .kind = DRV_OPTION_STRING,
     .argument = "K=V",
     .help = "only of tasks with this tag"},
    {.name = "count",
     .letter = 'n',
     .kind = DRV_OPTION_INT,
     .min = 1,
     .max = INT64_MAX,
     .argument = "N",
     .help = "stop after N events"},
    {.name = "timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "stop after TIME; exit 124 when --count was not reached"},
};

/* What --tag says, cut in two. */
struct tag {
    char name[256];
    const char *value;
};

static int read_tag(const struct cli *cli, drover_event_filter *filter, struct tag *tag)
{
    const char *text = drv_options_string(cli->options, "tag");
    if (text == NULL) {
        return CLI_OK;
    }
    const char *equals = strchr(text, '=');
    size_t len = equals == NULL ? 0 : (size_t)(equals - text);
    if (len == 0 || len >= sizeof tag->name) {
        return cli_say(CLI_USAGE, "events: --tag wants NAME=VALUE");
    }
    memcpy(tag->name, text, len);
    tag->name[len] = '\0';
    filter->tag = tag->name;
    filter->tag_value = equals + 1;
    return CLI_OK;
}

static int read_task(struct cli *cli, drover_event_filter *filter, drover_task_ref *task)
{
    const char *text = drv_options_string(cli->options, "task");
    int code = text == NULL ? CLI_OK : target_find(cli, text, task);
    if (text != NULL && code == CLI_OK) {
        filter->task = &task->id;
        filter->index = task->index;
    }
    return code;
}

static int run(struct cli *cli)
{
    drover_event_filter filter = DROVER_EVENT_FILTER_INIT;
    drover_task_ref task;
    struct tag tag;
    drover_stream *stream = NULL;
    filter.kinds = drv_options_string(cli->options, "kind");
    filter.queue = drv_options_string(cli->options, "queue");
    filter.type = drv_options_string(cli->options, "type");
    filter.worker = drv_options_string(cli->options, "worker");
    filter.group = drv_options_string(cli->options, "group");
    int code = read_tag(cli, &filter, &tag);
    if (code == CLI_OK) {
        code = read_task(cli, &filter, &task);
    }
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_events_open(cli->client, &filter, &stream);
    if (status == DROVER_INVALID) {
        return cli_say(CLI_USAGE, "events: a filter names something that cannot be; kinds are "
                                  "task, worker, queue, broker, or task.ended and so on");
    }
    if (status != DROVER_OK) {
        return cli_failed(cli, status, "events");
    }
    uint64_t count = drv_options_is_set(cli->options, "count")
                         ? (uint64_t)drv_options_int(cli->options, "count")
                         : 0;
    code = event_print_all(cli, stream, count, deadline_in(cli_duration(cli, "timeout")),
                           "events");
    drover_stream_close(&stream);
    return code;
}

const struct cli_command cmd_events = {
    .name = "events",
    .summary = "tell what happens: tasks, workers, queues, the broker",
    .usage = "[-f] [--kind KIND,...] [--queue QUEUE] [--type TYPE] [--worker WORKER] [--task "
             "ID] [--group GROUP]",
    .about = "One line for each event, with the time on this machine; with --json one object.\n"
             "A reader that is too slow is told how many it has missed.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .run = run,
};
