/*
 * The session against a small honest broker over a bad line, from a seed: connections break at
 * any moment, with messages lost in both directions; the broker is busy now and then, and loses
 * its sessions. However it goes, every submission and every watch is told exactly once, what
 * was taken is told its end, and nothing is submitted twice.
 */
#include "session_rig.h"

#include "rng.h"

#define TASKS 300
#define STEPS 4000
#define REQS 20000

enum fate { FATE_NONE, FATE_TAKEN, FATE_ENDED };

struct world {
    struct rig rig;
    struct drv_rng rng;
    struct rig_task tasks[TASKS];
    enum fate fates[TASKS]; /* as the broker knows them */
    int taken_count[TASKS]; /* times the broker took it under different requests */
    bool watched[TASKS];    /* by the session that the broker knows */
    bool told[TASKS];       /* the result was sent on this connection */
    drover_id session;      /* that the broker knows; zero: none */
    bool answered[REQS];    /* requests that took effect, in this session */
    size_t handled;         /* messages of the log that were looked at */
    unsigned submitted;
};

static unsigned number_of(const drover_id *id)
{
    return (unsigned)id->bytes[14] << 8 | id->bytes[15];
}

static bool chance(struct world *world, unsigned percent)
{
    return drv_rng_below(&world->rng, 100) < percent;
}

static void send_or_lose(struct world *world, const struct drv_message *message)
{
    assert_ok(drv_link_send(world->rig.link, message, 0));
}

static void cut(struct world *world)
{
    drv_session_lost(world->rig.session, world->rig.connection, "cut", world->rig.now_us);
    memset(world->told, 0, sizeof(world->told));
}

static void greet(struct world *world, const struct rig_seen *hello)
{
    struct drv_message message = {.kind = DRV_ERROR};
    if (hello->resume && !drover_id_equal(&hello->id, &world->session)) {
        message.failure.code = DROVER_SESSION_EXPIRED;
        send_or_lose(world, &message);
        return;
    }
    if (!hello->resume) {
        world->session = hello->id;
        memset(world->answered, 0, sizeof(world->answered));
        memset(world->watched, 0, sizeof(world->watched));
    }
    message.kind = DRV_WELCOME;
    message.welcome = (struct drv_welcome){
        .version = 1,
        .software = drv_str_of("model"),
        .resumed = hello->resume,
        .credit_bytes = 1 << 24,
        .limits = {DRV_HEAD_MAX, DRV_BLOB_MAX, DRV_BATCH_MAX, DRV_INLINE_MAX, DRV_PAYLOAD_MAX,
                   DRV_REQUESTS_MAX, DRV_ARRAY_MAX, DRV_META_MAX},
        .heartbeat_ms = 1000,
        .lease_ms = 10000,
        .ack_ms = 1,
        .name = drv_str_of("test"),
    };
    send_or_lose(world, &message);
}

/* A request that took effect is answered again, and has no second effect. */
static void take_submit(struct world *world, const struct rig_seen *seen)
{
    assert_true(seen->request.req < REQS && seen->count <= RIG_IDS_MAX);
    bool again = world->answered[seen->request.req];
    bool busy = !again && chance(world, 10);
    struct drv_reply reply = {.req = seen->request.req,
                              .code = busy ? DROVER_BUSY : DROVER_OK,
                              .number = 1,
                              .retry_after_ms = 50,
                              .val = {.is_nil = true}};
    for (size_t i = 0; i < seen->count && !again && !busy; i++) {
        unsigned number = number_of(&seen->ids[i]);
        world->taken_count[number]++;
        world->fates[number] = FATE_TAKEN;
        world->watched[number] = true;
    }
    world->answered[seen->request.req] = world->answered[seen->request.req] || !busy;
    struct drv_message message = {.kind = DRV_REPLY};
    message.reply = (struct drv_replies){&reply, 1};
    send_or_lose(world, &message);
}

static void take_watch(struct world *world, const struct rig_seen *seen)
{
    struct drv_note notes[TASKS];
    size_t count = 0;
    for (size_t i = 0; i < seen->count; i++) {
        unsigned number = number_of(&seen->ids[i]);
        if (world->fates[number] == FATE_NONE) {
            notes[count++] = (struct drv_note){.position = (uint32_t)i, .code = DROVER_UNKNOWN};
        } else {
            world->watched[number] = true;
        }
    }
    struct drv_reply reply = {
        .req = seen->request.req, .notes = notes, .note_count = count, .val = {.is_nil = true}};
    struct drv_message message = {.kind = DRV_REPLY};
    message.reply = (struct drv_replies){&reply, 1};
    send_or_lose(world, &message);
}

static void handle(struct world *world)
{
    while (world->handled < world->rig.seen_count && world->rig.link != NULL) {
        const struct rig_seen *seen = &world->rig.seen[world->handled++];
        if (seen->connection != world->rig.connection) {
            continue; /* received on a connection that is gone; what it did stands */
        }
        if (seen->kind == DRV_HELLO) {
            greet(world, seen);
        } else if (seen->kind == DRV_SUBMIT) {
            take_submit(world, seen);
        } else if (seen->kind == DRV_WATCH) {
            take_watch(world, seen);
        } else {
            /* heartbeats */
        }
    }
    world->rig.seen_count = 0;
    world->handled = 0;
}

/* Some of the tasks end; results go to who watches. */
static void tell_results(struct world *world)
{
    for (unsigned i = 0; i < TASKS && drv_session_is_up(world->rig.session); i++) {
        if (world->fates[i] == FATE_TAKEN && chance(world, 5)) {
            world->fates[i] = FATE_ENDED;
        }
        if (world->fates[i] == FATE_ENDED && world->watched[i] && !world->told[i] &&
            world->tasks[i].ended == 0) {
            uint8_t byte = 1;
            struct drv_outcome entry = {
                .id = rig_id(i), .index = DROVER_INDEX_NONE, .state = DROVER_STATE_SUCCEEDED};
            entry.val.bytes = &byte;
            entry.val.len = 1;
            entry.error.exit_code = -1;
            struct drv_message message = {.kind = DRV_RESULTS};
            message.results = (struct drv_results){&entry, 1};
            send_or_lose(world, &message);
            world->told[i] = true;
        }
    }
}

static void step(struct world *world, struct drv_task_spec *spec, bool calm)
{
    if (world->submitted < TASKS && chance(world, 30)) {
        rig_submit(&world->rig, &world->tasks[world->submitted], world->submitted, spec);
        world->submitted++;
    }
    rig_step(&world->rig, (int64_t)drv_rng_below(&world->rng, 20000));
    if (!calm && chance(world, 3)) {
        cut(world); /* what was received is handled, what was answered is lost */
    }
    handle(world);
    tell_results(world);
    if (!calm && chance(world, 3)) {
        cut(world);
    }
    if (!calm && chance(world, 1)) {
        memset(&world->session, 0, sizeof(world->session)); /* the next HELLO finds nothing */
        cut(world);
    }
    if (world->rig.link != NULL &&
        world->rig.connection == drv_session_connection(world->rig.session)) {
        rig_deliver(&world->rig);
    }
}

static void check_task(const struct world *world, unsigned number)
{
    const struct rig_task *task = &world->tasks[number];
    assert_int_equal(task->taken, 1);
    assert_true(world->taken_count[number] <= 1);
    if (task->taken_status == DROVER_OK) {
        assert_int_equal(task->ended, 1);
        assert_int_equal(task->end_status, DROVER_OK);
        assert_int_equal(world->taken_count[number], 1);
    } else {
        assert_int_equal(task->taken_status, DROVER_OUTCOME_UNKNOWN);
    }
}

static void run_seed(uint64_t seed, int *out_unknown)
{
    struct world *world = calloc(1, sizeof(*world));
    struct drv_task_spec *spec = rig_spec("square", -1, DRV_SPEC_WATCH);
    drv_rng_init(&world->rng, seed);
    rig_open(&world->rig);
    for (int i = 0; i < STEPS; i++) {
        step(world, spec, false);
    }
    for (int i = 0; i < 100000 &&
                    (drv_session_is_awaiting(world->rig.session) || world->submitted < TASKS);
         i++) {
        step(world, spec, true);
    }
    assert_false(drv_session_is_awaiting(world->rig.session));
    for (unsigned i = 0; i < TASKS; i++) {
        check_task(world, i);
        *out_unknown += world->tasks[i].taken_status == DROVER_OUTCOME_UNKNOWN;
        rig_task_fini(&world->tasks[i]);
    }
    rig_close(&world->rig);
    drv_task_spec_unref(&spec);
    free(world);
}

/* Twenty bad lines. */
static void test_session_tells_everything_once(void **state)
{
    uint64_t seed = test_seed();
    int unknown = 0;
    for (uint64_t i = 0; i < 20; i++) {
        run_seed(seed + i, &unknown);
    }
    assert_true(unknown > 0); /* or no session was ever lost at the wrong moment */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_session_tells_everything_once),
};

TEST_MAIN(tests)
