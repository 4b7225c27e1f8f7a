/* kv.c: see kv.h. */
#include "kv.h"

#include "broker.h"

#include <stddef.h>

static bool kv_is(const void *entry, const void *key)
{
    const struct kv_entry *kv = entry;
    return str_equals(str_of(kv->key, kv->key_len), *(const struct drv_str *)key);
}

void kv_table_init(struct core *core)
{
    drv_table_init(&core->kv, core->config.seed, kv_is);
}

static uint64_t key_hash(const struct core *core, struct drv_str key)
{
    return drv_table_hash(&core->kv, key.ptr, key.len);
}

static uint64_t entry_cost(size_t key_len)
{
    return sizeof(struct kv_entry) + key_len;
}

struct kv_entry *kv_find(const struct core *core, struct drv_str key)
{
    return drv_table_find(&core->kv, key_hash(core, key), &key);
}

static drover_status entry_new(struct core *core, struct drv_str key,
                               struct kv_entry **out_entry)
{
    if (drv_table_count(&core->kv) >= core->config.kv_count_max) {
        return DROVER_BUSY;
    }
    struct kv_entry *entry = core_alloc(core, entry_cost(key.len));
    if (entry == NULL) {
        return DROVER_NOMEM;
    }
    if (!timer_init(core, &entry->timer, TIMER_KV)) {
        core_free(core, entry, entry_cost(key.len));
        return DROVER_NOMEM;
    }
    entry->key_len = (uint16_t)key.len;
    memcpy(entry->key, key.ptr, key.len);
    if (drv_table_insert(&core->kv, key_hash(core, key), entry) != DROVER_OK) {
        timer_fini(core, &entry->timer);
        core_free(core, entry, entry_cost(key.len));
        return DROVER_NOMEM;
    }
    core->kv_bytes += key.len;
    *out_entry = entry;
    return DROVER_OK;
}

static bool has_room(const struct core *core, const struct kv_entry *entry, struct drv_str key,
                     const struct body *val)
{
    uint64_t before = entry == NULL ? 0 : body_len(entry->val) + entry->key_len;
    return core->kv_bytes - before + key.len + body_len(val) <= core->config.kv_bytes_max;
}

drover_status kv_set(struct core *core, struct drv_str key, struct body **val, int64_t ttl_us,
                     uint64_t *out_version)
{
    struct kv_entry *entry = kv_find(core, key);
    drover_status status = DROVER_OK;
    if (!has_room(core, entry, key, *val)) {
        status = DROVER_BUSY;
    } else if (entry == NULL) {
        status = entry_new(core, key, &entry);
    }
    if (status != DROVER_OK) {
        body_release(core, val);
        return status;
    }
    core->kv_bytes += body_len(*val);
    core->kv_bytes -= body_len(entry->val);
    body_release(core, &entry->val);
    entry->val = *val;
    *val = NULL;
    entry->version = ++core->kv_version;
    if (ttl_us > 0) {
        timer_arm(core, &entry->timer, core->now_us + ttl_us);
    } else if (ttl_us == 0) {
        timer_disarm(core, &entry->timer);
    }
    *out_version = entry->version;
    struct core_record record = {.kind = CORE_RECORD_KV};
    effects_record(core, &record);
    return DROVER_OK;
}

void kv_delete(struct core *core, struct kv_entry *entry)
{
    struct drv_str key = str_of(entry->key, entry->key_len);
    struct core_record record = {.kind = CORE_RECORD_KV};
    drv_table_remove_entry(&core->kv, key_hash(core, key), entry);
    core->kv_bytes -= entry->key_len + body_len(entry->val);
    body_release(core, &entry->val);
    timer_fini(core, &entry->timer);
    core_free(core, entry, entry_cost(entry->key_len));
    effects_record(core, &record);
}

void kv_fini(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct kv_entry *entry;
    while ((entry = drv_table_next(&core->kv, &cursor)) != NULL) {
        kv_delete(core, entry);
    }
    drv_table_fini(&core->kv);
}
