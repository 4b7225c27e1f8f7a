/*
 * Messages: the typed form of everything in common/PROTOCOL.md, and the codec between that form
 * and frames.
 *
 *   bytes --validate--> cursor --drv_message_decode--> struct drv_message
 * --drv_message_encode--> bytes
 *
 * Guarantees: decoding never reads unvalidated bytes, never allocates more than the head's own
 * size times a small constant (from the arena), never recurses on input. Encoding refuses what
 * the limits forbid. The codec knows nothing of sockets, sessions, sequence windows or chunks
 * on the way: that is link.h.
 *
 * Ownership: strings, binaries and values of a decoded message borrow from the head, the blob
 * and the arena; they live until these do. In a message to be encoded all pointers are borrowed
 * from the caller for the duration of the call.
 */
#ifndef DRV_MESSAGE_H
#define DRV_MESSAGE_H

#include "message_alert.h"
#include "message_basic.h"
#include "message_connection.h"
#include "message_operate.h"
#include "message_stream.h"

#include <string.h>

struct drv_arena; /* bump allocator, arena.h */
struct drv_buffer;

#define DRV_PROTOCOL_VERSION 1u

/* Limits of PROTOCOL.md section 3. */
enum {
    DRV_HEAD_MAX = 128 * 1024,
    DRV_BLOB_MAX = 256 * 1024,
    DRV_FRAME_MAX = DRV_BLOB_MAX + 64, /* as sockets count: CURVE adds 33 bytes to each */
    DRV_BATCH_MAX = 1024,
    DRV_INLINE_MAX = 64 * 1024,
    DRV_PAYLOAD_MAX = 64 * 1024 * 1024,
    DRV_REQUESTS_MAX = 1024,
    DRV_ARRAY_MAX = 10 * 1000 * 1000,
    DRV_META_MAX = 1024,
    DRV_NAME_MAX = 128,
    DRV_TEXT_MAX = 1024,
    DRV_CONTENT_TYPE_MAX = 128,
    DRV_ERROR_TEXT_MAX = 4096,
    DRV_STDERR_MAX = 8192,
    DRV_LABELS_MAX = 64,
    DRV_AFTER_MAX = 64,
    DRV_LABEL_VALUE_MAX = 128,
    DRV_TYPES_MAX = 16384,
    DRV_QUEUES_MAX = 1024,
    DRV_ENDPOINTS_MAX = 64,
    DRV_CAPABILITIES_MAX = 64,
    DRV_KEY_MAX = 256,
    DRV_KV_VALUE_MAX = 1024 * 1024,
    DRV_TRANSFERS_MAX = 16,
    DRV_HEARTBEAT_BLOB_MAX = 65536,
    DRV_HEAD_DEPTH_MAX = 16,
    DRV_HEAD_NODES_MAX = 65536,
    DRV_QUERY_ROWS_MAX = 1000,
    DRV_TAIL_MAX = 32 * 1024,
    DRV_TAIL_PIECES_MAX = 512,
    DRV_SUBSCRIPTIONS_MAX = 64,
    DRV_STREAM_ITEMS_MAX = 65536,
    DRV_STREAM_BYTES_MAX = 4 * 1024 * 1024,
    DRV_STREAM_ITEMS = 4096,
    DRV_STREAM_BYTES = 1024 * 1024,
    DRV_STREAM_ENTRY_BYTES = 128,
};

enum drv_kind {
    DRV_HELLO = 1,
    DRV_WELCOME,
    DRV_GOODBYE,
    DRV_ERROR,
    DRV_CREDIT,
    DRV_CHUNK,
    DRV_ACK,
    DRV_HEARTBEAT,
    DRV_ATTACH,
    DRV_MOVED = 10,
    DRV_SUBMIT = 16,
    DRV_ARRAY_OPEN,
    DRV_ARRAY_ITEMS,
    DRV_ARRAY_SEAL,
    DRV_CANCEL,
    DRV_RETRY,
    DRV_KV,
    DRV_QUEUE,
    DRV_WORKER,
    DRV_FORGET,
    DRV_GRAPH,
    DRV_SCHEDULE,
    DRV_ALERT = 28,
    DRV_WATCH = 32,
    DRV_UNWATCH,
    DRV_QUERY,
    DRV_DOCUMENT,
    DRV_REPLY,
    DRV_RESULTS,
    DRV_SUBSCRIBE,
    DRV_LOGS,
    DRV_EVENTS = 40,
    DRV_TAKEN,
    DRV_FETCH,
    DRV_LEASE = 64,
    DRV_REPORT,
    DRV_RECALL,
    DRV_ABORT,
    DRV_GO,
    DRV_LOG,
    DRV_AWAIT,
    DRV_SHARED,
    DRV_DRAIN = 72,
    DRV_FOLLOW,
    DRV_KIND_MAX = DRV_FOLLOW,
};

enum drv_role { DRV_ROLE_CLIENT = 1, DRV_ROLE_WORKER = 2 };
enum drv_model { DRV_MODEL_PREFORK = 1, DRV_MODEL_THREAD, DRV_MODEL_FORK, DRV_MODEL_EXEC };

enum { /* spec flags */
       DRV_SPEC_WATCH = 1,
       DRV_SPEC_RELEASE = 2,
       DRV_SPEC_STRICT = 4,
       DRV_SPEC_CANCEL_WITH_SESSION = 8,
       DRV_SPEC_WATCH_STATES = 16,
       DRV_SPEC_ARRAY = 32, /* of a group of GRAPH: an array, and all its elements */
};

struct drv_bounds { /* what an attempt may use; 0: no limit */
    uint64_t memory_bytes, cpu_ms, output_bytes, processes, files;
};

static inline bool drv_bounds_are_none(const struct drv_bounds *limits)
{
    return (limits->memory_bytes | limits->cpu_ms | limits->output_bytes | limits->processes |
            limits->files) == 0;
}

struct drv_spec {
    struct drv_str type;
    struct drv_str queue; /* nil: "default" */
    int32_t priority;     /* -128..127 */
    uint64_t delay_ms, expire_ms, timeout_ms;
    uint32_t retries;
    uint64_t backoff_ms, backoff_max_ms;
    int32_t loss_budget;
    uint32_t durability; /* enum drover_durability, 0 default */
    int64_t keep_ms;     /* -1 auto */
    uint32_t flags;      /* DRV_SPEC_* */
    struct drv_str key;  /* nil: none */
    uint64_t key_window_ms;
    const struct drv_after *after;
    size_t after_count;
    struct drv_str group;
    const struct drv_pair *tags;
    size_t tag_count;
    struct drv_str fairness;
    const struct drv_count *needs;
    size_t need_count;
    const struct drv_pair *require;
    size_t require_count;
    uint64_t limit_memory_bytes, limit_cpu_ms, limit_output_bytes; /* 0 none */
    uint64_t limit_processes, limit_files;                         /* 0 none */
    struct drv_str meta;                                           /* bytes */
    bool has_retry_of;
    struct drv_target retry_of;
};

/* Fills in the defaults of PROTOCOL.md section 5. */
void drv_spec_init(struct drv_spec *spec, struct drv_str type);

enum { DRV_ERROR_PERMANENT = 1, DRV_ERROR_UNCONFIRMED = 2 };

struct drv_error {
    uint32_t kind; /* enum drover_error_kind; 0: no error */
    struct drv_str code;
    struct drv_str text;
    int32_t exit_code; /* -1: did not exit */
    uint32_t signal;
    uint32_t flags;             /* DRV_ERROR_* */
    struct drv_str stderr_tail; /* bytes */
};

enum drv_kept { DRV_KEPT_NOTHING, DRV_KEPT_RLIMIT, DRV_KEPT_CGROUP }; /* to its limits */

struct drv_usage {
    uint64_t user_us, system_us, peak_rss_bytes;
    uint32_t pid, kept; /* kept: enum drv_kept */
};

struct drv_request {
    uint64_t req, floor, budget_ms;
}; /* common prefix of requests */

struct drv_entry {
    drover_id id;
    struct drv_val val;
};
struct drv_submit_group {
    struct drv_spec spec;
    const struct drv_entry *entries;
    size_t entry_count;
};
struct drv_submit {
    const struct drv_submit_group *groups;
    size_t group_count;
};
struct drv_array_open {
    drover_id id;
    struct drv_spec spec;
    struct drv_val with;
};
struct drv_array_items {
    drover_id id;
    uint32_t first;
    const struct drv_val *items; /* a length on the wire is resolved to its slice here */
    size_t item_count;
};
struct drv_array_seal {
    drover_id id;
    uint32_t count;
};
struct drv_targets { /* CANCEL, RETRY, FORGET, WATCH, UNWATCH */
    const struct drv_target *targets;
    size_t target_count;
    struct drv_str text;  /* CANCEL: reason */
    struct drv_str group; /* CANCEL: all of this group; nil: the targets */
    uint32_t flags;       /* WATCH: 1 without values, 2 release; CANCEL: DRV_CANCEL_* */
};
enum { DRV_CANCEL_AWAITED = 1 }; /* what the target awaits is cancelled with it */
enum { DRV_WATCH_STATES = 1, DRV_WATCH_RELEASE = 2 };
enum drv_schedule_op {
    DRV_SCHEDULE_ADD = 1,
    DRV_SCHEDULE_REMOVE,
    DRV_SCHEDULE_PAUSE,
    DRV_SCHEDULE_RESUME,
    DRV_SCHEDULE_RUN,
};
enum drv_overlap { /* a run is due while an earlier one has not ended */
                   DRV_OVERLAP_SKIP,
                   DRV_OVERLAP_QUEUE,
                   DRV_OVERLAP_REPLACE,
                   DRV_OVERLAP_ALLOW,
                   DRV_OVERLAPS
};
enum drv_missed { /* runs were due while the broker was down or the clock jumped */
                  DRV_MISSED_RUN,
                  DRV_MISSED_SKIP,
                  DRV_MISSED_POLICIES
};
enum { DRV_PLAN_REPLACE = 1, DRV_PLAN_PAUSED = 2 };
struct drv_plan {
    struct drv_str cron; /* nil: an interval */
    struct drv_str zone; /* nil: UTC */
    uint64_t every_ms;
    uint64_t jitter_ms;
    uint32_t overlap; /* enum drv_overlap */
    uint32_t missed;  /* enum drv_missed */
    uint64_t late_ms; /* 0: a run may be as late as it wants */
    uint32_t flags;   /* DRV_PLAN_* */
    struct drv_spec spec;
    struct drv_val val;
};
struct drv_schedule_request {
    uint32_t op;
    struct drv_str name;
    bool has_plan;
    struct drv_plan plan; /* ADD */
    bool has_id;
    drover_id id; /* RUN: of the task */
};
enum drv_topic {
    DRV_TOPIC_STATUS = 1,
    DRV_TOPIC_TASK,
    DRV_TOPIC_WHY,
    DRV_TOPIC_TASKS,
    DRV_TOPIC_QUEUES,
    DRV_TOPIC_WORKERS,
    DRV_TOPIC_KV,
    DRV_TOPIC_WORKER,
    DRV_TOPIC_STATISTICS,
    DRV_TOPIC_KEY,
    DRV_TOPIC_GROUPS,
    DRV_TOPIC_SCHEDULES = 16,
    DRV_TOPIC_ALERTS,
    DRV_TOPIC_ALERT_RULES,
    DRV_TOPIC_HISTORY = 24,
    DRV_TOPIC_ARRAYS,
    DRV_TOPIC_VALUES,
    DRV_TOPIC_GRAPHS,
    DRV_TOPIC_GRAPH,
    DRV_TOPIC_ELEMENTS = 32,
    DRV_TOPIC_QUEUE_HISTORY,
    DRV_TOPIC_ACCOUNTS = 40,
};
struct drv_query {
    uint32_t topic;
    bool has_id;
    drover_id id;
    uint32_t index;
    struct drv_str name, text;
    uint32_t states; /* bit n: enum drover_state n; 0 all */
    struct drv_str cursor;
    uint32_t limit;
    struct drv_str group;               /* tasks of this group; nil: any */
    struct drv_str tag_name, tag_value; /* tasks with this tag; name nil: any */
};
struct drv_fetch { /* of a task that has ended */
    drover_id id;
    uint32_t index;
};
struct drv_document {
    uint64_t req;
    uint32_t code;
    struct drv_str text, cursor;
    struct drv_str body; /* the blob */
};
struct drv_reply {
    uint64_t req;
    uint32_t code; /* drover_status */
    int64_t number;
    struct drv_str text;
    uint64_t retry_after_ms;
    const struct drv_note *notes;
    size_t note_count;
    struct drv_val val;
    struct drv_error error; /* FETCH: why the task did not succeed; kind 0: none */
};
struct drv_replies {
    const struct drv_reply *replies;
    size_t reply_count;
};
struct drv_outcome { /* one entry of RESULTS */
    drover_id id;
    uint32_t index, state, attempt;
    struct drv_val val;
    struct drv_error error; /* kind 0: none */
    uint32_t level;
    struct drv_range range; /* of elements that all ended like this, one after the other */
};
struct drv_results {
    const struct drv_outcome *entries;
    size_t entry_count;
};

enum { DRV_LEASE_CONFIRM = 1, DRV_LEASE_SHARED = 2 };
struct drv_parent { /* what a task has waited for */
    drover_id id;
    uint32_t index;
    uint32_t when;  /* 1 until it succeeded, 2 until it ended, 3 awaited: until it ended */
    uint32_t state; /* enum drover_state */
};
struct drv_lease_entry {
    struct drv_ref ref;
    struct drv_val val;
    struct drv_str meta;
    const struct drv_parent *parents;
    size_t parent_count;
    struct drv_range range; /* one lease of several elements */
};
struct drv_lease_group {
    struct drv_str type, queue;
    uint64_t timeout_ms, term_ms, kill_ms;
    uint32_t flags; /* DRV_LEASE_* */
    const struct drv_lease_entry *entries;
    size_t entry_count;
    struct drv_bounds limits;
    const struct drv_count *needs; /* what of the worker's resources each entry has */
    size_t need_count;
};
struct drv_lease {
    const struct drv_lease_group *groups;
    size_t group_count;
};

enum drv_attempt_outcome {
    DRV_OUTCOME_SUCCEEDED = 1,
    DRV_OUTCOME_FAILED,
    DRV_OUTCOME_CANCELLED
};
struct drv_result {
    struct drv_ref ref;
    uint32_t outcome; /* enum drv_attempt_outcome */
    struct drv_val val;
    struct drv_error error;
    uint64_t run_us;
    bool has_usage;
    struct drv_usage usage;
    struct drv_tail tail;   /* the last of its output; no pieces: none */
    uint64_t wait_us;       /* from the arrival of the lease to its start */
    uint64_t hold_us;       /* from its end until this was sent */
    struct drv_range range; /* of elements that succeeded; the times are of all together */
};
enum drv_return_reason {
    DRV_RETURN_RECALLED = 1,
    DRV_RETURN_DRAINING,
    DRV_RETURN_ABORTED,
    DRV_RETURN_NO_CONTACT,
    DRV_RETURN_NO_HANDLER,
    DRV_RETURN_INTERRUPTED, /* had started; ended through no fault of its own */
    DRV_RETURN_LOST,        /* had started; what ran it is gone */
};
struct drv_returned {
    struct drv_ref ref;
    uint32_t reason;
    uint32_t more; /* elements behind it that come back, too */
};
struct drv_progress {
    struct drv_ref ref;
    uint32_t permille;
    struct drv_str text;
};
struct drv_report {
    const struct drv_ref *started;
    size_t started_count;
    const struct drv_result *results;
    size_t result_count;
    const struct drv_returned *returned;
    size_t returned_count;
    const struct drv_progress *progress;
    size_t progress_count;
};
struct drv_abort_entry {
    struct drv_ref ref;
    uint32_t code;
    uint32_t more; /* elements behind it that are meant, too */
};
struct drv_leases {
    const struct drv_ref *leases;
    size_t lease_count;
}; /* RECALL, GO */
struct drv_abort {
    const struct drv_abort_entry *leases;
    size_t lease_count;
};
struct drv_await {
    struct drv_ref ref;
    const drover_id *children;
    size_t child_count;
    uint32_t flags; /* DRV_AWAIT_* */
};
enum { DRV_AWAIT_ALONG = 1 }; /* when the task is cancelled, so are the children */
struct drv_shared {
    drover_id id;
    struct drv_val val;
};
struct drv_drain {
    bool on;
    struct drv_str text;
};

struct drv_message {
    enum drv_kind kind;
    uint64_t epoch;
    uint64_t seq;               /* filled by link on the way out */
    uint64_t ack;               /* the same */
    struct drv_request request; /* kinds 16..28; req alone for WATCH, UNWATCH, QUERY, FETCH */
    union {
        struct drv_hello hello;
        struct drv_welcome welcome;
        struct drv_goodbye goodbye;
        struct drv_failure failure;
        struct drv_credit credit;
        struct drv_chunk chunk;
        struct drv_ack ack_notes;
        struct drv_heartbeat heartbeat;
        struct drv_attach attach;
        struct drv_moved moved;
        struct drv_submit submit; /* SUBMIT, GRAPH */
        struct drv_array_open array_open;
        struct drv_array_items array_items;
        struct drv_array_seal array_seal;
        struct drv_targets targets; /* CANCEL RETRY FORGET WATCH UNWATCH */
        struct drv_kv kv;
        struct drv_queue_request queue;
        struct drv_worker_request worker;
        struct drv_schedule_request schedule;
        struct drv_alert_request alert;
        struct drv_query query;
        struct drv_fetch fetch;
        struct drv_document document;
        struct drv_replies reply;
        struct drv_results results;
        struct drv_subscribe subscribe;
        struct drv_logs logs;
        struct drv_events events;
        struct drv_taken taken;
        struct drv_lease lease;
        struct drv_report report;
        struct drv_leases leases; /* RECALL GO */
        struct drv_abort abort;
        struct drv_log_chunk log;
        struct drv_await await;
        struct drv_shared shared;
        struct drv_drain drain;
        struct drv_follow follow;
    };
};

/* Where the codec gets and puts values that travel as chunks (link.h implements it; NULL: such
 * values are refused). */
struct drv_transfers {
    /* Take a complete transfer; the returned buffer lives as long as the decoded message. */
    drover_status (*take)(void *context, uint64_t transfer, uint64_t total,
                          struct drv_data **out_data);
    /* Queue `val` to be sent as chunks before this message; gives its transfer number. */
    drover_status (*put)(void *context, const struct drv_val *val, uint64_t *out_transfer);
    void *context;
    /* The other side reads rows (PROTOCOL.md section 5): alike entries are written as such. */
    bool takes_rows;
};

/*
 * Decode one message. Validates the head (depth, counts, nodes, types, UTF-8), then every field
 * against the limits (names, lengths, batch counts, slices inside the blob). All arrays come
 * from `arena`. Returns OK; MALFORMED, LIMIT, TOO_BIG, PROTOCOL (bad transfer) with a short
 * reason in *out_reason (static text, may be NULL); UNSUPPORTED for an unknown kind (out->kind,
 * epoch, seq, ack are set then); NOMEM.
 */
DROVER_MUST_USE drover_status drv_message_decode(const uint8_t *head, size_t head_len,
                                                 const uint8_t *blob, size_t blob_len,
                                                 const struct drv_transfers *transfers,
                                                 struct drv_arena *arena,
                                                 struct drv_message *out_message,
                                                 const char **out_reason);

/*
 * Encode head and blob (both appended to empty buffers; values not longer than DRV_INLINE_MAX
 * go into the blob, longer ones through transfers->put). What was encoded can be decoded:
 * everything that decoding would refuse is refused here. Returns OK; NOMEM; TOO_BIG (head or
 * blob would break a limit: send fewer entries; or a text or value is too long); LIMIT (too
 * many entries); INVALID (a name, a number out of range, text that is not UTF-8, a group
 * without entries); UNSUPPORTED for a reserved kind; what transfers->put returned. The buffers'
 * contents mean nothing after a failure.
 */
DROVER_MUST_USE drover_status drv_message_encode(const struct drv_message *message,
                                                 const struct drv_transfers *transfers,
                                                 struct drv_buffer *head,
                                                 struct drv_buffer *blob);

/* The capability of who reads rows (PROTOCOL.md section 5). */
#define DRV_ROWS_NAME "rows"

/* Whether a list of capabilities has this one. */
bool drv_names_include(const struct drv_str *names, size_t count, const char *name);

/* Upper case name of a kind for logs, "?" when unknown. */
const char *drv_kind_name(unsigned kind);

/* True for kinds whose blob is charged against the byte window (PROTOCOL.md section 2). */
bool drv_kind_is_charged(unsigned kind);

/*
 * How much fits into one message: add entries until `fits` says no, then start the next
 * message. Counts entries, estimated head bytes (of the entry without its value), inline blob
 * bytes, and values that travel as chunks. The first entry always fits.
 */
struct drv_meter {
    size_t entries, head_bytes, blob_bytes;
    size_t transfers;
    uint64_t transfer_bytes;
};
void drv_meter_reset(struct drv_meter *meter);
bool drv_meter_fits(struct drv_meter *meter, size_t head_bytes,
                    const struct drv_val *val); /* adds when it fits; NULL: no value */
/* The last entry becomes longer. */
bool drv_meter_grows(struct drv_meter *meter, size_t head_bytes, size_t blob_bytes);
/* The same for a result that brings the tail of its output along. */
bool drv_meter_fits_tail(struct drv_meter *meter, size_t head_bytes, const struct drv_val *val,
                         const struct drv_tail *tail);

/* The longest prefix of at most max bytes that is valid UTF-8: for texts from handlers and
 * systems, which drv_message_encode would refuse as they are. */
struct drv_str drv_str_fit(struct drv_str text, size_t max);

static inline struct drv_str drv_str_of(const char *text)
{
    return (struct drv_str){text, text == NULL ? 0 : strlen(text)};
}

#endif
