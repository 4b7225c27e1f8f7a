/*
 * overview.h: queues, workers, hosts as tables, for status, queue ls and worker ls.
 */
#ifndef CLI_OVERVIEW_H
#define CLI_OVERVIEW_H

#include "cli.h"

/* Each takes the list of rows of a document; prints nothing for an empty one. CLI_OK, or says.
 */
int overview_queues(const drover_value *queues);
int overview_workers(const drover_value *workers);

/* Workers by host and in sum. */
int overview_hosts(const drover_value *workers);

#endif
