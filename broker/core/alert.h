/*
 * alert.h: rules that watch the fleet, and the alerts that they raise.
 *
 *            bad                 bad for `for`             good
 *   (none) ──────> PENDING ────────────────────> FIRING ────────> CLEARING
 *                     │ not bad                    ^ not good        │ │
 *                     v                            └─────────────────┘ │ good for `clear-for`
 *                  (none)                 PENDING <──bad── RESOLVED <──┘
 *
 * Bad is beyond the threshold, good on the other side of `clear`, between is neither: so what
 * hovers about the threshold neither begins again and again nor ends. An alert is one rule and
 * one subject (a worker, a host, a queue, a type, the broker); of those that are well nothing
 * is kept. What fires can be acknowledged; actions wait while a silence matches or it is
 * acknowledged.
 *
 * All rules are looked at once a second, workers, queues and types in slices of ALERT_SCAN; a
 * subject that is gone counts as good. Acknowledgements, silences, what fires, and rules that
 * were added by request are kept in records; the others come from the configuration with every
 * start.
 */
#ifndef CORE_ALERT_H
#define CORE_ALERT_H

#include "alert_rule.h"
#include "core.h"
#include "list.h"
#include "table.h"
#include "timer.h"

struct worker;

enum {
    ALERT_RULES_MAX = 128,
    ALERTS_MAX = 1024, /* more are counted, and dropped */
    ALERT_SILENCES_MAX = 128,
    ALERT_LOST_MAX = 256, /* lost workers that are remembered, the latest */
    ALERT_SCAN = 1024,
    ALERT_SAMPLES = 300,  /* seconds over which failures are counted */
    ALERT_ENDED_MIN = 10, /* fewer ends in that time make no rate */
};
#define ALERT_TICK_US ((int64_t)1000 * 1000)
#define ALERT_LOST_US ((int64_t)3600 * 1000 * 1000)    /* then a lost worker is forgotten */
#define ALERT_RESOLVED_US ((int64_t)600 * 1000 * 1000) /* then an alert that is over is */

enum alert_origin {
    ALERT_BUILT_IN,
    ALERT_CONFIGURED,
    ALERT_OWN,     /* by request: recorded */
    ALERT_MISSING, /* while records are read: it has not come yet */
};

enum alert_state { ALERT_PENDING, ALERT_FIRING, ALERT_CLEARING, ALERT_RESOLVED, ALERT_STATES };

struct alert_rule {
    struct drv_list link; /* in alerts->rules */
    struct drv_alert_rule what;
    enum alert_origin origin;
    uint32_t count;                /* alerts of it */
    uint32_t states[ALERT_STATES]; /* of those, by state */
    uint16_t mark, name_len, subject_len;
    char text[]; /* name, subject (none: all) */
};

struct alert {
    struct drv_list link; /* in alerts->list */
    struct alert_rule *rule;
    enum alert_state state;
    bool is_acknowledged;
    bool is_told;     /* the actions were asked for */
    int64_t since_us; /* in this state; FIRING: since it began to fire */
    int64_t good_us;  /* CLEARING: since when */
    double value;
    uint64_t round; /* of its scope, in which its subject was seen last */
    uint16_t mark, subject_len;
    char subject[];
};

struct alert_silence {
    struct drv_list link; /* in alerts->silences */
    int64_t until_us;
    uint16_t mark, rule_len, subject_len;
    char text[]; /* rule (none: all), subject (none: all) */
};

struct alert_lost {       /* a lost worker */
    struct drv_list link; /* in alerts->lost, the oldest first */
    int64_t at_us;
    uint16_t name_len;
    char name[];
};

struct alert_sample {
    uint64_t failed, succeeded;
};

struct alerts {
    struct timer timer; /* the next look */
    struct drv_list rules, list, silences, lost;
    struct drv_table table; /* alerts by rule and subject */
    size_t rule_count, silence_count, lost_count;
    uint64_t dropped;
    uint64_t rounds[DRV_SCOPES]; /* that goes on now */
    struct drv_list *worker; /* the next one to look at, in core->workers; NULL: the first */
    struct drv_table_cursor queues, types;
    struct alert_sample samples[ALERT_SAMPLES];
    size_t sample_count, sample_at;
};

bool alerts_init(struct core *core);
void alerts_fini(struct core *core);
/* A worker goes: the look passes it by. */
void alerts_pass(struct core *core, const struct worker *worker);

/* --- rules --- */
struct alert_rule *alert_rule_find(const struct core *core, struct drv_str name);
/* Takes the place of one with this name. OK, BUSY, NOMEM. */
DROVER_MUST_USE drover_status alert_rule_put(struct core *core, struct drv_str name,
                                             struct drv_str subject,
                                             const struct drv_alert_rule *what,
                                             enum alert_origin origin,
                                             struct alert_rule **out_rule);
/* With its alerts. */
void alert_rule_remove(struct core *core, struct alert_rule *rule);
static inline struct drv_str alert_rule_name(const struct alert_rule *rule)
{
    return (struct drv_str){rule->text, rule->name_len};
}
static inline struct drv_str alert_rule_subject(const struct alert_rule *rule)
{
    return (struct drv_str){rule->text + rule->name_len, rule->subject_len};
}

/* --- alerts --- */
struct alert *alert_find(const struct core *core, const struct alert_rule *rule,
                         struct drv_str subject);
/* NULL when there are too many, or out of memory: counted. */
struct alert *alert_new(struct core *core, struct alert_rule *rule, struct drv_str subject);
void alert_free(struct core *core, struct alert *alert);
static inline void alert_set_state(struct alert *alert, enum alert_state state)
{
    alert->rule->states[alert->state]--;
    alert->rule->states[state]++;
    alert->state = state;
}
static inline struct drv_str alert_subject(const struct alert *alert)
{
    return (struct drv_str){alert->subject, alert->subject_len};
}
static inline bool alert_fires(const struct alert *alert)
{
    return alert->state == ALERT_FIRING || alert->state == ALERT_CLEARING;
}
const char *alert_state_name(enum alert_state state);
/* One line: what is wrong, or no longer is ("was": the subject is gone, this is the last that
 * was told of it). */
enum { ALERT_LINE_MAX = 512 };
void alert_line(const struct alert *alert, char out_line[ALERT_LINE_MAX]);
bool alert_is_silenced(const struct core *core, const struct alert *alert);

/* --- silences --- */
/* OK, BUSY, NOMEM. */
DROVER_MUST_USE drover_status alert_silence_put(struct core *core, struct drv_str rule,
                                                struct drv_str subject, int64_t until_us,
                                                struct alert_silence **out_silence);
struct alert_silence *alert_silence_find(const struct core *core, struct drv_str rule,
                                         struct drv_str subject);
void alert_silence_free(struct core *core, struct alert_silence *silence);

/* --- looking (alert_look.c) --- */
enum alert_verdict { ALERT_GOOD, ALERT_BETWEEN, ALERT_BAD };
/* What becomes of an alert in this state; pure. `waited` and `cleared`: its time in the state,
 * and that of being good, are over. false in *out_lives: nothing is left of it. */
enum alert_state alert_next(enum alert_state state, enum alert_verdict verdict, bool waited,
                            bool cleared, bool *out_lives);
enum alert_verdict alert_judge(const struct drv_alert_rule *rule, double value);
void alerts_due(struct core *core);
/* Workers that are lost, and come again. */
void alerts_worker(struct core *core, enum drv_event kind, const struct worker *worker);
/* The actions are asked for, as if it fired; is_test: it does not. */
void alert_tell(struct core *core, const struct alert_rule *rule, const struct alert *alert,
                bool is_test);

/* --- records (save_alert.c, restore_alert.c) --- */
drover_id alert_saved_id(const struct core *core, struct drv_str first, struct drv_str second);
void save_alert_rule(struct core *core, struct alert_rule *rule, bool is_gone);
void save_alert_silence(struct core *core, struct alert_silence *silence, bool is_gone);
void save_alert(struct core *core, struct alert *alert, bool is_gone);
/* Everything whose mark is as old as this. */
void alerts_rewrite(struct core *core, uint64_t lsn);
/* All records are in. */
void alerts_restored(struct core *core);

#endif
