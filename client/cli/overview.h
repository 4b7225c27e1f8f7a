/*
 * overview.h: queues, workers, hosts as tables, for status, queue ls and worker ls.
 */
#ifndef CLI_OVERVIEW_H
#define CLI_OVERVIEW_H

#include "cli.h"

struct grid;

/* Each takes the list of rows of a document; prints nothing for an empty one. CLI_OK, or says.
 */
int overview_queues(const drover_value *queues);
int overview_workers(const drover_value *workers);

/* Begins a row with name, depth, running, delayed, age and state of a queue; more may follow.
 */
void overview_queue_row(struct grid *grid, const drover_value *queue);

/* Workers by host and in sum. */
int overview_hosts(const drover_value *workers);

#endif
