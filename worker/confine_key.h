/*
 * confine_key.h: the keys of the configuration file that say what a handler is kept to, in
 * [handler.TYPE] for commands and in [type.NAME] for everything else.
 *
 *   read, write          absolute paths, between spaces; may come several times
 *   limit-memory, limit-file-size (sizes), limit-cpu (a time), limit-files (a number)
 *   seccomp              none, network-less or strict
 *   user                 USER or USER:GROUP, names or numbers
 *
 * What they mean stands in confine.h and profile.h.
 */
#ifndef WORKER_CONFINE_KEY_H
#define WORKER_CONFINE_KEY_H

#include "arena.h"
#include "confine.h"
#include "problem.h"

/* Whether it is one of the keys. */
bool confine_key_is_known(const char *key);

/* Reads one key, which must be known; texts are kept in the arena. OK, INVALID, NOMEM. */
DROVER_MUST_USE drover_status confine_key_set(struct drv_arena *arena, struct confine *confine,
                                              const char *key, const char *value,
                                              struct drv_problem *problem);

/* Programs of the profiles that are in use, compiled once. */
struct confine_programs {
    struct sock_fprog *items[PROFILES]; /* owned; NULL: not needed so far */
};
void confine_programs_fini(struct confine_programs *programs);

/*
 * After the last key: whether this worker and this kernel can do all of it, since what cannot
 * be kept to must not look as if it were; and looks up or compiles the program of its profile.
 * `section`: for the text of a problem. OK, INVALID, NOMEM.
 */
DROVER_MUST_USE drover_status confine_key_check(struct confine *confine,
                                                struct confine_programs *programs,
                                                const char *section,
                                                struct drv_problem *problem);

#endif
