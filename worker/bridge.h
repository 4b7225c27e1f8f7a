/*
 * bridge.h: what the session wants, in the pool's words, and what the pool says, in the
 * session's.
 *
 * The pool answers some wishes at once. Such an answer must not reach the session while its
 * effects are being applied: it is kept, and told by worker_bridge_tell afterwards.
 */
#ifndef WORKER_BRIDGE_H
#define WORKER_BRIDGE_H

#include "log.h"
#include "pool.h"
#include "session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker_echo {
    uint64_t key;
    uint32_t index;        /* of the first element that is given back */
    drover_status refused; /* why it cannot run; OK: given back as wished */
};

struct worker_bridge {
    const struct drv_log *log;      /* borrowed */
    struct pool *pool;              /* owned; set by whoever makes the bridge */
    struct worker_session *session; /* borrowed */
    struct worker_echo *echoes;     /* owned */
    size_t echo_count, echo_capacity;
    bool is_gone;  /* the pool's processes are; it is not polled any more */
    bool is_broke; /* out of memory, sticky */
};

/* Ends the pool with all its processes. */
void worker_bridge_fini(struct worker_bridge *bridge);

/* Events of the pool to the session. When the pool is gone for good, the session drains. */
void worker_bridge_poll(struct worker_bridge *bridge, int64_t now_us);

/* One of RUN, REVOKE, CANCEL, ANSWER. */
void worker_bridge_apply(struct worker_bridge *bridge, const struct worker_effect *effect,
                         int64_t now_us);

/* Tells the session what was kept; false when there was nothing. */
bool worker_bridge_tell(struct worker_bridge *bridge, int64_t now_us);

#endif
