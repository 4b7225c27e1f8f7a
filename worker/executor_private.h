/*
 * executor_private.h: the inside of an executor, for executor*.c alone.
 *
 *   executor.c        becoming one, running attempts
 *   executor_talk.c   what comes from the agent and goes to it, waiting
 *   executor_range.c  running ranges
 */
#ifndef EXECUTOR_PRIVATE_H
#define EXECUTOR_PRIVATE_H

#include "executor.h"
#include "list.h"
#include "meter.h"

struct executor_shared { /* of an array; used by attempts that were read ahead */
    size_t references;
    drover_value *value;
};

struct executor_entry { /* an attempt that was read and not claimed yet */
    struct record_task task;
    struct drv_view meta;    /* in record */
    struct drv_view parents; /* in record: struct record_parent, not aligned */
    struct drv_bounds limits;
    struct drv_view lengths;        /* in record; empty: one attempt, else a range */
    struct drv_view needs;          /* in record: as in need.h */
    struct drv_view content_type;   /* in record */
    struct drv_view payload;        /* in record, in a file of the lane, or in file */
    struct drv_data *file;          /* owned; the payload if it came in a file of its own */
    struct executor_shared *shared; /* owned reference; NULL: none */
};

struct executor_ahead { /* one that was read while another ran */
    struct drv_list link;
    struct executor_entry entry;
    uint8_t *record; /* owned */
};

struct executor_range; /* a range that runs */
struct job_outcome;

struct executor {
    struct executor_process *process;
    const struct executor_config *config; /* the process's */
    void *state;                          /* the model's */
    struct lane lane;
    struct drv_buffer record;       /* what is read or run */
    struct drv_buffer place;        /* for the payload of an element */
    struct drv_list queue;          /* of struct executor_ahead, in order */
    struct executor_shared *shared; /* the last that came; owned reference */
    uint64_t serial;                /* of the attempt that runs; 0: none */
    struct executor_range *range;   /* whose element runs; NULL: of none */
    uint64_t sequence;              /* of requests */
    bool is_asking;                 /* for an answer to `sequence` */
    bool has_answer;
    struct executor_answer answer;
    int64_t called_at_us; /* last call for what may be dropped */
    int64_t told_at_us;   /* last call for results */
    int64_t ended_at_us;  /* end of the attempt just before; 0: it has blocked since */
    bool owes_call;       /* results are in the ring, of which the agent was not told */
    bool is_grouped;      /* a control group keeps the limits of what runs */
    bool has_spare;       /* large values have passed: there is free memory to give back */
    struct meter meter;
};

/* Takes the next record that is no task; false: it is one, in executor->record, or there is
 * none. */
bool executor_read_record(struct executor *executor, bool *out_is_task);

/* The attempt in a record of kind TASK; it borrows from the record. */
void executor_parse_task(struct executor *executor, struct drv_view record,
                         struct executor_entry *out_entry);
void executor_entry_fini(struct executor *executor, struct executor_entry *entry);

/* The payload as a value that lives no longer than the entry. */
DROVER_MUST_USE drover_status executor_payload_of(const struct executor_entry *entry,
                                                  drover_value **out_payload);
struct lane_value executor_lane_value(const drover_value *value);

/* Blocks until the record is in the ring, or cannot ever be; the agent is told later. */
DROVER_MUST_USE drover_status executor_send(struct executor *executor,
                                            const struct lane_record *record);

/* Tells the agent what it was not told of. To be called before blocking. */
void executor_pay_call(struct executor *executor);

/* ---- executor.c ---- */

/* Reports how an attempt ended, at executor->ended_at_us. */
void executor_report(struct executor *executor, const struct record_task *task, int64_t run_us,
                     struct job_outcome *outcome);

/* Whether the process is too big to go on, in which case it takes nothing more. */
bool executor_is_spent(struct executor *executor);

/* Whether there is something to be run after this. */
bool executor_has_more(const struct executor *executor);

/* ---- executor_range.c ---- */

/* Runs the elements of a range that was claimed, until one of them ends it. */
void executor_run_range(struct executor *executor, const struct executor_entry *entry,
                        int64_t started_us);

/* What runs has something to say of its own: if it is an element of a range, the agent is told
 * of those before it first, and the range ends with it. may_block: waits for room in the ring;
 * else false: there is none, and nothing may be said. */
bool executor_single_out(struct executor *executor, bool may_block);

#endif
