/*
 * message_connection.h: the fields of HELLO to MOVED, which make, keep and end a connection
 * (PROTOCOL.md section 6); users include message.h.
 */
#ifndef DRV_MESSAGE_CONNECTION_H
#define DRV_MESSAGE_CONNECTION_H

#include "message_basic.h"

struct drv_host { /* H of HEARTBEAT */
    double cpu_percent, memory_percent, disk_percent;
    uint64_t process_count;
    double load1;
    uint64_t bytes_sent, bytes_recv, packets_sent, packets_recv;
    uint64_t memory_total, memory_used, cpu_count, uptime_ms;
};

struct drv_offer { /* a type that a worker offers */
    struct drv_str name;
    uint32_t model;       /* enum drv_model, 0 the worker's */
    uint32_t concurrency; /* 0: slots */
};

struct drv_worker_hello {
    uint32_t slots;
    uint32_t pid;
    struct drv_str host;
    const struct drv_offer *types;
    size_t type_count;
    const struct drv_str *queues; /* none: all */
    size_t queue_count;
    const struct drv_pair *labels;
    size_t label_count;
    const struct drv_count *resources;
    size_t resource_count;
    uint32_t lease_count;
    uint32_t model;
};

struct drv_hello {
    uint32_t version_min, version_max, role;
    drover_id session;
    bool resume;
    struct drv_str name, software;
    const struct drv_str *capabilities;
    size_t capability_count;
    uint32_t channel;
    uint64_t credit_items, credit_bytes;
    bool has_worker;
    struct drv_worker_hello worker;
};

struct drv_limits { /* WELCOME, same order */
    uint64_t head_max, blob_max, batch_max, inline_max, payload_max, requests_max, array_max,
        meta_max;
};

struct drv_welcome {
    uint32_t version;
    drover_id broker;
    struct drv_str software;
    bool resumed;
    const struct drv_str *capabilities;
    size_t capability_count;
    uint64_t credit_items, credit_bytes;
    struct drv_limits limits;
    uint64_t heartbeat_ms, lease_ms, reattach_ms, ack_ms, session_ms;
    const struct drv_str *client_endpoints;
    size_t client_endpoint_count;
    const struct drv_str *worker_endpoints;
    size_t worker_endpoint_count;
    uint32_t durability_max;
    struct drv_str name;
};

struct drv_goodbye {
    uint32_t code;
    struct drv_str text;
};
struct drv_failure { /* ERROR */
    uint32_t code;
    struct drv_str text;
    uint64_t retry_after_ms;
    uint32_t about_kind;
    uint64_t about_seq;
    struct drv_str endpoint;
};
struct drv_credit {
    uint64_t items, bytes;
};
struct drv_chunk {
    uint64_t transfer, offset, total;
    struct drv_str piece; /* the blob; drv_link_send makes chunks by itself */
};
struct drv_note { /* ACK: seq used; REPLY: text and retry_after_ms used */
    uint64_t seq;
    uint32_t position;
    uint32_t code;
    struct drv_str text;
    uint64_t retry_after_ms;
    bool has_id; /* REPLY: the task that it is about is another one */
    drover_id id;
};
struct drv_ack {
    const struct drv_note *notes;
    size_t note_count;
};
struct drv_running {
    struct drv_ref ref;
    uint64_t elapsed_ms;
};
struct drv_heartbeat {
    const struct drv_running *running;
    size_t running_count;
    bool has_host;
    struct drv_host host;
    struct drv_str details; /* the blob: a msgpack map or empty */
    uint64_t next_us;       /* to a worker: when the next one is wanted; 0 when it likes */
};
struct drv_attached {
    drover_id id;
    uint32_t index, attempt, state;
    uint32_t more; /* elements behind it of which the same is true */
};                 /* state 1 not started 2 running 3 held */
struct drv_attach {
    const struct drv_attached *leases;
    size_t lease_count;
};
struct drv_moved {
    const struct drv_str *client_endpoints;
    size_t client_endpoint_count;
    const struct drv_str *worker_endpoints;
    size_t worker_endpoint_count;
};

#endif
