/*
 * asker.h: a thread that asks the broker, so that keys are answered while it is silent.
 *
 *     main thread ──task, one at a time──> asker ──answer, and fd becomes readable──> main
 *
 * The client belongs to it while it is open: a session that is lost is opened anew in there.
 */
#ifndef CLI_TOP_ASKER_H
#define CLI_TOP_ASKER_H

#include "top/model.h"

#include "cli.h"

/* A question, or something to be done. */
struct asker_task {
    struct top_question question; /* with act TOP_ASK */
    struct top_want want;
};

struct asker_answer {
    struct asker_task task; /* what it is the answer to */
    drover_status status;   /* OK, or why there is nothing */
    char problem[256];      /* the same in words; not escaped */
    bool is_silent;         /* the broker does not answer, or cannot be reached */
    struct summary summary; /* of a question */
    struct listing table;   /* of a question about a view; owned */
    struct sheet sheet;     /* of a question about a task or worker; owned */
};

struct asker;

/* Starts it; cli is connected. NULL: no memory or no thread. */
struct asker *asker_open(struct cli *cli);

/* Ends it, after at most the time that a question may take. */
void asker_close(struct asker **asker);

/* Readable when there is an answer. */
int asker_fd(const struct asker *asker);

/* Whether there is something under way. */
bool asker_is_busy(const struct asker *asker);

/* Gives it something to do; it is not busy. */
void asker_give(struct asker *asker, const struct asker_task *task);

/* The answer, if there is one. */
bool asker_take(struct asker *asker, struct asker_answer *out_answer);

void asker_answer_fini(struct asker_answer *answer);

#endif
