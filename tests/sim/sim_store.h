/*
 * sim_store.h: the disk under a broker that keeps what it promised.
 *
 * In some worlds the broker has a journal on a disk in memory. Then a restart goes on with the
 * same life: the model of the tasks stays as it is, and what the core says after it must fit
 * to what it said before. A turn's records are synced before its effects leave, so the history
 * that the checker follows is what the disk has; but the broker may also die in the middle of
 * that, with any legal part of what was not synced on the disk. Whether the turn counts is then
 * read from the disk: all of it or nothing.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core.h"
#include "store.h"

struct sim;
struct fault_disk;

struct sim_store {
    struct fault_disk *disk; /* owned; NULL: this world keeps nothing */
    struct store *store;     /* owned; NULL while the broker is down */
    uint64_t promised;       /* the highest record that was ever called synced */
    bool dies;               /* in the middle of the next turn that has records */
};

void sim_store_init(struct sim *sim);
void sim_store_fini(struct sim *sim);

/* Before core_new: opens the store, and what it says about the core. */
void sim_store_open(struct sim *sim, struct core_config *config);
/* After it: everything that was kept, and the epoch. */
void sim_store_recover(struct sim *sim);

/* The turn's records are appended; false: the broker is to die before they are safe. */
bool sim_store_keep(struct sim *sim);
/* The broker is dead, or has come to its end in order. In the middle of a turn: whether that
 * turn counts. */
bool sim_store_crash(struct sim *sim);
void sim_store_end(struct sim *sim);

#endif
