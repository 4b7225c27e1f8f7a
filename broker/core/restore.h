/*
 * restore.h: a core out of the records of earlier lives.
 *
 *   core_restore ... ── records of a turn, once it is complete ──> objects without a place
 *   core_restore_end ──> lines, timers, leases, counters, lists
 *
 * While records come in, objects only take their fields; records of different objects may come
 * in any order, since copies made by compaction come later than what they precede. So a run or
 * an element may come before its array: the array is then made without options (the spec of
 * the restore stands in for them), and must have come by the end. A lease names the session
 * that holds it by its number (struct handle.generation), which is resolved at the end, as are
 * the owners of tasks.
 *
 * Nothing is believed: whatever the bytes are, the core stays sound or the restore fails.
 */
#ifndef CORE_RESTORE_H
#define CORE_RESTORE_H

#include "array.h"
#include "record.h"
#include "table.h"

enum { RUN_NONE = UINT32_MAX }; /* element.run: its run has not come yet */

struct session_number { /* finds sessions by number */
    uint32_t generation;
    uint32_t slot;
};

struct restore {
    struct core *core;
    struct drv_list order;          /* task->place.link, run->place.link: as they came */
    struct drv_list arrays;         /* array->open_link */
    struct drv_list orphans;        /* struct tie: of tasks whose session has ended */
    struct drv_buffer pending;      /* records of a turn that is not complete */
    struct drv_buffer scratch;      /* of the record at hand; in the end: struct array *, all */
    struct drv_table edges;         /* owned: what waits for what (restore_deps.c) */
    struct spec *nobody;            /* referenced: of arrays that have not come yet */
    struct who *who;                /* referenced: the last one read */
    uint16_t mark;                  /* of the record at hand (save.h) */
    const char *why;                /* static: what is wrong with the record at hand */
    struct session_number *numbers; /* owned, sorted; at the end */
    size_t number_count;
};

/* Bodies are read from here on; the first byte is done with. False: `why` says what is wrong
 * (NULL: out of memory). */
typedef bool (*restore_fn)(struct restore *restore, const struct core_saved *saved,
                           struct record_reader *reader);

/* Always false, with a reason. */
bool restore_wrong(struct restore *restore, const char *why);

/* An instant of the wall clock as one of ours, never in the future. */
int64_t restore_instant(const struct restore *restore, int64_t wall_us);
/* When something is due that had left_us to go when it was recorded. */
int64_t restore_due(const struct restore *restore, int64_t wall_us, uint64_t left_us);
/* A session by its number; NULL: it has ended. At the end only. */
struct session *restore_session(const struct restore *restore, uint32_t generation);
void restore_free(struct core *core);

/* restore_task.c */
/* Options, with a reference; NULL: wrong, or out of memory. */
struct spec *restore_spec(struct restore *restore, struct record_reader *reader);
bool restore_task(struct restore *restore, const struct core_saved *saved,
                  struct record_reader *reader);
bool restore_unit(struct restore *restore, const struct core_saved *saved,
                  struct record_reader *reader);
/* The error of a record; NULL: wrong, or out of memory. */
struct failure *restore_failure(struct restore *restore, struct record_reader *reader);
bool restore_retried(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader);
bool restore_forget(struct restore *restore, const struct core_saved *saved,
                    struct record_reader *reader);
/* The array, with or without options. NULL: as above. */
struct array *restore_array(struct restore *restore, const drover_id *id);

/* restore_run.c */
bool restore_run(struct restore *restore, const struct core_saved *saved,
                 struct record_reader *reader);
bool restore_run_due(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader);
bool restore_run_end(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader);
/* An element that is named before its run came, or after: with a record of its own. */
bool restore_element(struct restore *restore, const drover_id *id, uint32_t index,
                     struct item *out_item);

/* restore_session.c */
bool restore_session_whole(struct restore *restore, const struct core_saved *saved,
                           struct record_reader *reader);
bool restore_replies(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader);
bool restore_session_end(struct restore *restore, const struct core_saved *saved,
                         struct record_reader *reader);
bool restore_kv(struct restore *restore, const struct core_saved *saved,
                struct record_reader *reader);
bool restore_kv_delete(struct restore *restore, const struct core_saved *saved,
                       struct record_reader *reader);
bool restore_queue(struct restore *restore, const struct core_saved *saved,
                   struct record_reader *reader);

/* restore_schedule.c */
bool restore_schedule(struct restore *restore, const struct core_saved *saved,
                      struct record_reader *reader);
bool restore_schedule_run(struct restore *restore, const struct core_saved *saved,
                          struct record_reader *reader);
bool restore_schedule_end(struct restore *restore, const struct core_saved *saved,
                          struct record_reader *reader);

/* restore_deps.c */
void restore_deps_init(struct restore *restore);
void restore_deps_fini(struct restore *restore);
bool restore_after(struct restore *restore, const struct core_saved *saved,
                   struct record_reader *reader);
/* What is known of the task does not count any more. */
void restore_deps_forget(struct restore *restore, const drover_id *id);
/* Whether something is known that the item waits for. */
bool restore_waits(const struct restore *restore, const struct item *item);
/* All tasks are there. */
bool restore_finish_deps(struct restore *restore);

/* restore_name.c */
bool restore_key(struct restore *restore, const struct core_saved *saved,
                 struct record_reader *reader);
bool restore_key_end(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader);
bool restore_group(struct restore *restore, const struct core_saved *saved,
                   struct record_reader *reader);

/* restore_alert.c */
bool restore_alert_rule(struct restore *restore, const struct core_saved *saved,
                        struct record_reader *reader);
bool restore_alert_silence(struct restore *restore, const struct core_saved *saved,
                           struct record_reader *reader);
bool restore_alert(struct restore *restore, const struct core_saved *saved,
                   struct record_reader *reader);

/* restore_end.c */
bool restore_finish(struct restore *restore);

#endif
