/*
 * Question: what handlers ask the broker (shared data), until it is answered.
 *
 * Requests of the session, numbered without gaps from 1; the floor is the lowest that is still
 * open. Owns copies of what was asked, so that it can be asked again on a new connection. Pure.
 */
#ifndef WORKER_QUESTION_H
#define WORKER_QUESTION_H

#include "list.h"
#include "message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker_question {
    struct drv_list link;
    uint64_t req, key, call; /* key: of the lease; call: the pool's name for it */
    struct drv_kv kv;        /* its key and value are in `bytes` and `data` */
    int64_t deadline_us;     /* INT64_MAX: none */
    bool is_sent;            /* on any connection of this session */
    bool is_asked;           /* on the present connection */
    struct drv_data *bytes;  /* owned: key, content type, small value */
    struct drv_data *data;   /* owned: a value kept by reference; NULL */
};

struct worker_questions {
    struct drv_list open; /* by req */
    size_t count;
    uint64_t last_req;
};

void worker_questions_init(struct worker_questions *questions);
void worker_questions_fini(struct worker_questions *questions);

/* OK or NOMEM. */
DROVER_MUST_USE drover_status worker_questions_add(struct worker_questions *questions,
                                                   uint64_t key, uint64_t call,
                                                   const struct drv_kv *kv, int64_t deadline_us,
                                                   struct worker_question **out_question);

/* NULL when it is not open. */
struct worker_question *worker_questions_find(struct worker_questions *questions, uint64_t req);

/* Every request below has been answered. */
uint64_t worker_questions_floor(const struct worker_questions *questions);

/* Forgets it and nulls the pointer. */
void worker_questions_remove(struct worker_questions *questions,
                             struct worker_question **question);

/* Forgets all that the handler of this lease asked. */
void worker_questions_forget(struct worker_questions *questions, uint64_t key);

#endif
