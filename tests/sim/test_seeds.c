/*
 * test_seeds.c: many seeds of the simulation, each of which must end well.
 *
 *   sim.seeds [--seed N] [--seeds N] [--jobs N] [--check-every N] [--trace]
 *
 * Without options: a thousand seeds and more from 1 on (fewer under a sanitizer), in two
 * processes. Nearly all of the time goes to the check of the core's structures: in one seed of
 * four it comes after every step, in the others after some. A seed that fails is named together
 * with the command that repeats it. What was met is printed; a fault, a transition or a corner
 * that was never met fails the run.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_world.h"

enum {
    SEEDS_DEFAULT = 1024,
    SEEDS_INSTRUMENTED = 120, /* sanitizers look for other things, and are slow */
    SEEDS_FOR_COVERAGE = 500, /* fewer prove nothing about what was not met */
    CHECK_EVERY = 4,          /* in most seeds */
    JOBS_MAX = 16,
    FAILURES_MAX = 5,
    TASKS_MIN = 200, /* of a run that is worth its name */
};

struct options {
    uint64_t first, count;
    unsigned jobs;
    unsigned check_every; /* the core's structures are checked after so many steps; 0: it is
                             up to the seed */
    bool trace;
};

struct share { /* what a process found; in shared memory */
    struct sim_stats stats;
    uint64_t failures;
};

static bool parse_number(const char *text, uint64_t *out_number)
{
    char *end;
    *out_number = strtoull(text, &end, 0);
    return *text != '\0' && *end == '\0';
}

static uint64_t seeds_default(void)
{
    const char *scale = getenv("DROVER_TEST_TIME_SCALE");
    return scale == NULL || strcmp(scale, "1") == 0 ? SEEDS_DEFAULT : SEEDS_INSTRUMENTED;
}

static bool options_parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        uint64_t number = 0;
        if (strcmp(argv[i], "--trace") == 0) {
            options->trace = true;
            continue;
        }
        if (i + 1 == argc || !parse_number(argv[i + 1], &number)) {
            return false;
        }
        if (strcmp(argv[i], "--seed") == 0) {
            options->first = number;
            options->count = options->count == seeds_default() ? 1 : options->count;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            options->count = number;
        } else if (strcmp(argv[i], "--jobs") == 0 && number > 0 && number <= JOBS_MAX) {
            options->jobs = (unsigned)number;
        } else if (strcmp(argv[i], "--check-every") == 0) {
            options->check_every = (unsigned)number;
        } else {
            return false;
        }
        i++;
    }
    return true;
}

static void run_seed(const struct options *options, uint64_t seed, const char *program,
                     struct share *share)
{
    unsigned check_every = options->check_every;
    if (check_every == 0) {
        check_every = options->count == 1 || seed % 4 == 0 ? 1 : CHECK_EVERY;
    }
    struct sim_config config = {
        .seed = seed, .trace = options->trace, .check_every = check_every};
    struct sim_outcome outcome;
    sim_run(&config, &outcome);
    sim_stats_add(&share->stats, &outcome.stats);
    if (!outcome.failed && outcome.stats.tasks < TASKS_MIN) {
        outcome.failed = true;
        (void)snprintf(outcome.reason, sizeof outcome.reason, "with too few tasks");
    }
    if (outcome.failed) {
        share->failures++;
        fprintf(stderr, "seed %" PRIu64 " failed %s\n  repeat: %s --seed %" PRIu64 " --trace\n",
                seed, outcome.reason, program, seed);
    }
}

static void run_share(const struct options *options, unsigned job, const char *program,
                      struct share *share)
{
    for (uint64_t i = job; i < options->count && share->failures < FAILURES_MAX;
         i += options->jobs) {
        run_seed(options, options->first + i, program, share);
    }
}

/* Runs all shares, the first in this process. False when a process died. */
static bool run_all(const struct options *options, const char *program, struct share *shares)
{
    pid_t children[JOBS_MAX] = {0};
    bool fine = true;
    for (unsigned job = 1; job < options->jobs; job++) {
        children[job] = fork();
        if (children[job] == 0) {
            run_share(options, job, program, &shares[job]);
            exit(0);
        }
        fine = fine && children[job] > 0;
    }
    run_share(options, 0, program, &shares[0]);
    for (unsigned job = 1; job < options->jobs; job++) {
        int status = 0;
        if (children[job] > 0 && (waitpid(children[job], &status, 0) < 0 || status != 0)) {
            fprintf(stderr, "process %u of the simulation died\n", job);
            fine = false;
        }
    }
    return fine;
}

static int judge(const struct options *options, const struct share *shares, bool fine)
{
    struct share sum = {.failures = 0};
    for (unsigned job = 0; job < options->jobs; job++) {
        sim_stats_add(&sum.stats, &shares[job].stats);
        sum.failures += shares[job].failures;
    }
    sim_stats_print(&sum.stats, stdout);
    if (sum.failures > 0) {
        fprintf(stderr, "%" PRIu64 " seeds failed\n", sum.failures);
        fine = false;
    }
    if (options->count >= SEEDS_FOR_COVERAGE && sim_stats_missing(&sum.stats, stderr) > 0) {
        fine = false;
    }
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct options options = {.first = 1, .count = seeds_default(), .jobs = 2};
    if (!options_parse(argc, argv, &options)) {
        fprintf(stderr,
                "usage: %s [--seed N] [--seeds N] [--jobs N] [--check-every N] [--trace]\n",
                argv[0]);
        return 64;
    }
    if (options.count == 1) {
        options.jobs = 1;
    }
    struct share *shares = mmap(NULL, options.jobs * sizeof *shares, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shares == MAP_FAILED) {
        perror("mmap");
        return EXIT_FAILURE;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool fine = run_all(&options, argv[0], shares);
    int verdict = judge(&options, shares, fine);
    (void)munmap(shares, options.jobs * sizeof *shares);
    return verdict;
}
