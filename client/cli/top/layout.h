/*
 * layout.h: where on the screen everything of top stands.
 *
 *     drover top  tcp://...  up 2h 5m  workers 3  busy 4/12     what does not fit is left out,
 *     queued 12  running 4  done 120/s  failed 0                the least important first
 *     ! critical worker-lost w1: ...
 *      1 hosts [2 workers] 3 executors  4 queues  5 tasks       3 rows, by WORKER
 *       WORKER    STATE      SLOTS  RUNNING ...
 *     > w1        connected      4        2 ...
 *       w2        draining       4        0 ...
 *     drained w2
 *     q quit  ? help  / filter ...
 *
 * On few lines the first three are left out. Pure; notes in the model how many rows there are
 * room for and which comes first.
 */
#ifndef CLI_TOP_LAYOUT_H
#define CLI_TOP_LAYOUT_H

#include "top/cells.h"
#include "top/model.h"

/* Below that there is no room for a table. */
enum { LAYOUT_ROWS_MIN = 4, LAYOUT_COLUMNS_MIN = 20 };

/* Draws the whole of it into cells, over what was there. */
void layout_draw(struct top *top, struct cells *cells);

#endif
