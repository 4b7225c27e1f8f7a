/*
 * fixture.h: peers of a core under test, written as short stories, on the bench of bench.h.
 */
#ifndef TESTS_BROKER_FIXTURE_H
#define TESTS_BROKER_FIXTURE_H

#include "bench.h"

/* --- names ------------------------------------------------------------------------------- */

static inline struct drv_str text(const char *chars)
{
    return drv_str_of(chars);
}

static inline drover_id id_of(uint32_t number)
{
    drover_id id = {{0}};
    id.bytes[0] = 1;
    memcpy(id.bytes + 12, &number, sizeof number);
    return id;
}

static inline uint32_t number_of(drover_id id)
{
    uint32_t number;
    memcpy(&number, id.bytes + 12, sizeof number);
    return number;
}

static inline struct drv_val val_of(const char *chars)
{
    struct drv_val val = {.bytes = (const uint8_t *)chars, .len = strlen(chars)};
    return val;
}

static inline struct drv_val val_nil(void)
{
    return (struct drv_val){.is_nil = true};
}

static inline bool val_is(const struct drv_val *val, const char *chars)
{
    return !val->is_nil && val->len == strlen(chars) &&
           (val->len == 0 || memcmp(val->bytes, chars, val->len) == 0);
}

static inline bool str_is(struct drv_str str, const char *chars)
{
    return str.len == strlen(chars) && (str.len == 0 || memcmp(str.ptr, chars, str.len) == 0);
}

static inline struct core_counters counters(const struct bench *bench)
{
    struct core_counters counters;
    core_counters_get(bench->core, &counters);
    return counters;
}

/* --- clients ----------------------------------------------------------------------------- */

enum { CREDIT_PLENTY = 100000 };

static inline void hello_client(struct bench *bench, uint32_t peer, uint32_t session,
                                bool resume)
{
    struct box *box = &bench->boxes[peer];
    box->port = CORE_PORT_CLIENT;
    struct drv_message message = {.kind = DRV_HELLO};
    message.hello = (struct drv_hello){.version_min = 1,
                                       .version_max = 1,
                                       .role = DRV_ROLE_CLIENT,
                                       .session = id_of(session),
                                       .resume = resume,
                                       .name = text("client"),
                                       .credit_items = CREDIT_PLENTY,
                                       .credit_bytes = 1 << 20};
    speak(bench, peer, &message);
    bench_turn(bench);
}

/* Takes the WELCOME and speaks with its epoch from now on. */
static inline const struct drv_welcome *welcomed(struct bench *bench, uint32_t peer)
{
    const struct drv_message *message = expect(bench, peer, DRV_WELCOME);
    bench->boxes[peer].epoch = message->epoch;
    return &message->welcome;
}

static inline void client(struct bench *bench, uint32_t peer)
{
    hello_client(bench, peer, 9000 + peer, false);
    (void)welcomed(bench, peer);
}

static inline struct drv_message request(struct bench *bench, uint32_t peer, enum drv_kind kind)
{
    struct drv_message message = {.kind = kind};
    message.request.req = ++bench->boxes[peer].req;
    return message;
}

static inline struct drv_spec spec_of(const char *type)
{
    struct drv_spec spec;
    drv_spec_init(&spec, text(type));
    return spec;
}

/* Submits tasks first..first+count-1 with one payload; no tick. */
static inline void submit_many(struct bench *bench, uint32_t peer, const struct drv_spec *spec,
                               uint32_t first, uint32_t count, const char *payload)
{
    struct drv_entry *entries = calloc(count, sizeof *entries);
    assert_non_null(entries);
    for (uint32_t i = 0; i < count; i++) {
        entries[i].id = id_of(first + i);
        entries[i].val = val_of(payload);
    }
    struct drv_submit_group group = {.spec = *spec, .entries = entries, .entry_count = count};
    struct drv_message message = request(bench, peer, DRV_SUBMIT);
    message.submit.groups = &group;
    message.submit.group_count = 1;
    speak(bench, peer, &message);
    free(entries);
}

static inline void submit(struct bench *bench, uint32_t peer, const struct drv_spec *spec,
                          uint32_t number)
{
    submit_many(bench, peer, spec, number, 1, "payload");
}

/* The reply to the last request, which may wait a millisecond for company. */
static inline const struct drv_reply *reply(struct bench *bench, uint32_t peer)
{
    const struct drv_message *message = find(bench, peer, DRV_REPLY);
    if (message == NULL) {
        bench_pass(bench, 1000);
        message = expect(bench, peer, DRV_REPLY);
    }
    for (; message != NULL; message = find(bench, peer, DRV_REPLY)) {
        for (size_t i = 0; i < message->reply.reply_count; i++) {
            if (message->reply.replies[i].req == bench->boxes[peer].req) {
                return &message->reply.replies[i];
            }
        }
    }
    fail_msg("no reply to the last request of peer %u", peer);
    return NULL;
}

static inline void expect_ok(struct bench *bench, uint32_t peer)
{
    const struct drv_reply *answer = reply(bench, peer);
    assert_ok(answer->code);
    assert_int_equal(answer->note_count, 0);
}

static inline const struct drv_outcome *result(struct bench *bench, uint32_t peer)
{
    const struct drv_message *message = expect(bench, peer, DRV_RESULTS);
    assert_int_equal(message->results.entry_count, 1);
    return &message->results.entries[0];
}

static inline void targets_request(struct bench *bench, uint32_t peer, enum drv_kind kind,
                                   uint32_t number, uint32_t index)
{
    struct drv_target target = {.id = id_of(number), .index = index};
    struct drv_message message = request(bench, peer, kind);
    message.targets.targets = &target;
    message.targets.target_count = 1;
    speak(bench, peer, &message);
}

static inline void cancel(struct bench *bench, uint32_t peer, uint32_t number)
{
    targets_request(bench, peer, DRV_CANCEL, number, DROVER_INDEX_NONE);
}

/* --- workers ----------------------------------------------------------------------------- */

struct worker_options {
    const char *name;
    const char *host;     /* NULL: "host" */
    const char *types[8]; /* ended by NULL */
    uint32_t slots;
    uint64_t credit; /* 0: as many as slots */
    uint32_t lease_count;
    uint32_t concurrency;
    const char *queue; /* NULL: all */
    const struct drv_pair *labels;
    size_t label_count;
    const struct drv_count *resources;
    size_t resource_count;
};

static inline void hello_worker(struct bench *bench, uint32_t peer, uint32_t session,
                                const struct worker_options *options)
{
    struct drv_offer offers[8];
    size_t offer_count = 0;
    while (offer_count < 8 && options->types[offer_count] != NULL) {
        offers[offer_count] = (struct drv_offer){.name = text(options->types[offer_count]),
                                                 .concurrency = options->concurrency};
        offer_count++;
    }
    struct drv_str queue = text(options->queue);
    bench->boxes[peer].port = CORE_PORT_WORKER;
    struct drv_message message = {.kind = DRV_HELLO};
    message.hello = (struct drv_hello){
        .version_min = 1,
        .version_max = 1,
        .role = DRV_ROLE_WORKER,
        .session = id_of(session),
        .resume = options->lease_count > 0,
        .name = text(options->name == NULL ? "worker" : options->name),
        .credit_items = options->credit > 0 ? options->credit : options->slots,
        .credit_bytes = 1 << 20,
        .has_worker = true,
        .worker = {.slots = options->slots,
                   .pid = 4711,
                   .host = text(options->host == NULL ? "host" : options->host),
                   .types = offers,
                   .type_count = offer_count,
                   .queues = &queue,
                   .queue_count = options->queue == NULL ? 0 : 1,
                   .labels = options->labels,
                   .label_count = options->label_count,
                   .resources = options->resources,
                   .resource_count = options->resource_count,
                   .lease_count = options->lease_count,
                   .model = DRV_MODEL_PREFORK}};
    speak(bench, peer, &message);
    bench_turn(bench);
}

static inline void worker_with(struct bench *bench, uint32_t peer,
                               const struct worker_options *options)
{
    hello_worker(bench, peer, 8000 + peer, options);
    (void)welcomed(bench, peer);
}

static inline void worker(struct bench *bench, uint32_t peer, const char *type, uint32_t slots)
{
    struct worker_options options = {.types = {type}, .slots = slots};
    worker_with(bench, peer, &options);
}

/* The next lease to this worker; it must be alone in its message. */
static inline struct drv_ref leased(struct bench *bench, uint32_t peer)
{
    const struct drv_message *message = expect(bench, peer, DRV_LEASE);
    assert_int_equal(message->lease.group_count, 1);
    assert_int_equal(message->lease.groups[0].entry_count, 1);
    return message->lease.groups[0].entries[0].ref;
}

/* All leases that wait in the inbox; returns how many. */
static inline size_t leases(struct bench *bench, uint32_t peer, struct drv_ref *out_refs,
                            size_t max)
{
    size_t count = 0;
    const struct drv_message *message;
    while ((message = find(bench, peer, DRV_LEASE)) != NULL) {
        for (size_t g = 0; g < message->lease.group_count; g++) {
            const struct drv_lease_group *group = &message->lease.groups[g];
            for (size_t i = 0; i < group->entry_count; i++) {
                assert_true(count < max);
                out_refs[count++] = group->entries[i].ref;
            }
        }
    }
    return count;
}

static inline void report_started(struct bench *bench, uint32_t peer, struct drv_ref ref)
{
    struct drv_message message = {.kind = DRV_REPORT};
    message.report.started = &ref;
    message.report.started_count = 1;
    speak(bench, peer, &message);
}

static inline void report_returned_as(struct bench *bench, uint32_t peer, struct drv_ref ref,
                                      enum drv_return_reason reason)
{
    struct drv_returned returned = {.ref = ref, .reason = (uint32_t)reason};
    struct drv_message message = {.kind = DRV_REPORT};
    message.report.returned = &returned;
    message.report.returned_count = 1;
    speak(bench, peer, &message);
}

static inline void report_returned(struct bench *bench, uint32_t peer, struct drv_ref ref)
{
    report_returned_as(bench, peer, ref, DRV_RETURN_RECALLED);
}

static inline void report(struct bench *bench, uint32_t peer, const struct drv_result *done)
{
    struct drv_message message = {.kind = DRV_REPORT};
    message.report.results = done;
    message.report.result_count = 1;
    speak(bench, peer, &message);
}

static inline void report_done(struct bench *bench, uint32_t peer, struct drv_ref ref,
                               const char *value)
{
    struct drv_result done = {.ref = ref,
                              .outcome = DRV_OUTCOME_SUCCEEDED,
                              .val = val_of(value),
                              .error = {.exit_code = -1},
                              .run_us = 50};
    report(bench, peer, &done);
}

static inline void report_failed(struct bench *bench, uint32_t peer, struct drv_ref ref,
                                 uint32_t flags)
{
    struct drv_result done = {.ref = ref,
                              .outcome = DRV_OUTCOME_FAILED,
                              .val = val_nil(),
                              .error = {.kind = DROVER_ERROR_HANDLER,
                                        .code = text("bad"),
                                        .text = text("it failed"),
                                        .exit_code = -1,
                                        .flags = flags},
                              .run_us = 50,
                              .has_usage = true,
                              .usage = {.pid = 12, .kept = DRV_KEPT_CGROUP}};
    report(bench, peer, &done);
}

static inline void report_cancelled(struct bench *bench, uint32_t peer, struct drv_ref ref)
{
    struct drv_result done = {.ref = ref,
                              .outcome = DRV_OUTCOME_CANCELLED,
                              .val = val_nil(),
                              .error = {.exit_code = -1},
                              .run_us = 50};
    report(bench, peer, &done);
}

static inline void heartbeat(struct bench *bench, uint32_t peer)
{
    struct drv_message message = {.kind = DRV_HEARTBEAT};
    speak(bench, peer, &message);
}

static inline struct drv_spec watched(const char *type)
{
    struct drv_spec spec = spec_of(type);
    spec.flags = DRV_SPEC_WATCH;
    return spec;
}

#endif
