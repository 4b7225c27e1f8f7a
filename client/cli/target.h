/*
 * target.h: which task an operand means: ID, ID.N, key:NAME or key:QUEUE/NAME.
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "cli.h"

#define TARGET_TEXT_MAX 48 /* ID.N with its NUL */

/* Where a key counts; for the options of commands that take tasks. */
#define TARGET_QUEUE_OPTION                                                             \
    {                                                                                   \
        .name = "queue", .letter = 'q', .kind = DRV_OPTION_STRING, .argument = "QUEUE", \
        .help = "the queue of key:NAME, \"default\" if none is said"                    \
    }

/* An id; a key is refused, since this needs no broker. CLI_OK, or says what is wrong and
 * returns CLI_USAGE. */
int target_parse(const char *text, drover_task_ref *out_task);

/*
 * The same with keys: key:NAME, or key:QUEUE/NAME unless the command has an option --queue and
 * it is said. For a key the broker is asked, which connects. CLI_OK, or says what is wrong and
 * returns the exit code.
 */
int target_find(struct cli *cli, const char *text, drover_task_ref *out_task);

/* The same, but a key that names no queue is looked for in this one (NULL: "default"), and
 * key:QUEUE/NAME is always of QUEUE. */
int target_find_in(struct cli *cli, const char *text, const char *queue,
                   drover_task_ref *out_task);

/*
 * The operands of the command from number `first` on, keys included. CLI_OK with at least one
 * task in a new array for free(), or says what is wrong and returns the exit code.
 */
int target_operands(struct cli *cli, size_t first, drover_task_ref **out_tasks,
                    size_t *out_count);

void target_format(const drover_id *id, uint32_t index, char out_text[TARGET_TEXT_MAX]);

#endif
