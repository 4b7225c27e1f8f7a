/*
 * schedule.h: tasks that a broker submits again and again, by its clock.
 *
 * Included by <drover/client.h>, which says what holds for every call: threads, timeouts,
 * ownership and the statuses that any call may return.
 */
#ifndef DROVER_SCHEDULE_H
#define DROVER_SCHEDULE_H

#include <drover/operate.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What happens to a run that is due while an earlier one has not ended. */
typedef enum drover_overlap {
    DROVER_OVERLAP_SKIP,    /* it is skipped */
    DROVER_OVERLAP_QUEUE,   /* it begins when that one has ended; at most 16 wait */
    DROVER_OVERLAP_REPLACE, /* that one is cancelled, it begins when it has ended */
    DROVER_OVERLAP_ALLOW,   /* both run */
} drover_overlap;

/* What happens to runs that were due while the broker was down, or its clock jumped. */
typedef enum drover_missed {
    DROVER_MISSED_RUN,  /* the latest of them runs at once */
    DROVER_MISSED_SKIP, /* none does, but the latest if it is at most 60 s late */
} drover_missed;

/* A drover_submit_options, which <drover/client.h> defines. */
struct drover_submit_options;

/* When and what. Start with DROVER_SCHEDULE_PLAN_INIT; everything is borrowed for the call. */
typedef struct drover_schedule_plan {
    size_t size;       /* sizeof(drover_schedule_plan) */
    const char *cron;  /* "0 2 * * mon-fri", as PROTOCOL.md section 5 says; NULL: an interval */
    const char *zone;  /* IANA name, "Europe/Berlin"; NULL: UTC */
    uint64_t every_ms; /* interval, from 1000 on; 0: by cron */
    uint64_t jitter_ms; /* each run is later by up to this much */
    uint64_t late_ms;   /* a run that it comes to later does not run; 0: no bound */
    drover_overlap overlap;
    drover_missed missed;
    int replace; /* whether it may take the place of one with its name */
    int paused;  /* whether it begins paused */
    const char *type;
    const drover_value *payload;                 /* at most 1 MiB; NULL: nil */
    const struct drover_submit_options *options; /* id, key, after and waiting do not count;
                                                    NULL: defaults */
} drover_schedule_plan;
#define DROVER_SCHEDULE_PLAN_INIT                                               \
    {                                                                           \
        sizeof(drover_schedule_plan), NULL, NULL, 0, 0, 0, DROVER_OVERLAP_SKIP, \
            DROVER_MISSED_RUN, 0, 0, NULL, NULL, NULL                           \
    }

/*
 * Adds a schedule under a name. out_next_ms (may be NULL): until its first run; -1: paused.
 * Returns DROVER_OK, also when it is there already, the same; DROVER_CONFLICT: another one is;
 * DROVER_INVALID: drover_client_error_text says what is wrong, with field and position for a
 * cron expression; DROVER_UNSUPPORTED, DROVER_REFUSED, DROVER_TOO_BIG as for drover_submit;
 * DROVER_BUSY: there are too many.
 */
DROVER_API DROVER_MUST_USE drover_status drover_schedule_add(drover_client *client,
                                                             const char *name,
                                                             const drover_schedule_plan *plan,
                                                             int64_t timeout_ms,
                                                             int64_t *out_next_ms);

/* Removes it; its tasks go on. These return DROVER_OK or DROVER_UNKNOWN. */
DROVER_API DROVER_MUST_USE drover_status drover_schedule_remove(drover_client *client,
                                                                const char *name,
                                                                int64_t timeout_ms);

/* What is due during a pause is not made up for. */
DROVER_API DROVER_MUST_USE drover_status drover_schedule_pause(drover_client *client,
                                                               const char *name,
                                                               int64_t timeout_ms);
DROVER_API DROVER_MUST_USE drover_status drover_schedule_resume(drover_client *client,
                                                                const char *name,
                                                                int64_t timeout_ms);

/* Runs it once, now, whatever its times and its overlap policy say. out_id: of the task. */
DROVER_API DROVER_MUST_USE drover_status drover_schedule_run(drover_client *client,
                                                             const char *name,
                                                             int64_t timeout_ms,
                                                             drover_id *out_id);

/* One page of `schedules`; limit and cursor as for drover_task_list. */
DROVER_API DROVER_MUST_USE drover_status drover_schedule_list(drover_client *client,
                                                              uint32_t limit,
                                                              drover_cursor *cursor,
                                                              int64_t timeout_ms,
                                                              drover_value **out_document);

/* The same with this one alone. Returns DROVER_OK or DROVER_UNKNOWN. */
DROVER_API DROVER_MUST_USE drover_status drover_schedule_show(drover_client *client,
                                                              const char *name,
                                                              int64_t timeout_ms,
                                                              drover_value **out_document);

#ifdef __cplusplus
}
#endif

#endif
