/*
 * command.h: the table of commands; help, dispatch and completion are made from it.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli.h"

extern const struct cli_command cmd_submit, cmd_map, cmd_run, cmd_xargs;
extern const struct cli_command cmd_result, cmd_wait, cmd_cancel, cmd_retry, cmd_forget;
extern const struct cli_command cmd_show, cmd_why, cmd_task_list;
extern const struct cli_command cmd_queue_list, cmd_queue_pause, cmd_queue_resume;
extern const struct cli_command cmd_queue_purge, cmd_queue_set;
extern const struct cli_command cmd_worker_list, cmd_worker_show, cmd_worker_drain;
extern const struct cli_command cmd_worker_resume;
extern const struct cli_command cmd_group_list, cmd_group_show;
extern const struct cli_command cmd_account_list, cmd_account_show;
extern const struct cli_command cmd_schedule_add, cmd_schedule_list, cmd_schedule_show;
extern const struct cli_command cmd_schedule_remove, cmd_schedule_pause, cmd_schedule_resume;
extern const struct cli_command cmd_schedule_run;
extern const struct cli_command cmd_alert_list, cmd_alert_rules, cmd_alert_add;
extern const struct cli_command cmd_alert_remove, cmd_alert_ack, cmd_alert_silence;
extern const struct cli_command cmd_alert_test;
extern const struct cli_command cmd_status, cmd_ps, cmd_top;
extern const struct cli_command cmd_kv_get, cmd_kv_set, cmd_kv_delete, cmd_kv_increment;
extern const struct cli_command cmd_kv_compare, cmd_kv_list, cmd_kv_watch;
extern const struct cli_command cmd_graph_submit, cmd_graph_show, cmd_graph_wait;
extern const struct cli_command cmd_graph_cancel, cmd_graph_retry, cmd_graph_forget;
extern const struct cli_command cmd_graph_list;
extern const struct cli_command cmd_events, cmd_logs;
extern const struct cli_command cmd_doctor, cmd_keygen, cmd_completion, cmd_complete;
extern const struct cli_command cmd_bench;

/* All of them in the order of the help. */
extern const struct cli_command *const cli_commands[];
extern const size_t cli_command_count;

enum command_word {
    COMMAND_UNKNOWN,
    COMMAND_PLAIN, /* a command of one word */
    COMMAND_GROUP, /* the first of two words */
};

/* What the first word is; a plural is the singular. */
enum command_word command_classify(const char *word);

/* The command with these words; second is NULL or ignored for plain ones. NULL: none. */
const struct cli_command *command_find(const char *first, const char *second);

/* Whether the command begins with this word. */
bool command_begins(const struct cli_command *command, const char *word);

#define COMMAND_TABLES_MAX 3

/* The option tables of a command, most special first; returns how many. */
size_t command_tables(const struct cli_command *command,
                      struct drv_option_table out_tables[COMMAND_TABLES_MAX]);

/* The list of commands for people; with a group (not NULL) only those of the group. */
void command_print_list(FILE *stream, const char *group);

#endif
