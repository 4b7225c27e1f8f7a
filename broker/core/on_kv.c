/*
 * on_kv.c: shared data.
 */
#include "broker.h"
#include "handlers.h"
#include "reader.h"

/* A handler's write counts only while it holds the attempt that it names. */
static bool fence_holds(const struct core *core, const struct peer *peer,
                        const struct drv_kv *kv)
{
    if (!kv->has_fence) {
        return true;
    }
    struct lease *lease = lease_find(core, &kv->fence);
    if (lease == NULL) {
        return false;
    }
    return peer->session->worker == NULL || lease->worker == peer->session->worker;
}

static void kv_record(struct core *core, const struct reply *reply)
{
    struct core_record record = {.kind = CORE_RECORD_KV, .session = reply->session->id};
    effects_record(core, &record);
}

static void kv_store(struct core *core, struct reply *reply, const struct drv_kv *kv,
                     const struct drv_val *val, int64_t ttl_us)
{
    struct body *body = NULL;
    uint64_t version = 0;
    if (!core_has_memory(core, val->len)) {
        reply->retry_after_ms = RETRY_AFTER_MS;
        reply_fail(core, reply, DROVER_BUSY, "the broker has no memory left");
        return;
    }
    drover_status status = body_new(core, val, &body);
    if (status == DROVER_OK) {
        status = kv_set(core, kv->key, &body, ttl_us, &version);
    }
    if (status == DROVER_BUSY) {
        reply->retry_after_ms = RETRY_AFTER_MS;
        reply_fail(core, reply, status, "the shared data is full");
        return;
    }
    if (status == DROVER_OK) {
        reply->number = (int64_t)version;
        kv_record(core, reply);
    }
    reply_fail(core, reply, status, NULL);
}

static void kv_get(struct core *core, struct reply *reply, const struct kv_entry *entry)
{
    if (entry == NULL) {
        reply_fail(core, reply, DROVER_UNKNOWN, "no such key");
        return;
    }
    reply->val = body_ref(entry->val);
    reply->number = (int64_t)entry->version;
    reply_answer(core, reply);
}

static void kv_remove(struct core *core, struct reply *reply, struct kv_entry *entry)
{
    if (entry == NULL) {
        reply_fail(core, reply, DROVER_UNKNOWN, "no such key");
        return;
    }
    kv_delete(core, entry);
    kv_record(core, reply);
    reply_answer(core, reply);
}

static bool read_integer(const struct kv_entry *entry, int64_t *out_number)
{
    struct drv_val val = body_val(entry->val);
    struct drv_cursor cursor;
    if (val.is_nil || val.content_type.ptr != NULL) {
        return false;
    }
    drv_cursor_init(&cursor, val.bytes, val.len);
    *out_number = drv_cursor_int(&cursor);
    return drv_cursor_is_ok(&cursor) && drv_cursor_is_at_end(&cursor);
}

static void kv_increment(struct core *core, struct reply *reply, const struct drv_kv *kv,
                         const struct kv_entry *entry)
{
    int64_t number = 0;
    if (entry != NULL && !read_integer(entry, &number)) {
        reply_fail(core, reply, DROVER_INVALID, "the value is not an integer");
        return;
    }
    if (__builtin_add_overflow(number, kv->number, &number)) {
        reply_fail(core, reply, DROVER_INVALID, "the sum does not fit");
        return;
    }
    struct drv_pack pack;
    drv_buffer_clear(&core->scratch);
    drv_pack_init(&pack, &core->scratch);
    drv_pack_int(&pack, number);
    if (drv_pack_status(&pack)) {
        reply_fail(core, reply, DROVER_NOMEM, NULL);
        return;
    }
    struct drv_val val = {.bytes = core->scratch.bytes, .len = core->scratch.len};
    struct body *body = NULL;
    uint64_t version = 0;
    drover_status status = body_new(core, &val, &body);
    if (status == DROVER_OK) {
        status = kv_set(core, kv->key, &body, kv->ttl_ms > 0 ? us_of_ms(kv->ttl_ms) : -1,
                        &version);
    }
    if (status == DROVER_OK) {
        reply->number = number;
        kv_record(core, reply);
    }
    reply->retry_after_ms = status == DROVER_BUSY ? RETRY_AFTER_MS : 0;
    reply_fail(core, reply, status, NULL);
}

static void kv_compare_and_set(struct core *core, struct reply *reply, const struct drv_kv *kv,
                               const struct kv_entry *entry)
{
    int64_t version = entry == NULL ? 0 : (int64_t)entry->version;
    if (version != kv->number) {
        reply->number = version;
        reply_fail(core, reply, DROVER_CONFLICT, "the version is another one");
        return;
    }
    kv_store(core, reply, kv, &kv->val, us_of_ms(kv->ttl_ms));
}

static bool kv_is_sound(struct core *core, struct peer *peer, const struct drv_kv *kv,
                        struct reply *reply)
{
    if (kv->key.len == 0 || kv->key.len > DRV_KEY_MAX) {
        reply_fail(core, reply, DROVER_INVALID, "the key is empty or too long");
    } else if (kv->val.len > DRV_KV_VALUE_MAX) {
        reply_fail(core, reply, DROVER_TOO_BIG, "the value is too long");
    } else if (!fence_holds(core, peer, kv)) {
        reply_fail(core, reply, DROVER_STALE, "the attempt does not hold its lease");
    } else {
        return true;
    }
    return false;
}

void on_kv(struct core *core, struct peer *peer, const struct drv_message *message,
           struct reply *reply)
{
    const struct drv_kv *kv = &message->kv;
    if (!kv_is_sound(core, peer, kv, reply)) {
        return;
    }
    struct kv_entry *entry = kv_find(core, kv->key);
    switch ((enum drv_kv_op)kv->op) {
    case DRV_KV_GET:
        kv_get(core, reply, entry);
        return;
    case DRV_KV_SET:
        kv_store(core, reply, kv, &kv->val, us_of_ms(kv->ttl_ms));
        return;
    case DRV_KV_DELETE:
        kv_remove(core, reply, entry);
        return;
    case DRV_KV_INCREMENT:
        kv_increment(core, reply, kv, entry);
        return;
    case DRV_KV_CAS:
        kv_compare_and_set(core, reply, kv, entry);
        return;
    }
    reply_fail(core, reply, DROVER_INVALID, "no such operation");
}
