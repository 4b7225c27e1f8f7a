/*
 * handle.h: the client behind the handle: one lock, one session, one socket, and who drives.
 *
 *      caller A: wait ──> drives: receive, tick, send, poll ──> done: leaves, hands over
 *      caller B: wait ──> follows on its condition ───────────> drives, or is done
 *      library's thread:  runs callbacks; drives while something is outstanding and nobody
 *                         waits; yields to callers
 *
 * Invariants: everything below is guarded by `lock`, the socket too; who drives waits for its
 * descriptors without the lock, so that it is exchanged only by them, or while nobody does. The
 * lock is released in poll(2), in
 * condition waits, and while a callback runs, nowhere else.
 */
#ifndef DRV_CLIENT_HANDLE_H
#define DRV_CLIENT_HANDLE_H

#include "list.h"
#include "local.h"
#include "session.h"
#include "socket.h"

#include <drover/client.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#define CLIENT_WORDS_MAX 16   /* threads whose last failure is remembered */
#define CLIENT_ANSWER_MS 1000 /* a timeout of 0 waits this long for the broker's answer */

struct drv_words { /* what went wrong in the last failed call of a thread */
    pthread_t thread;
    bool is_fresh; /* said in the call that runs */
    char text[512];
};

struct drover_client {
    pthread_mutex_t lock;
    uint64_t generation; /* of the process it belongs to; immutable */
    atomic_uint calls;   /* threads inside a call */
    bool closing;
    struct drv_local *local; /* owned; its private pool; NULL: none */
    struct drv_session *session;
    struct drv_socket socket;
    int wake_fd; /* eventfd: ends the poll of who drives */
    bool wake_sent;
    bool may_read;      /* the socket may have something */
    bool may_have_lost; /* its monitor may have something */
    bool is_full;       /* the socket refused the last frame */

    bool driving;
    bool polling;            /* who drives is in poll(2), and has released the lock */
    int64_t poll_until_us;   /* while polling */
    struct drv_list waiters; /* of struct waiter, driver.c */
    size_t gathered;         /* submits and the like that wait for company */
    size_t gathered_bytes;
    int64_t gathered_at_us; /* the first of them; INT64_MAX: none */
    bool is_gathering;      /* some have come since the last poll */
    uint64_t progress;      /* grows when something awaited may have happened */
    int64_t driven_at_us;   /* when a caller drove last */

    pthread_t thread;
    bool thread_started;
    bool thread_idle;   /* waits for as long as nobody signals */
    bool thread_drives; /* it is who drives */
    pthread_cond_t thread_cond;
    struct drv_list callbacks;     /* of struct drover_future */
    struct drover_future *running; /* its callback runs */
    pthread_cond_t changed;        /* a callback has returned, or the last call has left */

    struct drv_list spare_futures; /* memory for the next ones, by callback */
    size_t spare_future_count;
    struct drv_task_spec *last_spec; /* owned; of the last submit */
    struct drv_words words[CLIENT_WORDS_MAX];
    size_t words_count; /* in use, from the first */
    size_t next_words;
};

int64_t drv_now_us(void);

/* The instant timeout_ms from now; INT64_MAX for ever. Negative ones but -1 are as 0. */
int64_t drv_deadline_us(int64_t timeout_ms);

/* The same, but a timeout of 0 gives the broker CLIENT_ANSWER_MS to answer. */
int64_t drv_answer_deadline_us(int64_t timeout_ms);

/* Begins a call: takes the lock. CLOSED when it cannot be used any more, without the lock. */
DROVER_MUST_USE drover_status drv_client_enter(drover_client *client);

/* The same for calls that give something back: also while closing. */
void drv_client_enter_always(drover_client *client);

/* Ends a call that returns `status`: remembers words for a failure, hands over, unlocks. */
void drv_client_end_call(drover_client *client, drover_status status);

/* The same, for the last line of a call. */
static inline drover_status drv_client_leave(drover_client *client, drover_status status)
{
    drv_client_end_call(client, status);
    return status;
}

/* Words for the calling thread's failure. */
void drv_client_words(drover_client *client, const char *format, ...) DROVER_PRINTF(2, 3);

/* The same, as an expression that has the value of status. */
#define drv_client_say(client, status, ...) (drv_client_words((client), __VA_ARGS__), (status))

/* The process that keeps its private pool; 0: it has none. */
pid_t drv_client_keeper(const drover_client *client);

/* The child of the process that opened it: leave everything alone. */
bool drv_client_is_foreign(const drover_client *client);

typedef bool (*drv_done_fn)(void *context);

/*
 * Drives or follows until done(context). The lock is held before and after.
 * Returns OK, TIMEOUT, CLOSED, or why the session failed for good.
 */
DROVER_MUST_USE drover_status drv_client_wait(drover_client *client, drv_done_fn done,
                                              void *context, int64_t deadline_us);

/* New work that nobody waits for: sends it. The lock is held. */
void drv_client_nudge(drover_client *client);

/* The same, with so many bytes of payload; it may wait for company, as driver.c says.
 * more_follows: the caller is about to offer more, or to wait. */
void drv_client_offer(drover_client *client, size_t bytes, bool more_follows);

/* Makes sure that the library's thread runs. OK or LIMIT. */
DROVER_MUST_USE drover_status drv_client_ensure_thread(drover_client *client);

/* A future whose callback is to be run was put into client->callbacks. */
void drv_client_wake_thread(drover_client *client);

/* driver.c: what the life of a handle needs. */
DROVER_MUST_USE drover_status drv_driver_init(drover_client *client);
void drv_driver_fini(drover_client *client);
void drv_driver_stop(drover_client *client); /* all waits end with CLOSED; joins the thread */
/* Sends what may be sent; returns how many messages were tried. */
size_t drv_driver_flush(drover_client *client, int64_t now_us);
void drv_driver_hand_over(drover_client *client);

/* future.c: runs one callback, the lock released meanwhile. */
void drv_future_run_callback(drover_client *client, struct drover_future *future);
void drv_future_discard_callbacks(drover_client *client);
void drv_future_spares_drop(drover_client *client);

#endif
