/*
 * sim_clock.h: the wall clock, and the one schedule that a world may have.
 *
 * Its tasks are the broker's own: they come into the model with their record. No instant is run
 * twice in a life of the broker, none before its time, none that the plan does not have; and
 * while nothing disturbs, none is left out.
 */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "core.h"

struct sim;
struct sim_peer;
struct sim_request;
struct sim_task;
struct drv_reply;

enum sim_clock_state {                   /* what the one client knows that sets the schedule */
                       SIM_CLOCK_DOUBT,  /* nothing for certain */
                       SIM_CLOCK_RUNS,   /* */
                       SIM_CLOCK_STANDS, /* it is paused */
};

struct sim_clock {
    int64_t wall_us;    /* wall clock - virtual time */
    int64_t high_us;    /* the latest that it has shown before it was set */
    int64_t ahead_us;   /* by how much it was put forward, in all */
    uint32_t pattern;   /* serial of a task that is like those of the schedule */
    bool is_heard;      /* the broker may know the schedule */
    int64_t removed_us; /* when its removal was asked for last */
    uint32_t heard_op;  /* what reached it last */
    bool is_asked;      /* a request about it is open */
    bool is_changing;   /* and it is one that changes it */
    enum sim_clock_state state;
    int64_t calm_us;     /* nothing has disturbed since */
    bool has_phase;      /* of an interval */
    int64_t phase_ms;    /* an instant */
    int64_t last_ms;     /* latest instant that was run; -1: none */
    uint32_t unfinished; /* tasks of it */
    int64_t ended_us;    /* when there were none any more */
};

void sim_clock_init(struct sim *sim);
int64_t sim_clock_wall_us(const struct sim *sim);
/* How much sooner than at its time something may be over that was kept over a restart. */
int64_t sim_clock_ahead_us(const struct sim *sim);
/* The clock is set. */
void sim_clock_jump(struct sim *sim);
/* Something has happened for which an instant may be left out. */
void sim_clock_disturb(struct sim *sim);
/* A broker begins: with everything that it knew? */
void sim_clock_on_broker(struct sim *sim, bool goes_on);

/* A record of a task that nobody has submitted: its serial, or SIM_NO_TASK. */
uint32_t sim_clock_adopt(struct sim *sim, const struct core_record *record);
/* It was run before, by the schedule that is there: one that was removed is forgotten. */
bool sim_clock_was_run(const struct sim *sim, const struct sim_task *task);
void sim_clock_on_begun(struct sim *sim);
void sim_clock_on_ended(struct sim *sim);
void sim_clock_probe(struct sim *sim);

/* What clients do with it, and what they make of the answer. */
void sim_deed_schedule(struct sim *sim, struct sim_peer *peer);
void sim_clock_remove(struct sim *sim, struct sim_peer *peer);
void sim_clock_build(struct sim *sim, const struct sim_request *request, struct drv_val val,
                     struct drv_message *message);
void sim_clock_answered(struct sim *sim, const struct sim_peer *peer,
                        const struct sim_request *request, const struct drv_reply *reply);
/* A request of it has reached the broker; late: from a session that is no more. */
void sim_clock_on_heard(struct sim *sim, uint32_t op, bool is_late);
/* Its answer will never come. */
void sim_clock_on_lost(struct sim *sim);

#endif
