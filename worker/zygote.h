/*
 * zygote.h: the process that loads the modules and forks executors from itself.
 *
 *   agent ──SPAWN(lanes' ends, pipes), SIGNAL, KILL──> zygote ──fork──> executor
 *         <──TYPE*, READY | FAILED; SPAWNED, GONE────
 *
 * Single-threaded, never touched by ZeroMQ. It is a subreaper, and so is every executor: what
 * an executor's handlers leave behind belongs to the executor while that lives, and to the
 * zygote afterwards. So any child of the zygote that is no executor is a remainder of a dead
 * one, and is killed. GONE is sent when the executor was reaped and no remainder is left.
 *
 *   agent dies:    the control socket ends (and SIGTERM comes from the kernel): the zygote
 * kills everything below it, removes the temporary directories, and exits zygote dies:   the
 * kernel kills the executors; their remainders fall to the agent executor dies: the kernel
 * kills its commands; remainders fall to the zygote
 */
#ifndef ZYGOTE_H
#define ZYGOTE_H

#include "lane.h"
#include "pool.h"
#include "problem.h"

#include <sys/types.h>

enum zygote_reply_kind {
    ZYGOTE_TYPE = 1, /* one handler; in the order of their numbers */
    ZYGOTE_READY,    /* text: the directory for temporary directories */
    ZYGOTE_FAILED,   /* status, text */
    ZYGOTE_SPAWNED,  /* slot, pid; or 0 with errno in wait_status */
    ZYGOTE_GONE,     /* slot, pid, wait_status, usage */
};

struct zygote_reply {
    uint32_t kind;
    uint32_t slot;
    int32_t pid;
    int32_t wait_status;
    uint32_t status; /* drover_status */
    uint32_t model;  /* enum pool_model */
    uint32_t flags;  /* enum drover_handler_flags */
    uint32_t concurrency;
    uint64_t user_us, system_us, peak_rss_bytes;
    uint64_t oom_kills;  /* GONE: in its control group */
    uint32_t is_grouped; /* GONE: it had one, or what it ran had */
    uint32_t reserved;
    char text[1024]; /* NUL-terminated */
};

struct zygote {
    pid_t pid;
    int control; /* owned; sequenced-packet socket; -1: none */
};

/* Forks the zygote. `slots`: executors it can have at a time. OK, IO. */
DROVER_MUST_USE drover_status zygote_start(struct zygote *zygote,
                                           const struct pool_config *config, size_t slots);

/* The next reply. OK, NOT_READY (none within timeout_ms), CLOSED (it is gone). */
DROVER_MUST_USE drover_status zygote_receive(struct zygote *zygote, int timeout_ms,
                                             struct zygote_reply *out_reply);

/* Asks for an executor with so many lanes, 1 to POOL_THREADS_MAX. The descriptors are borrowed.
 * OK, BUSY (ask again), CLOSED. */
DROVER_MUST_USE drover_status zygote_spawn(struct zygote *zygote, uint32_t slot,
                                           enum pool_model model, const struct lane_ends *ends,
                                           size_t lane_count, const int output_fds[LANE_PIPES]);

/* Sends a signal to the process group of the executor of a slot, if it still has that pid.
 * SIGKILL also starts the end of everything it leaves behind. OK, BUSY, CLOSED. */
DROVER_MUST_USE drover_status zygote_signal(struct zygote *zygote, uint32_t slot, pid_t pid,
                                            int signal);

/* SIGKILL for an executor that is known to leave nothing behind: nobody looks. OK, BUSY,
 * CLOSED. */
DROVER_MUST_USE drover_status zygote_end(struct zygote *zygote, uint32_t slot, pid_t pid);

/* Lets the zygote end everything, waits for it (kills it after 10 s), and closes the socket. */
void zygote_stop(struct zygote *zygote);

#endif
