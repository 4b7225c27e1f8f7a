/*
 * data_dir.h: where the broker keeps its data.
 */
#ifndef BROKER_DATA_DIR_H
#define BROKER_DATA_DIR_H

#include "problem.h"

#include <stddef.h>

enum { DATA_DIR_MAX = 1024 };

/*
 * The directory in force: what was asked for (NULL: nothing), else the first of
 * $STATE_DIRECTORY, else /var/lib/drover for root, else ~/.local/state/drover. The parents of
 * the last one are made if they are missing; of no other. OK; INVALID: no home, or too long;
 * IO: a parent cannot be made.
 */
DROVER_MUST_USE drover_status data_dir_choose(const char *asked, char out_path[DATA_DIR_MAX],
                                              struct drv_problem *problem);

#endif
