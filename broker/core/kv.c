/* kv.c: see kv.h. */
#include "kv.h"

#include "broker.h"

#include <stddef.h>

/* An entry is named by its key, in records by a hash of it; the table has half of that. */
struct kv_key {
    struct drv_str text;
    const uint64_t *check; /* NULL: by its text */
};

static uint64_t key_check(struct drv_str key)
{
    const struct drv_table other = {.seed = 0};
    return drv_table_hash(&other, key.ptr, key.len);
}

static bool kv_is(const void *entry, const void *key)
{
    const struct kv_entry *kv = entry;
    const struct kv_key *wanted = key;
    struct drv_str text = str_of(kv->key, kv->key_len);
    return wanted->check != NULL ? key_check(text) == *wanted->check
                                 : str_equals(text, wanted->text);
}

void kv_table_init(struct core *core)
{
    drv_table_init(&core->kv, core->config.seed, kv_is);
}

static uint64_t key_hash(const struct core *core, struct drv_str key)
{
    return core_stable_hash(core, key.ptr, key.len);
}

drover_id kv_saved_id(const struct core *core, const struct kv_entry *entry)
{
    struct drv_str key = str_of(entry->key, entry->key_len);
    uint64_t halves[2] = {key_hash(core, key), key_check(key)};
    drover_id id;
    memcpy(id.bytes, halves, sizeof id.bytes);
    return id;
}

struct kv_entry *kv_find_saved(const struct core *core, const drover_id *id)
{
    uint64_t halves[2];
    memcpy(halves, id->bytes, sizeof halves);
    struct kv_key key = {.check = &halves[1]};
    return drv_table_find(&core->kv, halves[0], &key);
}

static uint64_t entry_cost(size_t key_len)
{
    return sizeof(struct kv_entry) + key_len;
}

struct kv_entry *kv_find(const struct core *core, struct drv_str key)
{
    struct kv_key wanted = {.text = key};
    return drv_table_find(&core->kv, key_hash(core, key), &wanted);
}

static drover_status entry_new(struct core *core, struct drv_str key,
                               struct kv_entry **out_entry)
{
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

static void entry_put(struct core *core, struct kv_entry *entry, struct body **val)
{
    core->kv_bytes += body_len(*val);
    core->kv_bytes -= body_len(entry->val);
    body_release(core, &entry->val);
    entry->val = *val;
    *val = NULL;
}

struct kv_entry *kv_restore(struct core *core, struct drv_str key, struct body **val,
                            uint64_t version, int64_t due_us)
{
    struct kv_entry *entry = kv_find(core, key);
    if (entry == NULL && entry_new(core, key, &entry) != DROVER_OK) {
        body_release(core, val);
        return NULL;
    }
    entry_put(core, entry, val);
    entry->version = version;
    core->kv_version = version > core->kv_version ? version : core->kv_version;
    timer_disarm(core, &entry->timer);
    if (due_us != 0) {
        timer_arm(core, &entry->timer, due_us);
    }
    return entry;
}

drover_status kv_set(struct core *core, struct drv_str key, struct body **val, int64_t ttl_us,
                     uint64_t *out_version)
{
    struct kv_entry *entry = kv_find(core, key);
    drover_status status = DROVER_OK;
    bool is_full = entry == NULL && drv_table_count(&core->kv) >= core->config.kv_count_max;
    if (is_full || core->is_full || !has_room(core, entry, key, *val)) {
        status = DROVER_BUSY;
    } else if (entry == NULL) {
        status = entry_new(core, key, &entry);
    }
    if (status != DROVER_OK) {
        body_release(core, val);
        return status;
    }
    entry_put(core, entry, val);
    entry->version = ++core->kv_version;
    if (ttl_us > 0) {
        timer_arm(core, &entry->timer, core->now_us + ttl_us);
    } else if (ttl_us == 0) {
        timer_disarm(core, &entry->timer);
    }
    *out_version = entry->version;
    struct core_record record = {.kind = CORE_RECORD_KV};
    effects_record(core, &record);
    save_kv(core, entry);
    event_kv(core, DRV_EVENT_KV_SET, entry);
    return DROVER_OK;
}

static void kv_remove(struct core *core, struct kv_entry *entry)
{
    struct drv_str key = str_of(entry->key, entry->key_len);
    struct core_record record = {.kind = CORE_RECORD_KV};
    save_kv_delete(core, entry);
    drv_table_remove_entry(&core->kv, key_hash(core, key), entry);
    core->kv_bytes -= entry->key_len + body_len(entry->val);
    body_release(core, &entry->val);
    timer_fini(core, &entry->timer);
    core_free(core, entry, entry_cost(entry->key_len));
    effects_record(core, &record);
}

void kv_delete(struct core *core, struct kv_entry *entry)
{
    event_kv(core, DRV_EVENT_KV_DELETED, entry);
    kv_remove(core, entry);
}

void kv_expire(struct core *core, struct kv_entry *entry)
{
    event_kv(core, DRV_EVENT_KV_EXPIRED, entry);
    kv_remove(core, entry);
}

void kv_fini(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct kv_entry *entry;
    while ((entry = drv_table_next(&core->kv, &cursor)) != NULL) {
        kv_remove(core, entry);
    }
    drv_table_fini(&core->kv);
}
