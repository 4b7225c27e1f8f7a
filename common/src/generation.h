/*
 * generation.h: whether this is still the process that something was made in.
 *
 * What belongs to one process (a socket, a lock, the last id) must be left alone by a child of
 * fork(). To ask getpid() costs a system call each time; this costs two loads.
 */
#ifndef DRV_GENERATION_H
#define DRV_GENERATION_H

#include <stdint.h>

/*
 * A number, never 0, that stays the same for the life of a process and is another one in every
 * process that descends from it by fork(). Processes that do not descend from each other may
 * share a number. Any thread; does not block.
 */
uint64_t drv_generation(void);

#endif
