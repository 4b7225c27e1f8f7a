/*
 * programs.h: a broker and workers as real processes, for tests in C.
 *
 * Everything lives in a fresh directory, the endpoints too (ipc), so that a broker that is
 * started again is found under its old endpoint. The processes die with the test and the
 * directory goes, too, however the test ends. What they say on stderr is shown when the fleet
 * stops after a failure to start.
 */
#ifndef TEST_PROGRAMS_H
#define TEST_PROGRAMS_H

#include <stddef.h>
#include <sys/types.h>

#define TEST_FLEET_WORKERS_MAX 4

struct test_fleet {
    char directory[64];
    int held;                  /* the sweeper waits for the end of this pipe */
    pid_t sweeper;             /* removes the directory */
    char endpoint[128];        /* for clients */
    char worker_endpoint[128]; /* for workers */
    pid_t broker;              /* 0: not running */
    pid_t workers[TEST_FLEET_WORKERS_MAX];
    size_t worker_count;
};

/* A broker and `workers` workers with `slots` slots each and the module demo. */
void test_fleet_start(struct test_fleet *fleet, size_t workers, const char *slots);
void test_fleet_stop(struct test_fleet *fleet);

void test_fleet_start_broker(struct test_fleet *fleet);
void test_fleet_kill_broker(struct test_fleet *fleet);

void test_fleet_add_worker(struct test_fleet *fleet, const char *slots);

#endif
