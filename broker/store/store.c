/* store.c: the interface of store.h, handed on to the store at hand. */
#include "store.h"

#include "check.h"

void store_destroy(struct store **store)
{
    struct store *s = *store;
    *store = NULL;
    if (s != NULL) {
        s->operations->destroy(s);
    }
}

const char *store_name(const struct store *store)
{
    return store->operations->name;
}

enum drover_durability store_durability_max(const struct store *store)
{
    return store->operations->durability_max;
}

drover_status store_append(struct store *store, const struct core_record *record,
                           uint64_t *out_lsn)
{
    DRV_ASSERT(record->kind != 0);
    return store->operations->append(store, record, out_lsn);
}

uint64_t store_durable(const struct store *store, enum drover_durability level)
{
    return store->operations->durable(store, level);
}
