/*
 * bench_core.c: what a task costs in the broker beside its sockets: codec, links and core.
 *
 *     bench_core [--tasks N] [--window N] [--batch N] [--payload BYTES] [--depth] [--array]
 *
 * One client and one worker on virtual time, in one process; everything that the broker does
 * happens in broker_turn, so that its instructions can be counted, which repeats on any
 * machine:
 *
 *     valgrind --tool=callgrind --toggle-collect=broker_turn* bench_core --tasks 20000
 *
 * Prints nanoseconds per task of broker_turn; with --array the tasks are elements of an array,
 * which travel in ranges; with --depth, what N queued tasks or elements take in memory, their
 * payloads included, and how fast they come and go. Never fails on time.
 */
#include "arena.h"
#include "clock.h"
#include "core.h"
#include "data.h"
#include "link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CLIENT, WORKER, PEERS, QUEUE = 1 << 16, SLOTS = 2, TURN_US = 500 };

/* As in broker/server.h. */
enum { BURST = 64, BURST_BYTES = 128 << 10 };

struct wire { /* frames on their way */
    struct drv_frames frames[QUEUE];
    size_t first, count;
};

struct side {
    struct drv_link *here; /* the broker's */
    struct drv_link *there;
    struct wire in, out; /* of the broker */
    struct drv_arena arena;
};

struct rig {
    struct core *core;
    struct side sides[PEERS];
    struct drv_arena arena;
    int64_t now_us;
    uint64_t broker_ns, turns, max_ns; /* of broker_turn */
    /* client */
    uint64_t submitted, ended, req, ids, floor;
    uint64_t window, batch, tasks;
    size_t payload;
    bool is_array;
    /* worker */
    bool is_idle;
};

static uint8_t bytes[1 << 16];

static void must(drover_status status, const char *what)
{
    if (status != DROVER_OK) {
        (void)fprintf(stderr, "bench_core: %s: %s\n", what, drover_status_name(status));
        exit(EXIT_FAILURE);
    }
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* --- wires ------------------------------------------------------------------------------- */

static void wire_push(struct wire *wire, const struct drv_frames *frames)
{
    if (wire->count == QUEUE) {
        must(DROVER_LIMIT, "wire");
    }
    wire->frames[(wire->first + wire->count++) % QUEUE] = *frames;
}

static bool wire_pop(struct wire *wire, struct drv_frames *out_frames)
{
    if (wire->count == 0) {
        return false;
    }
    *out_frames = wire->frames[wire->first];
    wire->first = (wire->first + 1) % QUEUE;
    wire->count--;
    return true;
}

static void frames_free(struct drv_frames *frames)
{
    drv_data_unref(&frames->head);
    drv_data_unref(&frames->blob);
}

/* --- the broker -------------------------------------------------------------------------- */

static void broker_receive(struct rig *rig, uint32_t peer, struct drv_frames *frames)
{
    struct side *side = &rig->sides[peer];
    struct drv_message message;
    const char *reason = "";
    uint64_t token;
    drv_arena_reset(&rig->arena);
    must(drv_link_receive(side->here, frames->head->bytes, frames->head->len, frames->blob,
                          frames->blob_len, rig->now_us, &rig->arena, &message, &reason),
         reason);
    struct core_event event = {.peer = peer,
                               .port = peer == WORKER ? CORE_PORT_WORKER : CORE_PORT_CLIENT};
    while (drv_link_settled(side->here, &token)) {
        event.kind = CORE_EVENT_SETTLED;
        event.token = token;
        core_step(rig->core, &event, rig->now_us);
    }
    if (message.kind != 0) {
        if (message.kind == DRV_HELLO) {
            drv_link_set_window_out(side->here, message.hello.credit_bytes);
        }
        event.kind = CORE_EVENT_MESSAGE;
        event.message = &message;
        core_step(rig->core, &event, rig->now_us);
    }
    frames_free(frames);
}

static void broker_apply(struct rig *rig)
{
    size_t count;
    const struct core_effect *effects = core_effects(rig->core, &count);
    for (size_t i = 0; i < count; i++) {
        struct drv_link *link = rig->sides[effects[i].peer].here;
        if (effects[i].kind == CORE_SEND) {
            must(drv_link_send(link, effects[i].message, effects[i].token), "send");
        } else if (effects[i].kind == CORE_SETTLE) {
            drv_link_settle(link, effects[i].seq, rig->now_us);
        } else if (effects[i].kind == CORE_CLOSE) {
            must(DROVER_CLOSED, "peer");
        }
    }
    core_effects_clear(rig->core);
}

static void __attribute__((noinline)) broker_turn(struct rig *rig)
{
    struct drv_frames frames;
    for (uint32_t peer = PEERS; peer-- > 0;) {
        size_t left = BURST_BYTES;
        for (int i = 0; i < BURST && left > 0 && wire_pop(&rig->sides[peer].in, &frames); i++) {
            left -= frames.head->len < left ? frames.head->len : left;
            broker_receive(rig, peer, &frames);
        }
    }
    (void)core_tick(rig->core, rig->now_us);
    broker_apply(rig);
    for (uint32_t peer = PEERS; peer-- > 0;) {
        drv_link_tick(rig->sides[peer].here, rig->now_us);
        while (drv_link_next(rig->sides[peer].here, &frames)) {
            wire_push(&rig->sides[peer].out, &frames);
        }
    }
}

/* --- peers ------------------------------------------------------------------------------- */

static void say(struct rig *rig, uint32_t peer, const struct drv_message *message)
{
    struct drv_frames frames;
    struct side *side = &rig->sides[peer];
    if (message != NULL) {
        must(drv_link_send(side->there, message, 0), "say");
    }
    while (drv_link_next(side->there, &frames)) {
        wire_push(&side->in, &frames);
    }
}

static void client_submit(struct rig *rig, uint64_t count)
{
    static struct drv_entry entries[DRV_BATCH_MAX];
    struct drv_submit_group group = {.entries = entries, .entry_count = count};
    struct drv_message message = {.kind = DRV_SUBMIT};
    drv_spec_init(&group.spec, drv_str_of("echo"));
    group.spec.flags = DRV_SPEC_WATCH | DRV_SPEC_RELEASE;
    group.spec.durability = DROVER_DURABILITY_MEMORY;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t id = ++rig->ids;
        uint64_t mixed = id * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(entries[i].id.bytes, &id, sizeof id);
        memcpy(entries[i].id.bytes + 8, &mixed, sizeof mixed);
        entries[i].val = (struct drv_val){.bytes = bytes, .len = rig->payload};
    }
    message.request.req = ++rig->req;
    message.request.floor = rig->floor;
    message.submit.groups = &group;
    message.submit.group_count = 1;
    rig->submitted += count;
    say(rig, CLIENT, &message);
}

static void array_open(struct rig *rig)
{
    struct drv_message message = {.kind = DRV_ARRAY_OPEN};
    drv_spec_init(&message.array_open.spec, drv_str_of("echo"));
    message.array_open.spec.flags = DRV_SPEC_WATCH | DRV_SPEC_RELEASE;
    message.array_open.spec.durability = DROVER_DURABILITY_MEMORY;
    message.array_open.id.bytes[0] = 1;
    message.array_open.with.is_nil = true;
    message.request.req = ++rig->req;
    message.request.floor = rig->floor;
    say(rig, CLIENT, &message);
}

static void client_feed(struct rig *rig, uint64_t count)
{
    static struct drv_val vals[DRV_BATCH_MAX];
    struct drv_message message = {.kind = DRV_ARRAY_ITEMS};
    for (uint64_t i = 0; i < count; i++) {
        vals[i] = (struct drv_val){.bytes = bytes, .len = rig->payload};
    }
    message.request.req = ++rig->req;
    message.request.floor = rig->floor;
    message.array_items = (struct drv_array_items){
        .first = (uint32_t)rig->submitted, .items = vals, .item_count = count};
    message.array_items.id.bytes[0] = 1;
    rig->submitted += count;
    say(rig, CLIENT, &message);
}

static void client_fill(struct rig *rig)
{
    while (rig->submitted < rig->tasks && rig->submitted - rig->ended < rig->window) {
        uint64_t count = rig->window - (rig->submitted - rig->ended);
        count = count < rig->batch ? count : rig->batch;
        count = count < rig->tasks - rig->submitted ? count : rig->tasks - rig->submitted;
        if (rig->is_array) {
            client_feed(rig, count);
        } else {
            client_submit(rig, count);
        }
    }
}

static void worker_run(struct rig *rig, const struct drv_lease *lease)
{
    static struct drv_result results[DRV_BATCH_MAX];
    struct drv_message message = {.kind = DRV_REPORT};
    size_t count = 0;
    for (size_t g = 0; g < lease->group_count; g++) {
        const struct drv_lease_group *group = &lease->groups[g];
        for (size_t i = 0; i < group->entry_count; i++) {
            results[count++] = (struct drv_result){
                .ref = group->entries[i].ref,
                .outcome = DRV_OUTCOME_SUCCEEDED,
                .val = group->entries[i].val,
                .range = group->entries[i].range,
                .run_us = 2,
                .wait_us = 20,
                .hold_us = 30,
                .has_usage = true,
                .usage = {.user_us = 2, .peak_rss_bytes = 4 << 20, .pid = 1234}};
        }
    }
    message.report.results = results;
    for (size_t at = 0; at < count; at += message.report.result_count) {
        message.report.results = results + at;
        message.report.result_count = count - at < rig->batch ? count - at : rig->batch;
        say(rig, WORKER, &message);
    }
}

static void peer_message(struct rig *rig, uint32_t peer, const struct drv_message *message)
{
    if (message->kind == DRV_WELCOME) {
        drv_link_set_epoch(rig->sides[peer].there, message->epoch);
        drv_link_set_window_out(rig->sides[peer].there, message->welcome.credit_bytes);
    } else if (message->kind == DRV_RESULTS) {
        for (size_t i = 0; i < message->results.entry_count; i++) {
            uint32_t count = message->results.entries[i].range.count;
            rig->ended += count == 0 ? 1 : count;
        }
    } else if (message->kind == DRV_REPLY) {
        for (size_t i = 0; i < message->reply.reply_count; i++) {
            must(message->reply.replies[i].code, "submit");
            rig->floor = message->reply.replies[i].req + 1;
        }
    } else if (message->kind == DRV_LEASE && !rig->is_idle) {
        worker_run(rig, &message->lease);
    }
    drv_link_settle(rig->sides[peer].there, message->seq, rig->now_us);
}

static void peer_turn(struct rig *rig, uint32_t peer)
{
    struct drv_frames frames;
    struct side *side = &rig->sides[peer];
    while (wire_pop(&side->out, &frames)) {
        struct drv_message message;
        const char *reason = "";
        drv_arena_reset(&side->arena);
        must(drv_link_receive(side->there, frames.head->bytes, frames.head->len, frames.blob,
                              frames.blob_len, rig->now_us, &side->arena, &message, &reason),
             reason);
        if (message.kind != 0) {
            peer_message(rig, peer, &message);
        }
        frames_free(&frames);
    }
    drv_link_tick(side->there, rig->now_us);
    say(rig, peer, NULL);
}

static void turn(struct rig *rig)
{
    uint64_t before = cpu_ns();
    broker_turn(rig);
    uint64_t ns = cpu_ns() - before;
    rig->broker_ns += ns;
    rig->max_ns = ns > rig->max_ns ? ns : rig->max_ns;
    rig->turns++;
    peer_turn(rig, CLIENT);
    peer_turn(rig, WORKER);
    rig->now_us += TURN_US;
}

/* --- stories ----------------------------------------------------------------------------- */

static void hello(struct rig *rig, uint32_t peer)
{
    static const struct drv_str CAPABILITIES[] = {{"ranges", 6}, {"rows", 4}};
    struct drv_offer offer = {.name = drv_str_of("echo")};
    struct drv_message message = {.kind = DRV_HELLO};
    message.hello = (struct drv_hello){
        .version_min = 1,
        .version_max = 1,
        .role = peer == WORKER ? DRV_ROLE_WORKER : DRV_ROLE_CLIENT,
        .name = drv_str_of("bench"),
        .capabilities = CAPABILITIES,
        .capability_count = sizeof CAPABILITIES / sizeof *CAPABILITIES,
        .credit_items = 100000,
        .credit_bytes = 16 << 20};
    message.hello.session.bytes[0] = (uint8_t)(1 + peer);
    if (peer == WORKER) {
        message.hello.has_worker = true;
        message.hello.worker = (struct drv_worker_hello){.slots = SLOTS,
                                                         .pid = 1,
                                                         .host = drv_str_of("host"),
                                                         .types = &offer,
                                                         .type_count = 1,
                                                         .model = DRV_MODEL_PREFORK};
    }
    say(rig, peer, &message);
    turn(rig);
}

static void rig_open(struct rig *rig)
{
    struct core_config config;
    core_config_init(&config);
    config.seed = 42;
    config.broker_id.bytes[0] = 9;
    config.software = "bench";
    config.queue_bytes_max = UINT64_MAX / 4;
    config.queue_count_max = UINT64_MAX / 4;
    config.client_bytes_max = UINT64_MAX / 4;
    config.memory_max = UINT64_MAX / 4;
    config.client_results_max = UINT64_MAX / 4;
    rig->now_us = 1000 * 1000 * 1000;
    must(core_new(&config, rig->now_us, &rig->core), "core");
    drv_arena_init(&rig->arena, 1 << 20);
    for (uint32_t peer = 0; peer < PEERS; peer++) {
        struct side *side = &rig->sides[peer];
        struct drv_link_config here = {
            .epoch = 1, .window_out = 4 << 20, .window_in = 4 << 20, .ack_delay_us = 1000};
        struct drv_link_config there = here;
        there.epoch = 0;
        must(drv_link_new(&here, &side->here), "link");
        must(drv_link_new(&there, &side->there), "link");
        drv_arena_init(&side->arena, 1 << 20);
    }
    hello(rig, CLIENT);
}

static void rig_close(struct rig *rig)
{
    for (uint32_t peer = 0; peer < PEERS; peer++) {
        struct side *side = &rig->sides[peer];
        struct drv_frames frames;
        while (wire_pop(&side->in, &frames) || wire_pop(&side->out, &frames)) {
            frames_free(&frames);
        }
        drv_link_destroy(&side->here);
        drv_link_destroy(&side->there);
        drv_arena_fini(&side->arena);
    }
    core_destroy(&rig->core);
    drv_arena_fini(&rig->arena);
}

static void flow(struct rig *rig)
{
    hello(rig, WORKER);
    if (rig->is_array) {
        array_open(rig);
        turn(rig);
    }
    uint64_t hello_ns = rig->broker_ns, hello_turns = rig->turns;
    while (rig->ended < rig->tasks) {
        client_fill(rig);
        turn(rig);
    }
    (void)printf("tasks=%" PRIu64 " window=%" PRIu64 " batch=%" PRIu64
                 " ns_per_task=%.0f turns=%" PRIu64 "\n",
                 rig->tasks, rig->window, rig->batch,
                 (double)(rig->broker_ns - hello_ns) / (double)rig->tasks,
                 rig->turns - hello_turns);
}

static double rss_bytes(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fgets(line, sizeof(line), file) == NULL) {
        must(DROVER_IO, "statm");
    }
    (void)fclose(file);
    const char *second = strchr(line, ' '); /* SIZE RESIDENT ... in pages */
    return second == NULL ? 0 : strtod(second, NULL) * (double)sysconf(_SC_PAGESIZE);
}

/* Everything queues first, then a worker comes. */
static void depth(struct rig *rig)
{
    rig->window = UINT64_MAX;
    if (rig->is_array) {
        array_open(rig);
        turn(rig);
    }
    double before = rss_bytes();
    uint64_t tenth = rig->tasks / 10 > 0 ? rig->tasks / 10 : 1;
    uint64_t at_ns = rig->broker_ns, mark = tenth;
    (void)printf("submit ns/task by tenths:");
    while (rig->submitted < rig->tasks) {
        uint64_t left = rig->tasks - rig->submitted;
        uint64_t count = left < rig->batch ? left : rig->batch;
        if (rig->is_array) {
            client_feed(rig, count);
        } else {
            client_submit(rig, count);
        }
        turn(rig);
        if (rig->submitted >= mark) {
            (void)printf(" %.0f", (double)(rig->broker_ns - at_ns) / (double)tenth);
            at_ns = rig->broker_ns;
            mark += tenth;
        }
    }
    double full = rss_bytes();
    (void)printf("\nbytes/task=%.1f longest turn=%.1f ms\ndrain ns/task by tenths:",
                 (full - before) / (double)rig->tasks, (double)rig->max_ns / 1e6);
    rig->max_ns = 0;
    at_ns = rig->broker_ns;
    mark = tenth;
    hello(rig, WORKER);
    while (rig->ended < rig->tasks) {
        turn(rig);
        if (rig->ended >= mark) {
            (void)printf(" %.0f", (double)(rig->broker_ns - at_ns) / (double)tenth);
            at_ns = rig->broker_ns;
            mark += tenth;
        }
    }
    for (int i = 0; i < 20; i++) {
        rig->now_us += 100 * 1000;
        turn(rig);
    }
    (void)printf("\nlongest turn=%.1f ms rss MiB: start %.1f full %.1f end %.1f\n",
                 (double)rig->max_ns / 1e6, before / 1048576, full / 1048576,
                 rss_bytes() / 1048576);
}

int main(int argc, char **argv)
{
    static struct rig rig;
    bool is_deep = false;
    rig.tasks = 200000;
    rig.window = 1000;
    rig.batch = 64;
    rig.payload = 32;
    for (int i = 1; i < argc; i++) {
        uint64_t number = i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 0;
        if (strcmp(argv[i], "--depth") == 0) {
            is_deep = true;
            continue;
        }
        if (strcmp(argv[i], "--array") == 0) {
            rig.is_array = true;
            continue;
        }
        if (strcmp(argv[i], "--tasks") == 0) {
            rig.tasks = number;
        } else if (strcmp(argv[i], "--window") == 0) {
            rig.window = number;
        } else if (strcmp(argv[i], "--batch") == 0 && number <= DRV_BATCH_MAX) {
            rig.batch = number;
        } else if (strcmp(argv[i], "--payload") == 0 && number <= sizeof bytes) {
            rig.payload = (size_t)number;
        } else {
            (void)fprintf(stderr, "bench_core: what is %s?\n", argv[i]);
            return 64;
        }
        i++;
    }
    if (rig.tasks == 0 || rig.window == 0 || rig.batch == 0) {
        return 64;
    }
    rig_open(&rig);
    if (is_deep) {
        depth(&rig);
    } else {
        flow(&rig);
    }
    rig_close(&rig);
    return 0;
}
