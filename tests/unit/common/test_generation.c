/* generation.h: whether this is still the process that something was made in. */
#include "test.h"

#include "generation.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8 };

/* What a child, and a child of it, say; each in its place. */
struct heard {
    uint64_t child;
    uint64_t grandchild;
};

static bool tell(int fd, uint64_t number)
{
    return write(fd, &number, sizeof number) == (ssize_t)sizeof number;
}

static uint64_t hear(int fd)
{
    uint64_t number = 0;
    assert_int_equal(read(fd, &number, sizeof number), sizeof number);
    return number;
}

/* Runs in a child: asks (or not), forks once more, and ends with 0 when all could be told. */
static int act_as_child(int fd, bool asks)
{
    if (asks && !tell(fd, drv_generation())) {
        return 1;
    }
    int ended = -1;
    pid_t grandchild = fork();
    if (grandchild == 0) {
        _exit(tell(fd, drv_generation()) ? 0 : 1);
    }
    return grandchild > 0 && waitpid(grandchild, &ended, 0) == grandchild && ended == 0 ? 0 : 1;
}

static struct heard fork_twice(bool child_asks)
{
    struct heard heard = {0, 0};
    int pipes[2];
    int ended = -1;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(act_as_child(pipes[1], child_asks));
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    heard.child = child_asks ? hear(pipes[0]) : 0;
    heard.grandchild = hear(pipes[0]);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    return heard;
}

/* It stays the same while the process lives, whatever it forks. */
static void test_generation_stays_while_the_process_lives(void **state)
{
    uint64_t mine = drv_generation();
    assert_true(mine != 0);
    assert_true(drv_generation() == mine);
    (void)fork_twice(true);
    assert_true(drv_generation() == mine);
}

/* Three generations have three numbers. */
static void test_generation_is_another_one_in_each_descendant(void **state)
{
    uint64_t mine = drv_generation();
    struct heard heard = fork_twice(true);
    assert_true(heard.child != mine && heard.child != 0);
    assert_true(heard.grandchild != mine && heard.grandchild != heard.child);
}

/* So it is when the one in the middle never asked. */
static void test_generation_counts_those_that_never_asked(void **state)
{
    uint64_t mine = drv_generation();
    struct heard heard = fork_twice(false);
    assert_true(heard.grandchild != mine && heard.grandchild != 0);
}

static void *ask(void *context)
{
    *(uint64_t *)context = drv_generation();
    return NULL;
}

/* All threads of a process are told the same, who asks first too. */
static void test_generation_is_the_same_for_all_threads(void **state)
{
    pthread_t threads[THREADS];
    uint64_t numbers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &numbers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(numbers[i] == drv_generation());
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_generation_is_the_same_for_all_threads),
    cmocka_unit_test(test_generation_stays_while_the_process_lives),
    cmocka_unit_test(test_generation_is_another_one_in_each_descendant),
    cmocka_unit_test(test_generation_counts_those_that_never_asked),
};

TEST_MAIN(tests)
