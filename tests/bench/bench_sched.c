/*
 * bench_sched.c: what it costs to find the next task, by how much there is to choose from.
 *
 *     bench_sched [--leases N]
 *
 * A core on virtual time, without codec and sockets. Workers report what they hold, and get
 * something new, N times; what is printed is the time of the core for one such exchange
 * (result, end, dispatch) in nanoseconds, as the best of five parts. Never fails on time.
 */
#include "clock.h"
#include "core.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CLIENT, FIRST_WORKER, BATCH = 500, PARTS = 5, NAME_MAX_LEN = 24, HELD_MAX = 64 };

struct scenario {
    const char *what;
    uint64_t depth;   /* tasks queued */
    uint32_t workers; /* of one slot each, but for a single one */
    uint32_t types;   /* all offered by every worker */
    uint32_t keys;    /* fairness keys, 0: none */
    uint32_t needs;   /* different needs; 0: none */
};

struct seat {
    struct drv_ref held[HELD_MAX];
    uint32_t count;
};

struct rig {
    struct core *core;
    struct seat *seats; /* by peer */
    uint32_t peers;
    int64_t now_us;
    uint64_t seq, req, ids, leases;
    uint64_t core_ns;
};

static uint64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "bench_sched: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static drover_id id_of(uint64_t number)
{
    drover_id id = {{1}};
    memcpy(id.bytes + 8, &number, sizeof number);
    return id;
}

static void step(struct rig *rig, uint32_t peer, struct drv_message *message)
{
    message->epoch = message->kind == DRV_HELLO ? 0 : 1;
    message->seq = ++rig->seq;
    struct core_event event = {.kind = CORE_EVENT_MESSAGE,
                               .peer = peer,
                               .port = peer == CLIENT ? CORE_PORT_CLIENT : CORE_PORT_WORKER,
                               .message = message};
    uint64_t before = cpu_ns();
    core_step(rig->core, &event, rig->now_us);
    rig->core_ns += cpu_ns() - before;
}

static void take_leases(struct rig *rig, uint32_t peer, const struct drv_lease *lease)
{
    struct seat *seat = &rig->seats[peer];
    for (size_t g = 0; g < lease->group_count; g++) {
        for (size_t i = 0; i < lease->groups[g].entry_count; i++) {
            must(seat->count < HELD_MAX, "more leases than slots");
            seat->held[seat->count++] = lease->groups[g].entries[i].ref;
            rig->leases++;
        }
    }
}

static void tick(struct rig *rig)
{
    int64_t wants;
    do {
        uint64_t before = cpu_ns();
        wants = core_tick(rig->core, rig->now_us);
        rig->core_ns += cpu_ns() - before;
        size_t count;
        const struct core_effect *effects = core_effects(rig->core, &count);
        uint64_t *tokens = calloc(rig->peers, sizeof *tokens);
        must(tokens != NULL, "out of memory");
        for (size_t i = 0; i < count; i++) {
            if (effects[i].kind != CORE_SEND) {
                continue;
            }
            tokens[effects[i].peer] = effects[i].token > 0 ? effects[i].token
                                                           : tokens[effects[i].peer];
            if (effects[i].message->kind == DRV_LEASE) {
                take_leases(rig, effects[i].peer, &effects[i].message->lease);
            }
        }
        core_effects_clear(rig->core);
        for (uint32_t peer = 0; peer < rig->peers; peer++) {
            struct core_event event = {
                .kind = CORE_EVENT_SETTLED, .peer = peer, .token = tokens[peer]};
            if (tokens[peer] > 0) {
                core_step(rig->core, &event, rig->now_us);
            }
        }
        free(tokens);
    } while (wants <= rig->now_us);
}

static void hello(struct rig *rig, uint32_t peer, const struct scenario *scenario)
{
    static char names[1024][NAME_MAX_LEN];
    static struct drv_offer offers[1024];
    for (uint32_t i = 0; i < scenario->types; i++) {
        (void)snprintf(names[i], NAME_MAX_LEN, "type-%u", i);
        offers[i] = (struct drv_offer){.name = drv_str_of(names[i])};
    }
    const struct drv_count has = {drv_str_of("memory"), 1U << 20};
    struct drv_message message = {.kind = DRV_HELLO};
    message.hello = (struct drv_hello){.version_min = 1,
                                       .version_max = 1,
                                       .role = peer == CLIENT ? DRV_ROLE_CLIENT
                                                              : DRV_ROLE_WORKER,
                                       .session = id_of(UINT64_C(1) << 40 | peer),
                                       .name = drv_str_of("peer"),
                                       .credit_items = 1 << 20,
                                       .credit_bytes = 1 << 24};
    if (peer != CLIENT) {
        message.hello.has_worker = true;
        message.hello.worker = (struct drv_worker_hello){
            .slots = scenario->workers == 1 ? HELD_MAX : 1,
            .host = drv_str_of("host"),
            .types = offers,
            .type_count = scenario->types,
            .resources = &has,
            .resource_count = 1,
            .model = DRV_MODEL_PREFORK};
        message.hello.credit_items = message.hello.worker.slots;
    }
    step(rig, peer, &message);
    tick(rig);
}

static void submit(struct rig *rig, const struct scenario *scenario, uint64_t count)
{
    static struct drv_submit_group groups[BATCH];
    static struct drv_entry entries[BATCH];
    static char types[BATCH][NAME_MAX_LEN], keys[BATCH][NAME_MAX_LEN];
    static struct drv_count needs[BATCH];
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (uint64_t i = 0; i < BATCH; i++) {
            uint64_t n = rig->ids++;
            (void)snprintf(types[i], NAME_MAX_LEN, "type-%" PRIu64, n % scenario->types);
            drv_spec_init(&groups[i].spec, drv_str_of(types[i]));
            groups[i].spec.flags = 0;
            groups[i].spec.keep_ms = 0;
            if (scenario->keys > 0) {
                (void)snprintf(keys[i], NAME_MAX_LEN, "key-%" PRIu64, n % scenario->keys);
                groups[i].spec.fairness = drv_str_of(keys[i]);
            }
            if (scenario->needs > 0) {
                needs[i] = (struct drv_count){drv_str_of("memory"), 1 + n % scenario->needs};
                groups[i].spec.needs = &needs[i];
                groups[i].spec.need_count = 1;
            }
            entries[i] = (struct drv_entry){id_of(n), {.is_nil = true}};
            groups[i].entries = &entries[i];
            groups[i].entry_count = 1;
        }
        struct drv_message message = {.kind = DRV_SUBMIT};
        message.request.req = ++rig->req;
        message.request.floor = rig->req;
        message.submit.groups = groups;
        message.submit.group_count = BATCH;
        step(rig, CLIENT, &message);
        tick(rig);
    }
}

/* Everybody who holds something reports all of it. */
static void exchange(struct rig *rig, uint32_t peer)
{
    static struct drv_result results[HELD_MAX];
    struct seat *seat = &rig->seats[peer];
    if (seat->count == 0) {
        return;
    }
    for (uint32_t i = 0; i < seat->count; i++) {
        results[i] = (struct drv_result){.ref = seat->held[i],
                                         .outcome = DRV_OUTCOME_SUCCEEDED,
                                         .val = {.is_nil = true},
                                         .error = {.exit_code = -1},
                                         .run_us = 1000000};
    }
    struct drv_message message = {.kind = DRV_REPORT};
    message.report.results = results;
    message.report.result_count = seat->count;
    seat->count = 0;
    step(rig, peer, &message);
}

static void measure(const struct scenario *scenario, uint64_t leases)
{
    struct core_config config;
    struct rig rig = {.peers = FIRST_WORKER + scenario->workers, .now_us = 1000000};
    core_config_init(&config);
    config.epoch = 1;
    config.queue_count_max = config.queue_bytes_max = config.memory_max = UINT64_MAX / 2;
    config.client_bytes_max = config.client_results_max = UINT64_MAX / 2;
    config.keep_count_max = UINT64_MAX / 2;
    config.software = "bench";
    must(core_new(&config, rig.now_us, &rig.core) == DROVER_OK, "no core");
    rig.seats = calloc(rig.peers, sizeof *rig.seats);
    must(rig.seats != NULL, "out of memory");
    hello(&rig, CLIENT, scenario);
    submit(&rig, scenario, scenario->depth);
    uint64_t queued_bytes = core_memory_bytes(rig.core);
    for (uint32_t i = 0; i < scenario->workers; i++) {
        hello(&rig, FIRST_WORKER + i, scenario);
    }
    double best = 0;
    for (int part = 0; part < PARTS; part++) {
        uint64_t first = rig.leases;
        rig.core_ns = 0;
        while (rig.leases - first < leases / PARTS && rig.leases < scenario->depth) {
            for (uint32_t i = 0; i < scenario->workers; i++) {
                exchange(&rig, FIRST_WORKER + i);
            }
            tick(&rig);
            rig.now_us += 1000;
        }
        uint64_t made = rig.leases - first;
        double each = made == 0 ? best : (double)rig.core_ns / (double)made;
        best = part == 0 || each < best ? each : best;
    }
    (void)printf("%-34s %9" PRIu64 " %8u %6u %6u %6u %10.0f %8" PRIu64 "\n", scenario->what,
                 scenario->depth, scenario->workers, scenario->types, scenario->keys,
                 scenario->needs, best, queued_bytes / scenario->depth);
    (void)fflush(stdout); /* what is left goes with the process */
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"depth", 1000, 1, 1, 0, 0},
        {"depth", 10000, 1, 1, 0, 0},
        {"depth", 100000, 1, 1, 0, 0},
        {"depth", 1000000, 1, 1, 0, 0},
        {"fairness keys", 100000, 1, 1, 1, 0},
        {"fairness keys", 100000, 1, 1, 100, 0},
        {"fairness keys", 100000, 1, 1, 10000, 0},
        {"shapes", 100000, 1, 10, 0, 0},
        {"shapes", 100000, 1, 1000, 0, 0},
        {"workers", 100000, 1000, 1, 0, 0},
        {"workers and shapes", 100000, 1000, 1000, 0, 0},
        {"needs", 100000, 1000, 1, 0, 1},
        {"workers and shapes of needs", 100000, 1000, 1, 0, 1000},
        {"keys and needs", 100000, 1000, 1, 1000, 10},
    };
    uint64_t leases = 20000;
    if (argc == 3 && strcmp(argv[1], "--leases") == 0) {
        leases = strtoull(argv[2], NULL, 10);
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)printf("%-34s %9s %8s %6s %6s %6s %10s %8s\n", "", "queued", "workers", "types",
                 "keys", "needs", "ns a task", "bytes");
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        pid_t pid = fork(); /* each with memory of its own */
        if (pid == 0) {
            measure(&scenarios[i], leases);
            _exit(EXIT_SUCCESS);
        }
        must(pid > 0 && waitpid(pid, NULL, 0) == pid, "no process");
    }
    return 0;
}
