/*
 * message_operate.h: the fields of KV, QUEUE and WORKER (PROTOCOL.md section 6); users include
 * message.h.
 */
#ifndef DRV_MESSAGE_OPERATE_H
#define DRV_MESSAGE_OPERATE_H

#include "message_basic.h"

enum drv_kv_op { DRV_KV_GET = 1, DRV_KV_SET, DRV_KV_DELETE, DRV_KV_INCREMENT, DRV_KV_CAS };
struct drv_kv {
    uint32_t op;
    struct drv_str key;
    struct drv_val val;
    int64_t number;
    uint64_t ttl_ms; /* 0: for ever */
    bool has_fence;
    struct drv_ref fence; /* handle unused */
};
enum drv_queue_op {
    DRV_QUEUE_PAUSE = 1,
    DRV_QUEUE_RESUME,
    DRV_QUEUE_PURGE,
    DRV_QUEUE_SET,
    DRV_QUEUE_PAUSE_KNOWN, /* unknown, and nothing is made, when there is no such queue */
    DRV_QUEUE_RESUME_KNOWN
};
enum drv_placement { DRV_PLACEMENT_AUTO, DRV_PLACEMENT_SPREAD, DRV_PLACEMENT_PACK };
#define DRV_AGING_MAX_MS (INT64_C(30) * 24 * 3600 * 1000)
struct drv_queue_settings {
    int64_t weight, max_count, max_bytes, rate, concurrency, per_key, durability;
    int64_t aging_ms, placement;
}; /* -1 leave, 0 lift */
struct drv_queue_request {
    uint32_t op;
    struct drv_str queue;
    bool has_settings;
    struct drv_queue_settings settings;
};
enum drv_worker_op { DRV_WORKER_DRAIN = 1, DRV_WORKER_RESUME };
struct drv_worker_request {
    uint32_t op;
    struct drv_str worker;
};

#endif
