/*
 * test_defects.c: the simulation would notice. Every deliberate defect of the core, switched
 * on alone, must make some seed fail soon, and for the reason that belongs to it. The core's
 * own check of its structures is not asked: what is seen from outside must be enough.
 */
#include "check.h"
#include "sim_world.h"
#include "test.h"

#include <limits.h>

enum { SEEDS_MAX = 240 };

struct defect {
    const char *name;
    size_t offset;          /* of the switch in struct core_defects */
    const char *reasons[6]; /* one of these must be in the failure; NULL: the end */
    const char *not_yet;    /* seeds are tried until one fails without that; NULL: the first */
};

#define DEFECT(switch, ...)                                                  \
    {                                                                        \
#switch, offsetof(struct core_defects, switch), {__VA_ARGS__ }, NULL \
    }

static const struct defect defects[] = {
    DEFECT(accept_stale_result, "ended twice", "ended by another attempt", "present attempt",
           "while its worker may still run it"),
    DEFECT(start_after_cancel, "after its cancel was acknowledged"),
    DEFECT(forget_on_requeue, "never told", "never ends", "stands still", "records make",
           "beyond the worker's credit"),
    DEFECT(double_lease, "another lease is live", "before its worker gave it back"),
    DEFECT(ignore_credit, "beyond the worker's credit", "than its credit"),
    DEFECT(reuse_attempt, "attempt number that was used"),
    DEFECT(repeat_request, "took effect twice", "increments make"),
    DEFECT(miscount, "conservation law", "records make"),
    DEFECT(lifo, "before one that came earlier"),
    DEFECT(result_changes, "ended twice", "outcome changed"),
    DEFECT(charge_unstarted, "charged although"),
    DEFECT(charge_interrupted, "charged although it was interrupted"),
    DEFECT(trust_suspects, "need not wait for GO"),
    DEFECT(adopt_nothing, "is there and holds it", "may still run it"),
    DEFECT(grow_unbounded, "beyond its limit", "memory is"),
    DEFECT(stall_ready, "stands still", "one of higher priority", "never told"),
    /* While others of its kind run: no line as a whole stands still then. */
    {"starve_one",
     offsetof(struct core_defects, starve_one),
     {"stands still", "one that came earlier", "one of higher priority", "never told"},
     "(0 others"},
    DEFECT(ignore_limits, "beyond the concurrency", "beyond the rate"),
    DEFECT(ignore_aging, "aged more"),
    DEFECT(ignore_needs, "beyond what its worker has"),
    DEFECT(ignore_labels, "where it does not fit"),
    DEFECT(ignore_memory, "whose host has no memory"),
    DEFECT(lose_event, "the end at that place is another"),
    DEFECT(early_ack, "is not in the records", "increments make", "was swapped twice",
           "after its cancel was acknowledged"),
    /* The last: the task of a schedule that was run by a request that came twice. */
    DEFECT(forget_reply, "took effect twice", "increments make", "an instant was run twice"),
    DEFECT(share_key, "has the same key"),
    DEFECT(admit_strangers, "a stranger was let in"),
    DEFECT(forget_instant, "an instant was run twice"),
    DEFECT(skip_instant, "left out an instant"),
    /* The last: in line too early, and so not told of a parent that fails while it stands
       there. */
    DEFECT(early_child, "before its parents had ended", "before what it awaits had ended",
           "although a parent has failed"),
    DEFECT(forget_await, "stands still", "never told", "never ends"),
    DEFECT(early_elements, "before its parents had ended",
           "without a failure of its present attempt"),
};

/* A switch that nobody tests would be worth nothing. */
_Static_assert(DRV_ARRAY_LEN(defects) == sizeof(struct core_defects) / sizeof(bool),
               "every switch has its line");

static bool reason_fits(const struct defect *defect, const char *reason)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(defect->reasons); i++) {
        if (defect->reasons[i] != NULL && strstr(reason, defect->reasons[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void test_defect_is_caught(void **state)
{
    const struct defect *defect = *state;
    for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
        struct sim_config config = {.seed = seed, .check_every = UINT_MAX};
        struct sim_outcome outcome;
        bool *on = (bool *)(void *)((char *)&config.defects + defect->offset);
        *on = true;
        sim_run(&config, &outcome);
        if (outcome.failed) {
            print_message("%s: seed %llu, %s\n", defect->name, (unsigned long long)seed,
                          outcome.reason);
            assert_true(reason_fits(defect, outcome.reason));
            if (defect->not_yet == NULL || (strstr(outcome.reason, "stands still") != NULL &&
                                            strstr(outcome.reason, defect->not_yet) == NULL)) {
                return;
            }
        }
    }
    fail_msg("%s was not noticed in %d seeds", defect->name, SEEDS_MAX);
}

int main(void)
{
    struct CMUnitTest tests[DRV_ARRAY_LEN(defects)];
    for (size_t i = 0; i < DRV_ARRAY_LEN(defects); i++) {
        tests[i] = (struct CMUnitTest){.name = defects[i].name,
                                       .test_func = test_defect_is_caught,
                                       .initial_state = (void *)(uintptr_t)&defects[i]};
    }
    return cmocka_run_group_tests_name("defects", tests, NULL, NULL);
}
