/*
 * why.h: why a task is where it is, and what will move it.
 */
#ifndef CORE_WHY_H
#define CORE_WHY_H

#include "task.h"

enum {
    WHY_TEXT_MAX = 640,
    WHY_AHEAD_MAX = 1000,    /* then it says "more than" */
    WHY_LINES_MAX = 4096,    /* looked at, lines and runs */
    WHY_ELEMENTS_MAX = 4096, /* of an array with more it is not looked who is due first */
};

struct why {
    const char *reason;      /* short code, static; PROTOCOL.md section 8 lists them */
    char text[WHY_TEXT_MAX]; /* one line */
};

void why_item(const struct core *core, const struct item *item, struct why *out_why);

#endif
