/*
 * persist.h: handlers that are programs which stay, one attempt after the other.
 *
 * Frames on stdin and stdout: four bytes of length, big-endian, then that many bytes of
 * msgpack; what is in them is in worker/README.md. A program is started on its first attempt in
 * an executor, and again after it has ended. It does one attempt at a time. Cancel and timeout
 * are SIGTERM, then SIGKILL, to its process group; it is started anew for the next attempt.
 */
#ifndef PERSIST_H
#define PERSIST_H

#include "job.h"

enum {
    PERSIST_MAX = 8, /* programs of one executor; the one unused for longest makes room */
};

struct persist_table;

DROVER_MUST_USE drover_status persist_table_new(struct persist_table **out_table);

/* Whether a process is one of them (not whether it is a child of one). */
bool persist_has(const struct persist_table *table, pid_t pid);

void persist_run(struct persist_table *table, struct drover_job *job,
                 const struct pool_command *command, const drover_value *payload,
                 struct job_outcome *outcome);

#endif
