/*
 * store.h: what the broker keeps, behind one interface.
 *
 * The core says what changed (struct core_record); the shell appends it here before any later
 * effect leaves the broker. A store gives each record a log sequence number (LSN) and tells up
 * to which one it is safe at which level; what depends on a record is held back until then.
 *
 *      core ── CORE_RECORD ──> store_append ──> LSN
 *                              store_durable(level) ──> every record up to this LSN has that
 * level
 *
 * Stores: memory.c (nothing survives; gives MEMORY only). One thread.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "core.h"

struct store;

/* The functions of a store; the first member of every implementation is a struct store. */
struct store_operations {
    const char *name;                      /* "memory" */
    enum drover_durability durability_max; /* the best level it can give */
    drover_status (*append)(struct store *store, const struct core_record *record,
                            uint64_t *out_lsn);
    uint64_t (*durable)(const struct store *store, enum drover_durability level);
    void (*destroy)(struct store *store);
};

struct store {
    const struct store_operations *operations; /* static */
};

/* A store that keeps nothing. OK or NOMEM. */
DROVER_MUST_USE drover_status store_memory_new(struct store **out_store);

void store_destroy(struct store **store);

const char *store_name(const struct store *store);

/* The best level that a task can ask for. */
enum drover_durability store_durability_max(const struct store *store);

/*
 * Appends a record; never blocks. OK with its LSN (from 1, growing by one); IO when the store
 * is unhealthy: nothing that depends on the record may leave the broker, which must end.
 */
DROVER_MUST_USE drover_status store_append(struct store *store,
                                           const struct core_record *record, uint64_t *out_lsn);

/* The highest LSN that has at least this level; 0 for a level that the store cannot give. */
uint64_t store_durable(const struct store *store, enum drover_durability level);

#endif
