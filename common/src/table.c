/*
 * table.c: see table.h.
 *
 * While `from` is being moved, three rules hold. (1) `now` is an ordinary linear-probing
 * array; removal shifts the followers back. (2) In `from` nothing shifts any more: a removed
 * entry leaves a tombstone, and the slots below `moved` count as tombstones, whatever they
 * hold, so every probe that would pass them continues at `moved`. (3) `now` has room for
 * everything: moving is always finished before `now` fills up.
 */
#include "table.h"

#include "check.h"

#include <stdlib.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BITS_MIN 4
#define BITS_MAX 40
#define RELEASE_BYTES ((size_t)256 * 1024) /* a multiple of every page size */

/* Slots that an insert moves. Two would do: a table that has doubled takes three inserts for
 * each four slots that are to be moved before it doubles again. Few make each insert cost
 * nearly what it costs otherwise. Removals move more, so that a table can follow a drain all
 * the way down. */
enum { INSERT_MOVE_SLOTS = 8 };

/* A pointer that no entry has. */
static char tombstone;

/* A table that has grown to so many slots once keeps them: moving to and fro costs more. */
enum { KEPT_BITS = 12 };
_Static_assert(1 << KEPT_BITS == DRV_TABLE_KEPT_SLOTS, "as the header says");

struct candidate {
    uint64_t order; /* order_of its hash */
    void *entry;    /* NULL: none */
};

/* ---- memory ------------------------------------------------------------------------------ */

static bool is_mapped(size_t count)
{
    return count * sizeof(struct drv_table_slot) >= RELEASE_BYTES;
}

/*
 * Free slots; NULL when out of memory. Large arrays are mapped: fresh pages need no zeroing,
 * and each is paid for when it is first touched. Small pages on purpose: entries go anywhere,
 * so that a few hundred inserts touch all of a fresh array, and zeroing its large pages, 2 MiB
 * each, would stall them for most of a tenth of a second.
 */
static struct drv_table_slot *slots_new(size_t count)
{
    size_t bytes = count * sizeof(struct drv_table_slot);
    if (!is_mapped(count)) {
        return calloc(count, sizeof(struct drv_table_slot));
    }
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                        0);
    if (mapped == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(mapped, bytes, MADV_NOHUGEPAGE); /* advice */
    return mapped;
}

static void array_free(struct drv_table_array *array)
{
    if (array->slots != NULL && is_mapped((size_t)1 << array->bits)) {
        (void)munmap(array->slots, sizeof *array->slots << array->bits);
    } else {
        free(array->slots);
    }
    *array = (struct drv_table_array){0};
}

void drv_table_init(struct drv_table *table, uint64_t seed, drv_table_equal_fn equal)
{
    *table = (struct drv_table){.floor_bits = KEPT_BITS, .seed = seed, .equal = equal};
}

void drv_table_set_floor(struct drv_table *table, unsigned bits)
{
    table->floor_bits = bits > KEPT_BITS ? bits : KEPT_BITS;
}

void drv_table_fini(struct drv_table *table)
{
    array_free(&table->now);
    array_free(&table->from);
    drv_table_init(table, table->seed, table->equal);
}

uint64_t drv_table_hash(const struct drv_table *table, const void *key, size_t len)
{
    return XXH3_64bits_withSeed(key, len, table->seed);
}

/* ---- slots ------------------------------------------------------------------------------- */

static size_t array_size(const struct drv_table_array *array)
{
    return array->slots == NULL ? 0 : (size_t)1 << array->bits;
}

static size_t array_home(const struct drv_table_array *array, uint64_t hash)
{
    return (size_t)hash & (((size_t)1 << array->bits) - 1);
}

/* Puts an entry that is not there into an array with a free slot. */
static void array_place(struct drv_table_array *array, struct drv_table_slot slot)
{
    size_t mask = array_size(array) - 1;
    size_t i = array_home(array, slot.hash);
    while (array->slots[i].entry != NULL) {
        i = (i + 1) & mask;
    }
    array->slots[i] = slot;
    array->used++;
}

/* ---- moving ------------------------------------------------------------------------------ */

static void move_finish(struct drv_table *table)
{
    DRV_ASSERT(table->from.used == 0);
    array_free(&table->from);
    table->moved = 0;
}

/*
 * Gives the pages of slots that were just moved back to the system, a stretch at a time: to
 * free a large array at once would take milliseconds. What is read there later does not matter,
 * see (2).
 */
static void release_moved(const struct drv_table *table, size_t old_moved)
{
    size_t first = old_moved * sizeof(struct drv_table_slot) / RELEASE_BYTES;
    size_t last = table->moved * sizeof(struct drv_table_slot) / RELEASE_BYTES;
    if (last > first && is_mapped((size_t)1 << table->from.bits)) {
        /* Purely advice: without it the memory is released when the array is freed. */
        (void)madvise((char *)table->from.slots + first * RELEASE_BYTES,
                      (last - first) * RELEASE_BYTES, MADV_DONTNEED);
    }
}

static void move_some(struct drv_table *table, size_t budget)
{
    if (table->from.slots == NULL) {
        return;
    }
    size_t size = array_size(&table->from);
    size_t old_moved = table->moved;
    for (; budget > 0 && table->moved < size && table->from.used > 0; budget--) {
        struct drv_table_slot slot = table->from.slots[table->moved++];
        if (slot.entry != NULL && slot.entry != &tombstone) {
            array_place(&table->now, slot);
            table->from.used--;
        }
    }
    release_moved(table, old_moved);
    if (table->from.used == 0) {
        move_finish(table);
    }
}

/* Starts moving to an array of 1 << bits slots. */
static drover_status resize(struct drv_table *table, unsigned bits)
{
    move_some(table, SIZE_MAX);
    if (bits > BITS_MAX) {
        return DROVER_NOMEM;
    }
    struct drv_table_slot *slots = slots_new((size_t)1 << bits);
    if (slots == NULL) {
        return DROVER_NOMEM;
    }
    table->from = table->now;
    table->moved = 0;
    table->now = (struct drv_table_array){.slots = slots, .bits = bits};
    if (table->from.used == 0) {
        move_finish(table);
    }
    return DROVER_OK;
}

static drover_status make_room(struct drv_table *table)
{
    size_t size = array_size(&table->now);
    size_t needed = drv_table_count(table) + 1;
    if (needed <= size / 4 * 3) {
        return DROVER_OK;
    }
    drover_status status = resize(table, size == 0 ? BITS_MIN : table->now.bits + 1);
    /* Without memory a fuller table is slower, but right as long as one slot stays free. */
    return status && needed < size ? DROVER_OK : status;
}

static void maybe_shrink(struct drv_table *table)
{
    if (table->from.slots == NULL && table->now.bits > table->floor_bits &&
        table->now.used < array_size(&table->now) / 8) {
        (void)resize(table, table->now.bits - 1); /* no memory: it stays large */
    }
}

/* ---- finding ----------------------------------------------------------------------------- */

/* What a probe looks for: an entry by key, or this very entry. */
struct target {
    uint64_t hash;
    const void *key;   /* by key, if entry is NULL */
    const void *entry; /* by identity */
};

static bool is_target(const struct drv_table *table, const struct drv_table_slot *slot,
                      const struct target *target)
{
    if (slot->hash != target->hash) {
        return false;
    }
    if (target->entry != NULL) {
        return slot->entry == target->entry;
    }
    return slot->entry != &tombstone && table->equal(slot->entry, target->key);
}

static struct drv_table_slot *probe_now(const struct drv_table *table,
                                        const struct target *target)
{
    const struct drv_table_array *array = &table->now;
    if (array->used == 0) {
        return NULL;
    }
    size_t mask = array_size(array) - 1;
    for (size_t i = array_home(array, target->hash);; i = (i + 1) & mask) {
        struct drv_table_slot *slot = &array->slots[i];
        if (slot->entry == NULL) {
            return NULL;
        }
        if (is_target(table, slot, target)) {
            return slot;
        }
    }
}

static struct drv_table_slot *probe_from(const struct drv_table *table,
                                         const struct target *target)
{
    const struct drv_table_array *array = &table->from;
    if (array->used == 0) {
        return NULL;
    }
    size_t size = array_size(array);
    size_t i = array_home(array, target->hash);
    if (i < table->moved) {
        i = table->moved;
    }
    for (size_t left = size - table->moved; left > 0; left--) {
        struct drv_table_slot *slot = &array->slots[i];
        if (slot->entry == NULL) {
            return NULL;
        }
        if (is_target(table, slot, target)) {
            return slot;
        }
        if (++i == size) {
            i = table->moved;
        }
    }
    return NULL;
}

void *drv_table_find(const struct drv_table *table, uint64_t hash, const void *key)
{
    const struct target target = {.hash = hash, .key = key};
    const struct drv_table_slot *slot = probe_now(table, &target);
    if (slot == NULL) {
        slot = probe_from(table, &target);
    }
    return slot == NULL ? NULL : slot->entry;
}

/* ---- changing ---------------------------------------------------------------------------- */

drover_status drv_table_insert(struct drv_table *table, uint64_t hash, void *entry)
{
    DRV_ASSERT(entry != NULL);
    move_some(table, INSERT_MOVE_SLOTS);
    drover_status status = make_room(table);
    if (status) {
        return status;
    }
    array_place(&table->now, (struct drv_table_slot){.hash = hash, .entry = entry});
    return DROVER_OK;
}

/* Empties a slot of now; followers that may come closer to their homes do. */
static void close_gap(struct drv_table_array *array, struct drv_table_slot *slot)
{
    size_t mask = array_size(array) - 1;
    size_t gap = (size_t)(slot - array->slots);
    for (size_t i = (gap + 1) & mask; array->slots[i].entry != NULL; i = (i + 1) & mask) {
        size_t home = array_home(array, array->slots[i].hash);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            array->slots[gap] = array->slots[i];
            gap = i;
        }
    }
    array->slots[gap] = (struct drv_table_slot){0};
    array->used--;
}

static void *remove_target(struct drv_table *table, const struct target *target)
{
    void *entry = NULL;
    struct drv_table_slot *slot = probe_now(table, target);
    if (slot != NULL) {
        entry = slot->entry;
        close_gap(&table->now, slot);
    } else if ((slot = probe_from(table, target)) != NULL) {
        entry = slot->entry;
        slot->entry = &tombstone;
        table->from.used--;
    }
    move_some(table, DRV_TABLE_MOVE_SLOTS);
    maybe_shrink(table);
    return entry;
}

void *drv_table_remove(struct drv_table *table, uint64_t hash, const void *key)
{
    return remove_target(table, &(const struct target){.hash = hash, .key = key});
}

void drv_table_remove_entry(struct drv_table *table, uint64_t hash, const void *entry)
{
    DRV_ASSERT(entry != NULL);
    void *removed = remove_target(table, &(const struct target){.hash = hash, .entry = entry});
    DRV_ASSERT(removed == entry);
}

/* ---- walking ----------------------------------------------------------------------------- */

/* The same bits from the other end: what a walk goes by. It is its own inverse. */
static uint64_t order_of(uint64_t hash)
{
    uint64_t x = __builtin_bswap64(hash);
    x = (x >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (x & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
    x = (x >> 2 & UINT64_C(0x3333333333333333)) | (x & UINT64_C(0x3333333333333333)) << 2;
    return (x >> 1 & UINT64_C(0x5555555555555555)) | (x & UINT64_C(0x5555555555555555)) << 1;
}

static bool comes_before(uint64_t order, const void *entry, const struct candidate *other)
{
    return other->entry == NULL || order < other->order ||
           (order == other->order && (uintptr_t)entry < (uintptr_t)other->entry);
}

/* Takes the slot for best if it lies behind the cursor and before best. */
static void consider(const struct drv_table_slot *slot, const struct drv_table_cursor *cursor,
                     struct candidate *best)
{
    uint64_t order = order_of(slot->hash);
    bool behind = order > cursor->order ||
                  (order == cursor->order && (uintptr_t)slot->entry > cursor->after);
    if (behind && slot->entry != &tombstone && comes_before(order, slot->entry, best)) {
        *best = (struct candidate){.order = order, .entry = slot->entry};
    }
}

/*
 * Considers the entries whose homes are first to last; they are in one run of slots that
 * begins at first or, in from, not below floor.
 */
static void consider_homes(const struct drv_table_array *array, size_t floor, size_t first,
                           size_t last, const struct drv_table_cursor *cursor,
                           struct candidate *best)
{
    size_t size = array_size(array);
    size_t i = first < floor ? floor : first;
    for (size_t left = size - floor; left > 0 && array->slots[i].entry != NULL; left--) {
        size_t home = array_home(array, array->slots[i].hash);
        if (home >= first && home <= last) {
            consider(&array->slots[i], cursor, best);
        }
        if (++i == size) {
            i = floor;
        }
    }
}

/* Considers the entries whose order begins with these bits, at most as many as the array's;
 * those with homes below floor are considered already. */
static void consider_prefix(const struct drv_table_array *array, size_t floor, uint64_t prefix,
                            unsigned bits, const struct drv_table_cursor *cursor,
                            struct candidate *best)
{
    unsigned more = array->bits - bits;
    for (uint64_t i = 0; i < UINT64_C(1) << more; i++) {
        size_t home = (size_t)order_of((prefix << more | i) << (64 - array->bits));
        if (home >= floor) {
            consider_homes(array, floor, home, home, cursor, best);
        }
    }
}

void *drv_table_next(const struct drv_table *table, struct drv_table_cursor *cursor)
{
    const struct drv_table_array *now = &table->now, *from = &table->from;
    struct candidate best = {0};
    if (drv_table_count(table) == 0) {
        return NULL;
    }
    /* Both at once, since the one may be empty for long where the other is full. */
    bool is_moving = from->used > 0;
    unsigned bits = is_moving && from->bits < now->bits ? from->bits : now->bits;
    if (is_moving && table->moved > 0) {
        consider_homes(from, table->moved, 0, table->moved - 1, cursor, &best);
    }
    for (uint64_t prefix = cursor->order >> (64 - bits); prefix < UINT64_C(1) << bits;
         prefix++) {
        if (best.entry != NULL && best.order >> (64 - bits) < prefix) {
            break;
        }
        if (is_moving) {
            consider_prefix(from, table->moved, prefix, bits, cursor, &best);
        }
        if (now->used > 0) {
            consider_prefix(now, 0, prefix, bits, cursor, &best);
        }
    }
    if (best.entry != NULL) {
        cursor->order = best.order;
        cursor->after = (uintptr_t)best.entry;
    }
    return best.entry;
}
