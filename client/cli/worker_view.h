/*
 * worker_view.h: the statistics of one worker's host, for worker show.
 */
#ifndef CLI_WORKER_VIEW_H
#define CLI_WORKER_VIEW_H

#include "cli.h"

/*
 * Prints what the worker tells (document 8): host and cores, disks, interfaces, control group,
 * executors, processes; each only if it is there. CLI_OK, or says why not.
 */
int worker_view_print(const drover_value *worker);

/* "[#####.....]  50.0 %" of 10 characters; "-" for a negative percentage. */
#define WORKER_BAR_MAX 32
char *worker_view_bar(double percent, char out_text[WORKER_BAR_MAX]);

#endif
