/*
 * The fields of the test vectors: that each position of the document is the member of the
 * message that the header says.
 */
#include "test.h"

#include "vectors.h"

/* ---- the fields -------------------------------------------------------------------------- */

static void assert_text(struct drv_str found, const char *expected)
{
    if (expected == NULL) {
        assert_null(found.ptr);
        return;
    }
    assert_non_null(found.ptr);
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.ptr, expected, found.len);
}

static void assert_val(const struct drv_val *val, const char *expected)
{
    assert_false(val->is_nil);
    assert_int_equal(val->len, strlen(expected));
    if (val->len > 0) {
        assert_memory_equal(val->bytes, expected, val->len);
    }
}

/* The ids of the vectors end in a number. */
static void assert_id(const drover_id *id, unsigned number)
{
    assert_int_equal(id->bytes[0], 0x01);
    assert_int_equal(id->bytes[1], 0x92);
    assert_int_equal(id->bytes[14] << 8 | id->bytes[15], number);
}

static void test_fields_of_hello(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "hello-worker"), &coded);
    const struct drv_hello *hello = &coded.message.hello;
    const struct drv_worker_hello *worker = &hello->worker;
    assert_int_equal(coded.message.kind, DRV_HELLO);
    assert_int_equal(coded.message.epoch, 0);
    assert_int_equal(coded.message.seq, 1);
    assert_int_equal(hello->version_min, 1);
    assert_int_equal(hello->version_max, 3);
    assert_int_equal(hello->role, DRV_ROLE_WORKER);
    assert_int_equal(hello->session.bytes[0], 0x20);
    assert_true(hello->resume);
    assert_text(hello->name, "worker-1");
    assert_text(hello->software, "drover/0.1.0");
    assert_int_equal(hello->capability_count, 1);
    assert_text(hello->capabilities[0], "logs");
    assert_int_equal(hello->credit_items, 16);
    assert_int_equal(hello->credit_bytes, 4194304);
    assert_true(hello->has_worker);
    assert_int_equal(worker->slots, 8);
    assert_int_equal(worker->pid, 4242);
    assert_text(worker->host, "node-3");
    assert_int_equal(worker->type_count, 2);
    assert_text(worker->types[1].name, "encode");
    assert_int_equal(worker->types[1].model, DRV_MODEL_EXEC);
    assert_int_equal(worker->types[1].concurrency, 2);
    assert_int_equal(worker->queue_count, 2);
    assert_text(worker->queues[0], "default");
    assert_int_equal(worker->label_count, 1);
    assert_text(worker->labels[0].name, "zone");
    assert_text(worker->labels[0].value, "eu-1");
    assert_int_equal(worker->resource_count, 1);
    assert_text(worker->resources[0].name, "gpu");
    assert_int_equal(worker->resources[0].count, 2);
    assert_int_equal(worker->lease_count, 3);
    assert_int_equal(worker->model, DRV_MODEL_PREFORK);
    coded_fini(&coded);
}

static void test_fields_of_welcome(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "welcome"), &coded);
    const struct drv_welcome *welcome = &coded.message.welcome;
    assert_int_equal(coded.message.epoch, 7);
    assert_int_equal(coded.message.ack, 1);
    assert_int_equal(welcome->version, 1);
    assert_id(&welcome->broker, 1);
    assert_true(welcome->resumed);
    assert_int_equal(welcome->credit_items, 0);
    assert_int_equal(welcome->credit_bytes, 4194304);
    assert_int_equal(welcome->limits.head_max, DRV_HEAD_MAX);
    assert_int_equal(welcome->limits.blob_max, DRV_BLOB_MAX);
    assert_int_equal(welcome->limits.batch_max, DRV_BATCH_MAX);
    assert_int_equal(welcome->limits.inline_max, DRV_INLINE_MAX);
    assert_int_equal(welcome->limits.payload_max, DRV_PAYLOAD_MAX);
    assert_int_equal(welcome->limits.requests_max, DRV_REQUESTS_MAX);
    assert_int_equal(welcome->limits.array_max, DRV_ARRAY_MAX);
    assert_int_equal(welcome->limits.meta_max, DRV_META_MAX);
    assert_int_equal(welcome->heartbeat_ms, 1000);
    assert_int_equal(welcome->lease_ms, 10000);
    assert_int_equal(welcome->reattach_ms, 15000);
    assert_int_equal(welcome->ack_ms, 1);
    assert_int_equal(welcome->session_ms, 3600000);
    assert_int_equal(welcome->client_endpoint_count, 1);
    assert_text(welcome->client_endpoints[0], "tcp://127.0.0.1:7710");
    assert_int_equal(welcome->worker_endpoint_count, 2);
    assert_text(welcome->worker_endpoints[1], "tcp://[::1]:7711");
    assert_int_equal(welcome->durability_max, DROVER_DURABILITY_SYNCED);
    assert_text(welcome->name, "worker-1-2");
    coded_fini(&coded);
}

static void test_fields_of_errors_and_credit(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "error"), &coded);
    assert_int_equal(coded.message.failure.code, DROVER_WRONG_ENDPOINT);
    assert_int_equal(coded.message.failure.about_kind, DRV_HELLO);
    assert_int_equal(coded.message.failure.about_seq, 1);
    assert_text(coded.message.failure.endpoint, "tcp://127.0.0.1:7710");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "error-busy"), &coded);
    assert_int_equal(coded.message.failure.retry_after_ms, 250);
    assert_text(coded.message.failure.endpoint, NULL);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "goodbye-draining"), &coded);
    assert_int_equal(coded.message.goodbye.code, DROVER_DRAINING);
    assert_text(coded.message.goodbye.text, "broker stops");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "credit"), &coded);
    assert_int_equal(coded.message.credit.items, 2048);
    assert_int_equal(coded.message.credit.bytes, 8388608);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "chunk"), &coded);
    assert_int_equal(coded.message.chunk.transfer, 1);
    assert_int_equal(coded.message.chunk.offset, 262144);
    assert_int_equal(coded.message.chunk.total, 70000);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "ack-notes"), &coded);
    assert_int_equal(coded.message.ack_notes.note_count, 3);
    assert_int_equal(coded.message.ack_notes.notes[1].seq, 12);
    assert_int_equal(coded.message.ack_notes.notes[1].position, 5);
    assert_int_equal(coded.message.ack_notes.notes[1].code, DROVER_UNKNOWN);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "moved"), &coded);
    assert_text(coded.message.moved.client_endpoints[0], "tcp://broker-2:7710");
    assert_text(coded.message.moved.worker_endpoints[0], "tcp://broker-2:7711");
    coded_fini(&coded);
}

static void test_fields_of_heartbeat_and_attach(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "heartbeat-worker"), &coded);
    const struct drv_heartbeat *heartbeat = &coded.message.heartbeat;
    assert_int_equal(heartbeat->running_count, 2);
    assert_int_equal(heartbeat->running[0].ref.handle, 77);
    assert_id(&heartbeat->running[1].ref.id, 3);
    assert_int_equal(heartbeat->running[0].ref.index, DROVER_INDEX_NONE);
    assert_int_equal(heartbeat->running[1].ref.index, 42);
    assert_int_equal(heartbeat->running[1].ref.attempt, 2);
    assert_int_equal(heartbeat->running[0].elapsed_ms, 250);
    assert_true(heartbeat->has_host);
    assert_true(heartbeat->host.cpu_percent == 12.5);
    assert_true(heartbeat->host.memory_percent == 43.75);
    assert_true(heartbeat->host.disk_percent == 81.0);
    assert_int_equal(heartbeat->host.process_count, 213);
    assert_true(heartbeat->host.load1 == 0.25);
    assert_int_equal(heartbeat->host.bytes_sent, UINT64_C(1) << 40);
    assert_int_equal(heartbeat->host.bytes_recv, UINT64_C(1) << 41);
    assert_int_equal(heartbeat->host.packets_sent, 9000000);
    assert_int_equal(heartbeat->host.packets_recv, 10000000);
    assert_int_equal(heartbeat->host.memory_total, UINT64_C(16) << 30);
    assert_int_equal(heartbeat->host.memory_used, UINT64_C(7) << 30);
    assert_int_equal(heartbeat->host.cpu_count, 8);
    assert_int_equal(heartbeat->host.uptime_ms, 86400000);
    assert_int_equal(heartbeat->details.len, 13);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "heartbeat-client"), &coded);
    assert_false(coded.message.heartbeat.has_host);
    assert_int_equal(coded.message.heartbeat.running_count, 0);
    assert_int_equal(coded.message.heartbeat.next_us, 0);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "heartbeat-next"), &coded);
    assert_int_equal(coded.message.heartbeat.next_us, 2493904);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "attach"), &coded);
    assert_int_equal(coded.message.attach.lease_count, 3);
    assert_id(&coded.message.attach.leases[1].id, 3);
    assert_int_equal(coded.message.attach.leases[1].index, 42);
    assert_int_equal(coded.message.attach.leases[1].attempt, 2);
    assert_int_equal(coded.message.attach.leases[1].state, 1);
    coded_fini(&coded);
}

static void assert_full_spec(const struct drv_spec *spec)
{
    assert_text(spec->type, "video:encode.v2");
    assert_text(spec->queue, "bulk");
    assert_int_equal(spec->priority, -128);
    assert_int_equal(spec->delay_ms, 1500);
    assert_int_equal(spec->expire_ms, 3600000);
    assert_int_equal(spec->timeout_ms, 30000);
    assert_int_equal(spec->retries, 5);
    assert_int_equal(spec->backoff_ms, 250);
    assert_int_equal(spec->backoff_max_ms, UINT64_C(1) << 33);
    assert_int_equal(spec->loss_budget, -1);
    assert_int_equal(spec->durability, DROVER_DURABILITY_SYNCED);
    assert_int_equal(spec->keep_ms, 86400000);
    assert_int_equal(spec->flags,
                     DRV_SPEC_WATCH | DRV_SPEC_RELEASE | DRV_SPEC_CANCEL_WITH_SESSION);
    assert_text(spec->key, "order-4711");
    assert_int_equal(spec->key_window_ms, 60000);
    assert_int_equal(spec->after_count, 2);
    assert_id(&spec->after[1].id, 10);
    assert_int_equal(spec->after[1].index, 3);
    assert_int_equal(spec->after[1].when, 2);
    assert_text(spec->group, "nightly");
    assert_int_equal(spec->tag_count, 2);
    assert_text(spec->tags[0].value, "\303\204 & Co");
    assert_text(spec->tags[1].value, "");
    assert_text(spec->fairness, "tenant-7");
    assert_int_equal(spec->need_count, 2);
    assert_text(spec->needs[1].name, "memory");
    assert_int_equal(spec->needs[1].count, UINT64_C(1) << 40);
    assert_int_equal(spec->require_count, 1);
    assert_text(spec->require[0].name, "zone");
    assert_int_equal(spec->limit_memory_bytes, 1 << 30);
    assert_int_equal(spec->limit_cpu_ms, 60000);
    assert_int_equal(spec->limit_output_bytes, 1 << 20);
    assert_int_equal(spec->limit_processes, 32);
    assert_int_equal(spec->limit_files, 256);
    assert_int_equal(spec->meta.len, 2);
    assert_true(spec->has_retry_of);
    assert_id(&spec->retry_of.id, 8);
}

static void test_fields_of_submit(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "submit-two-groups"), &coded);
    const struct drv_submit *submit = &coded.message.submit;
    assert_int_equal(coded.message.request.req, 2);
    assert_int_equal(coded.message.request.floor, 1);
    assert_int_equal(submit->group_count, 2);
    assert_full_spec(&submit->groups[0].spec);
    assert_int_equal(submit->groups[0].entry_count, 3);
    assert_true(submit->groups[0].entries[0].val.is_nil);
    assert_val(&submit->groups[0].entries[1].val, "\x92\x01\x02");
    assert_text(submit->groups[0].entries[1].val.content_type, NULL);
    assert_val(&submit->groups[0].entries[2].val, "abcd");
    assert_text(submit->groups[0].entries[2].val.content_type, "text/plain");
    assert_val(&submit->groups[1].entries[0].val, "");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "submit-chunked"), &coded);
    const struct drv_entry *entries = coded.message.submit.groups[0].entries;
    assert_int_equal(entries[0].val.len, 70000);
    assert_ptr_equal(entries[0].val.data, coded.transfers.taken[0]);
    assert_text(entries[0].val.content_type, "application/octet-stream");
    assert_null(entries[2].val.data);
    coded_fini(&coded);
}

/* Fields that are not there have the defaults of the table. */
static void test_fields_of_a_short_spec_are_the_defaults(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "submit-short"), &coded);
    const struct drv_spec *spec = &coded.message.submit.groups[0].spec;
    assert_int_equal(coded.message.request.budget_ms, 5000);
    assert_text(spec->type, "square");
    assert_text(spec->queue, NULL);
    assert_int_equal(spec->backoff_ms, 1000);
    assert_int_equal(spec->backoff_max_ms, 60000);
    assert_int_equal(spec->loss_budget, 3);
    assert_int_equal(spec->keep_ms, -1);
    assert_text(spec->key, NULL);
    assert_text(spec->meta, NULL);
    assert_false(spec->has_retry_of);
    coded_fini(&coded);
}

static void test_fields_of_arrays(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "array-open"), &coded);
    assert_id(&coded.message.array_open.id, 32);
    assert_text(coded.message.array_open.spec.queue, "bulk");
    assert_val(&coded.message.array_open.with, "\x91\x07");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "array-items"), &coded);
    const struct drv_array_items *array = &coded.message.array_items;
    assert_int_equal(array->first, 1024);
    assert_int_equal(array->item_count, 6);
    assert_val(&array->items[0], "\x05");
    assert_val(&array->items[1], "\x06");
    assert_val(&array->items[2], "");
    assert_true(array->items[3].is_nil);
    assert_val(&array->items[4], "abc");
    assert_text(array->items[4].content_type, "text/plain");
    assert_val(&array->items[5], "\xcc\xff");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "array-seal"), &coded);
    assert_int_equal(coded.message.array_seal.count, DRV_ARRAY_MAX);
    coded_fini(&coded);
}

static void test_fields_of_other_requests(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "cancel"), &coded);
    assert_int_equal(coded.message.targets.target_count, 2);
    assert_int_equal(coded.message.targets.targets[0].index, DROVER_INDEX_NONE);
    assert_int_equal(coded.message.targets.targets[1].index, 7);
    assert_text(coded.message.targets.text, "not needed");
    assert_text(coded.message.targets.group, NULL);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "cancel-group"), &coded);
    assert_int_equal(coded.message.targets.target_count, 0);
    assert_text(coded.message.targets.group, "nightly");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "retry"), &coded);
    assert_id(&coded.message.targets.targets[0].id, 16);
    assert_id(&coded.message.targets.targets[0].new_id, 48);
    assert_int_equal(coded.message.targets.targets[0].flags, 0);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "retry-alone"), &coded);
    assert_int_equal(coded.message.targets.targets[0].after_count, 0);
    assert_int_equal(coded.message.targets.targets[0].flags, DRV_RETRY_ALONE);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "kv-set"), &coded);
    assert_int_equal(coded.message.kv.op, DRV_KV_SET);
    assert_text(coded.message.kv.key, "config/model");
    assert_val(&coded.message.kv.val, "\xa2v1");
    assert_int_equal(coded.message.kv.ttl_ms, 60000);
    assert_false(coded.message.kv.has_fence);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "kv-increment"), &coded);
    assert_int_equal(coded.message.kv.op, DRV_KV_INCREMENT);
    assert_int_equal(coded.message.kv.number, -5);
    assert_true(coded.message.kv.has_fence);
    assert_id(&coded.message.kv.fence.id, 16);
    assert_int_equal(coded.message.kv.fence.attempt, 2);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "queue-set"), &coded);
    assert_int_equal(coded.message.queue.op, DRV_QUEUE_SET);
    assert_text(coded.message.queue.queue, "bulk");
    assert_int_equal(coded.message.queue.settings.weight, 2);
    assert_int_equal(coded.message.queue.settings.max_count, 100000);
    assert_int_equal(coded.message.queue.settings.max_bytes, 1 << 30);
    assert_int_equal(coded.message.queue.settings.rate, -1);
    assert_int_equal(coded.message.queue.settings.concurrency, 0);
    assert_int_equal(coded.message.queue.settings.per_key, -1);
    assert_int_equal(coded.message.queue.settings.durability, -1);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "queue-set-durability"), &coded);
    assert_int_equal(coded.message.queue.settings.per_key, -1);
    assert_int_equal(coded.message.queue.settings.durability, DROVER_DURABILITY_WRITTEN);
    assert_int_equal(coded.message.queue.settings.aging_ms, -1);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "queue-set-order"), &coded);
    assert_int_equal(coded.message.queue.settings.durability, -1);
    assert_int_equal(coded.message.queue.settings.aging_ms, 30000);
    assert_int_equal(coded.message.queue.settings.placement, DRV_PLACEMENT_PACK);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "worker-drain"), &coded);
    assert_int_equal(coded.message.worker.op, DRV_WORKER_DRAIN);
    assert_text(coded.message.worker.worker, "worker-1");
    coded_fini(&coded);
}

static void test_fields_of_questions(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "watch"), &coded);
    assert_int_equal(coded.message.request.req, 20);
    assert_int_equal(coded.message.targets.flags, DRV_WATCH_RELEASE);
    assert_int_equal(coded.message.targets.targets[0].epoch, 7);
    assert_int_equal(coded.message.targets.targets[0].level, DROVER_DURABILITY_SYNCED);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "query-status-short"), &coded);
    assert_int_equal(coded.message.query.topic, DRV_TOPIC_STATUS);
    assert_false(coded.message.query.has_id);
    assert_int_equal(coded.message.query.index, DROVER_INDEX_NONE);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "query-tasks"), &coded);
    assert_int_equal(coded.message.query.topic, DRV_TOPIC_TASKS);
    assert_text(coded.message.query.name, "bulk");
    assert_text(coded.message.query.text, "square");
    assert_int_equal(coded.message.query.states,
                     1U << DROVER_STATE_QUEUED | 1U << DROVER_STATE_RUNNING);
    assert_int_equal(coded.message.query.cursor.len, 2);
    assert_int_equal(coded.message.query.limit, 100);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "query-tasks-by-group"), &coded);
    assert_text(coded.message.query.group, "nightly");
    assert_text(coded.message.query.tag_name, "env");
    assert_text(coded.message.query.tag_value, "prod");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "query-key"), &coded);
    assert_int_equal(coded.message.query.topic, DRV_TOPIC_KEY);
    assert_text(coded.message.query.name, "bulk");
    assert_text(coded.message.query.text, "invoice 2026-11");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "query-groups"), &coded);
    assert_int_equal(coded.message.query.topic, DRV_TOPIC_GROUPS);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "document"), &coded);
    assert_int_equal(coded.message.document.req, 24);
    assert_int_equal(coded.message.document.cursor.len, 2);
    assert_int_equal(coded.message.document.body.len, 8);
    coded_fini(&coded);
}

static void test_fields_of_answers(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "reply"), &coded);
    const struct drv_reply *replies = coded.message.reply.replies;
    assert_int_equal(coded.message.reply.reply_count, 3);
    assert_int_equal(replies[0].req, 1);
    assert_int_equal(replies[0].number, 3);
    assert_true(replies[0].val.is_nil);
    assert_val(&replies[1].val, "\xa2v1");
    assert_int_equal(replies[2].code, DROVER_BUSY);
    assert_text(replies[2].text, "queue bulk is full");
    assert_int_equal(replies[2].retry_after_ms, 250);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "reply-notes"), &coded);
    replies = coded.message.reply.replies;
    assert_int_equal(replies[0].note_count, 2);
    assert_int_equal(replies[0].notes[0].position, 1);
    assert_int_equal(replies[0].notes[0].code, DROVER_CONFLICT);
    assert_text(replies[0].notes[0].text, "id is taken");
    assert_int_equal(replies[0].notes[1].retry_after_ms, 100);
    assert_false(replies[0].notes[0].has_id);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "reply-attached"), &coded);
    replies = coded.message.reply.replies;
    assert_int_equal(replies[0].notes[0].code, DROVER_ATTACHED);
    assert_true(replies[0].notes[0].has_id);
    assert_id(&replies[0].notes[0].id, 16);
    assert_int_equal(replies[1].code, DROVER_ATTACHED);
    assert_id(&replies[1].notes[0].id, 32);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "results"), &coded);
    const struct drv_outcome *entries = coded.message.results.entries;
    assert_int_equal(coded.message.results.entry_count, 5);
    assert_int_equal(entries[0].state, DROVER_STATE_SUCCEEDED);
    assert_int_equal(entries[0].error.kind, DROVER_ERROR_NONE);
    assert_int_equal(entries[0].level, DROVER_DURABILITY_SYNCED);
    assert_int_equal(entries[1].attempt, 6);
    assert_int_equal(entries[1].error.kind, DROVER_ERROR_HANDLER);
    assert_text(entries[1].error.code, "E_INPUT");
    assert_text(entries[1].error.text, "negative");
    assert_int_equal(entries[1].error.exit_code, -1);
    assert_int_equal(entries[1].error.flags, DRV_ERROR_PERMANENT);
    assert_int_equal(entries[2].index, 7);
    assert_int_equal(entries[2].error.flags, DRV_ERROR_UNCONFIRMED);
    coded_fini(&coded);
}

static void test_fields_of_work(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "lease"), &coded);
    const struct drv_lease_group *groups = coded.message.lease.groups;
    assert_int_equal(coded.message.lease.group_count, 2);
    assert_text(groups[1].type, "encode");
    assert_text(groups[1].queue, "bulk");
    assert_int_equal(groups[1].timeout_ms, 30000);
    assert_int_equal(groups[1].term_ms, 2000);
    assert_int_equal(groups[1].kill_ms, 5000);
    assert_int_equal(groups[1].flags, DRV_LEASE_CONFIRM | DRV_LEASE_SHARED);
    assert_true(drv_bounds_are_none(&groups[0].limits));
    assert_int_equal(groups[1].limits.memory_bytes, 1 << 30);
    assert_int_equal(groups[1].limits.cpu_ms, 60000);
    assert_int_equal(groups[1].limits.processes, 32);
    assert_int_equal(groups[0].entry_count, 2);
    assert_int_equal(groups[0].entries[1].ref.handle, 78);
    assert_int_equal(groups[0].entries[1].ref.index, 7);
    assert_int_equal(groups[0].entries[1].ref.attempt, 3);
    assert_val(&groups[0].entries[1].val, "\xcc\xff");
    assert_text(groups[0].entries[0].meta, NULL);
    assert_text(groups[0].entries[1].meta, "\x01meta");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "report"), &coded);
    const struct drv_report *report = &coded.message.report;
    assert_int_equal(report->started_count, 1);
    assert_int_equal(report->started[0].handle, 77);
    assert_int_equal(report->result_count, 2);
    assert_int_equal(report->results[0].outcome, DRV_OUTCOME_SUCCEEDED);
    assert_val(&report->results[0].val, "\x19");
    assert_int_equal(report->results[0].run_us, 1250);
    assert_true(report->results[0].has_usage);
    assert_int_equal(report->results[0].usage.user_us, 900);
    assert_int_equal(report->results[0].usage.system_us, 100);
    assert_int_equal(report->results[0].usage.peak_rss_bytes, 8388608);
    assert_int_equal(report->results[0].usage.pid, 4243);
    assert_int_equal(report->results[1].error.kind, DROVER_ERROR_CRASH);
    assert_int_equal(report->results[1].error.signal, 11);
    assert_text(report->results[1].error.stderr_tail, "boom\n");
    assert_int_equal(report->results[0].tail.piece_count, 0);
    assert_int_equal(report->results[1].tail.piece_count, 2);
    assert_int_equal(report->results[1].tail.pieces[0].len, 9);
    assert_int_equal(report->results[1].tail.pieces[1].stream, DRV_OUTPUT_STDERR);
    assert_int_equal(report->results[1].tail.pieces[1].offset, 100);
    assert_text(report->results[1].tail.text, "starting\nboom\n");
    assert_int_equal(report->returned[0].reason, DRV_RETURN_RECALLED);
    assert_int_equal(report->progress[0].permille, 500);
    assert_text(report->progress[0].text, "half");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "report-result"), &coded);
    assert_int_equal(coded.message.report.results[0].wait_us, 1500);
    assert_int_equal(coded.message.report.results[0].hold_us, 40);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "report-kept"), &coded);
    assert_true(coded.message.report.results[0].has_usage);
    assert_int_equal(coded.message.report.results[0].usage.pid, 4242);
    assert_int_equal(coded.message.report.results[0].usage.kept, DRV_KEPT_CGROUP);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "abort"), &coded);
    assert_int_equal(coded.message.abort.leases[0].code, DROVER_CANCELLED);
    assert_int_equal(coded.message.abort.leases[1].ref.index, 1);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "log"), &coded);
    assert_int_equal(coded.message.log.stream, 2);
    assert_int_equal(coded.message.log.offset, 8192);
    assert_int_equal(coded.message.log.flags, 0);
    assert_text(coded.message.log.text, "warning: low disk\n");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "log-tail-end"), &coded);
    assert_int_equal(coded.message.log.flags, DRV_LOG_TAIL_END);
    assert_int_equal(coded.message.log.offset, 120);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "follow"), &coded);
    assert_int_equal(coded.message.follow.lease_count, 2);
    assert_int_equal(coded.message.follow.leases[0].streams,
                     1u << DRV_OUTPUT_STDOUT | 1u << DRV_OUTPUT_STDERR | 1u << DRV_OUTPUT_LOG);
    assert_int_equal(coded.message.follow.leases[1].streams, 1u << DRV_OUTPUT_DATA);
    assert_int_equal(coded.message.follow.leases[1].ref.attempt, 2);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "await"), &coded);
    assert_int_equal(coded.message.await.child_count, 2);
    assert_id(&coded.message.await.children[1], 51);
    assert_int_equal(coded.message.await.flags, 0);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "graph-array"), &coded);
    assert_int_equal(coded.message.submit.groups[0].spec.flags, DRV_SPEC_ARRAY);
    assert_int_equal(coded.message.submit.groups[0].entry_count, 3);
    assert_true(drover_id_is_zero(&coded.message.submit.groups[0].entries[2].id));
    assert_int_equal(coded.message.submit.groups[0].entries[2].val.bytes[0], 2);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "await-along"), &coded);
    assert_int_equal(coded.message.await.flags, DRV_AWAIT_ALONG);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "shared-drop"), &coded);
    assert_true(coded.message.shared.val.is_nil);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "drain"), &coded);
    assert_true(coded.message.drain.on);
    coded_fini(&coded);
}

static void test_fields_of_subscriptions(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "subscribe-events"), &coded);
    const struct drv_subscribe *subscribe = &coded.message.subscribe;
    assert_int_equal(coded.message.request.req, 21);
    assert_int_equal(subscribe->subscription, 1);
    assert_int_equal(subscribe->stream, DRV_STREAM_EVENTS);
    assert_int_equal(subscribe->items, DRV_STREAM_ITEMS);
    assert_int_equal(subscribe->bytes, 262144);
    assert_int_equal(subscribe->mask, UINT64_C(1) << DRV_EVENT_TASK_STARTED |
                                          UINT64_C(1) << DRV_EVENT_TASK_ENDED |
                                          UINT64_C(1) << DRV_EVENT_WORKER_LOST);
    assert_false(subscribe->has_id);
    assert_text(subscribe->queue, "bulk");
    assert_text(subscribe->type, "square");
    assert_text(subscribe->worker, "worker-1");
    assert_text(subscribe->text, NULL);
    assert_text(subscribe->tag_name, "env");
    assert_text(subscribe->tag_value, "prod");
    assert_text(subscribe->group, NULL);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "subscribe-events-of-a-group"), &coded);
    assert_text(subscribe->group, "nightly");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "subscribe-logs"), &coded);
    assert_int_equal(subscribe->stream, DRV_STREAM_LOGS);
    assert_int_equal(subscribe->taken, 17);
    assert_int_equal(subscribe->flags, DRV_SUBSCRIBE_FOLLOW);
    assert_int_equal(subscribe->mask, 6);
    assert_true(subscribe->has_id);
    assert_id(&subscribe->id, 32);
    assert_int_equal(subscribe->index, 5);
    assert_text(subscribe->tag_name, NULL);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "subscribe-shared-data"), &coded);
    assert_int_equal(subscribe->flags, DRV_SUBSCRIBE_PREFIX | DRV_SUBSCRIBE_PRESENT);
    assert_text(subscribe->text, "config/");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "subscribe-end"), &coded);
    assert_int_equal(subscribe->stream, DRV_STREAM_END);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "taken"), &coded);
    assert_int_equal(coded.message.taken.entry_count, 2);
    assert_int_equal(coded.message.taken.entries[0].subscription, 1);
    assert_int_equal(coded.message.taken.entries[0].number, 99);
    coded_fini(&coded);
}

static void test_fields_of_streams(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "logs"), &coded);
    const struct drv_logs *logs = &coded.message.logs;
    assert_int_equal(logs->subscription, 2);
    assert_int_equal(logs->first, 18);
    assert_int_equal(logs->piece_count, 2);
    assert_int_equal(logs->pieces[1].index, 5);
    assert_int_equal(logs->pieces[1].attempt, 2);
    assert_int_equal(logs->pieces[1].stream, DRV_OUTPUT_STDERR);
    assert_int_equal(logs->pieces[0].offset, 100);
    assert_int_equal(logs->pieces[0].len, 9);
    assert_int_equal(logs->state, 0);
    assert_text(logs->text, "starting\nboom\n");
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "logs-end"), &coded);
    assert_int_equal(logs->state, DROVER_STATE_SUCCEEDED);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "events"), &coded);
    const struct drv_events *events = &coded.message.events;
    assert_int_equal(events->subscription, 1);
    assert_int_equal(events->first, 7);
    assert_int_equal(events->entry_count, 2);
    assert_int_equal(events->entries[0].age_ms, 12);
    assert_int_equal(events->entries[0].len + events->entries[1].len, events->maps.len);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "events-missed"), &coded);
    assert_int_equal(events->first, 100);
    assert_int_equal(events->entry_count, 0);
    coded_fini(&coded);
}

#define TEST(function) cmocka_unit_test(function)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fields_of_hello),
        TEST(test_fields_of_welcome),
        TEST(test_fields_of_errors_and_credit),
        TEST(test_fields_of_heartbeat_and_attach),
        TEST(test_fields_of_submit),
        TEST(test_fields_of_a_short_spec_are_the_defaults),
        TEST(test_fields_of_arrays),
        TEST(test_fields_of_other_requests),
        TEST(test_fields_of_questions),
        TEST(test_fields_of_answers),
        TEST(test_fields_of_work),
        TEST(test_fields_of_subscriptions),
        TEST(test_fields_of_streams),
    };
    return cmocka_run_group_tests(tests, vectors_setup, vectors_teardown);
}
