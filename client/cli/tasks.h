/*
 * tasks.h: walking over the broker's list of tasks, page by page.
 */
#ifndef CLI_TASKS_H
#define CLI_TASKS_H

#include "cli.h"

/* 1 << DROVER_STATE_... of the states that are not terminal. */
#define TASKS_ACTIVE                                                                       \
    (1U << DROVER_STATE_WAITING | 1U << DROVER_STATE_DELAYED | 1U << DROVER_STATE_QUEUED | \
     1U << DROVER_STATE_RUNNING)

/* What --tag says, cut in two. */
struct tasks_label {
    char name[DROVER_NAME_MAX + 1];
};

/* Puts --group and --tag of the command into the filter. CLI_OK, or says what is wrong and
 * returns CLI_USAGE. */
int tasks_label(const struct cli *cli, drover_task_filter *filter, struct tasks_label *label);

/* Gets one row; borrowed. CLI_OK to go on, else the exit code that ends the walk. */
typedef int (*tasks_row_fn)(void *context, const drover_value *row);

/* Calls row for at most max tasks. CLI_OK, what row returned, or says what failed. */
int tasks_walk(const struct cli *cli, const drover_task_filter *filter, uint64_t max,
               tasks_row_fn row, void *context);

#endif
