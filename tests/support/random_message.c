/*
 * random_message.c: see random_message.h.
 */
#include "random_message.h"
#include "random_value.h"

#include "check.h"

const unsigned random_kinds[] = {
    DRV_HELLO,     DRV_WELCOME,    DRV_GOODBYE,     DRV_ERROR,      DRV_CREDIT,
    DRV_CHUNK,     DRV_ACK,        DRV_HEARTBEAT,   DRV_ATTACH,     DRV_MOVED,
    DRV_SUBMIT,    DRV_ARRAY_OPEN, DRV_ARRAY_ITEMS, DRV_ARRAY_SEAL, DRV_CANCEL,
    DRV_RETRY,     DRV_KV,         DRV_QUEUE,       DRV_WORKER,     DRV_FORGET,
    DRV_WATCH,     DRV_UNWATCH,    DRV_QUERY,       DRV_DOCUMENT,   DRV_REPLY,
    DRV_RESULTS,   DRV_LEASE,      DRV_REPORT,      DRV_RECALL,     DRV_ABORT,
    DRV_GO,        DRV_LOG,        DRV_AWAIT,       DRV_SHARED,     DRV_DRAIN,
    DRV_SUBSCRIBE, DRV_LOGS,       DRV_EVENTS,      DRV_TAKEN,      DRV_FOLLOW,
    DRV_SCHEDULE,  DRV_GRAPH,      DRV_FETCH,       DRV_ALERT,      0};

size_t random_kind_count(void)
{
    return DRV_ARRAY_LEN(random_kinds) - 1;
}

/* ---- connection -------------------------------------------------------------------------- */

static void fill_worker_hello(source *s, struct drv_worker_hello *out)
{
    out->slots = random_number32(s);
    out->pid = random_number32(s);
    out->host = random_text(s, 60);
    out->type_count = random_count(s, 200);
    struct drv_offer *types = random_items(s, out->type_count, sizeof *types);
    for (size_t i = 0; i < out->type_count; i++) {
        types[i] = (struct drv_offer){random_name(s), random_between(s, 0, 4),
                                      random_number32(s)};
    }
    out->types = types;
    out->queue_count = random_count(s, 100);
    struct drv_str *queues = random_items(s, out->queue_count, sizeof *queues);
    for (size_t i = 0; i < out->queue_count; i++) {
        queues[i] = random_name(s);
    }
    out->queues = queues;
    out->labels = random_pairs(s, &out->label_count);
    out->resources = random_counts(s, &out->resource_count);
    out->lease_count = random_number32(s);
    out->model = random_between(s, 0, 4);
}

static void fill_hello(source *s, struct drv_message *m)
{
    struct drv_hello *out = &m->hello;
    *out = (struct drv_hello){.version_min = random_number32(s),
                              .version_max = random_number32(s),
                              .role = random_between(s, 1, 2),
                              .session = random_id(s),
                              .resume = random_chance(s, 50),
                              .name = random_name(s),
                              .software = random_text(s, 100),
                              .channel = random_number32(s),
                              .credit_items = random_number(s, 64),
                              .credit_bytes = random_number(s, 64),
                              .has_worker = random_chance(s, 50)};
    out->capabilities = random_texts(s, DRV_CAPABILITIES_MAX, &out->capability_count);
    if (out->has_worker) {
        fill_worker_hello(s, &out->worker);
    }
}

static void fill_welcome(source *s, struct drv_message *m)
{
    struct drv_welcome *out = &m->welcome;
    *out = (struct drv_welcome){.version = random_number32(s),
                                .broker = random_id(s),
                                .software = random_text(s, 100),
                                .resumed = random_chance(s, 50),
                                .credit_items = random_number(s, 64),
                                .credit_bytes = random_number(s, 64),
                                .limits = {.head_max = random_number(s, 64),
                                           .blob_max = random_number(s, 64),
                                           .batch_max = random_number(s, 64),
                                           .inline_max = random_number(s, 64),
                                           .payload_max = random_number(s, 64),
                                           .requests_max = random_number(s, 64),
                                           .array_max = random_number(s, 64),
                                           .meta_max = random_number(s, 64)},
                                .heartbeat_ms = random_number(s, 64),
                                .lease_ms = random_number(s, 64),
                                .reattach_ms = random_number(s, 64),
                                .ack_ms = random_number(s, 64),
                                .session_ms = random_number(s, 64),
                                .durability_max = random_between(s, 0, 3),
                                .name = random_name(s)};
    out->capabilities = random_texts(s, DRV_CAPABILITIES_MAX, &out->capability_count);
    out->client_endpoints = random_texts(s, DRV_ENDPOINTS_MAX, &out->client_endpoint_count);
    out->worker_endpoints = random_texts(s, DRV_ENDPOINTS_MAX, &out->worker_endpoint_count);
}

static void fill_goodbye(source *s, struct drv_message *m)
{
    m->goodbye = (struct drv_goodbye){random_number32(s), random_text(s, DRV_TEXT_MAX)};
}

static void fill_failure(source *s, struct drv_message *m)
{
    m->failure = (struct drv_failure){
        .code = random_number32(s),
        .text = random_text(s, DRV_TEXT_MAX),
        .retry_after_ms = random_number(s, 64),
        .about_kind = random_number32(s),
        .about_seq = random_number(s, 64),
        .endpoint = random_optional(s, random_text(s, DRV_TEXT_MAX))};
}

static void fill_credit(source *s, struct drv_message *m)
{
    m->credit = (struct drv_credit){random_number(s, 64), random_number(s, 64)};
}

static void fill_chunk(source *s, struct drv_message *m)
{
    m->chunk = (struct drv_chunk){random_number(s, 64), random_number(s, 64),
                                  random_number(s, 64), random_bytes(s, 1000)};
}

static void fill_ack(source *s, struct drv_message *m)
{
    m->ack_notes.notes = random_notes(s, true, &m->ack_notes.note_count);
}

static void fill_heartbeat(source *s, struct drv_message *m)
{
    static const char map[] = "\x81\xa4"
                              "busy\x02";
    struct drv_heartbeat *out = &m->heartbeat;
    *out = (struct drv_heartbeat){.has_host = random_chance(s, 50)};
    out->running_count = random_count(s, 200);
    struct drv_running *running = random_items(s, out->running_count, sizeof *running);
    for (size_t i = 0; i < out->running_count; i++) {
        running[i] = (struct drv_running){random_ref(s), random_number(s, 64)};
    }
    out->running = running;
    out->next_us = random_number(s, 64);
    out->host = (struct drv_host){.cpu_percent = drv_rng_unit(s->rng) * 100,
                                  .memory_percent = drv_rng_unit(s->rng),
                                  .disk_percent = 0,
                                  .process_count = random_number(s, 64),
                                  .load1 = drv_rng_unit(s->rng) * 1e9,
                                  .bytes_sent = random_number(s, 64),
                                  .bytes_recv = random_number(s, 64),
                                  .packets_sent = random_number(s, 64),
                                  .packets_recv = random_number(s, 64),
                                  .memory_total = random_number(s, 64),
                                  .memory_used = random_number(s, 64),
                                  .cpu_count = random_number(s, 64),
                                  .uptime_ms = random_number(s, 64)};
    if (random_chance(s, 50)) {
        out->details = (struct drv_str){map, sizeof map - 1};
    }
}

static void fill_attach(source *s, struct drv_message *m)
{
    m->attach.lease_count = random_count(s, DRV_BATCH_MAX);
    struct drv_attached *leases = random_items(s, m->attach.lease_count, sizeof *leases);
    for (size_t i = 0; i < m->attach.lease_count; i++) {
        uint32_t index = random_index(s);
        leases[i] = (struct drv_attached){random_id(s), index, random_number32(s),
                                          random_between(s, 1, 3), random_more(s, index)};
    }
    m->attach.leases = leases;
}

static void fill_moved(source *s, struct drv_message *m)
{
    m->moved.client_endpoints = random_texts(s, 64, &m->moved.client_endpoint_count);
    m->moved.worker_endpoints = random_texts(s, 64, &m->moved.worker_endpoint_count);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void fill_submit(source *s, struct drv_message *m)
{
    size_t group_count = random_count(s, 4);
    struct drv_submit_group *groups = random_items(s, group_count, sizeof *groups);
    for (size_t i = 0; i < group_count; i++) {
        size_t entry_count = 1 + random_count(s, 200);
        struct drv_entry *entries = random_items(s, entry_count, sizeof *entries);
        for (size_t k = 0; k < entry_count; k++) {
            entries[k] = (struct drv_entry){random_id(s), random_val(s)};
            if (random_is_plain(s)) {
                entries[k].val = random_plain_val(s);
            }
        }
        groups[i] = (struct drv_submit_group){random_spec(s), entries, entry_count};
    }
    m->submit = (struct drv_submit){groups, group_count};
}

static void fill_array_open(source *s, struct drv_message *m)
{
    m->array_open = (struct drv_array_open){random_id(s), random_spec(s), random_val(s)};
}

static void fill_array_items(source *s, struct drv_message *m)
{
    size_t item_count = random_count(s, DRV_BATCH_MAX);
    struct drv_val *vals = random_items(s, item_count, sizeof *vals);
    for (size_t i = 0; i < item_count; i++) {
        vals[i] = random_val(s);
    }
    m->array_items = (struct drv_array_items){
        random_id(s), random_between(s, 0, DRV_ARRAY_MAX - DRV_BATCH_MAX), vals, item_count};
}

static void fill_array_seal(source *s, struct drv_message *m)
{
    m->array_seal = (struct drv_array_seal){random_id(s), random_between(s, 0, DRV_ARRAY_MAX)};
}

static void fill_targets(source *s, struct drv_message *m)
{
    m->targets = random_targets(s);
    m->targets.group = random_optional(s, random_name(s));
}

static void fill_kv(source *s, struct drv_message *m)
{
    m->kv = (struct drv_kv){.op = random_number32(s),
                            .key = random_text(s, DRV_KEY_MAX),
                            .val = random_val(s),
                            .number = random_signed_number(s, 64),
                            .ttl_ms = random_number(s, 64),
                            .has_fence = random_chance(s, 50),
                            .fence = random_ref(s)};
}

static int64_t setting(source *s)
{
    return random_chance(s, 40) ? -1 : (int64_t)random_number(s, 63);
}

static void fill_queue(source *s, struct drv_message *m)
{
    m->queue = (struct drv_queue_request){
        .op = random_number32(s),
        .queue = random_name(s),
        .has_settings = random_chance(s, 50),
        .settings = {setting(s), setting(s), setting(s), setting(s), setting(s), setting(s),
                     random_chance(s, 40) ? -1 : (int64_t)random_number(s, 2), setting(s),
                     setting(s)}};
}

static void fill_worker(source *s, struct drv_message *m)
{
    m->worker = (struct drv_worker_request){random_number32(s), random_text(s, DRV_TEXT_MAX)};
}

static void fill_schedule(source *s, struct drv_message *m)
{
    struct drv_schedule_request *out = &m->schedule;
    *out = (struct drv_schedule_request){.op = random_number32(s),
                                         .name = random_name(s),
                                         .has_plan = random_chance(s, 70),
                                         .has_id = random_chance(s, 50)};
    if (out->has_id) {
        out->id = random_id(s);
    }
    if (out->has_plan) {
        out->plan = (struct drv_plan){.cron = random_optional(s, random_text(s, 200)),
                                      .zone = random_optional(s, random_text(s, 100)),
                                      .every_ms = random_number(s, 64),
                                      .jitter_ms = random_number(s, 64),
                                      .overlap = random_between(s, 0, DRV_OVERLAPS - 1),
                                      .missed = random_between(s, 0, DRV_MISSED_POLICIES - 1),
                                      .late_ms = random_number(s, 64),
                                      .flags = random_number32(s),
                                      .spec = random_spec(s),
                                      .val = random_val(s)};
    }
}

static void fill_alert(source *s, struct drv_message *m)
{
    m->alert = (struct drv_alert_request){.op = random_number32(s),
                                          .rule = random_optional(s, random_name(s)),
                                          .subject = random_optional(s, random_name(s)),
                                          .has_what = random_chance(s, 50),
                                          .time_ms = random_number(s, 64)};
    if (m->alert.has_what) {
        m->alert.what = (struct drv_alert_rule){
            .metric = random_number32(s),
            .comparison = random_number32(s),
            .threshold = (double)random_number(s, 32),
            .clear = (double)random_number(s, 32),
            .for_ms = random_number(s, 64),
            .clear_ms = random_number(s, 64),
            .severity = random_number32(s),
        };
    }
}

/* ---- questions --------------------------------------------------------------------------- */

static void fill_query(source *s, struct drv_message *m)
{
    m->query = (struct drv_query){.topic = random_number32(s),
                                  .has_id = random_chance(s, 50),
                                  .id = random_id(s),
                                  .index = random_index(s),
                                  .name = random_optional(s, random_text(s, 200)),
                                  .text = random_optional(s, random_text(s, 200)),
                                  .states = random_number32(s),
                                  .cursor = random_optional(s, random_bytes(s, 40)),
                                  .limit = random_number32(s),
                                  .group = random_optional(s, random_name(s)),
                                  .tag_name = random_optional(s, random_name(s))};
    if (m->query.tag_name.ptr != NULL) {
        m->query.tag_value = random_text(s, DRV_LABEL_VALUE_MAX);
    }
}

static void fill_document(source *s, struct drv_message *m)
{
    m->document = (struct drv_document){.req = random_number(s, 64),
                                        .code = random_number32(s),
                                        .text = random_text(s, DRV_TEXT_MAX),
                                        .cursor = random_optional(s, random_bytes(s, 40)),
                                        .body = random_bytes(s, 2000)};
}

static void fill_reply(source *s, struct drv_message *m)
{
    m->reply.reply_count = random_count(s, 40);
    struct drv_reply *replies = random_items(s, m->reply.reply_count, sizeof *replies);
    for (size_t i = 0; i < m->reply.reply_count; i++) {
        replies[i] = (struct drv_reply){.req = random_number(s, 64),
                                        .code = random_number32(s),
                                        .number = random_signed_number(s, 64),
                                        .text = random_optional(s, random_text(s, 100)),
                                        .retry_after_ms = random_number(s, 64),
                                        .val = random_val(s)};
        replies[i].notes = random_notes(s, false, &replies[i].note_count);
        replies[i].error = random_error(s);
    }
    m->reply.replies = replies;
}

static void fill_fetch(source *s, struct drv_message *m)
{
    m->fetch = (struct drv_fetch){random_id(s), random_index(s)};
}

static void fill_results(source *s, struct drv_message *m)
{
    m->results.entry_count = random_count(s, 100);
    struct drv_outcome *entries = random_items(s, m->results.entry_count, sizeof *entries);
    for (size_t i = 0; i < m->results.entry_count; i++) {
        entries[i] = (struct drv_outcome){
            .id = random_id(s),
            .index = random_index(s),
            .state = random_between(s, DROVER_STATE_SUCCEEDED, DROVER_STATE_LOST),
            .attempt = random_number32(s),
            .val = random_val(s),
            .error = random_error(s),
            .level = random_between(s, 0, 3)};
        entries[i].range = random_range(s, entries[i].index, &entries[i].val);
        if (random_is_plain(s)) {
            entries[i].val = random_plain_val(s);
            entries[i].index = DROVER_INDEX_NONE;
            entries[i].state = DROVER_STATE_SUCCEEDED;
            entries[i].error = (struct drv_error){0};
            entries[i].level = DROVER_DURABILITY_MEMORY;
            entries[i].range = (struct drv_range){0};
        }
    }
    m->results.entries = entries;
}

/* ---- streams ----------------------------------------------------------------------------- */

/* Cuts the bytes into pieces; returns how many. */
static size_t cut(source *s, size_t len, struct drv_piece *pieces, size_t max)
{
    size_t count = 0;
    for (size_t at = 0; at < len; count++) {
        size_t part = count + 1 == max ? len - at : 1 + random_count(s, 100);
        part = part < len - at ? part : len - at;
        pieces[count] = (struct drv_piece){.index = random_index(s),
                                           .attempt = random_number32(s),
                                           .stream = random_between(s, 1, 4),
                                           .offset = random_number(s, 64),
                                           .len = (uint32_t)part};
        at += part;
    }
    return count;
}

static void fill_subscribe(source *s, struct drv_message *m)
{
    m->subscribe = (struct drv_subscribe){
        .subscription = random_number(s, 63) + 1,
        .stream = random_number32(s),
        .items = random_number(s, 64),
        .bytes = random_number(s, 64),
        .taken = random_number(s, 64),
        .flags = random_number32(s),
        .mask = random_number(s, 64),
        .has_id = random_chance(s, 50),
        .index = random_index(s),
        .queue = random_optional(s, random_name(s)),
        .type = random_optional(s, random_name(s)),
        .worker = random_optional(s, random_text(s, DRV_NAME_MAX)),
        .text = random_optional(s, random_text(s, DRV_KEY_MAX)),
        .tag_name = random_optional(s, random_name(s)),
        .group = random_optional(s, random_name(s)),
    };
    if (m->subscribe.has_id) {
        m->subscribe.id = random_id(s);
    }
    if (m->subscribe.tag_name.ptr != NULL) {
        m->subscribe.tag_value = random_text(s, DRV_LABEL_VALUE_MAX);
    }
}

static void fill_logs(source *s, struct drv_message *m)
{
    enum { PIECES = 50 };
    struct drv_piece *pieces = random_items(s, PIECES, sizeof *pieces);
    struct drv_str text = random_bytes(s, 5000);
    m->logs = (struct drv_logs){.subscription = random_number(s, 64),
                                .first = random_number(s, 64),
                                .pieces = pieces,
                                .state = random_between(s, 0, 9),
                                .text = text};
    m->logs.piece_count = cut(s, text.len, pieces, PIECES);
}

static void fill_events(source *s, struct drv_message *m)
{
    enum { ENTRIES = 50 };
    struct drv_piece pieces[ENTRIES];
    struct drv_event_entry *entries = random_items(s, ENTRIES, sizeof *entries);
    struct drv_str maps = random_bytes(s, 5000);
    size_t count = cut(s, maps.len, pieces, ENTRIES);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct drv_event_entry){random_number(s, 64), pieces[i].len};
    }
    m->events = (struct drv_events){random_number(s, 64), random_number(s, 64), entries, count,
                                    maps};
}

static void fill_taken(source *s, struct drv_message *m)
{
    m->taken.entry_count = random_count(s, 100);
    struct drv_taken_entry *entries = random_items(s, m->taken.entry_count, sizeof *entries);
    for (size_t i = 0; i < m->taken.entry_count; i++) {
        entries[i] = (struct drv_taken_entry){random_number(s, 64), random_number(s, 64)};
    }
    m->taken.entries = entries;
}

/* ---- work -------------------------------------------------------------------------------- */

static void fill_lease(source *s, struct drv_message *m)
{
    size_t group_count = random_count(s, 4);
    struct drv_lease_group *groups = random_items(s, group_count, sizeof *groups);
    for (size_t i = 0; i < group_count; i++) {
        size_t entry_count = 1 + random_count(s, 200);
        struct drv_lease_entry *entries = random_items(s, entry_count, sizeof *entries);
        for (size_t k = 0; k < entry_count; k++) {
            entries[k] = (struct drv_lease_entry){
                .ref = random_ref(s),
                .val = random_val(s),
                .meta = random_optional(s, random_bytes(s, 30))};
            entries[k].parents = random_parents(s, &entries[k].parent_count);
            entries[k].range = random_range(s, entries[k].ref.index, &entries[k].val);
            if (random_is_plain(s)) {
                entries[k] = (struct drv_lease_entry){.ref = random_ref(s)};
                entries[k].ref.index = DROVER_INDEX_NONE;
                entries[k].val = random_plain_val(s);
            }
        }
        groups[i] = (struct drv_lease_group){
            .type = random_name(s),
            .queue = random_name(s),
            .timeout_ms = random_number(s, 64),
            .term_ms = random_number(s, 64),
            .kill_ms = random_number(s, 64),
            .flags = random_number32(s),
            .entries = entries,
            .entry_count = entry_count,
            .limits = {.cpu_ms = random_number(s, 64), .files = random_number(s, 64)}};
        groups[i].needs = random_counts(s, &groups[i].need_count);
    }
    m->lease = (struct drv_lease){groups, group_count};
}

static struct drv_tail random_tail(source *s)
{
    enum { PIECES = 8 };
    struct drv_tail tail = {.text = random_bytes(s, 300)};
    struct drv_piece *pieces = random_items(s, PIECES, sizeof *pieces);
    tail.piece_count = cut(s, tail.text.len, pieces, PIECES);
    for (size_t i = 0; i < tail.piece_count; i++) {
        pieces[i].index = 0;
        pieces[i].attempt = 0;
    }
    tail.pieces = pieces;
    return tail;
}

static const struct drv_result *results(source *s, size_t *out_count)
{
    *out_count = random_count(s, 100);
    struct drv_result *list = random_items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_result){.ref = random_ref(s),
                                      .outcome = random_between(s, 1, 3),
                                      .val = random_val(s),
                                      .error = random_error(s),
                                      .run_us = random_number(s, 64),
                                      .has_usage = random_chance(s, 50),
                                      .usage = {random_number(s, 64), random_number(s, 64),
                                                random_number(s, 64), random_number32(s),
                                                random_between(s, 0, 2)},
                                      .tail = random_tail(s),
                                      .wait_us = random_number(s, 64),
                                      .hold_us = random_number(s, 64)};
        list[i].range = random_range(s, list[i].ref.index, &list[i].val);
        if (list[i].range.count > 0) {
            list[i].outcome = DRV_OUTCOME_SUCCEEDED;
            list[i].error = (struct drv_error){0};
            list[i].tail = (struct drv_tail){0};
        }
        if (random_is_plain(s)) {
            list[i] = (struct drv_result){.ref = random_ref(s),
                                          .outcome = DRV_OUTCOME_SUCCEEDED,
                                          .run_us = random_number(s, 32),
                                          .has_usage = true,
                                          .usage = {random_number(s, 32), random_number(s, 32),
                                                    random_number(s, 64), random_number32(s),
                                                    DRV_KEPT_NOTHING},
                                          .wait_us = random_number(s, 32),
                                          .hold_us = random_number(s, 32)};
            list[i].ref.index = DROVER_INDEX_NONE;
            list[i].val = random_plain_val(s);
        }
    }
    return list;
}

static void fill_report(source *s, struct drv_message *m)
{
    struct drv_report *out = &m->report;
    out->started = random_refs(s, &out->started_count);
    out->results = results(s, &out->result_count);
    out->returned_count = random_count(s, 100);
    struct drv_returned *returned = random_items(s, out->returned_count, sizeof *returned);
    for (size_t i = 0; i < out->returned_count; i++) {
        struct drv_ref ref = random_ref(s);
        returned[i] = (struct drv_returned){ref, random_between(s, 1, DRV_RETURN_LOST),
                                            random_more(s, ref.index)};
    }
    out->returned = returned;
    out->progress_count = random_count(s, 100);
    struct drv_progress *progress = random_items(s, out->progress_count, sizeof *progress);
    for (size_t i = 0; i < out->progress_count; i++) {
        progress[i] = (struct drv_progress){random_ref(s), random_between(s, 0, 1000),
                                            random_text(s, 100)};
    }
    out->progress = progress;
}

static void fill_refs(source *s, struct drv_message *m)
{
    m->leases.leases = random_refs(s, &m->leases.lease_count);
}

static void fill_abort(source *s, struct drv_message *m)
{
    m->abort.lease_count = random_count(s, 300);
    struct drv_abort_entry *leases = random_items(s, m->abort.lease_count, sizeof *leases);
    for (size_t i = 0; i < m->abort.lease_count; i++) {
        struct drv_ref ref = random_ref(s);
        leases[i] = (struct drv_abort_entry){ref, random_number32(s),
                                             random_more(s, ref.index)};
    }
    m->abort.leases = leases;
}

static void fill_log(source *s, struct drv_message *m)
{
    m->log = (struct drv_log_chunk){random_ref(s), random_between(s, 1, 4),
                                    random_number(s, 64), random_number32(s),
                                    random_bytes(s, 500)};
}

static void fill_follow(source *s, struct drv_message *m)
{
    m->follow.lease_count = random_count(s, 300);
    struct drv_follow_entry *leases = random_items(s, m->follow.lease_count, sizeof *leases);
    for (size_t i = 0; i < m->follow.lease_count; i++) {
        leases[i] = (struct drv_follow_entry){random_ref(s), random_number32(s)};
    }
    m->follow.leases = leases;
}

static void fill_await(source *s, struct drv_message *m)
{
    m->await.ref = random_ref(s);
    m->await.child_count = random_count(s, 300);
    drover_id *children = random_items(s, m->await.child_count, sizeof *children);
    for (size_t i = 0; i < m->await.child_count; i++) {
        children[i] = random_id(s);
    }
    m->await.children = children;
}

static void fill_shared(source *s, struct drv_message *m)
{
    m->shared = (struct drv_shared){random_id(s), random_val(s)};
}

static void fill_drain(source *s, struct drv_message *m)
{
    m->drain = (struct drv_drain){random_chance(s, 50), random_text(s, DRV_TEXT_MAX)};
}

/* ---- messages ---------------------------------------------------------------------------- */

static void (*const fillers[DRV_KIND_MAX + 1])(source *s, struct drv_message *m) = {
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
    [DRV_SCHEDULE] = fill_schedule,
    [DRV_ALERT] = fill_alert,
    [DRV_FORGET] = fill_targets,
    [DRV_WATCH] = fill_targets,
    [DRV_UNWATCH] = fill_targets,
    [DRV_QUERY] = fill_query,
    [DRV_DOCUMENT] = fill_document,
    [DRV_GRAPH] = fill_submit,
    [DRV_FETCH] = fill_fetch,
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
    [DRV_SUBSCRIBE] = fill_subscribe,
    [DRV_LOGS] = fill_logs,
    [DRV_EVENTS] = fill_events,
    [DRV_TAKEN] = fill_taken,
    [DRV_FOLLOW] = fill_follow,
};

void random_message(const struct random_source *s, unsigned kind,
                    struct drv_message *out_message)
{
    DRV_ASSERT(kind < DRV_ARRAY_LEN(fillers) && fillers[kind] != NULL);
    *out_message = (struct drv_message){.kind = (enum drv_kind)kind,
                                        .epoch = random_number(s, 64),
                                        .seq = random_number(s, 64),
                                        .ack = random_number(s, 64)};
    if ((kind >= DRV_SUBMIT && kind <= DRV_QUERY) || kind == DRV_SUBSCRIBE ||
        kind == DRV_FETCH) {
        out_message->request.req = random_number(s, 63) + 1;
    }
    if (kind >= DRV_SUBMIT && kind <= DRV_ALERT) {
        out_message->request.floor = random_number(s, 64);
        out_message->request.budget_ms = random_number(s, 64);
    }
    fillers[kind](s, out_message);
}
