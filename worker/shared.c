#include "shared.h"

#include "data.h"

#include <stdlib.h>

static bool id_equal(const void *entry, const void *key)
{
    const struct worker_shared *shared = entry;
    return drover_id_equal(&shared->id, key);
}

static uint64_t id_hash(const struct worker_shelf *shelf, const drover_id *id)
{
    return drv_table_hash(&shelf->table, id->bytes, sizeof id->bytes);
}

void worker_shelf_init(struct worker_shelf *shelf, uint64_t seed, uint64_t bytes_max)
{
    drv_table_init(&shelf->table, seed, id_equal);
    drv_list_init(&shelf->values);
    shelf->bytes = 0;
    shelf->bytes_max = bytes_max;
}

struct worker_shared *worker_shared_ref(struct worker_shared *shared)
{
    if (shared != NULL) {
        shared->references++;
    }
    return shared;
}

void worker_shared_unref(struct worker_shared **shared)
{
    struct worker_shared *gone = *shared;
    *shared = NULL;
    if (gone == NULL || --gone->references > 0) {
        return;
    }
    drv_data_unref(&gone->data);
    drv_data_unref(&gone->content_type);
    free(gone);
}

static void drop(struct worker_shelf *shelf, struct worker_shared *shared)
{
    drv_table_remove_entry(&shelf->table, shared->hash, shared);
    drv_list_remove(&shared->link);
    shelf->bytes -= shared->val.len;
    worker_shared_unref(&shared);
}

void worker_shelf_fini(struct worker_shelf *shelf)
{
    DRV_LIST_EACH_SAFE(link, &shelf->values)
    {
        drop(shelf, DRV_LIST_ITEM(link, struct worker_shared, link));
    }
    drv_table_fini(&shelf->table);
}

/* What no lease needs goes, until the bound is kept. */
static void make_room(struct worker_shelf *shelf)
{
    DRV_LIST_EACH_SAFE(link, &shelf->values)
    {
        struct worker_shared *shared = DRV_LIST_ITEM(link, struct worker_shared, link);
        if (shelf->bytes <= shelf->bytes_max) {
            return;
        }
        if (shared->references == 1) {
            drop(shelf, shared);
        }
    }
}

static drover_status copy_value(struct worker_shared *shared, const struct drv_val *val)
{
    shared->val = *val;
    if (val->data != NULL) {
        shared->data = drv_data_ref(val->data);
    } else if (drv_data_copy(val->bytes, val->len, &shared->data) != DROVER_OK) {
        return DROVER_NOMEM;
    } else {
        shared->val.bytes = shared->data->bytes;
    }
    shared->val.data = shared->data;
    if (val->content_type.len > 0) {
        if (drv_data_copy(val->content_type.ptr, val->content_type.len,
                          &shared->content_type) != DROVER_OK) {
            return DROVER_NOMEM;
        }
        shared->val.content_type.ptr = (const char *)shared->content_type->bytes;
    }
    return DROVER_OK;
}

drover_status worker_shelf_put(struct worker_shelf *shelf, const drover_id *id,
                               const struct drv_val *val)
{
    uint64_t hash = id_hash(shelf, id);
    struct worker_shared *old = drv_table_find(&shelf->table, hash, id);
    if (old != NULL) {
        drop(shelf, old);
    }
    if (val->is_nil) {
        return DROVER_OK;
    }
    struct worker_shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL) {
        return DROVER_NOMEM;
    }
    shared->references = 1;
    shared->id = *id;
    shared->hash = hash;
    drv_list_init(&shared->link);
    if (copy_value(shared, val) != DROVER_OK ||
        drv_table_insert(&shelf->table, hash, shared) != DROVER_OK) {
        worker_shared_unref(&shared);
        return DROVER_NOMEM;
    }
    /* Room is made before it stands there: the newest is wanted by what comes next. */
    shelf->bytes += shared->val.len;
    make_room(shelf);
    drv_list_push_back(&shelf->values, &shared->link);
    return DROVER_OK;
}

struct worker_shared *worker_shelf_take(struct worker_shelf *shelf, const drover_id *id)
{
    struct worker_shared *shared = drv_table_find(&shelf->table, id_hash(shelf, id), id);
    if (shared != NULL) {
        shared->references++;
        drv_list_remove(&shared->link);
        drv_list_push_back(&shelf->values, &shared->link);
    }
    return shared;
}
