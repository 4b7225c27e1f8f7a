/*
 * request.h: requests and the replies that are kept for them.
 *
 * A request takes effect once: its reply is kept by number until the floor of the session has
 * passed it, and a repeated request is answered from there. Most requests are answered in the
 * step that brings them; CANCEL and purges may wait for workers.
 */
#ifndef CORE_REQUEST_H
#define CORE_REQUEST_H

#include "session.h"

/* Bytes of kept replies of one session; requests beyond are busy. */
#define REPLY_BYTES_MAX ((uint64_t)8 * 1024 * 1024)

struct reply_note {
    uint32_t position;
    uint32_t code;
    uint32_t retry_after_ms;
    bool owns_text;
    const char *text; /* static, or owned */
    bool has_id;      /* ATTACHED: */
    drover_id id;     /* the task that has the key */
};

struct reply {
    struct drv_list link;    /* in session->replies, by req */
    struct drv_list due;     /* in session->due while it has to be sent */
    struct drv_list unsaved; /* in session->unsaved_replies until it is recorded */
    struct session *session;
    uint64_t req;
    bool is_open;     /* not answered yet */
    bool is_kept;     /* false: freed once it was sent (a question, or refused busy) */
    bool is_restored; /* of an earlier life: what it watched is not watched any more */
    bool may_wait;    /* nobody waits for it but for what follows: it goes with that, or soon */
    bool is_gathering; /* its handler is still at work: not to be finished by a waiter */
    uint32_t code;     /* drover_status */
    int64_t number;    /* what it means depends on the request */
    const char *text;  /* static or NULL */
    uint32_t retry_after_ms;
    enum drover_durability level; /* that what it speaks of must have first */
    struct body *val;             /* shared */
    struct failure *error;        /* owned; NULL: none */
    struct body *texts;           /* owns texts that are not static; NULL: all are */
    struct reply_note *notes;     /* owned */
    size_t note_count;
    size_t note_capacity;
    struct timer timer;      /* budget, while open; then the end of its wait for company */
    struct drv_list waiting; /* struct waiter: what it waits for, while open */
    uint32_t waiting_count;
    uint64_t cost; /* bytes accounted */
};

/* Something that a request waits for: the answer about one lease, or a sweep. */
struct waiter {
    struct drv_list in_reply;
    struct drv_list in_cause; /* lease->waiters or sweep->waiters */
    struct reply *reply;
};

struct key;

/*
 * The common beginning of every request: floor, repetition, bounds. Returns the open reply to
 * be filled and answered, or NULL when there is nothing to do.
 */
struct reply *request_begin(struct core *core, struct peer *peer,
                            const struct drv_message *message);
/* A question: answered but not kept. NULL when there is nothing to do. */
struct reply *request_ask(struct core *core, struct peer *peer, uint64_t req);

/* Remark on an entry; dropped when out of memory after marking the whole reply `nomem`. */
/* Its number becomes the lowest level that was told. */
void reply_reaches(struct reply *reply, uint32_t level);
void reply_note(struct reply *reply, size_t position, drover_status code, const char *text,
                uint64_t retry_after_ms);
/* The same with a text that is copied. */
void reply_note_copy(struct reply *reply, size_t position, drover_status code, const char *text,
                     uint64_t retry_after_ms);

/* Another task has the key: its id is told. It must be as safe as what it tells. */
void reply_attached(struct core *core, struct reply *reply, size_t position,
                    const struct key *key);

/* Answer: now, or when the last waiter is done. */
void reply_answer(struct core *core, struct reply *reply);
void reply_fail(struct core *core, struct reply *reply, drover_status code, const char *text);
/* The same with a text that is copied; without one when out of memory. */
void reply_explain(struct core *core, struct reply *reply, drover_status code,
                   const char *text);

/* Let the reply wait. False when out of memory. */
bool reply_wait(struct core *core, struct reply *reply, struct drv_list *cause);
/* All that wait in this list have waited long enough. */
void waiters_wake(struct core *core, struct drv_list *cause);
static inline void waiters_release(struct core *core, struct drv_list *cause)
{
    if (!drv_list_is_empty(cause)) {
        waiters_wake(core, cause);
    }
}

/* An answer of an earlier life, to be filled, then kept; NULL when out of memory. */
struct reply *reply_restore(struct core *core, struct session *session, uint64_t req);
void reply_restored(struct core *core, struct reply *reply);
/* Those below have been received. */
void replies_release_below(struct core *core, struct session *session, uint64_t floor);
void reply_free(struct core *core, struct reply *reply);
/* The budget of an open request is used up. */
void reply_due(struct core *core, struct reply *reply);
/* The connection is gone: what was not kept is nobody's. */
void replies_drop_unkept(struct core *core, struct session *session);
/* Send what is due to the peer of the session. */
void replies_flush(struct core *core, struct session *session);

#endif
