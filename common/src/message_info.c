/*
 * message_info.c: the table of kinds, and how much fits into one message.
 */
#include "message_codec.h"
#include "utf8.h"

#define KIND_ROWS ((size_t)DRV_KIND_MAX + 1)

#define ROW(NAME, prefix_, fields_, charged, ordered, function) \
    [DRV_##NAME] = {#NAME,                                      \
                    DRV_PREFIX_##prefix_,                       \
                    fields_,                                    \
                    charged,                                    \
                    ordered,                                    \
                    drv_decode_##function,                      \
                    drv_encode_##function}

/* clang-format off */
/*  name        prefix   fields charged ordered functions */
static const struct drv_kind_row kind_rows[KIND_ROWS] = {
    ROW(HELLO,       NONE,     12, false, false, hello),
    ROW(WELCOME,     NONE,     13, false, false, welcome),
    ROW(GOODBYE,     NONE,      2, false, true,  goodbye),
    ROW(ERROR,       NONE,      6, false, false, failure),
    ROW(CREDIT,      NONE,      2, false, false, credit),
    ROW(CHUNK,       NONE,      3, true,  true,  chunk),
    ROW(ACK,         NONE,      1, false, false, ack),
    ROW(HEARTBEAT,   NONE,      3, false, false, heartbeat),
    ROW(ATTACH,      NONE,      1, false, false, attach),
    ROW(MOVED,       NONE,      2, false, false, moved),
    ROW(SUBMIT,      REQUEST,   1, true,  true,  submit),
    ROW(ARRAY_OPEN,  REQUEST,   3, false, true,  array_open),
    ROW(ARRAY_ITEMS, REQUEST,   3, true,  true,  array_items),
    ROW(ARRAY_SEAL,  REQUEST,   2, false, true,  array_seal),
    ROW(CANCEL,      REQUEST,   4, false, false, cancel),
    ROW(RETRY,       REQUEST,   1, false, false, retry),
    ROW(KV,          REQUEST,   6, false, true,  kv),
    ROW(QUEUE,       REQUEST,   3, false, false, queue),
    ROW(WORKER,      REQUEST,   2, false, false, worker),
    ROW(FORGET,      REQUEST,   1, false, false, forget),
    ROW(GRAPH,       REQUEST,   1, true,  true,  submit),
    ROW(SCHEDULE,    REQUEST,   4, false, true,  schedule),
    ROW(ALERT,       REQUEST,   5, false, false, alert),
    ROW(WATCH,       QUESTION,  2, false, false, watch),
    ROW(UNWATCH,     QUESTION,  1, false, false, forget),
    ROW(QUERY,       QUESTION, 10, false, false, query),
    ROW(DOCUMENT,    NONE,      4, false, false, document),
    ROW(REPLY,       NONE,      1, false, false, reply),
    ROW(RESULTS,     NONE,      1, true,  true,  results),
    ROW(SUBSCRIBE,   QUESTION, 15, false, false, subscribe),
    ROW(LOGS,        NONE,      4, false, false, logs),
    ROW(EVENTS,      NONE,      3, false, false, events),
    ROW(TAKEN,       NONE,      1, false, false, taken),
    ROW(FETCH,       QUESTION,  2, false, false, fetch),
    ROW(LEASE,       NONE,      1, true,  true,  lease),
    ROW(REPORT,      NONE,      4, true,  true,  report),
    ROW(RECALL,      NONE,      1, false, false, refs),
    ROW(ABORT,       NONE,      1, false, false, abort),
    ROW(GO,          NONE,      1, false, false, refs),
    ROW(LOG,         NONE,      7, true,  true,  log),
    ROW(AWAIT,       NONE,      6, false, true,  await),
    ROW(SHARED,      NONE,      2, false, true,  shared),
    ROW(DRAIN,       NONE,      2, false, false, drain),
    ROW(FOLLOW,      NONE,      1, false, false, follow),
};
/* clang-format on */

const struct drv_kind_row *drv_kind_row(uint64_t kind)
{
    if (kind >= KIND_ROWS || kind_rows[kind].name == NULL) {
        return NULL;
    }
    return &kind_rows[kind];
}

const char *drv_kind_name(unsigned kind)
{
    const struct drv_kind_row *row = drv_kind_row(kind);
    return row == NULL ? "?" : row->name;
}

bool drv_names_include(const struct drv_str *names, size_t count, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < count; i++) {
        if (names[i].len == len && memcmp(names[i].ptr, name, len) == 0) {
            return true;
        }
    }
    return false;
}

bool drv_kind_is_charged(unsigned kind)
{
    const struct drv_kind_row *row = drv_kind_row(kind);
    return row != NULL && row->is_charged;
}

static const char *const event_names[DRV_EVENT_KINDS] = {
    [DRV_EVENT_TASK_SUBMITTED] = "task.submitted",
    [DRV_EVENT_TASK_QUEUED] = "task.queued",
    [DRV_EVENT_TASK_STARTED] = "task.started",
    [DRV_EVENT_TASK_PROGRESS] = "task.progress",
    [DRV_EVENT_TASK_RETRIED] = "task.retried",
    [DRV_EVENT_TASK_REQUEUED] = "task.requeued",
    [DRV_EVENT_TASK_CANCELLING] = "task.cancelling",
    [DRV_EVENT_TASK_ENDED] = "task.ended",
    [DRV_EVENT_TASK_WAITING] = "task.waiting",
    [DRV_EVENT_TASK_RELEASED] = "task.released",
    [DRV_EVENT_WORKER_CONNECTED] = "worker.connected",
    [DRV_EVENT_WORKER_AWAY] = "worker.away",
    [DRV_EVENT_WORKER_BACK] = "worker.back",
    [DRV_EVENT_WORKER_LOST] = "worker.lost",
    [DRV_EVENT_WORKER_LEFT] = "worker.left",
    [DRV_EVENT_WORKER_DRAINING] = "worker.draining",
    [DRV_EVENT_WORKER_RESUMED] = "worker.resumed",
    [DRV_EVENT_QUEUE_PAUSED] = "queue.paused",
    [DRV_EVENT_QUEUE_RESUMED] = "queue.resumed",
    [DRV_EVENT_QUEUE_PURGED] = "queue.purged",
    [DRV_EVENT_QUEUE_SET] = "queue.set",
    [DRV_EVENT_ALERT_FIRING] = "alert.firing",
    [DRV_EVENT_ALERT_RESOLVED] = "alert.resolved",
    [DRV_EVENT_ALERT_ACKNOWLEDGED] = "alert.acknowledged",
    [DRV_EVENT_SCHEDULE_ADDED] = "schedule.added",
    [DRV_EVENT_SCHEDULE_REMOVED] = "schedule.removed",
    [DRV_EVENT_SCHEDULE_PAUSED] = "schedule.paused",
    [DRV_EVENT_SCHEDULE_RESUMED] = "schedule.resumed",
    [DRV_EVENT_SCHEDULE_FIRED] = "schedule.fired",
    [DRV_EVENT_SCHEDULE_SKIPPED] = "schedule.skipped",
    [DRV_EVENT_BROKER_DRAINING] = "broker.draining",
    [DRV_EVENT_BROKER_LIMIT] = "broker.limit",
    [DRV_EVENT_BROKER_DENIED] = "broker.denied",
    [DRV_EVENT_KV_PRESENT] = "kv.present",
    [DRV_EVENT_KV_SET] = "kv.set",
    [DRV_EVENT_KV_DELETED] = "kv.deleted",
    [DRV_EVENT_KV_EXPIRED] = "kv.expired",
    [DRV_EVENT_KV_READY] = "kv.ready",
};

const char *drv_event_name(unsigned kind)
{
    return kind < DRV_EVENT_KINDS ? event_names[kind] : NULL;
}

void drv_spec_init(struct drv_spec *spec, struct drv_str type)
{
    *spec = (struct drv_spec){
        .type = type,
        .backoff_ms = 1000,
        .backoff_max_ms = 60000,
        .loss_budget = 3,
        .keep_ms = -1,
    };
}

/* Cuts before a character that would not end within max, or that is no UTF-8. */
struct drv_str drv_str_fit(struct drv_str text, size_t max)
{
    size_t end = text.len < max ? text.len : max;
    size_t len = 0;
    while (len < end) {
        uint32_t code;
        size_t step = drv_utf8_decode((const uint8_t *)text.ptr + len, end - len, &code);
        if (step == 0) {
            break;
        }
        len += step;
    }
    return (struct drv_str){text.ptr, len};
}

/* ---- meter ------------------------------------------------------------------------------- */

/* Room in a head for everything that is not an entry: the longest spec comes to about 45 KiB.
 */
#define METER_HEAD_RESERVE ((size_t)48 * 1024)
/* The longest form of a val: three numbers and the header of the content type. */
#define METER_VAL_BYTES ((size_t)32)
/* The longest form of a piece of a tail. */
#define METER_PIECE_BYTES ((size_t)16)

void drv_meter_reset(struct drv_meter *meter)
{
    *meter = (struct drv_meter){0};
}

static bool meter_is_within(const struct drv_meter *meter)
{
    return meter->entries <= DRV_BATCH_MAX &&
           meter->head_bytes <= DRV_HEAD_MAX - METER_HEAD_RESERVE &&
           meter->blob_bytes <= DRV_BLOB_MAX && meter->transfers <= DRV_TRANSFERS_MAX &&
           meter->transfer_bytes <= (uint64_t)2 * DRV_PAYLOAD_MAX;
}

bool drv_meter_fits(struct drv_meter *meter, size_t head_bytes, const struct drv_val *val)
{
    return drv_meter_fits_tail(meter, head_bytes, val, &(struct drv_tail){0});
}

bool drv_meter_grows(struct drv_meter *meter, size_t head_bytes, size_t blob_bytes)
{
    struct drv_meter with = *meter;
    with.head_bytes += head_bytes;
    with.blob_bytes += blob_bytes;
    if (!meter_is_within(&with)) {
        return false;
    }
    *meter = with;
    return true;
}

bool drv_meter_fits_tail(struct drv_meter *meter, size_t head_bytes, const struct drv_val *val,
                         const struct drv_tail *tail)
{
    struct drv_meter with = *meter;
    with.entries++;
    with.head_bytes += head_bytes + tail->piece_count * METER_PIECE_BYTES;
    with.blob_bytes += tail->text.len;
    if (val != NULL && !val->is_nil) {
        with.head_bytes += METER_VAL_BYTES + val->content_type.len;
        if (val->len > DRV_INLINE_MAX) {
            with.transfers++;
            with.transfer_bytes += val->len;
        } else {
            with.blob_bytes += val->len;
        }
    }
    if (meter->entries > 0 && !meter_is_within(&with)) {
        return false;
    }
    *meter = with;
    return true;
}
