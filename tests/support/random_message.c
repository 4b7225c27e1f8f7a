/*
 * random_message.c: see random_message.h.
 */
#include "random_message.h"

#include "check.h"

#include <string.h>

const unsigned random_kinds[] = {
    DRV_HELLO,       DRV_WELCOME,    DRV_GOODBYE, DRV_ERROR,   DRV_CREDIT, DRV_CHUNK,
    DRV_ACK,         DRV_HEARTBEAT,  DRV_ATTACH,  DRV_MOVED,   DRV_SUBMIT, DRV_ARRAY_OPEN,
    DRV_ARRAY_ITEMS, DRV_ARRAY_SEAL, DRV_CANCEL,  DRV_RETRY,   DRV_KV,     DRV_QUEUE,
    DRV_WORKER,      DRV_FORGET,     DRV_WATCH,   DRV_UNWATCH, DRV_QUERY,  DRV_DOCUMENT,
    DRV_REPLY,       DRV_RESULTS,    DRV_LEASE,   DRV_REPORT,  DRV_RECALL, DRV_ABORT,
    DRV_GO,          DRV_LOG,        DRV_AWAIT,   DRV_SHARED,  DRV_DRAIN,  0};

size_t random_kind_count(void)
{
    return DRV_ARRAY_LEN(random_kinds) - 1;
}

typedef const struct random_source source;

/* ---- simple types ------------------------------------------------------------------------ */

static bool chance(source *s, unsigned percent)
{
    return drv_rng_below(s->rng, 100) < percent;
}

/* Small numbers often, any number of so many bits sometimes. */
static uint64_t number(source *s, unsigned bits)
{
    uint64_t any = drv_rng_next(s->rng);
    return any >> (64 - (unsigned)drv_rng_between(s->rng, 1, bits));
}

static uint32_t number32(source *s)
{
    return (uint32_t)number(s, 32);
}

static uint32_t between(source *s, uint32_t min, uint32_t max)
{
    return (uint32_t)drv_rng_between(s->rng, min, max);
}

static int64_t signed_number(source *s, unsigned bits)
{
    int64_t value = (int64_t)number(s, bits - 1);
    return chance(s, 50) ? value : -value - 1;
}

static void *items(source *s, size_t count, size_t size)
{
    void *memory = drv_arena_alloc(s->arena, count, size);
    DRV_ASSERT(memory != NULL);
    return memory;
}

static size_t count(source *s, size_t max)
{
    size_t bound = max < s->entries_max ? max : s->entries_max;
    return (size_t)drv_rng_below(s->rng, bound + 1);
}

static drover_id random_id(source *s)
{
    drover_id id;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        id.bytes[i] = (uint8_t)drv_rng_next(s->rng);
    }
    return id;
}

static uint32_t random_index(source *s)
{
    return chance(s, 50) ? DROVER_INDEX_NONE : between(s, 0, DRV_ARRAY_MAX - 1);
}

static struct drv_str name(source *s)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    size_t len = (size_t)drv_rng_between(s->rng, 1, chance(s, 10) ? DRV_NAME_MAX : 12);
    char *text = items(s, len, 1);
    for (size_t i = 0; i < len; i++) {
        text[i] = alphabet[drv_rng_below(s->rng, sizeof alphabet - 1)];
    }
    return (struct drv_str){text, len};
}

static struct drv_str text(source *s, size_t max)
{
    static const char *const pieces[] = {"a", " ", "\303\244", "\342\202\254",
                                         "\360\237\220\242"};
    size_t bound = chance(s, 5) ? max : (max < 20 ? max : 20);
    size_t wanted = (size_t)drv_rng_below(s->rng, bound + 1);
    char *bytes = items(s, wanted + 1, 1);
    size_t len = 0;
    for (;;) {
        const char *piece = pieces[drv_rng_below(s->rng, DRV_ARRAY_LEN(pieces))];
        if (len + strlen(piece) > wanted) {
            break;
        }
        memcpy(bytes + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return (struct drv_str){bytes, len};
}

static struct drv_str bytes(source *s, size_t max)
{
    size_t len = (size_t)drv_rng_below(s->rng, max + 1);
    uint8_t *at = items(s, len, 1);
    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)drv_rng_next(s->rng);
    }
    return (struct drv_str){(const char *)at, len};
}

static struct drv_str optional(source *s, struct drv_str value)
{
    return chance(s, 50) ? value : (struct drv_str){NULL, 0};
}

static struct drv_val val(source *s)
{
    if (chance(s, 20)) {
        return (struct drv_val){.is_nil = true};
    }
    struct drv_str content = bytes(s, chance(s, 5) ? s->value_max : 40);
    return (struct drv_val){.bytes = (const uint8_t *)content.ptr,
                            .len = content.len,
                            .content_type = chance(s, 20) ? text(s, DRV_CONTENT_TYPE_MAX)
                                                          : (struct drv_str){NULL, 0}};
}

/* ---- records ----------------------------------------------------------------------------- */

static struct drv_ref ref(source *s)
{
    return (struct drv_ref){.handle = number(s, 64),
                            .id = random_id(s),
                            .index = random_index(s),
                            .attempt = number32(s)};
}

static const struct drv_ref *refs(source *s, size_t *out_count)
{
    *out_count = count(s, 300);
    struct drv_ref *list = items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = ref(s);
    }
    return list;
}

static const struct drv_str *texts(source *s, size_t max, size_t *out_count)
{
    *out_count = count(s, max);
    struct drv_str *list = items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = text(s, 100);
    }
    return list;
}

static const struct drv_pair *pairs(source *s, size_t *out_count)
{
    *out_count = count(s, DRV_LABELS_MAX);
    struct drv_pair *list = items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_pair){name(s), text(s, DRV_LABEL_VALUE_MAX)};
    }
    return list;
}

static const struct drv_count *counts(source *s, size_t *out_count)
{
    *out_count = count(s, DRV_LABELS_MAX);
    struct drv_count *list = items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_count){name(s), number(s, 64)};
    }
    return list;
}

static const struct drv_note *notes(source *s, bool is_ack, size_t *out_count)
{
    *out_count = count(s, 20);
    struct drv_note *list = items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_note){.position = number32(s), .code = number32(s)};
        if (is_ack) {
            list[i].seq = number(s, 64);
        } else {
            list[i].text = optional(s, text(s, DRV_TEXT_MAX));
            list[i].retry_after_ms = number(s, 64);
        }
    }
    return list;
}

static struct drv_error error(source *s)
{
    if (chance(s, 60)) {
        return (struct drv_error){.kind = DROVER_ERROR_NONE};
    }
    return (struct drv_error){.kind = between(s, DROVER_ERROR_HANDLER, DROVER_ERROR_EXPIRED),
                              .code = text(s, 40),
                              .text = text(s, 200),
                              .exit_code = (int32_t)signed_number(s, 32),
                              .signal = number32(s),
                              .flags = number32(s),
                              .stderr_tail = bytes(s, 100)};
}

static const struct drv_after *after(source *s, size_t *out_count)
{
    *out_count = count(s, DRV_LABELS_MAX);
    struct drv_after *list = items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_after){random_id(s), random_index(s), between(s, 1, 2)};
    }
    return list;
}

static struct drv_spec spec(source *s)
{
    struct drv_spec out;
    drv_spec_init(&out, name(s));
    if (chance(s, 40)) {
        return out;
    }
    out.queue = optional(s, name(s));
    out.priority = (int32_t)signed_number(s, 8);
    out.delay_ms = number(s, 64);
    out.expire_ms = number(s, 64);
    out.timeout_ms = number(s, 64);
    out.retries = number32(s);
    out.backoff_ms = number(s, 64);
    out.backoff_max_ms = number(s, 64);
    out.loss_budget = (int32_t)signed_number(s, 32);
    out.durability = between(s, 0, 3);
    out.keep_ms = chance(s, 50) ? -1 : (int64_t)number(s, 63);
    out.flags = number32(s);
    out.key = optional(s, text(s, DRV_TEXT_MAX));
    out.key_window_ms = number(s, 64);
    out.after = after(s, &out.after_count);
    out.group = optional(s, name(s));
    out.tags = pairs(s, &out.tag_count);
    out.fairness = optional(s, text(s, DRV_TEXT_MAX));
    out.needs = counts(s, &out.need_count);
    out.require = pairs(s, &out.require_count);
    out.limit_memory_bytes = chance(s, 50) ? 0 : number(s, 64);
    out.limit_output_bytes = chance(s, 50) ? 0 : number(s, 64);
    out.meta = optional(s, bytes(s, 100));
    out.has_retry_of = chance(s, 30);
    out.retry_of = (struct drv_target){.id = random_id(s), .index = random_index(s)};
    return out;
}

static struct drv_targets targets(source *s)
{
    struct drv_targets out = {.text = text(s, DRV_TEXT_MAX), .flags = number32(s)};
    out.target_count = count(s, 1000);
    struct drv_target *list = items(s, out.target_count, sizeof *list);
    for (size_t i = 0; i < out.target_count; i++) {
        list[i] = (struct drv_target){.id = random_id(s),
                                      .index = random_index(s),
                                      .epoch = number(s, 64),
                                      .level = between(s, 0, 3),
                                      .new_id = random_id(s)};
    }
    out.targets = list;
    return out;
}

/* ---- connection -------------------------------------------------------------------------- */

static void fill_worker_hello(source *s, struct drv_worker_hello *out)
{
    out->slots = number32(s);
    out->pid = number32(s);
    out->host = text(s, 60);
    out->type_count = count(s, 200);
    struct drv_offer *types = items(s, out->type_count, sizeof *types);
    for (size_t i = 0; i < out->type_count; i++) {
        types[i] = (struct drv_offer){name(s), between(s, 0, 4), number32(s)};
    }
    out->types = types;
    out->queue_count = count(s, 100);
    struct drv_str *queues = items(s, out->queue_count, sizeof *queues);
    for (size_t i = 0; i < out->queue_count; i++) {
        queues[i] = name(s);
    }
    out->queues = queues;
    out->labels = pairs(s, &out->label_count);
    out->resources = counts(s, &out->resource_count);
    out->lease_count = number32(s);
    out->model = between(s, 0, 4);
}

static void fill_hello(source *s, struct drv_message *m)
{
    struct drv_hello *out = &m->hello;
    *out = (struct drv_hello){.version_min = number32(s),
                              .version_max = number32(s),
                              .role = between(s, 1, 2),
                              .session = random_id(s),
                              .resume = chance(s, 50),
                              .name = name(s),
                              .software = text(s, 100),
                              .channel = number32(s),
                              .credit_items = number(s, 64),
                              .credit_bytes = number(s, 64),
                              .has_worker = chance(s, 50)};
    out->capabilities = texts(s, DRV_CAPABILITIES_MAX, &out->capability_count);
    if (out->has_worker) {
        fill_worker_hello(s, &out->worker);
    }
}

static void fill_welcome(source *s, struct drv_message *m)
{
    struct drv_welcome *out = &m->welcome;
    *out = (struct drv_welcome){.version = number32(s),
                                .broker = random_id(s),
                                .software = text(s, 100),
                                .resumed = chance(s, 50),
                                .credit_items = number(s, 64),
                                .credit_bytes = number(s, 64),
                                .limits = {.head_max = number(s, 64),
                                           .blob_max = number(s, 64),
                                           .batch_max = number(s, 64),
                                           .inline_max = number(s, 64),
                                           .payload_max = number(s, 64),
                                           .requests_max = number(s, 64),
                                           .array_max = number(s, 64),
                                           .meta_max = number(s, 64)},
                                .heartbeat_ms = number(s, 64),
                                .lease_ms = number(s, 64),
                                .reattach_ms = number(s, 64),
                                .ack_ms = number(s, 64),
                                .session_ms = number(s, 64),
                                .durability_max = between(s, 0, 3),
                                .name = name(s)};
    out->capabilities = texts(s, DRV_CAPABILITIES_MAX, &out->capability_count);
    out->client_endpoints = texts(s, DRV_ENDPOINTS_MAX, &out->client_endpoint_count);
    out->worker_endpoints = texts(s, DRV_ENDPOINTS_MAX, &out->worker_endpoint_count);
}

static void fill_goodbye(source *s, struct drv_message *m)
{
    m->goodbye = (struct drv_goodbye){number32(s), text(s, DRV_TEXT_MAX)};
}

static void fill_failure(source *s, struct drv_message *m)
{
    m->failure = (struct drv_failure){.code = number32(s),
                                      .text = text(s, DRV_TEXT_MAX),
                                      .retry_after_ms = number(s, 64),
                                      .about_kind = number32(s),
                                      .about_seq = number(s, 64),
                                      .endpoint = optional(s, text(s, DRV_TEXT_MAX))};
}

static void fill_credit(source *s, struct drv_message *m)
{
    m->credit = (struct drv_credit){number(s, 64), number(s, 64)};
}

static void fill_chunk(source *s, struct drv_message *m)
{
    m->chunk = (struct drv_chunk){number(s, 64), number(s, 64), number(s, 64), bytes(s, 1000)};
}

static void fill_ack(source *s, struct drv_message *m)
{
    m->ack_notes.notes = notes(s, true, &m->ack_notes.note_count);
}

static void fill_heartbeat(source *s, struct drv_message *m)
{
    static const char map[] = "\x81\xa4"
                              "busy\x02";
    struct drv_heartbeat *out = &m->heartbeat;
    *out = (struct drv_heartbeat){.has_host = chance(s, 50)};
    out->running_count = count(s, 200);
    struct drv_running *running = items(s, out->running_count, sizeof *running);
    for (size_t i = 0; i < out->running_count; i++) {
        running[i] = (struct drv_running){ref(s), number(s, 64)};
    }
    out->running = running;
    out->host = (struct drv_host){.cpu_percent = drv_rng_unit(s->rng) * 100,
                                  .memory_percent = drv_rng_unit(s->rng),
                                  .disk_percent = 0,
                                  .process_count = number(s, 64),
                                  .load1 = drv_rng_unit(s->rng) * 1e9,
                                  .bytes_sent = number(s, 64),
                                  .bytes_recv = number(s, 64),
                                  .packets_sent = number(s, 64),
                                  .packets_recv = number(s, 64),
                                  .memory_total = number(s, 64),
                                  .memory_used = number(s, 64),
                                  .cpu_count = number(s, 64),
                                  .uptime_ms = number(s, 64)};
    if (chance(s, 50)) {
        out->details = (struct drv_str){map, sizeof map - 1};
    }
}

static void fill_attach(source *s, struct drv_message *m)
{
    m->attach.lease_count = count(s, DRV_BATCH_MAX);
    struct drv_attached *leases = items(s, m->attach.lease_count, sizeof *leases);
    for (size_t i = 0; i < m->attach.lease_count; i++) {
        leases[i] = (struct drv_attached){random_id(s), random_index(s), number32(s),
                                          between(s, 1, 3)};
    }
    m->attach.leases = leases;
}

static void fill_moved(source *s, struct drv_message *m)
{
    m->moved.client_endpoints = texts(s, 64, &m->moved.client_endpoint_count);
    m->moved.worker_endpoints = texts(s, 64, &m->moved.worker_endpoint_count);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void fill_submit(source *s, struct drv_message *m)
{
    size_t group_count = count(s, 4);
    struct drv_submit_group *groups = items(s, group_count, sizeof *groups);
    for (size_t i = 0; i < group_count; i++) {
        size_t entry_count = 1 + count(s, 200);
        struct drv_entry *entries = items(s, entry_count, sizeof *entries);
        for (size_t k = 0; k < entry_count; k++) {
            entries[k] = (struct drv_entry){random_id(s), val(s)};
        }
        groups[i] = (struct drv_submit_group){spec(s), entries, entry_count};
    }
    m->submit = (struct drv_submit){groups, group_count};
}

static void fill_array_open(source *s, struct drv_message *m)
{
    m->array_open = (struct drv_array_open){random_id(s), spec(s), val(s)};
}

static void fill_array_items(source *s, struct drv_message *m)
{
    size_t item_count = count(s, DRV_BATCH_MAX);
    struct drv_val *vals = items(s, item_count, sizeof *vals);
    for (size_t i = 0; i < item_count; i++) {
        vals[i] = val(s);
    }
    m->array_items = (struct drv_array_items){
        random_id(s), between(s, 0, DRV_ARRAY_MAX - DRV_BATCH_MAX), vals, item_count};
}

static void fill_array_seal(source *s, struct drv_message *m)
{
    m->array_seal = (struct drv_array_seal){random_id(s), between(s, 0, DRV_ARRAY_MAX)};
}

static void fill_targets(source *s, struct drv_message *m)
{
    m->targets = targets(s);
}

static void fill_kv(source *s, struct drv_message *m)
{
    m->kv = (struct drv_kv){.op = number32(s),
                            .key = text(s, DRV_KEY_MAX),
                            .val = val(s),
                            .number = signed_number(s, 64),
                            .ttl_ms = number(s, 64),
                            .has_fence = chance(s, 50),
                            .fence = ref(s)};
}

static int64_t setting(source *s)
{
    return chance(s, 40) ? -1 : (int64_t)number(s, 63);
}

static void fill_queue(source *s, struct drv_message *m)
{
    m->queue = (struct drv_queue_request){
        .op = number32(s),
        .queue = name(s),
        .has_settings = chance(s, 50),
        .settings = {setting(s), setting(s), setting(s), setting(s), setting(s), setting(s)}};
}

static void fill_worker(source *s, struct drv_message *m)
{
    m->worker = (struct drv_worker_request){number32(s), text(s, DRV_TEXT_MAX)};
}

/* ---- questions --------------------------------------------------------------------------- */

static void fill_query(source *s, struct drv_message *m)
{
    m->query = (struct drv_query){.topic = number32(s),
                                  .has_id = chance(s, 50),
                                  .id = random_id(s),
                                  .index = random_index(s),
                                  .name = optional(s, text(s, 200)),
                                  .text = optional(s, text(s, 200)),
                                  .states = number32(s),
                                  .cursor = optional(s, bytes(s, 40)),
                                  .limit = number32(s)};
}

static void fill_document(source *s, struct drv_message *m)
{
    m->document = (struct drv_document){.req = number(s, 64),
                                        .code = number32(s),
                                        .text = text(s, DRV_TEXT_MAX),
                                        .cursor = optional(s, bytes(s, 40)),
                                        .body = bytes(s, 2000)};
}

static void fill_reply(source *s, struct drv_message *m)
{
    m->reply.reply_count = count(s, 40);
    struct drv_reply *replies = items(s, m->reply.reply_count, sizeof *replies);
    for (size_t i = 0; i < m->reply.reply_count; i++) {
        replies[i] = (struct drv_reply){.req = number(s, 64),
                                        .code = number32(s),
                                        .number = signed_number(s, 64),
                                        .text = optional(s, text(s, 100)),
                                        .retry_after_ms = number(s, 64),
                                        .val = val(s)};
        replies[i].notes = notes(s, false, &replies[i].note_count);
    }
    m->reply.replies = replies;
}

static void fill_results(source *s, struct drv_message *m)
{
    m->results.entry_count = count(s, 100);
    struct drv_outcome *entries = items(s, m->results.entry_count, sizeof *entries);
    for (size_t i = 0; i < m->results.entry_count; i++) {
        entries[i] = (struct drv_outcome){
            .id = random_id(s),
            .index = random_index(s),
            .state = between(s, DROVER_STATE_SUCCEEDED, DROVER_STATE_LOST),
            .attempt = number32(s),
            .val = val(s),
            .error = error(s),
            .level = between(s, 0, 3)};
    }
    m->results.entries = entries;
}

/* ---- work -------------------------------------------------------------------------------- */

static void fill_lease(source *s, struct drv_message *m)
{
    size_t group_count = count(s, 4);
    struct drv_lease_group *groups = items(s, group_count, sizeof *groups);
    for (size_t i = 0; i < group_count; i++) {
        size_t entry_count = 1 + count(s, 200);
        struct drv_lease_entry *entries = items(s, entry_count, sizeof *entries);
        for (size_t k = 0; k < entry_count; k++) {
            entries[k] = (struct drv_lease_entry){ref(s), val(s), optional(s, bytes(s, 30))};
        }
        groups[i] = (struct drv_lease_group){.type = name(s),
                                             .queue = name(s),
                                             .timeout_ms = number(s, 64),
                                             .term_ms = number(s, 64),
                                             .kill_ms = number(s, 64),
                                             .flags = number32(s),
                                             .entries = entries,
                                             .entry_count = entry_count};
    }
    m->lease = (struct drv_lease){groups, group_count};
}

static const struct drv_result *results(source *s, size_t *out_count)
{
    *out_count = count(s, 100);
    struct drv_result *list = items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_result){
            .ref = ref(s),
            .outcome = between(s, 1, 3),
            .val = val(s),
            .error = error(s),
            .run_us = number(s, 64),
            .has_usage = chance(s, 50),
            .usage = {number(s, 64), number(s, 64), number(s, 64), number32(s)}};
    }
    return list;
}

static void fill_report(source *s, struct drv_message *m)
{
    struct drv_report *out = &m->report;
    out->started = refs(s, &out->started_count);
    out->results = results(s, &out->result_count);
    out->returned_count = count(s, 100);
    struct drv_returned *returned = items(s, out->returned_count, sizeof *returned);
    for (size_t i = 0; i < out->returned_count; i++) {
        returned[i] = (struct drv_returned){ref(s), between(s, 1, 5)};
    }
    out->returned = returned;
    out->progress_count = count(s, 100);
    struct drv_progress *progress = items(s, out->progress_count, sizeof *progress);
    for (size_t i = 0; i < out->progress_count; i++) {
        progress[i] = (struct drv_progress){ref(s), between(s, 0, 1000), text(s, 100)};
    }
    out->progress = progress;
}

static void fill_refs(source *s, struct drv_message *m)
{
    m->leases.leases = refs(s, &m->leases.lease_count);
}

static void fill_abort(source *s, struct drv_message *m)
{
    m->abort.lease_count = count(s, 300);
    struct drv_abort_entry *leases = items(s, m->abort.lease_count, sizeof *leases);
    for (size_t i = 0; i < m->abort.lease_count; i++) {
        leases[i] = (struct drv_abort_entry){ref(s), number32(s)};
    }
    m->abort.leases = leases;
}

static void fill_log(source *s, struct drv_message *m)
{
    m->log = (struct drv_log_chunk){ref(s), between(s, 1, 3), number(s, 64), bytes(s, 500)};
}

static void fill_await(source *s, struct drv_message *m)
{
    m->await.ref = ref(s);
    m->await.child_count = count(s, 300);
    drover_id *children = items(s, m->await.child_count, sizeof *children);
    for (size_t i = 0; i < m->await.child_count; i++) {
        children[i] = random_id(s);
    }
    m->await.children = children;
}

static void fill_shared(source *s, struct drv_message *m)
{
    m->shared = (struct drv_shared){random_id(s), val(s)};
}

static void fill_drain(source *s, struct drv_message *m)
{
    m->drain = (struct drv_drain){chance(s, 50), text(s, DRV_TEXT_MAX)};
}

/* ---- messages ---------------------------------------------------------------------------- */

static void (*const fillers[DRV_DRAIN + 1])(source *s, struct drv_message *m) = {
    [DRV_HELLO] = fill_hello,
    [DRV_WELCOME] = fill_welcome,
    [DRV_GOODBYE] = fill_goodbye,
    [DRV_ERROR] = fill_failure,
    [DRV_CREDIT] = fill_credit,
    [DRV_CHUNK] = fill_chunk,
    [DRV_ACK] = fill_ack,
    [DRV_HEARTBEAT] = fill_heartbeat,
    [DRV_ATTACH] = fill_attach,
    [DRV_MOVED] = fill_moved,
    [DRV_SUBMIT] = fill_submit,
    [DRV_ARRAY_OPEN] = fill_array_open,
    [DRV_ARRAY_ITEMS] = fill_array_items,
    [DRV_ARRAY_SEAL] = fill_array_seal,
    [DRV_CANCEL] = fill_targets,
    [DRV_RETRY] = fill_targets,
    [DRV_KV] = fill_kv,
    [DRV_QUEUE] = fill_queue,
    [DRV_WORKER] = fill_worker,
    [DRV_FORGET] = fill_targets,
    [DRV_WATCH] = fill_targets,
    [DRV_UNWATCH] = fill_targets,
    [DRV_QUERY] = fill_query,
    [DRV_DOCUMENT] = fill_document,
    [DRV_REPLY] = fill_reply,
    [DRV_RESULTS] = fill_results,
    [DRV_LEASE] = fill_lease,
    [DRV_REPORT] = fill_report,
    [DRV_RECALL] = fill_refs,
    [DRV_ABORT] = fill_abort,
    [DRV_GO] = fill_refs,
    [DRV_LOG] = fill_log,
    [DRV_AWAIT] = fill_await,
    [DRV_SHARED] = fill_shared,
    [DRV_DRAIN] = fill_drain,
};

void random_message(const struct random_source *s, unsigned kind,
                    struct drv_message *out_message)
{
    DRV_ASSERT(kind < DRV_ARRAY_LEN(fillers) && fillers[kind] != NULL);
    *out_message = (struct drv_message){.kind = (enum drv_kind)kind,
                                        .epoch = number(s, 64),
                                        .seq = number(s, 64),
                                        .ack = number(s, 64)};
    if (kind >= DRV_SUBMIT && kind <= DRV_QUERY) {
        out_message->request.req = number(s, 63) + 1;
    }
    if (kind >= DRV_SUBMIT && kind <= DRV_ALERT) {
        out_message->request.floor = number(s, 64);
        out_message->request.budget_ms = number(s, 64);
    }
    fillers[kind](s, out_message);
}
