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

/* text is static. */
enum cancel_verdict cancel_item(struct core *core, const struct item *item, const char *text);

#endif
