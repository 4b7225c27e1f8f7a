/* memory.c: the store that keeps nothing: the core's own tables are the data. */
#include "store.h"

#include "check.h"

#include <stdlib.h>

struct memory_store {
    struct store store;
    uint64_t lsn; /* of the last record */
};

static uint64_t memory_salt(const struct store *store)
{
    (void)store;
    return 0;
}

static uint64_t memory_epoch(const struct store *store)
{
    (void)store;
    return 0;
}

static drover_status memory_recover(struct store *store, struct core *core, int64_t now_us,
                                    struct store_recovery *out_recovery,
                                    struct drv_problem *problem)
{
    (void)store;
    (void)core;
    (void)now_us;
    (void)problem;
    *out_recovery = (struct store_recovery){0};
    return DROVER_OK;
}

static void memory_append(struct store *store, const struct core_save *save)
{
    (void)save;
    DRV_CONTAINER_OF(store, struct memory_store, store)->lsn++;
}

static void memory_publish(struct store *store, uint64_t live_bytes)
{
    (void)store;
    (void)live_bytes;
}

static uint64_t memory_last(const struct store *store)
{
    return DRV_CONTAINER_OF(store, struct memory_store, store)->lsn;
}

static uint64_t memory_durable(const struct store *store, enum drover_durability level)
{
    return level <= DROVER_DURABILITY_MEMORY ? memory_last(store) : 0;
}

static drover_status memory_health(const struct store *store, struct drv_problem *problem)
{
    (void)store;
    (void)problem;
    return DROVER_OK;
}

static int memory_fd(const struct store *store)
{
    (void)store;
    return -1;
}

static void memory_nothing(struct store *store)
{
    (void)store;
}

static bool memory_is_full(const struct store *store)
{
    (void)store;
    return false;
}

static bool memory_has_room(const struct store *store)
{
    (void)store;
    return true;
}

static bool memory_compact(struct store *store, struct core *core)
{
    (void)store;
    (void)core;
    return false;
}

static drover_status memory_stop(struct store *store)
{
    (void)store;
    return DROVER_OK;
}

static void memory_destroy(struct store *store)
{
    free(DRV_CONTAINER_OF(store, struct memory_store, store));
}

drover_status store_memory_new(struct store **out_store)
{
    static const struct store_operations operations = {
        .name = "memory",
        .durability_max = DROVER_DURABILITY_MEMORY,
        .salt = memory_salt,
        .epoch = memory_epoch,
        .recover = memory_recover,
        .append = memory_append,
        .publish = memory_publish,
        .last = memory_last,
        .durable = memory_durable,
        .health = memory_health,
        .fd = memory_fd,
        .seen = memory_nothing,
        .is_full = memory_is_full,
        .has_room = memory_has_room,
        .tick = memory_nothing,
        .compact = memory_compact,
        .stop = memory_stop,
        .destroy = memory_destroy,
    };
    struct memory_store *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return DROVER_NOMEM;
    }
    memory->store.operations = &operations;
    *out_store = &memory->store;
    return DROVER_OK;
}
