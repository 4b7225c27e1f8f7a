/* task.h: ids, and the names of states, error kinds and durability levels. */
#include "test.h"

#include <drover/task.h>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* The text form is the ULID of the specification. */
static void test_id_text_matches_the_specification(void **state)
{
    drover_id id;
    char text[DROVER_ID_TEXT_LEN + 1];
    assert_ok(drover_id_parse("01ARZ3NDEKTSV4RRFFQ69G5FAV", &id));
    static const uint8_t expected[16] = {0x01, 0x56, 0x3e, 0x3a, 0xb5, 0xd3, 0xd6, 0x76,
                                         0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd, 0x5b};
    assert_memory_equal(id.bytes, expected, 16);
    drover_id_format(&id, text);
    assert_string_equal(text, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
}

/* All bits survive the way through text and back. */
static void test_id_text_round_trip_keeps_every_bit(void **state)
{
    for (size_t bit = 0; bit < 128; bit++) {
        drover_id id = {{0}};
        drover_id back;
        char text[DROVER_ID_TEXT_LEN + 1];
        id.bytes[bit / 8] = (uint8_t)(1U << bit % 8);
        drover_id_format(&id, text);
        assert_ok(drover_id_parse(text, &back));
        assert_true(drover_id_equal(&id, &back));
    }
}

/* Lower case and the look-alikes that Crockford allows are read. */
static void test_id_parse_accepts_lookalikes(void **state)
{
    drover_id plain;
    drover_id typed;
    assert_ok(drover_id_parse("01100110001100110011001100", &plain));
    assert_ok(drover_id_parse("oIlOo1Lo0ollo011o0iI001l0O", &typed));
    assert_true(drover_id_equal(&plain, &typed));
}

/* Anything else is refused and leaves the output alone. */
static void test_id_parse_refuses_other_texts(void **state)
{
    static const char *const texts[] = {
        "",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01ARZ3NDEKTSV4RRFFQ69G5FAVV",
        "81ARZ3NDEKTSV4RRFFQ69G5FAV", /* 129 bits */
        "01ARZ3NDEKTSV4RRFFQ69G5FAU",
        "01ARZ3NDEKTSV4RRFFQ69G5F-V",
        "01ARZ3NDEKTSV4RRFFQ69G5F V",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        drover_id id = {{7}};
        assert_int_equal(drover_id_parse(texts[i], &id), DROVER_INVALID);
        assert_int_equal(id.bytes[0], 7);
    }
}

#define THREADS 4
#define IDS 5000

static void *make_ids(void *context)
{
    drover_id *ids = (drover_id *)context;
    for (size_t i = 0; i < IDS; i++) {
        if (drover_id_new(&ids[i]) != DROVER_OK) {
            return context;
        }
    }
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(drover_id));
}

/* Ids of one thread grow; ids of several threads never collide. */
static void test_id_new_grows_and_is_unique_across_threads(void **state)
{
    pthread_t threads[THREADS];
    drover_id *ids = calloc((size_t)THREADS * IDS, sizeof *ids);
    assert_non_null(ids);
    for (size_t t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_create(&threads[t], NULL, make_ids, ids + t * IDS), 0);
    }
    for (size_t t = 0; t < THREADS; t++) {
        void *failed;
        assert_int_equal(pthread_join(threads[t], &failed), 0);
        assert_null(failed);
        for (size_t i = 1; i < IDS; i++) {
            assert_true(compare_ids(&ids[t * IDS + i - 1], &ids[t * IDS + i]) < 0);
        }
    }
    qsort(ids, (size_t)THREADS * IDS, sizeof *ids, compare_ids);
    for (size_t i = 1; i < (size_t)THREADS * IDS; i++) {
        assert_false(drover_id_equal(&ids[i - 1], &ids[i]));
    }
    free(ids);
}

/* Parent and child after a fork do not count on from the same id. */
static void test_id_new_after_fork_is_different(void **state)
{
    drover_id mine;
    drover_id theirs;
    int pipes[2];
    assert_ok(drover_id_new(&mine));
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool ok = drover_id_new(&theirs) == DROVER_OK &&
                  write(pipes[1], &theirs, sizeof theirs) == (ssize_t)sizeof theirs;
        _exit(ok ? 0 : 1);
    }
    int result;
    assert_ok(drover_id_new(&mine));
    assert_int_equal(read(pipes[0], &theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_int_equal(result, 0);
    /* The same random part but for a small difference would mean a shared count. */
    assert_memory_not_equal(mine.bytes + 6, theirs.bytes + 6, 8);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

/* The zero id is recognised and never made. */
static void test_id_zero_is_never_made(void **state)
{
    drover_id id = {{0}};
    assert_true(drover_id_is_zero(&id));
    assert_ok(drover_id_new(&id));
    assert_false(drover_id_is_zero(&id));
}

/* Numbers and names of states are frozen; exactly the last five are terminal. */
static void test_state_names_and_terminal_marks(void **state)
{
    assert_int_equal(DROVER_STATE_WAITING, 1);
    assert_int_equal(DROVER_STATE_LOST, 9);
    assert_string_equal(drover_state_name(DROVER_STATE_QUEUED), "queued");
    assert_string_equal(drover_state_name(DROVER_STATE_LOST), "lost_at_restart");
    assert_string_equal(drover_state_name((drover_state)0), "state");
    assert_string_equal(drover_state_name((drover_state)10), "state");
    for (int number = 0; number < 12; number++) {
        bool expected = number >= DROVER_STATE_SUCCEEDED && number <= DROVER_STATE_LOST;
        assert_int_equal(drover_state_is_terminal((drover_state)number), expected);
    }
}

/* Numbers and names of error kinds are frozen. */
static void test_error_kind_names(void **state)
{
    assert_int_equal(DROVER_ERROR_EXPIRED, 9);
    assert_string_equal(drover_error_kind_name(DROVER_ERROR_NONE), "none");
    assert_string_equal(drover_error_kind_name(DROVER_ERROR_TIMEOUT), "timeout");
    assert_string_equal(drover_error_kind_name(DROVER_ERROR_EXPIRED), "expired");
    assert_string_equal(drover_error_kind_name((drover_error_kind)10), "error");
}

/* A durability level is chosen by its name and nothing else. */
static void test_durability_names_are_read_back(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        drover_durability level;
        assert_ok(
            drover_durability_parse(drover_durability_name((drover_durability)i), &level));
        assert_int_equal(level, i);
    }
    drover_durability level;
    assert_int_equal(drover_durability_parse("SYNCED", &level), DROVER_INVALID);
    assert_int_equal(drover_durability_parse("", &level), DROVER_INVALID);
    assert_string_equal(drover_durability_name((drover_durability)4), "durability");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id_text_matches_the_specification),
        cmocka_unit_test(test_id_text_round_trip_keeps_every_bit),
        cmocka_unit_test(test_id_parse_accepts_lookalikes),
        cmocka_unit_test(test_id_parse_refuses_other_texts),
        cmocka_unit_test(test_id_new_grows_and_is_unique_across_threads),
        cmocka_unit_test(test_id_new_after_fork_is_different),
        cmocka_unit_test(test_id_zero_is_never_made),
        cmocka_unit_test(test_state_names_and_terminal_marks),
        cmocka_unit_test(test_error_kind_names),
        cmocka_unit_test(test_durability_names_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
