/*
 * job.h: one attempt inside the process that runs it; behind the public functions of
 * <drover/worker.h>.
 */
#ifndef JOB_H
#define JOB_H

#include "executor.h"
#include "record.h"

#include <drover/worker.h>

struct drover_job {
    struct executor *executor; /* borrowed; NULL in pool_call: then nobody listens */
    struct record_task task;
    const char *type;        /* borrowed */
    struct drv_view meta;    /* borrowed */
    struct drv_view parents; /* borrowed: struct record_parent, not aligned */
    drover_value *awaited;   /* owned: ids, after drover_job_await; else NULL */
    struct drv_bounds limits;
    struct drv_view needs;            /* borrowed: as in need.h */
    const drover_value *shared;       /* borrowed; NULL: none */
    int64_t deadline_us;              /* INT64_MAX: none */
    struct executor_stream log, data; /* drover_job_log, drover_job_emit */
    bool has_failed;                  /* drover_job_fail was called */
    bool is_permanent;
    char code[DROVER_JOB_CODE_MAX + 1];
    char text[DROVER_JOB_TEXT_MAX + 1];
};

/* How an attempt ended; what FINISHED is made of. */
struct job_outcome {
    enum record_outcome outcome;
    enum drover_error_kind kind;
    int exit_code; /* -1: did not exit */
    int signal;    /* 0: none */
    bool is_permanent;
    char code[DROVER_JOB_CODE_MAX + 1];
    char text[DROVER_JOB_TEXT_MAX + 1];
    struct drv_buffer stderr_tail; /* owned; a command's own */
    drover_value *value;           /* owned; NULL: nil */
    bool has_usage;                /* of a command; else the executor's own use counts */
    uint64_t user_us, system_us, peak_rss_bytes;
    uint32_t pid;
    bool is_grouped; /* a control group kept its limits */
};

/* Starts as succeeded with nil. */
void job_outcome_init(struct job_outcome *outcome);
void job_outcome_fini(struct job_outcome *outcome);

/* Makes it a failure; code and text are cut to fit, between characters. */
void job_outcome_fail(struct job_outcome *outcome, enum drover_error_kind kind,
                      const char *code, const char *format, ...) DROVER_PRINTF(4, 5);

/* `now_us`: when it starts. Everything is borrowed. */
void job_init(struct drover_job *job, struct executor *executor, const struct record_task *task,
              const char *type, int64_t now_us);

/* The handler has returned: what was dropped of its log and its data is told. Blocks. */
void job_end(struct drover_job *job);

#endif
