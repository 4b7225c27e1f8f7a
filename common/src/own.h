/*
 * own.h: whether this program can be its own worker.
 *
 * A program whose main begins with drover_worker_main (worker.h) can be started a second time,
 * as the worker of a private pool (local://, client.h). The worker's side says so here, the
 * client's side looks here; neither knows the other. This is the one piece of state of ours
 * that belongs to the process and not to an object, as main itself does.
 */
#ifndef DRV_OWN_H
#define DRV_OWN_H

#include <stdbool.h>

/*
 * The environment variable that turns the second start into a worker. It is taken out of the
 * environment as soon as it was seen, so that nothing that the worker starts is taken for one.
 * A variable and not an argument: who can set the environment of a program can make it load
 * what he likes anyway (LD_PRELOAD), who can choose an argument cannot.
 */
#define DRV_OWN_MARK "DROVER_WORKER_MAIN"

void drv_own_declare(void);
bool drv_own_is_declared(void);

#endif
