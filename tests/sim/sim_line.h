/*
 * sim_line.h: the checker's own lines, in which tasks stand in the order of their arrival.
 */
#ifndef SIM_LINE_H
#define SIM_LINE_H

#include <stdint.h>

struct sim;
struct sim_task;

void sim_line_push(struct sim *sim, uint32_t serial);
void sim_line_remove(struct sim *sim, struct sim_task *task); /* if it stands in one */

/* It is leased: nothing that should have come before it still stands in line. */
void sim_line_check_order(struct sim *sim, uint32_t serial);

#endif
