/*
 * hand_page.h: the page in which the core says which task it has in hand (core/hand.h).
 *
 *   broker.hand in the data directory, 4096 bytes, mapped:
 *      magic | the task in hand | tasks that were in hand at a crash, and at how many
 *
 * The page survives the death of the process, not of the machine, and need not: it is about
 * crashes that a task brings about. Who is killed from outside seldom has a task in hand; a
 * broker that ends in order forgets the tasks that were in hand only once.
 */
#ifndef BROKER_HAND_PAGE_H
#define BROKER_HAND_PAGE_H

#include "core.h"
#include "problem.h"

enum {
    HAND_CRASHES_MAX = 2, /* at so many crashes a task is set aside */
    HAND_SUSPECTS_MAX = 8,
};

struct hand_suspect {
    drover_id id;
    uint32_t index;
    uint32_t crashes; /* 0: nobody */
};

struct hand_page { /* the file; numbers as this machine writes them */
    char magic[8];
    struct core_hand task;
    struct hand_suspect suspects[HAND_SUSPECTS_MAX];
};

/*
 * Maps the page of a data directory, made if missing, and counts the crash that it tells of:
 * the task is in *out_crashed then (is_held), which is empty otherwise. OK; IO with a problem:
 * the broker can do without.
 */
DROVER_MUST_USE drover_status hand_open(const char *directory, struct hand_page **out_page,
                                        struct core_hand *out_crashed,
                                        struct drv_problem *problem);

/* Accepts NULL. in_order: the broker was not brought down by a task. */
void hand_close(struct hand_page **page, bool in_order);

#endif
