/*
 * table.h: hash table from keys to pointers, for hot and large tables.
 *
 * Open addressing with linear probing over (hash, pointer) slots. The key lives in the entry;
 * the caller gives its hash (drv_table_hash: XXH3-64 with the table's secret seed, so that
 * peers cannot aim for collisions) and an equality function.
 *
 * Growing and shrinking are spread over later inserts and removals: each moves at most
 * DRV_TABLE_MOVE_SLOTS slots, so that no single operation stalls.
 *
 * The home of an entry is the low bits of its hash. A cursor walks in the order (hash read from
 * its low end, entry address), which no operation on the table changes: entries may be inserted
 * and removed between steps, whatever was in the table during the whole walk is seen exactly
 * once, and a walk may rest for as long as one likes. Whoever removes what the walk shows
 * leaves entries behind that are spread over all slots, and still are when the table has
 * shrunk; in an order of slots they would be crowded into ever fewer.
 *
 * One thread at a time. The table borrows its entries.
 */
#ifndef DRV_TABLE_H
#define DRV_TABLE_H

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRV_TABLE_MOVE_SLOTS 16
/* A table does not shrink below this many slots: what hovers about nothing would move for ever.
 */
#define DRV_TABLE_KEPT_SLOTS 4096

/* Whether entry has the key that was passed to find or remove. */
typedef bool (*drv_table_equal_fn)(const void *entry, const void *key);

struct drv_table_slot {
    uint64_t hash;
    void *entry; /* borrowed; NULL: free */
};

struct drv_table_array {
    struct drv_table_slot *slots; /* owned; NULL: no slots */
    unsigned bits;                /* 1 << bits slots */
    size_t used;                  /* entries in it */
};

struct drv_table {
    struct drv_table_array now;  /* receives all inserts */
    struct drv_table_array from; /* being moved to now; no slots when nothing is moving */
    size_t moved;                /* slots of from below this are empty by definition */
    unsigned floor_bits;         /* it never shrinks to less than 1 << floor_bits slots */
    uint64_t seed;
    drv_table_equal_fn equal;
};

/* Where a walk stands. Start with DRV_TABLE_CURSOR_INIT. */
struct drv_table_cursor {
    uint64_t order;  /* of the last hash: its bits from the other end */
    uintptr_t after; /* entries with this hash up to this address are done */
};

#define DRV_TABLE_CURSOR_INIT ((struct drv_table_cursor){.order = 0, .after = 0})

/* An empty table; allocates nothing. seed: random and secret when keys come from peers. */
void drv_table_init(struct drv_table *table, uint64_t seed, drv_table_equal_fn equal);

/* Once it has grown to 1 << bits slots it keeps that many: for what fills and empties often. */
void drv_table_set_floor(struct drv_table *table, unsigned bits);

/* Frees the slots; the entries are the caller's. */
void drv_table_fini(struct drv_table *table);

static inline size_t drv_table_count(const struct drv_table *table)
{
    return table->now.used + table->from.used;
}

/* The hash of a key of len bytes. */
uint64_t drv_table_hash(const struct drv_table *table, const void *key, size_t len);

/* The entry with this hash and key, or NULL. */
void *drv_table_find(const struct drv_table *table, uint64_t hash, const void *key);

/*
 * Adds an entry; the caller has made sure that its key is not there yet.
 * Returns OK, or NOMEM with the table unchanged.
 */
DROVER_MUST_USE drover_status drv_table_insert(struct drv_table *table, uint64_t hash,
                                               void *entry);

/* Removes and returns the entry with this hash and key, or returns NULL. */
void *drv_table_remove(struct drv_table *table, uint64_t hash, const void *key);

/* Removes this very entry; it must be there. */
void drv_table_remove_entry(struct drv_table *table, uint64_t hash, const void *entry);

/* The next entry of a walk, or NULL at its end. */
void *drv_table_next(const struct drv_table *table, struct drv_table_cursor *cursor);

#endif
