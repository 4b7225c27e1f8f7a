/*
 * conceal.h: what keeps handlers from reading the worker's own key.
 *
 * A handler has the worker's user, and with it what that user may read; the words of a command
 * line may be a task's. Two things keep the key from it:
 *
 *   permissions  the key came as an open descriptor (--identity fd:N) of a file that this user
 *                cannot open. Nothing more is needed
 *   landlock     every process that runs handlers is kept (Landlock) to what lies beside the
 * way to the key: in the folder of the key everything but files NAME.key, the key itself and
 * other names of it, and in each folder above everything but the next one on the way
 *
 * Under Landlock files that come to be directly in one of these folders later cannot be read
 * either, by what has started before: hence the stamp, which changes with the folders, and by
 * which who runs for long is replaced, once in CONCEAL_RENEW_MS at most. Nor can such a process
 * mount, trace the agent or the zygote, or rename from one of these folders into another one.
 *
 * Wants a kernel of 5.19 or later: an older one forbids to whom it keeps to anything all
 * renaming across directories. A folder that was moved away conceals nothing, and nothing
 * starts then; a key that was is concealed by its inode.
 */
#ifndef WORKER_CONCEAL_H
#define WORKER_CONCEAL_H

#include "problem.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CONCEAL_ENTRIES_MAX = 4096, /* files in the folders on the way to the key */
    CONCEAL_RENEW_MS = 60 * 1000,
};

enum conceal_mode { CONCEAL_AUTO, CONCEAL_OFF, CONCEAL_REQUIRE };

struct concealed {       /* a key */
    char path[PATH_MAX]; /* absolute, without links */
    dev_t device;
    ino_t inode;
};

struct conceal {
    const char *how; /* static: none (there is no key), permissions, landlock, readable */
    struct drv_problem why; /* it is readable; else "" */
    struct concealed key;   /* with landlock */
};

/*
 * What can be done about the key of this option (a path, fd:N, or NULL). OK, UNSUPPORTED (mode
 * is CONCEAL_REQUIRE, and it stays readable).
 */
DROVER_MUST_USE drover_status conceal_prepare(struct conceal *conceal, const char *identity,
                                              enum conceal_mode mode,
                                              struct drv_problem *problem);

/* The key that Landlock is to conceal; NULL: none. */
const struct concealed *conceal_key(const struct conceal *conceal);

/* The rules, in a descriptor that is closed on exec; -1 with errno: they cannot be made. Uses
 * system calls only. */
int conceal_rules(const struct concealed *key);

/* Keeps the calling process, which must have no new privileges, and all that it starts to them
 * for good. False, with errno: it could not, and the process must not go on. */
bool conceal_keep_to(int rules);

/* Both at once; may be called after fork, in a process with one thread. */
bool conceal_enter(const struct concealed *key);

/* A number that changes when something comes, goes or gets another name directly in the folders
 * on the way to the key. */
uint64_t conceal_stamp(const struct concealed *key);

#endif
