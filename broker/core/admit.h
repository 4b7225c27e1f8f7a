/*
 * admit.h: limits that new work must stay within.
 */
#ifndef CORE_ADMIT_H
#define CORE_ADMIT_H

#include "queue.h"
#include "session.h"

struct key;

struct admission {   /* of one message */
    bool is_busy;    /* something was refused as busy: so is all behind it */
    bool is_outline; /* all of it is looked at first: nothing is taken from a rate yet */
    bool is_judged;  /* it was found to fit as a whole */
    bool is_copy;    /* elements of an array that is copied: their rate was asked before */
    bool is_again;   /* of what is run again: it stays with whom it belonged to... */
    struct account *account;               /* ...this; NULL: nobody */
    uint64_t pending_count, pending_bytes; /* admitted, and not counted yet */
    uint64_t share_count;  /* so many are to follow, for which client and account are asked now;
                              0: what is admitted alone */
    uint32_t flags;        /* DRV_SPEC_* of the group at hand */
    struct drv_str key;    /* of the group at hand; nil: none */
    int64_t key_window_us; /* the same */
};

/* Whether one more task with this payload may come. OK; BUSY, DRAINING, or LIMIT (never, as it
 * is) with a static text. session: whose it is, NULL: a schedule's. */
drover_status admit(struct core *core, struct admission *admission, struct session *session,
                    const struct line *line, uint64_t bytes, const char **out_text);

/* The same for so many, with these payloads together. */
drover_status admit_many(struct core *core, struct admission *admission,
                         struct session *session, const struct line *line, uint64_t count,
                         uint64_t bytes, const char **out_text);

/* Whether there may be one more key, this one. OK or BUSY with a static text. */
drover_status admit_key(struct core *core, struct admission *admission,
                        const struct session *session, const struct line *line,
                        const char **out_text);

/* The key of the group at hand, if another task has it; NULL: none has. */
const struct key *admit_taken(const struct core *core, const struct admission *admission,
                              const struct line *line);

/* Whether some connected worker could run what stands in this line. */
bool line_is_offered(const struct line *line);

#endif
