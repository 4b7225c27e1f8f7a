/* memory.c: the store that keeps nothing: the core's own tables are the data. */
#include "store.h"

#include "check.h"

#include <stdlib.h>

struct memory_store {
    struct store store;
    uint64_t lsn; /* of the last record */
};

static drover_status memory_append(struct store *store, const struct core_record *record,
                                   uint64_t *out_lsn)
{
    (void)record;
    struct memory_store *memory = DRV_CONTAINER_OF(store, struct memory_store, store);
    *out_lsn = ++memory->lsn;
    return DROVER_OK;
}

static uint64_t memory_durable(const struct store *store, enum drover_durability level)
{
    const struct memory_store *memory = DRV_CONTAINER_OF(store, struct memory_store, store);
    return level <= DROVER_DURABILITY_MEMORY ? memory->lsn : 0;
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
        .append = memory_append,
        .durable = memory_durable,
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
