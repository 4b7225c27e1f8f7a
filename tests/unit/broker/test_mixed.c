/*
 * Short and long tasks among each other: a short one never waits behind a long one while a slot
 * is free anywhere, but for the moment in which what was given out early is asked back.
 *
 * Three workers as the protocol wants them: they start what they were given in order, as slots
 * get free, and answer a RECALL of what they have not started by returning it.
 */
#include "fixture.h"

#include "dispatch.h"

#include "rng.h"

#define MS ((int64_t)1000)

enum {
    WORKERS = 3,
    HELD_MAX = 256,
    SHORT_MS = 1,
    ODD_MS = 30, /* of a type that is short, as a rule */
    LONG_MS = 60,
    TASKS = 300,
    TASKS_MAX = 10000,
    LONG = 100000, /* numbers from here on */
    ODD_EVERY = 40,
    PATIENCE_MS = 6,
};

struct held {
    struct drv_ref ref;
    int64_t ends_at; /* 0: not started */
    int64_t blamed;  /* how long it has waited here although a slot was free somewhere */
};

struct agent {
    uint32_t peer, slots, busy;
    struct held held[HELD_MAX]; /* in the order in which they came */
    size_t count;
};

struct story {
    struct bench *bench;
    struct drv_rng rng;
    struct agent agents[WORKERS];
    int64_t worst_us;
    size_t done, moved;
};

static bool is_long(const struct drv_ref *ref)
{
    return number_of(ref->id) >= LONG;
}

static int64_t run_ms(const struct drv_ref *ref)
{
    return is_long(ref) ? LONG_MS : number_of(ref->id) % ODD_EVERY == 0 ? ODD_MS : SHORT_MS;
}

static void drop(struct agent *agent, size_t at)
{
    agent->count--;
    memmove(&agent->held[at], &agent->held[at + 1],
            (agent->count - at) * sizeof agent->held[0]);
}

/* ---- a worker ---------------------------------------------------------------------------- */

static void take_leases(struct agent *agent, const struct drv_message *message)
{
    for (size_t i = 0; i < message->lease.group_count; i++) {
        const struct drv_lease_group *group = &message->lease.groups[i];
        for (size_t n = 0; n < group->entry_count; n++) {
            assert_true(agent->count < HELD_MAX);
            agent->held[agent->count++] = (struct held){.ref = group->entries[n].ref};
        }
    }
}

static void answer_recall(struct story *story, struct agent *agent,
                          const struct drv_message *message)
{
    for (size_t i = 0; i < message->leases.lease_count; i++) {
        struct drv_ref ref = message->leases.leases[i];
        for (size_t n = 0; n < agent->count; n++) {
            if (agent->held[n].ref.handle == ref.handle && agent->held[n].ends_at == 0) {
                drop(agent, n);
                report_returned(story->bench, agent->peer, ref);
                story->moved++;
                break;
            }
        }
    }
}

static void hear(struct story *story, struct agent *agent)
{
    const struct drv_message *message;
    while ((message = next(story->bench, agent->peer)) != NULL) {
        if (message->kind == DRV_LEASE) {
            take_leases(agent, message);
        } else if (message->kind == DRV_RECALL) {
            answer_recall(story, agent, message);
        }
    }
}

static void finish(struct story *story, struct agent *agent)
{
    for (size_t i = 0; i < agent->count;) {
        struct held *held = &agent->held[i];
        if (held->ends_at == 0 || held->ends_at > story->bench->now) {
            i++;
            continue;
        }
        struct drv_result done = {.ref = held->ref,
                                  .outcome = DRV_OUTCOME_SUCCEEDED,
                                  .val = val_of("x"),
                                  .error = {.exit_code = -1},
                                  .run_us = (uint64_t)run_ms(&held->ref) * 300};
        agent->busy--;
        story->done++;
        drop(agent, i);
        report(story->bench, agent->peer, &done);
    }
}

static void start(struct story *story, struct agent *agent)
{
    for (size_t i = 0; i < agent->count && agent->busy < agent->slots; i++) {
        struct held *held = &agent->held[i];
        if (held->ends_at == 0) {
            held->ends_at = story->bench->now + run_ms(&held->ref) * MS;
            agent->busy++;
            report_started(story->bench, agent->peer, held->ref);
        }
    }
}

/* Until nobody has anything to say at this instant. */
static void turn(struct story *story)
{
    for (int i = 0; i < WORKERS; i++) {
        finish(story, &story->agents[i]);
    }
    for (int round = 0; round < 4; round++) {
        bench_turn(story->bench);
        for (int i = 0; i < WORKERS; i++) {
            hear(story, &story->agents[i]);
            start(story, &story->agents[i]);
        }
    }
    drop_all(story->bench, 1);
}

/* ---- the claim --------------------------------------------------------------------------- */

static bool has_free_slot(const struct story *story)
{
    for (int i = 0; i < WORKERS; i++) {
        if (story->agents[i].busy < story->agents[i].slots) {
            return true;
        }
    }
    return false;
}

static void blame(struct story *story, int64_t us)
{
    bool is_free = has_free_slot(story);
    uint64_t unstarted = 0;
    for (int i = 0; i < WORKERS; i++) {
        for (size_t n = 0; n < story->agents[i].count; n++) {
            struct held *held = &story->agents[i].held[n];
            unstarted += held->ends_at == 0;
            if (held->ends_at == 0 && !is_long(&held->ref) && is_free) {
                held->blamed += us;
                story->worst_us = held->blamed > story->worst_us ? held->blamed
                                                                 : story->worst_us;
            }
        }
    }
    /* Leased and not started counts as queued: nothing is left for a free slot to take. */
    assert_true(!is_free || counters(story->bench).queued == unstarted);
}

static void tell(struct story *story, const char *type, uint32_t number)
{
    struct drv_spec spec = spec_of(type);
    submit(story->bench, 1, &spec, number);
}

/* Any mix, in any order: nobody is blamed for longer than a recall takes. */
static void test_short_task_never_waits_behind_a_long_one_while_a_slot_is_free(void **state)
{
    struct story story = {.bench = *state};
    uint32_t longs = 0, shorts = 0;
    drv_rng_init(&story.rng, test_seed());
    client(story.bench, 1);
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct worker_options options = {
            .types = {"short", "long"}, .slots = i + 1, .credit = 1000};
        story.agents[i] = (struct agent){.peer = 2 + i, .slots = i + 1};
        worker_with(story.bench, 2 + i, &options);
    }
    /* Until the claim was put to the test, which chance may delay. */
    while (story.done < TASKS || (story.moved == 0 && story.done < TASKS_MAX)) {
        uint64_t burst = drv_rng_below(&story.rng, 30) == 0 ? drv_rng_below(&story.rng, 60) : 0;
        for (; burst > 0; burst--) {
            if (drv_rng_below(&story.rng, 30) == 0) {
                tell(&story, "long", LONG + longs++);
            } else {
                tell(&story, "short", 1000 + shorts++);
            }
        }
        turn(&story);
        blame(&story, MS);
        story.bench->now += MS;
    }
    print_message("longest wait beside a free slot %d us, %zu tasks moved\n",
                  (int)story.worst_us, story.moved);
    assert_true(story.moved > 0);
    assert_true(story.worst_us <= PATIENCE_MS * MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_short_task_never_waits_behind_a_long_one_while_a_slot_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
