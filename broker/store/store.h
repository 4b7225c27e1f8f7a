/*
 * store.h: what the broker keeps, behind one interface.
 *
 *      store_recover ──records──> core_restore, core_restore_end           once, at the start
 *
 *      core_saves ──> store_append ─> store_publish                        every turn
 *                     store_last ──> what depends on the turn waits for this number
 *                     store_durable(level) ──> every record up to this one has that level
 *
 * The core says what an object is now (struct core_save); the shell appends it here before it
 * lets anything leave that depends on it. Records are numbered from 1 (log sequence number,
 * LSN). A level that the store cannot give is refused by the core (durability_max).
 *
 * Stores: memory.c (nothing survives; gives MEMORY only), store_journal.c (a directory with a
 * journal; gives everything). One thread; only store_recover, store_stop and the making of a
 * store block on the disk.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "core.h"
#include "problem.h"

struct files;
struct store;

struct store_recovery { /* what was found */
    uint64_t records;
    uint64_t bytes;
    bool is_torn; /* something unfinished stood at the end and was left out */
};

/* The functions of a store; the first member of every implementation is a struct store. */
struct store_operations {
    const char *name;                      /* "memory" */
    enum drover_durability durability_max; /* the best level it can give */
    uint64_t (*salt)(const struct store *store);
    uint64_t (*epoch)(const struct store *store);
    drover_status (*recover)(struct store *store, struct core *core, int64_t now_us,
                             struct store_recovery *out_recovery, struct drv_problem *problem);
    void (*append)(struct store *store, const struct core_save *save);
    void (*publish)(struct store *store, uint64_t live_bytes);
    uint64_t (*last)(const struct store *store);
    uint64_t (*durable)(const struct store *store, enum drover_durability level);
    drover_status (*health)(const struct store *store, struct drv_problem *problem);
    int (*fd)(const struct store *store);
    void (*seen)(struct store *store);
    bool (*is_full)(const struct store *store);
    bool (*has_room)(const struct store *store);
    void (*tick)(struct store *store);
    bool (*compact)(struct store *store, struct core *core);
    drover_status (*stop)(struct store *store);
    void (*destroy)(struct store *store);
};

struct store {
    const struct store_operations *operations; /* static */
};

/* A store that keeps nothing. OK or NOMEM. */
DROVER_MUST_USE drover_status store_memory_new(struct store **out_store);

struct store_journal_config {
    const char *directory;     /* made if missing, but not its parents */
    const struct files *files; /* borrowed for life; NULL: those of the operating system */
    uint64_t segment_bytes, reserve_bytes; /* 0: the defaults of the journal */
    bool pumped;                           /* no thread: store_journal_pump (tests) */
};

/* Takes the directory. OK; BUSY: another process has it; IO; MALFORMED, VERSION: what is there
 * cannot be read; NOMEM. The problem names the file. */
DROVER_MUST_USE drover_status store_journal_new(const struct store_journal_config *config,
                                                struct store **out_store,
                                                struct drv_problem *problem);
/* Pumped: one step of the work; true while there is more. */
bool store_journal_pump(struct store *store);

void store_destroy(struct store **store);

const char *store_name(const struct store *store);

/* The best level that a task can ask for. */
enum drover_durability store_durability_max(const struct store *store);

/* A secret that is the same in all lives of the store; 0: it has but one. */
uint64_t store_salt(const struct store *store);
/* Of this life, higher than all before; after store_recover. 0: the store does not count. */
uint64_t store_epoch(const struct store *store);

/*
 * Everything that is kept, into a new core, and the beginning of an epoch. Once, before
 * anything is appended. OK; MALFORMED, VERSION: damaged or not understood, nothing was changed;
 * IO; NOMEM. The problem names file and offset.
 */
DROVER_MUST_USE drover_status store_recover(struct store *store, struct core *core,
                                            int64_t now_us, struct store_recovery *out_recovery,
                                            struct drv_problem *problem);

/* Appends what the core has to keep of this turn; never blocks. */
void store_append(struct store *store, const struct core *core);
/* The turn is over. live_bytes: about what a copy of everything that is alive takes. */
void store_publish(struct store *store, uint64_t live_bytes);

/* The number of the last record appended or recovered. */
uint64_t store_last(const struct store *store);
/* The highest record that has this level, with all before it. Of a level that the store cannot
 * give: 0. */
uint64_t store_durable(const struct store *store, enum drover_durability level);

/* OK; else nothing that waits may leave the broker any more, and it must end. */
DROVER_MUST_USE drover_status store_health(const struct store *store,
                                           struct drv_problem *problem);

/* Readable when durable, health or anything below has changed; -1: never. store_seen first. */
int store_fd(const struct store *store);
void store_seen(struct store *store);

/* The disk is full: what brings new data is refused, what ends work goes on. */
bool store_is_full(const struct store *store);
/* False: so much waits to be written that nothing should be read from peers. */
bool store_has_room(const struct store *store);
/* About once a second. */
void store_tick(struct store *store);

/* A bounded piece of compaction: the core is asked for copies. True: there is more to do at
 * once. */
bool store_compact(struct store *store, struct core *core);

/* Everything that was appended is synced, or the health. Nothing is appended afterwards. */
DROVER_MUST_USE drover_status store_stop(struct store *store);

#endif
