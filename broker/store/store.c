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

uint64_t store_salt(const struct store *store)
{
    return store->operations->salt(store);
}

uint64_t store_epoch(const struct store *store)
{
    return store->operations->epoch(store);
}

drover_status store_recover(struct store *store, struct core *core, int64_t now_us,
                            struct store_recovery *out_recovery, struct drv_problem *problem)
{
    return store->operations->recover(store, core, now_us, out_recovery, problem);
}

void store_append(struct store *store, const struct core *core)
{
    size_t count;
    const struct core_save *saves = core_saves(core, &count);
    for (size_t i = 0; i < count; i++) {
        DRV_ASSERT(saves[i].kind != 0);
        store->operations->append(store, &saves[i]);
    }
}

void store_publish(struct store *store, uint64_t live_bytes)
{
    store->operations->publish(store, live_bytes);
}

uint64_t store_last(const struct store *store)
{
    return store->operations->last(store);
}

uint64_t store_durable(const struct store *store, enum drover_durability level)
{
    return store->operations->durable(store, level);
}

drover_status store_health(const struct store *store, struct drv_problem *problem)
{
    return store->operations->health(store, problem);
}

int store_fd(const struct store *store)
{
    return store->operations->fd(store);
}

void store_seen(struct store *store)
{
    store->operations->seen(store);
}

bool store_is_full(const struct store *store)
{
    return store->operations->is_full(store);
}

bool store_has_room(const struct store *store)
{
    return store->operations->has_room(store);
}

void store_tick(struct store *store)
{
    store->operations->tick(store);
}

bool store_compact(struct store *store, struct core *core)
{
    return store->operations->compact(store, core);
}

drover_status store_stop(struct store *store)
{
    return store->operations->stop(store);
}
