/*
 * channel.h: frames between the loop of the broker and the HTTP thread.
 *
 *      HTTP thread ──push──> [ up ]   ──pop──> loop        each ring has one writer and one
 *                  <──pop─── [ down ] <─push──             reader; an eventfd wakes the reader
 *      HTTP thread <──────── pulse (atomics)               how the loop is
 *
 * What passes is what would pass a socket: the head and the blob of a message, immutable and
 * counted by reference. Nobody waits: a full ring refuses. `generation` says which connection
 * of the HTTP thread a frame belongs to.
 */
#ifndef HTTP_CHANNEL_H
#define HTTP_CHANNEL_H

#include "data.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHANNEL_SLOTS = 128,         /* frames of a ring; a power of two */
    CHANNEL_ROUTING_ID_LEN = 10, /* no id of a socket has this length */
};

struct channel_frames {
    struct drv_data *head; /* owned by whoever holds the frames */
    struct drv_data *blob; /* the same; NULL: empty */
    size_t blob_offset, blob_len;
    uint32_t generation;
};

struct channel_ring {
    _Atomic uint32_t head; /* next to be read */
    _Atomic uint32_t tail; /* next to be written */
    struct channel_frames slots[CHANNEL_SLOTS];
    int event_fd; /* readable: something was pushed */
};

/* How the loop is, for those who must not ask it. */
struct channel_pulse {
    _Atomic int64_t turned_at_us; /* the last turn began; 0: none yet */
    _Atomic bool is_serving;      /* recovered, and not ended */
    _Atomic bool is_draining;
    _Atomic bool has_failed; /* the store has */
    _Atomic bool is_full;    /* the disk is */
};

struct channel {
    struct channel_ring up, down;
    struct channel_pulse pulse;
};

/* OK or IO. */
DROVER_MUST_USE drover_status channel_init(struct channel *channel);
/* Both threads are through with it. */
void channel_fini(struct channel *channel);

/* Takes the frames and wakes the reader. False: the ring is full, they stay the caller's. */
bool channel_push(struct channel_ring *ring, const struct channel_frames *frames);
/* False: nothing is there. */
bool channel_pop(struct channel_ring *ring, struct channel_frames *out_frames);
bool channel_is_empty(const struct channel_ring *ring);
/* Before everything is popped: the descriptor is quiet again. */
void channel_seen(struct channel_ring *ring);
void channel_wake(struct channel_ring *ring);

/* What stands for the routing id of a connection of the HTTP thread, and back. */
void channel_routing_id(uint32_t generation, uint8_t out_id[CHANNEL_ROUTING_ID_LEN]);
uint32_t channel_generation(const uint8_t id[CHANNEL_ROUTING_ID_LEN]);

void channel_frames_fini(struct channel_frames *frames);

#endif
