/* command.c: see command.h. */
#include "command.h"

#include "check.h"
#include "task_options.h"

#include <string.h>

const struct cli_command *const cli_commands[] = {
    &cmd_submit,
    &cmd_map,
    &cmd_run,
    &cmd_xargs,
    &cmd_result,
    &cmd_wait,
    &cmd_cancel,
    &cmd_retry,
    &cmd_forget,
    &cmd_show,
    &cmd_why,
    &cmd_task_list,
    &cmd_queue_list,
    &cmd_queue_pause,
    &cmd_queue_resume,
    &cmd_queue_purge,
    &cmd_queue_set,
    &cmd_worker_list,
    &cmd_worker_show,
    &cmd_worker_drain,
    &cmd_worker_resume,
    &cmd_group_list,
    &cmd_group_show,
    &cmd_account_list,
    &cmd_account_show,
    &cmd_schedule_add,
    &cmd_schedule_list,
    &cmd_schedule_show,
    &cmd_schedule_remove,
    &cmd_schedule_pause,
    &cmd_schedule_resume,
    &cmd_schedule_run,
    &cmd_alert_list,
    &cmd_alert_rules,
    &cmd_alert_add,
    &cmd_alert_remove,
    &cmd_alert_ack,
    &cmd_alert_silence,
    &cmd_alert_test,
    &cmd_status,
    &cmd_ps,
    &cmd_top,
    &cmd_kv_get,
    &cmd_kv_set,
    &cmd_kv_delete,
    &cmd_kv_increment,
    &cmd_kv_compare,
    &cmd_kv_list,
    &cmd_kv_watch,
    &cmd_graph_submit,
    &cmd_graph_list,
    &cmd_graph_show,
    &cmd_graph_wait,
    &cmd_graph_cancel,
    &cmd_graph_retry,
    &cmd_graph_forget,
    &cmd_logs,
    &cmd_events,
    &cmd_doctor,
    &cmd_keygen,
    &cmd_completion,
    &cmd_complete,
    &cmd_bench,
};
const size_t cli_command_count = DRV_ARRAY_LEN(cli_commands);

/* Whether word is name, or its plural where groups have one. */
static bool is_word(const char *name, const char *word, bool has_plural)
{
    size_t len = strlen(name);
    return strncmp(name, word, len) == 0 &&
           (word[len] == '\0' || (has_plural && strcmp(word + len, "s") == 0));
}

bool command_begins(const struct cli_command *command, const char *word)
{
    return command->group != NULL ? is_word(command->group, word, true)
                                  : is_word(command->name, word, false);
}

enum command_word command_classify(const char *word)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (command_begins(cli_commands[i], word)) {
            return cli_commands[i]->group != NULL ? COMMAND_GROUP : COMMAND_PLAIN;
        }
    }
    return COMMAND_UNKNOWN;
}

const struct cli_command *command_find(const char *first, const char *second)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = cli_commands[i];
        if (command_begins(command, first) &&
            (command->group == NULL ||
             (second != NULL && strcmp(command->name, second) == 0))) {
            return command;
        }
    }
    return NULL;
}

size_t command_tables(const struct cli_command *command,
                      struct drv_option_table out_tables[COMMAND_TABLES_MAX])
{
    size_t count = 0;
    if (command->option_count > 0) {
        out_tables[count++] = (struct drv_option_table){.options = command->options,
                                                        .count = command->option_count};
    }
    if (command->submits) {
        out_tables[count++] = (struct drv_option_table){.title = "Options of the task",
                                                        .options = task_option_list,
                                                        .count = task_option_count};
    }
    out_tables[count++] = (struct drv_option_table){.title = "Options of every command",
                                                    .options = cli_global_options,
                                                    .count = CLI_GLOBAL_OPTION_COUNT};
    return count;
}

void command_print_list(FILE *stream, const char *group)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = cli_commands[i];
        char name[32];
        if (!command->hidden && (group == NULL || command_begins(command, group))) {
            (void)snprintf(name, sizeof(name), "%s%s%s",
                           command->group != NULL ? command->group : "",
                           command->group != NULL ? " " : "", command->name);
            (void)fprintf(stream, "  %-16s %s\n", name, command->summary);
        }
    }
}
