#include "kv.h"

#include "broker.h"
#include "check.h"

static struct drv_str kv_key(const struct kv_entry *entry)
{
    return str_of(entry->key, entry->key_len);
}

static bool kv_is(const void *entry, const void *key)
{
    return str_equals(kv_key(entry), *(const struct drv_str *)key);
}

void kv_table_init(struct core *core)
{
    drv_table_init(&core->kv, core->config.seed, kv_is);
}

static uint64_t kv_hash(const struct core *core, struct drv_str key)
{
    return drv_table_hash(&core->kv, key.ptr, key.len);
}

struct kv_entry *kv_find(const struct core *core, struct drv_str key)
{
    return drv_table_find(&core->kv, kv_hash(core, key), &key);
}

static struct kv_entry *kv_new(struct core *core, struct drv_str key)
{
    struct kv_entry *entry = core_alloc(core, sizeof *entry + key.len);
    if (entry == NULL) {
        return NULL;
    }
    if (!timer_init(core, &entry->timer, TIMER_KV)) {
        core_free(core, entry, sizeof *entry + key.len);
        return NULL;
    }
    entry->key_len = (uint16_t)key.len;
    memcpy(entry->key, key.ptr, key.len);
    if (drv_table_insert(&core->kv, kv_hash(core, key), entry)) {
        timer_fini(core, &entry->timer);
        core_free(core, entry, sizeof *entry + key.len);
        return NULL;
    }
    core->kv_bytes += key.len;
    return entry;
}

static bool kv_has_room(const struct core *core, const struct kv_entry *entry, uint64_t bytes)
{
    uint64_t freed = entry == NULL ? 0 : body_len(entry->val);
    bool fits_count = entry != NULL || drv_table_count(&core->kv) < core->config.kv_count_max;
    return fits_count && core->kv_bytes - freed + bytes <= core->config.kv_bytes_max;
}

drover_status kv_set(struct core *core, struct drv_str key, struct body **val, int64_t ttl_us,
                     uint64_t *out_version)
{
    struct kv_entry *entry = kv_find(core, key);
    if (!kv_has_room(core, entry, body_len(*val) + key.len)) {
        body_release(core, val);
        return DROVER_BUSY;
    }
    if (entry == NULL) {
        entry = kv_new(core, key);
    }
    if (entry == NULL) {
        body_release(core, val);
        return DROVER_NOMEM;
    }
    core->kv_bytes += body_len(*val) - body_len(entry->val);
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
    return DROVER_OK;
}

void kv_delete(struct core *core, struct kv_entry *entry)
{
    core->kv_bytes -= body_len(entry->val) + entry->key_len;
    body_release(core, &entry->val);
    drv_table_remove_entry(&core->kv, kv_hash(core, kv_key(entry)), entry);
    timer_fini(core, &entry->timer);
    core_free(core, entry, sizeof *entry + entry->key_len);
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
