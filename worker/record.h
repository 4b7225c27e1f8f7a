/*
 * record.h: what goes through the rings between the agent and an executor.
 *
 * A record is one of the fixed structs below followed by the bytes whose lengths it gives, in
 * the order of the length fields. Both sides are the same program, forked, so structs are
 * copied as they are. What comes from an executor is checked by the agent like anything from a
 * stranger.
 *
 *   agent ── TASK, SHARED, KV_REPLY ──> executor
 *         <── FINISHED, RANGE, PROGRESS, OUTPUT, KV ──
 *
 * A TASK with lengths is a range (lane_range.h): its elements succeed without a record each.
 * What else becomes of one ends the range: RANGE tells of those before it, then it is spoken of
 * as any attempt with this serial, and those behind it were never run.
 */
#ifndef RECORD_H
#define RECORD_H

#include <drover/drover.h>

#include <stdint.h>

enum record_kind {
    RECORD_TASK = 1,
    RECORD_SHARED,
    RECORD_KV_REPLY,
    RECORD_FINISHED = 16,
    RECORD_PROGRESS,
    RECORD_OUTPUT,
    RECORD_KV,
    RECORD_RANGE,
};

enum {
    RECORD_INLINE_MAX = 32 * 1024, /* longer values go in memory files beside the ring */
    RECORD_TEXT_MAX = 1024,        /* progress, a line of the log without its end */
    RECORD_OUTPUT_MAX = 16 * 1024,
};

enum record_form {
    RECORD_NIL,
    RECORD_INLINE,
    RECORD_FILE, /* in a memory file of its own, which comes beside the ring */
    RECORD_KEPT, /* in one that its sender keeps */
};

struct record_value {
    uint64_t len; /* bytes of the value */
    uint16_t form;
    uint16_t file;             /* number, if RECORD_KEPT */
    uint32_t content_type_len; /* 0: msgpack */
};                             /* followed by: content type; the bytes if RECORD_INLINE */

struct record_task {
    uint32_t kind;
    uint32_t claim; /* slot in lane_shared.claims */
    uint64_t serial;
    drover_id id;
    uint32_t index;
    uint32_t attempt;
    uint32_t handler;    /* number in the module set */
    uint32_t has_shared; /* the last SHARED belongs to it */
    uint64_t timeout_ms; /* 0: none */
    uint64_t kill_ms;    /* grace after SIGTERM for a command that timed out */
    uint32_t meta_len;
    uint32_t parent_count;
    uint16_t limits_len;  /* 0: none */
    uint16_t needs_len;   /* the same; at most NEED_BYTES_MAX */
    uint32_t lengths_len; /* 0: one attempt; else of the payloads of a range, from index on */
    struct record_value payload;
}; /* meta, struct record_parent as many as that, limits, lengths, needs, payload */

struct record_parent { /* what the task has waited for */
    drover_id id;
    uint32_t index;
    uint8_t when, state;
    uint8_t reserved[2];
};

struct record_shared {
    uint32_t kind;
    uint32_t reserved;
    struct record_value value;
};

struct record_kv_reply {
    uint32_t kind;
    uint32_t status;
    uint64_t sequence;
    int64_t number;
    struct record_value value;
};

enum record_outcome {
    RECORD_SUCCEEDED = 1,
    RECORD_FAILED,
    RECORD_STOPPED, /* as it was asked to, by the cancel word */
    RECORD_AWAITS,  /* the value are the ids of what it waits for, and maybe a byte of flags */
};

struct record_finished {
    uint32_t kind;
    uint32_t claim;
    uint64_t serial;
    uint32_t outcome;
    uint32_t error_kind;
    int32_t exit_code;
    uint32_t signal;
    uint32_t permanent;
    uint32_t pid;
    uint64_t run_us, user_us, system_us, peak_rss_bytes;
    uint64_t printed[2]; /* bytes ever in its process's stdout and stderr; see lane_printed */
    uint32_t code_len, text_len, stderr_len;
    uint32_t is_spent;   /* the process takes nothing more */
    uint32_t is_clean;   /* it has no children; said by those that run one attempt only */
    uint32_t is_grouped; /* a control group kept its limits */
    struct record_value value;
}; /* code, text, stderr, value */

enum record_range_flags {
    RECORD_RANGE_IS_LAST = 1,   /* nothing more of this range is run */
    RECORD_RANGE_IS_SINGLE = 2, /* nothing but the element in progress, which has something to
                                   say before it ends */
    RECORD_RANGE_IS_SPENT = 4,  /* the process takes nothing more */
};

/* The first `done` elements have succeeded. */
struct record_range {
    uint32_t kind;
    uint32_t claim;
    uint64_t serial;
    uint32_t done;
    uint32_t flags;
    uint32_t lengths_len, bytes_len;
    uint64_t run_us, user_us, system_us, peak_rss_bytes; /* of those no record told of before */
    uint64_t printed[2];
    uint32_t pid;
    uint32_t reserved;
}; /* lengths, bytes */

struct record_progress {
    uint32_t kind;
    uint32_t permille;
    uint64_t serial;
    uint32_t text_len;
    uint32_t reserved;
}; /* text */

/* A piece of a stream that does not come through the process's own stdout and stderr: what a
 * command prints, a line of drover_job_log, a value of drover_job_emit. */
struct record_output {
    uint32_t kind;
    uint32_t stream; /* enum pool_stream */
    uint64_t serial;
    uint64_t missed; /* bytes of the stream that were dropped before these */
    uint32_t len;
    uint32_t reserved;
}; /* bytes */

/* Beside what it says, this carries the other questions: op FETCH has struct record_fetch as
 * its key, SUBMIT struct record_child and what belongs to it (child.h), and the payload as
 * value. */
struct record_kv {
    uint32_t kind;
    uint32_t op;
    uint64_t serial;
    uint64_t sequence; /* of this request in the executor */
    int64_t number;
    uint64_t ttl_ms;
    uint64_t timeout_ms;
    uint32_t key_len;
    uint32_t reserved;
    struct record_value value;
}; /* key, value */

struct record_fetch {
    drover_id id;
    uint32_t index;
};

#endif
