/*
 * The gate: what leaves when, against a store that says what it is told.
 */
#include "test.h"

#include "check.h"
#include "data.h"
#include "gate.h"

struct said { /* a store that has what the test says */
    struct store store;
    uint64_t written, synced;
    drover_status health;
};

static uint64_t said_durable(const struct store *store, enum drover_durability level)
{
    const struct said *said = DRV_CONTAINER_OF((struct store *)store, struct said, store);
    return level == DROVER_DURABILITY_WRITTEN ? said->written : said->synced;
}

static drover_status said_health(const struct store *store, struct drv_problem *problem)
{
    (void)problem;
    return DRV_CONTAINER_OF((struct store *)store, struct said, store)->health;
}

static const struct store_operations SAID = {.durable = said_durable, .health = said_health};

struct scene {
    struct said said;
    struct gate gate;
    struct connections peers;
    struct connection *peer; /* of peers */
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    const struct drv_link_config config = {.epoch = 1, .window_out = 1 << 20};
    scene->said.store.operations = &SAID;
    assert_ok(connections_init(&scene->peers, 1, 10));
    assert_ok(
        connections_add(&scene->peers, CORE_PORT_CLIENT, "abcde", 5, &config, 0, &scene->peer));
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    gate_fini(&scene->gate);
    connections_fini(&scene->peers);
    free(scene);
    return 0;
}

/* A message whose kind tells it from others. */
static void send(struct scene *scene, enum drv_kind kind, enum drover_durability level,
                 uint64_t lsn)
{
    struct drv_message message = {.kind = kind, .epoch = 1};
    assert_ok(
        gate_send(&scene->gate, scene->peer, &message, 0, level, lsn, &scene->said.store));
}

static void safe(struct scene *scene, uint64_t written, uint64_t synced)
{
    scene->said.written = written;
    scene->said.synced = synced;
    gate_open(&scene->gate, &scene->peers, &scene->said.store, 0);
}

/* The next one that leaves; 0: none. */
static unsigned left(struct scene *scene)
{
    struct drv_frames frames;
    if (!drv_link_next(scene->peer->link, &frames)) {
        return 0;
    }
    drv_data_unref(&frames.head);
    drv_data_unref(&frames.blob);
    return frames.kind;
}

/* Each level leaves when the store has it, a weaker one before a stronger one. */
static void test_levels_leave_when_the_store_has_them(void **state)
{
    struct scene *scene = *state;
    send(scene, DRV_REPLY, DROVER_DURABILITY_SYNCED, 5);
    send(scene, DRV_GO, DROVER_DURABILITY_WRITTEN, 6);
    send(scene, DRV_HEARTBEAT, DROVER_DURABILITY_MEMORY, 6);
    assert_int_equal(left(scene), DRV_HEARTBEAT);
    assert_int_equal(left(scene), 0);
    safe(scene, 5, 4);
    assert_int_equal(left(scene), 0);
    safe(scene, 6, 4);
    assert_int_equal(left(scene), DRV_GO);
    assert_int_equal(left(scene), 0);
    safe(scene, 6, 5);
    assert_int_equal(left(scene), DRV_REPLY);
    assert_int_equal(gate_count(&scene->gate), 0);
}

/* The store goes on while a turn lasts: what waits is not passed by what could leave at once,
 * say the end of an array by the last of its elements. */
static void test_nothing_passes_what_waits_in_its_level(void **state)
{
    struct scene *scene = *state;
    const enum drover_durability levels[] = {DROVER_DURABILITY_WRITTEN,
                                             DROVER_DURABILITY_SYNCED};
    for (uint64_t i = 0; i < DRV_ARRAY_LEN(levels); i++) {
        safe(scene, 10 * i + 4, 10 * i + 4);
        send(scene, DRV_RESULTS, levels[i], 10 * i + 5);
        scene->said.written = scene->said.synced = 10 * i + 5; /* before the gate looks */
        send(scene, DRV_LEASE, levels[i], 10 * i + 5);
        send(scene, DRV_HEARTBEAT, DROVER_DURABILITY_MEMORY, 10 * i + 5);
        assert_int_equal(left(scene), DRV_HEARTBEAT);
        assert_int_equal(left(scene), 0);
        safe(scene, 10 * i + 5, 10 * i + 5);
        assert_int_equal(left(scene), DRV_RESULTS);
        assert_int_equal(left(scene), DRV_LEASE);
        send(scene, DRV_SHARED, levels[i], 10 * i + 5); /* nothing waits any more */
        assert_int_equal(left(scene), DRV_SHARED);
    }
}

/* Nothing passes a WELCOME. */
static void test_nothing_passes_a_welcome(void **state)
{
    struct scene *scene = *state;
    send(scene, DRV_WELCOME, DROVER_DURABILITY_SYNCED, 5);
    send(scene, DRV_HEARTBEAT, DROVER_DURABILITY_MEMORY, 5);
    assert_int_equal(left(scene), 0);
    safe(scene, 5, 5);
    assert_int_equal(left(scene), DRV_WELCOME);
    assert_int_equal(left(scene), DRV_HEARTBEAT);
}

/* A failed store lets nothing out, whatever it says it has. */
static void test_failed_store_lets_nothing_out(void **state)
{
    struct scene *scene = *state;
    send(scene, DRV_REPLY, DROVER_DURABILITY_SYNCED, 5);
    scene->said.health = DROVER_IO;
    safe(scene, 9, 9);
    assert_int_equal(left(scene), 0);
    assert_int_equal(gate_count(&scene->gate), 1);
}

/* What waits for a connection that has gone is not sent to the next one with its number. */
static void test_next_connection_gets_nothing_of_the_last(void **state)
{
    struct scene *scene = *state;
    const struct drv_link_config config = {.epoch = 1, .window_out = 1 << 20};
    send(scene, DRV_REPLY, DROVER_DURABILITY_SYNCED, 5);
    uint32_t number = scene->peer->number;
    connections_remove(&scene->peers, &scene->peer);
    assert_ok(
        connections_add(&scene->peers, CORE_PORT_CLIENT, "fghij", 5, &config, 0, &scene->peer));
    assert_int_equal(scene->peer->number, number);
    safe(scene, 9, 9);
    assert_int_equal(left(scene), 0);
    assert_int_equal(gate_count(&scene->gate), 0);
}

/* Many that wait keep their order while the ring grows. */
static void test_many_keep_their_order(void **state)
{
    struct scene *scene = *state;
    for (uint64_t lsn = 1; lsn <= 500; lsn++) {
        send(scene, lsn % 2 == 0 ? DRV_GO : DRV_REPLY, DROVER_DURABILITY_SYNCED, lsn);
    }
    for (uint64_t lsn = 1; lsn <= 500; lsn++) {
        safe(scene, lsn, lsn);
        assert_int_equal(left(scene), lsn % 2 == 0 ? DRV_GO : DRV_REPLY);
        assert_int_equal(left(scene), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_levels_leave_when_the_store_has_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_nothing_passes_what_waits_in_its_level, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_nothing_passes_a_welcome, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_store_lets_nothing_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_next_connection_gets_nothing_of_the_last, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_many_keep_their_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
