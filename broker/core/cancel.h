/*
 * cancel.h: what a cancel does to a task, an element or an array.
 */
#ifndef CORE_CANCEL_H
#define CORE_CANCEL_H

#include "task.h"

struct reply;

enum cancel_verdict {
    CANCEL_ENDED_BEFORE, /* had ended already */
    CANCEL_ENDED,        /* ended now: it was held by nobody */
    CANCEL_ASSIGNED,     /* a worker has it and has not said that it runs */
    CANCEL_RUNNING,      /* it runs and will be stopped */
};

/* What the text is when nobody has said a reason. */
extern const char CANCELLED_BY_REQUEST[];

enum cancel_verdict cancel_item(struct core *core, const struct item *item, const char *text);

enum { CANCEL_TEXT_MAX = 320 }; /* of a reason what fits */

/* "cancelled by request", and why. The room is CANCEL_TEXT_MAX bytes. */
const char *cancel_words(struct drv_str reason, char *room);

/* A copy; NULL when out of memory: then nothing was said. */
char *cancel_text_new(struct core *core, const char *text);
void cancel_text_free(struct core *core, char **text);
/* Why it is cancelled, or what is said instead. */
const char *cancel_text_of(const struct unit *unit, const char *otherwise);

#endif
