/*
 * schedule.h: tasks that are submitted again and again, by the wall clock.
 *
 *                    due                     nothing of it is unfinished, or ALLOW
 *   next_ms ──timer──────> fire ────────────────────────────────────────────────> task
 *      ^                    │ overlap: SKIP          QUEUE, REPLACE
 *      └── the one after ───┴──> told                └──> backlog ──the task ends──> task
 *
 * An instant (milliseconds since 1970) is run at most once, whatever the clock does: the id of
 * its task derives from the schedule and the instant, and what was dealt with is kept as spans.
 * When the clock jumps forwards, or the broker was down, what was due meanwhile is missed: the
 * last of it runs, or nothing does. When it jumps backwards, what has run does not run again;
 * what has not, does. Leases and all other timers know nothing of it: they count on the
 * monotonic clock.
 *
 * A schedule that was removed stays without a plan until its last task has ended, so that one
 * that is added again under its name knows of them.
 *
 * Zones: the shell hands in the bytes of their files (core_set_zone). A schedule whose zone is
 * not there yet stands still.
 */
#ifndef CORE_SCHEDULE_H
#define CORE_SCHEDULE_H

#include "core.h"
#include "cron.h"
#include "list.h"
#include "timer.h"

struct body;
struct item;
struct spec;
struct task;

enum {
    SCHEDULES_MAX = 10000,
    SCHEDULE_SPANS_MAX = 16,    /* then the two that are closest become one */
    SCHEDULE_BACKLOG_MAX = 16,  /* runs that wait for the end of the one before */
    SCHEDULE_MISSED_MAX = 1000, /* missed runs are counted so far */
    SCHEDULE_GRACE_MS = 60000,  /* DRV_MISSED_SKIP: a run that is later was missed */
    SCHEDULE_RETRY_MS = 1000,   /* a submit that was refused is tried again */
    SCHEDULE_EVERY_MIN_MS = 1000,
    SCHEDULE_VALUE_MAX = 1 << 20,
};
#define SCHEDULE_NEVER INT64_MAX

struct zone {              /* a time zone, by name */
    struct drv_list link;  /* in core->zones */
    struct drv_zone *data; /* owned; NULL: the system has none of this name */
    uint32_t references;
    uint16_t name_len;
    char name[];
};

struct plan { /* what was asked for */
    bool is_cron;
    struct drv_cron cron;
    struct zone *zone; /* referenced; NULL: UTC */
    uint64_t every_ms;
    uint64_t jitter_ms;
    uint64_t late_ms; /* a run that is later does not run; 0: any may */
    uint8_t overlap, missed;
    struct spec *spec;    /* referenced; it names the schedule */
    struct body *payload; /* referenced */
    uint16_t cron_len;
    char cron_text[];
};

struct span { /* instants that were dealt with: all from `from` to `until` */
    int64_t from, until;
};

struct schedule {
    struct plan *plan; /* owned; NULL: removed, or not read yet */
    struct timer timer;
    bool is_paused;
    int64_t anchor_ms; /* when it was defined: intervals count from here */
    int64_t next_ms;   /* SCHEDULE_NEVER: none */
    int64_t retry_ms;  /* a submit was refused: not before; 0: none was */
    struct span spans[SCHEDULE_SPANS_MAX + 1]; /* in order; one is over for a moment */
    int64_t backlog[SCHEDULE_BACKLOG_MAX];     /* oldest first */
    uint8_t span_count, backlog_count;
    uint32_t references; /* specs that name it */
    uint32_t unfinished; /* tasks of it that have not ended */
    uint64_t runs, skipped;
    const char *trouble; /* static: why the last run did not become a task; NULL: it did */
    bool has_last;
    drover_id last_id;  /* the task of the last run */
    uint8_t last_state; /* enum drover_state */
    int64_t last_ms;    /* its instant */
    int64_t last_fired_ms;
    int64_t last_ended_ms; /* 0: not yet */
    uint16_t mark;
    uint16_t name_len;
    char name[];
};

void schedules_init(struct core *core);
void schedules_fini(struct core *core);

/* --- registry --- */
struct schedule *schedule_find(const struct core *core, struct drv_str name);
/* Found or made, without a plan; NULL when out of memory. */
struct schedule *schedule_ensure(struct core *core, struct drv_str name);
static inline struct drv_str schedule_name(const struct schedule *schedule)
{
    return (struct drv_str){schedule->name, schedule->name_len};
}
/* What records name it by, and back. */
drover_id schedule_saved_id(const struct core *core, const struct schedule *schedule);
struct schedule *schedule_find_saved(const struct core *core, const drover_id *id);
struct schedule *schedule_ref(struct schedule *schedule);
/* Nulls the pointer; gone, when it has no plan either. NULL is fine. */
void schedule_release(struct core *core, struct schedule **schedule);

/* --- plans --- */
/* A plan with its cron text; payload and spec are taken. NULL when out of memory. */
struct plan *plan_new(struct core *core, struct drv_str cron_text, struct spec **spec,
                      struct body **payload);
void plan_free(struct core *core, struct plan **plan);
/* Takes the plan. The old one, if any, is gone; what has run stays known. */
void schedule_define(struct core *core, struct schedule *schedule, struct plan **plan);
void schedule_remove(struct core *core, struct schedule *schedule);
void schedule_pause(struct core *core, struct schedule *schedule, bool is_paused);

/* --- time --- */
int64_t schedule_wall_ms(const struct core *core);
/* The first instant after this one, whether it was dealt with or not. */
int64_t schedule_after(const struct schedule *schedule, int64_t after_ms);
/* The first one that was not. */
int64_t schedule_fresh_after(const struct schedule *schedule, int64_t after_ms);
/* How much later than its instant a run is. */
int64_t schedule_jitter(const struct core *core, const struct schedule *schedule,
                        int64_t instant_ms);
void schedule_arm(struct core *core, struct schedule *schedule);
/* Whether it waits for its zone. */
bool schedule_lacks_zone(const struct schedule *schedule);
/* The clock was set: all timers anew; if it went back, to what has not run. */
void schedules_clock_set(struct core *core, bool went_back);
/* All records are in. */
void schedules_restored(struct core *core);

/* --- zones --- */
/* One more reference; NULL when it was never handed in. */
struct zone *zone_ref(struct core *core, struct drv_str name);
/* The same, made without data when it is not known; NULL when out of memory. */
struct zone *zone_ensure(struct core *core, struct drv_str name);
void zone_release(struct core *core, struct zone **zone);

/* --- runs (schedule_run.c) --- */
void schedule_due(struct core *core, struct schedule *schedule);
/* A task of it under this id now. OK, also when it is there already; BUSY, DRAINING, NOMEM
 * with a static text. */
DROVER_MUST_USE drover_status schedule_submit(struct core *core, struct schedule *schedule,
                                              const drover_id *id, int64_t instant_ms,
                                              const char **out_text);
drover_id schedule_task_id(const struct core *core, const struct schedule *schedule,
                           int64_t instant_ms);
/* An instant was dealt with. */
void schedule_note(struct core *core, struct schedule *schedule, int64_t instant_ms);
/* A task that names a schedule begins (also one of an earlier life); has ended. */
void schedule_task_begun(struct core *core, const struct task *task);
void schedule_task_ended(struct core *core, const struct task *task);

/* --- records (save_schedule.c, restore_schedule.c) --- */
void save_schedule(struct core *core, struct schedule *schedule);           /* whole */
void save_schedule_run(struct core *core, const struct schedule *schedule); /* what runs */
void save_schedule_end(struct core *core, const struct schedule *schedule);

#endif
