/*
 * doctor.h: what `drover doctor` looks at.
 *
 * Each doctor_ function looks at one thing and adds its findings; each judge_ function is given
 * what was seen and says what it means, so that tests need no sick machine.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "diagnosis.h"

/* ---- doctor_machine.c: this machine ------------------------------------------------------ */

void doctor_descriptors(struct diagnosis *diagnosis);
void doctor_memory(struct diagnosis *diagnosis);
void doctor_clock(struct diagnosis *diagnosis);
void doctor_dumps(struct diagnosis *diagnosis);
/* Where commands get their temporary directories. */
void doctor_temporary(struct diagnosis *diagnosis);
/* A data directory of a broker: exists or can be made, can be written and synced, has room. */
void doctor_data(struct diagnosis *diagnosis, const char *path);

void judge_descriptors(struct diagnosis *diagnosis, uint64_t soft, uint64_t hard);
void judge_memory(struct diagnosis *diagnosis, uint64_t available_bytes, uint64_t total_bytes);
/* is_synchronised: 1, 0, or -1: nobody can tell. is_monotonic: the other clock only grows. */
void judge_clock(struct diagnosis *diagnosis, int64_t wall_ms, int is_synchronised,
                 bool is_monotonic);
void judge_dumps(struct diagnosis *diagnosis, uint64_t limit, const char *pattern);
void judge_directory(struct diagnosis *diagnosis, const char *name, const char *path,
                     uint64_t free_bytes, bool is_memory);

/* ---- doctor_fleet.c: the broker and its workers ------------------------------------------ */

/* Tries to reach the broker, and looks at it and its workers if that worked. */
void doctor_fleet(struct diagnosis *diagnosis, struct cli *cli);

/* Document 1 of the broker (PROTOCOL.md); endpoint is the one that led there. */
void judge_broker(struct diagnosis *diagnosis, const drover_value *document);
void judge_workers(struct diagnosis *diagnosis, const drover_value *document);
/* `workers` of document 9: whether handlers are kept from the keys of their workers. Says
 * nothing where no worker has one. */
void judge_worker_keys(struct diagnosis *diagnosis, const drover_value *document);

/* ---- doctor_program.c: programs and modules ---------------------------------------------- */

void doctor_programs(struct diagnosis *diagnosis);
/* Whether drover-worker can load it. */
void doctor_module(struct diagnosis *diagnosis, const char *path);

#endif
