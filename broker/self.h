/*
 * self.h: what the broker itself uses: resident memory and cpu, and how full its disk is.
 */
#ifndef BROKER_SELF_H
#define BROKER_SELF_H

#include "core.h"

struct self_meter {
    uint64_t cpu_us;        /* at the last reading */
    int64_t at_us;          /* 0: none yet */
    int64_t loop_us;        /* the longest turn since the last reading */
    int64_t journal_us;     /* the longest wait for the store since then */
    uint64_t probe_lsn;     /* a record that is waited for; 0: none */
    int64_t probe_since_us; /* it was appended */
    int data_fd;            /* owned: the directory of the store; -1: it keeps nothing */
};

/* directory NULL: the store has none. One that cannot be opened is as none. */
void self_open(struct self_meter *meter, const char *directory);
void self_close(struct self_meter *meter);

/* A turn took so long. */
void self_turned(struct self_meter *meter, int64_t us);
/* Where the store is: the last record, and the last that is synced. One record at a time is
 * timed. */
void self_stored(struct self_meter *meter, uint64_t last, uint64_t synced, int64_t now_us);

/* Reads /proc/self/statm, getrusage and fstatvfs; cpu_percent is of one core since the last
 * reading, 0 at the first; disk_percent as df has it, of what is there for the broker. */
struct core_self self_read(struct self_meter *meter, int64_t now_us);

#endif
