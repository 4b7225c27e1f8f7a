/*
 * The list of tasks: the newest first, every task once, whatever comes in between.
 */
#include "answer.h"
#include "schedule_story.h"

#include "recent.h"

#include <msgpack.h>

enum { FIRST = 1000, MINE = 60 };

static int setup(void **state)
{
    struct bench *bench = bench_new();
    *state = bench;
    bench->config.durability_max = DROVER_DURABILITY_SYNCED;
    bench_start(bench);
    bench_turn(bench);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)

/* Walks all tasks and marks what it sees: mine are numbered in the order in which they came.
 * Returns how many pages there were. */
static size_t walk_tasks(struct bench *bench, uint32_t limit, unsigned *seen, bool is_sorted,
                         void (*between)(struct bench *))
{
    char cursor[64];
    struct drv_query query = {.topic = DRV_TOPIC_TASKS, .limit = limit};
    size_t pages = 0;
    uint32_t last = UINT32_MAX;
    for (;;) {
        struct answer answer = ask(bench, &query);
        assert_ok(answer.document.code);
        const msgpack_object *tasks = at(&answer.unpacked.data, "tasks");
        for (uint32_t i = 0; i < tasks->via.array.size; i++) {
            const msgpack_object *id = at(&tasks->via.array.ptr[i], "id");
            char text[DROVER_ID_TEXT_LEN + 1] = "";
            drover_id parsed;
            memcpy(text, id->via.str.ptr, id->via.str.size);
            assert_ok(drover_id_parse(text, &parsed));
            uint32_t number = number_of(parsed);
            if (number >= FIRST && number < FIRST + MINE) {
                seen[number - FIRST]++;
                assert_true(!is_sorted || number < last);
                last = number;
            }
        }
        pages++;
        struct drv_str next_page = answer.document.cursor;
        if (next_page.len > 0) {
            memcpy(cursor, next_page.ptr, next_page.len);
        }
        answer_free(&answer);
        if (next_page.len == 0) {
            return pages;
        }
        query.cursor = (struct drv_str){cursor, next_page.len};
        if (between != NULL) {
            between(bench);
        }
    }
}

static void submit_mine(struct bench *bench)
{
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    for (uint32_t i = 0; i < MINE; i++) {
        submit(bench, 1, &spec, FIRST + i);
        bench_pass(bench, 1000);
    }
    drop_all(bench, 1);
}

static void all_once(const unsigned *seen)
{
    for (size_t i = 0; i < MINE; i++) {
        assert_int_equal(seen[i], 1);
    }
}

/* What came last is told first, across pages, and after a restart as well. */
static void test_tasks_come_newest_first(void **state)
{
    struct bench *bench = *state;
    unsigned seen[MINE] = {0}, again[MINE] = {0};
    submit_mine(bench);
    assert_true(walk_tasks(bench, 7, seen, true, NULL) >= 8);
    all_once(seen);
    come_back(bench);
    (void)walk_tasks(bench, 7, again, true, NULL);
    all_once(again);
}

static uint32_t flood_from = 100000;

/* More than are remembered, at once. */
static void flood(struct bench *bench)
{
    struct drv_spec spec = spec_of("work");
    for (uint32_t i = 0; i < RECENT_MAX / 512 + 1; i++) {
        bench_pass(bench, 1000);
        submit_many(bench, 1, &spec, flood_from, 512, "x");
        flood_from += 512;
        bench_turn(bench);
        drop_all(bench, 1);
    }
}

static bool is_flooded;

static void flood_once(struct bench *bench)
{
    if (!is_flooded) {
        is_flooded = true;
        flood(bench);
    }
}

/* Those that are no longer remembered are told all the same, once; also when they fell out
 * between two pages, but for the last one told. */
static void test_tasks_beyond_those_remembered_are_told_once(void **state)
{
    struct bench *bench = *state;
    unsigned seen[MINE] = {0}, again[MINE] = {0};
    is_flooded = false;
    submit_mine(bench);
    (void)walk_tasks(bench, 7, seen, false, flood_once);
    assert_in_range(seen[MINE - 7], 1, 2); /* the last one that was told before */
    seen[MINE - 7] = 1;
    all_once(seen);
    flood(bench);
    (void)walk_tasks(bench, 1000, again, false, NULL);
    all_once(again);
    come_back(bench);
    unsigned restored[MINE] = {0};
    (void)walk_tasks(bench, 1000, restored, false, NULL);
    all_once(restored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_tasks_come_newest_first),
        STORY(test_tasks_beyond_those_remembered_are_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
