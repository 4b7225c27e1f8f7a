/*
 * message_basic.h: the parts that messages are made of; message.h says whose memory they are.
 */
#ifndef DRV_MESSAGE_BASIC_H
#define DRV_MESSAGE_BASIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drover/status.h"
#include "drover/task.h"

struct drv_data; /* refcounted bytes, data.h */

/* A view of bytes; ptr may be NULL when len is 0. A nil string has ptr NULL. */
struct drv_str {
    const char *ptr; /* borrowed, not terminated */
    size_t len;      /* bytes */
};

/* An opaque value. is_nil: no value at all. */
struct drv_val {
    const uint8_t *bytes;        /* borrowed from blob or data; NULL: data is in pieces.h */
    size_t len;                  /* bytes */
    struct drv_str content_type; /* nil: msgpack */
    struct drv_data
        *data; /* borrowed: the whole value's buffer when it came as chunks (or, when encoding,
                  a buffer that may be kept by reference); NULL otherwise */
    bool is_nil;
};

struct drv_after {
    drover_id id;
    uint32_t index;
    uint32_t when; /* 1 succeeded, 2 ended */
};

struct drv_target { /* [id, index, ...] */
    drover_id id;
    uint32_t index; /* DROVER_INDEX_NONE: the task itself or the whole array; -1 on the wire */
    uint64_t epoch; /* WATCH only */
    uint32_t level; /* WATCH only: enum drover_durability */
    drover_id new_id;              /* RETRY only */
    const struct drv_after *after; /* RETRY only: what the new task waits for; none: for what
                                      the old one was submitted with */
    size_t after_count;
    uint32_t flags; /* RETRY only: DRV_RETRY_* */
};

enum { DRV_RETRY_ALONE = 1 }; /* without `after` it waits for nothing */

struct drv_ref {     /* one lease */
    uint64_t handle; /* broker's shorthand, 0 unknown */
    drover_id id;
    uint32_t index;
    uint32_t attempt; /* from 1 */
};

enum {
    DRV_RANGE_MAX = 1024,
    DRV_FURTHER_MAX =
        65536, /* elements that the entries of a message name beside their first */
};

/* The elements index, index + 1, ... of an array, in one entry; their values lie one after the
 * other in its val (lengths.h). */
struct drv_range {
    uint32_t count;         /* 0: it is no range */
    struct drv_str lengths; /* borrowed */
};

struct drv_pair { /* label, tag */
    struct drv_str name;
    struct drv_str value;
};

struct drv_count { /* need, resource */
    struct drv_str name;
    uint64_t count;
};

#endif
