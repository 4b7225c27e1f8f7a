/* on_kv.c: KV: shared data. */
#include "handlers.h"

#include "broker.h"
#include "reader.h"

struct call { /* one KV request */
    struct core *core;
    const struct drv_kv *kv;
    struct reply *reply;
    struct kv_entry *entry; /* NULL: no such key */
};

/* The lease that the writer claims must be alive and be its own. */
static bool is_fenced_off(const struct core *core, const struct peer *peer,
                          const struct drv_kv *kv)
{
    struct item item;
    if (!kv->has_fence) {
        return false;
    }
    if (!item_find(core, &kv->fence.id, kv->fence.index, &item)) {
        return true;
    }
    const struct lease *lease = unit_lease(item.unit);
    return lease == NULL || lease->worker == NULL || lease->worker->session != peer->session ||
           item.unit->attempt != kv->fence.attempt;
}

static drover_status store(struct call *call, const struct drv_val *val, int64_t ttl_us)
{
    struct body *body = NULL;
    uint64_t version = 0;
    drover_status status = body_new(call->core, val, &body);
    if (status == DROVER_OK) {
        status = kv_set(call->core, call->kv->key, &body, ttl_us, &version);
    }
    if (status == DROVER_OK) {
        call->reply->number = (int64_t)version;
    }
    return status;
}

static drover_status get(struct call *call)
{
    if (call->entry == NULL) {
        return DROVER_UNKNOWN;
    }
    call->reply->val = body_ref(call->entry->val);
    if (call->reply->val == NULL && call->entry->val != NULL) {
        return DROVER_NOMEM;
    }
    call->reply->number = (int64_t)call->entry->version;
    return DROVER_OK;
}

static drover_status set(struct call *call)
{
    return store(call, &call->kv->val, us_of_ms(call->kv->ttl_ms));
}

static drover_status delete (struct call *call)
{
    if (call->entry == NULL) {
        return DROVER_UNKNOWN;
    }
    kv_delete(call->core, call->entry);
    return DROVER_OK;
}

static bool read_number(const struct body *body, int64_t *out_number)
{
    struct drv_val val = body_val(body);
    struct drv_cursor cursor;
    if (val.content_type.len > 0 ||
        drv_validate(val.bytes, val.len, &DRV_VALIDATE_HEAD) != DROVER_OK) {
        return false;
    }
    drv_cursor_init(&cursor, val.bytes, val.len);
    *out_number = drv_cursor_int(&cursor);
    return drv_cursor_is_ok(&cursor) && drv_cursor_is_at_end(&cursor);
}

static drover_status increment(struct call *call)
{
    int64_t number = 0;
    struct drv_pack pack;
    if (call->entry != NULL && !read_number(call->entry->val, &number)) {
        return DROVER_INVALID;
    }
    if (__builtin_add_overflow(number, call->kv->number, &number)) {
        return DROVER_INVALID;
    }
    drv_buffer_clear(&call->core->scratch);
    drv_pack_init(&pack, &call->core->scratch);
    drv_pack_int(&pack, number);
    if (drv_pack_status(&pack) != DROVER_OK) {
        return DROVER_NOMEM;
    }
    struct drv_val val = {.bytes = call->core->scratch.bytes, .len = call->core->scratch.len};
    int64_t ttl_us = call->kv->ttl_ms == 0 ? -1 : us_of_ms(call->kv->ttl_ms);
    drover_status status = store(call, &val, ttl_us);
    if (status == DROVER_OK) {
        call->reply->number = number;
    }
    return status;
}

static drover_status compare_and_set(struct call *call)
{
    uint64_t version = call->entry == NULL ? 0 : call->entry->version;
    if (call->kv->number < 0 || (uint64_t)call->kv->number != version) {
        call->reply->number = (int64_t)version;
        return DROVER_CONFLICT;
    }
    return set(call);
}

void on_kv(struct core *core, struct peer *peer, const struct drv_message *message,
           struct reply *reply)
{
    static drover_status (*const operations[])(struct call *) = {
        [DRV_KV_GET] = get,
        [DRV_KV_SET] = set,
        [DRV_KV_DELETE] = delete,
        [DRV_KV_INCREMENT] = increment,
        [DRV_KV_CAS] = compare_and_set,
    };
    const struct drv_kv *kv = &message->kv;
    struct call call = {.core = core, .kv = kv, .reply = reply};
    drover_status status = DROVER_INVALID;
    if (kv->op >= sizeof(operations) / sizeof(operations[0]) || operations[kv->op] == NULL ||
        kv->key.len == 0 || kv->key.len > DRV_KEY_MAX) {
        status = DROVER_INVALID;
    } else if (kv->val.len > DRV_KV_VALUE_MAX) {
        status = DROVER_TOO_BIG;
    } else if (is_fenced_off(core, peer, kv)) {
        core->counters.stale_writes++;
        status = DROVER_STALE;
    } else {
        call.entry = kv_find(core, kv->key);
        status = operations[kv->op](&call);
    }
    if (status == DROVER_OK) {
        reply_answer(core, reply);
    } else {
        reply_fail(core, reply, status, NULL);
    }
}
