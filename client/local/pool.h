/*
 * pool.h: a private pool from its start to its end.
 *
 *     directory ── broker ──ready──> worker ──ready──> told, serving ──> end
 *         |           |                 |                  |              ^
 *         └───────────┴─── failed ──────┴──────────────────┴── told ──────┤
 *                              caller gone, link ended, told to end ──────┘
 *
 * At the end everything below this process is killed, descendants that have left their parents
 * included (this process is a subreaper), then the directory goes, then the link.
 */
#ifndef LOCAL_POOL_H
#define LOCAL_POOL_H

#include "keeper.h"

#include <stddef.h>

struct pool_ends {
    int link;    /* to the caller's library */
    int caller;  /* readable when the caller has ended; -1: none */
    int signals; /* signalfd: SIGCHLD, SIGTERM, SIGINT, SIGHUP */
};

/* Runs a pool; returns the exit code when nothing is left of it. arguments: keeper.h. */
int pool_keep(const struct pool_ends *ends, char *const *arguments, size_t count);

#endif
