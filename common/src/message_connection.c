/*
 * message_connection.c: the codec of the kinds that keep a connection (PROTOCOL.md section 6).
 */
#include "message_codec.h"

/* ---- HELLO ------------------------------------------------------------------------------- */

static void get_offers(struct drv_decode *decode, struct drv_worker_hello *worker)
{
    struct drv_items items;
    struct drv_offer *types = drv_get_items(decode, DRV_TYPES_MAX, sizeof *types, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        types[i].name = drv_get_name(decode);
        types[i].model = drv_get_enum(decode, 0, DRV_MODEL_EXEC, "unknown model");
        types[i].concurrency = drv_get_u32(decode);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    worker->types = types;
    worker->type_count = items.count;
}

static void get_queues(struct drv_decode *decode, struct drv_worker_hello *worker)
{
    struct drv_items items;
    struct drv_str *queues = drv_get_items(decode, DRV_QUEUES_MAX, sizeof *queues, &items);
    for (size_t i = 0; i < items.count; i++) {
        queues[i] = drv_get_name(decode);
    }
    drv_get_close(decode, items.outer);
    worker->queues = queues;
    worker->queue_count = items.count;
}

static void get_worker(struct drv_decode *decode, struct drv_hello *hello)
{
    struct drv_worker_hello *worker = &hello->worker;
    uint32_t outer;
    *worker = (struct drv_worker_hello){0};
    hello->has_worker = drv_get_open_optional(decode, &outer);
    if (!hello->has_worker) {
        return;
    }
    worker->slots = drv_get_u32(decode);
    worker->pid = drv_get_u32(decode);
    worker->host = drv_get_text(decode, DRV_TEXT_MAX);
    get_offers(decode, worker);
    get_queues(decode, worker);
    worker->labels = drv_get_pairs(decode, &worker->label_count);
    worker->resources = drv_get_counts(decode, &worker->resource_count);
    worker->lease_count = drv_get_u32(decode);
    worker->model = drv_get_enum(decode, 0, DRV_MODEL_EXEC, "unknown model");
    drv_get_close(decode, outer);
}

void drv_decode_hello(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_hello *hello = &out_message->hello;
    hello->version_min = drv_get_u32(decode);
    hello->version_max = drv_get_u32(decode);
    hello->role = drv_get_enum(decode, DRV_ROLE_CLIENT, DRV_ROLE_WORKER, "unknown role");
    drv_get_id(decode, &hello->session);
    hello->resume = drv_get_bool(decode);
    hello->name = drv_get_text(decode, DRV_NAME_MAX);
    hello->software = drv_get_text(decode, DRV_TEXT_MAX);
    hello->capabilities = drv_get_texts(decode, DRV_CAPABILITIES_MAX, &hello->capability_count);
    hello->channel = drv_get_u32(decode);
    hello->credit_items = drv_get_u64(decode);
    hello->credit_bytes = drv_get_u64(decode);
    get_worker(decode, hello);
}

static void put_worker(struct drv_encode *encode, const struct drv_hello *hello)
{
    const struct drv_worker_hello *worker = &hello->worker;
    if (!hello->has_worker) {
        drv_put_nil(encode);
        return;
    }
    drv_put_array(encode, 9);
    drv_put_uint(encode, worker->slots);
    drv_put_uint(encode, worker->pid);
    drv_put_text(encode, worker->host, DRV_TEXT_MAX);
    drv_put_items(encode, worker->type_count, DRV_TYPES_MAX);
    for (size_t i = 0; encode->status == DROVER_OK && i < worker->type_count; i++) {
        drv_put_array(encode, 3);
        drv_put_name(encode, worker->types[i].name);
        drv_put_enum(encode, worker->types[i].model, 0, DRV_MODEL_EXEC);
        drv_put_uint(encode, worker->types[i].concurrency);
    }
    drv_put_items(encode, worker->queue_count, DRV_QUEUES_MAX);
    for (size_t i = 0; encode->status == DROVER_OK && i < worker->queue_count; i++) {
        drv_put_name(encode, worker->queues[i]);
    }
    drv_put_pairs(encode, worker->labels, worker->label_count);
    drv_put_counts(encode, worker->resources, worker->resource_count);
    drv_put_uint(encode, worker->lease_count);
    drv_put_enum(encode, worker->model, 0, DRV_MODEL_EXEC);
}

void drv_encode_hello(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_hello *hello = &message->hello;
    drv_put_uint(encode, hello->version_min);
    drv_put_uint(encode, hello->version_max);
    drv_put_enum(encode, hello->role, DRV_ROLE_CLIENT, DRV_ROLE_WORKER);
    drv_put_id(encode, &hello->session);
    drv_put_bool(encode, hello->resume);
    drv_put_text(encode, hello->name, DRV_NAME_MAX);
    drv_put_text(encode, hello->software, DRV_TEXT_MAX);
    drv_put_texts(encode, hello->capabilities, hello->capability_count, DRV_CAPABILITIES_MAX);
    drv_put_uint(encode, hello->channel);
    drv_put_uint(encode, hello->credit_items);
    drv_put_uint(encode, hello->credit_bytes);
    put_worker(encode, hello);
}

/* ---- WELCOME ----------------------------------------------------------------------------- */

static void get_limits(struct drv_decode *decode, struct drv_limits *limits)
{
    uint32_t outer = drv_get_open(decode);
    limits->head_max = drv_get_u64(decode);
    limits->blob_max = drv_get_u64(decode);
    limits->batch_max = drv_get_u64(decode);
    limits->inline_max = drv_get_u64(decode);
    limits->payload_max = drv_get_u64(decode);
    limits->requests_max = drv_get_u64(decode);
    limits->array_max = drv_get_u64(decode);
    limits->meta_max = drv_get_u64(decode);
    drv_get_close(decode, outer);
}

static void get_intervals(struct drv_decode *decode, struct drv_welcome *welcome)
{
    uint32_t outer = drv_get_open(decode);
    welcome->heartbeat_ms = drv_get_u64(decode);
    welcome->lease_ms = drv_get_u64(decode);
    welcome->reattach_ms = drv_get_u64(decode);
    welcome->ack_ms = drv_get_u64(decode);
    welcome->session_ms = drv_get_u64(decode);
    drv_get_close(decode, outer);
}

void drv_decode_welcome(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_welcome *welcome = &out_message->welcome;
    welcome->version = drv_get_u32(decode);
    drv_get_id(decode, &welcome->broker);
    welcome->software = drv_get_text(decode, DRV_TEXT_MAX);
    welcome->resumed = drv_get_bool(decode);
    welcome->capabilities = drv_get_texts(decode, DRV_CAPABILITIES_MAX,
                                          &welcome->capability_count);
    welcome->credit_items = drv_get_u64(decode);
    welcome->credit_bytes = drv_get_u64(decode);
    get_limits(decode, &welcome->limits);
    get_intervals(decode, welcome);
    welcome->client_endpoints = drv_get_texts(decode, DRV_ENDPOINTS_MAX,
                                              &welcome->client_endpoint_count);
    welcome->worker_endpoints = drv_get_texts(decode, DRV_ENDPOINTS_MAX,
                                              &welcome->worker_endpoint_count);
    welcome->durability_max = drv_get_enum(decode, 0, DROVER_DURABILITY_SYNCED,
                                           "unknown durability level");
    welcome->name = drv_get_text(decode, DRV_NAME_MAX);
}

static void put_limits(struct drv_encode *encode, const struct drv_limits *limits)
{
    drv_put_array(encode, 8);
    drv_put_uint(encode, limits->head_max);
    drv_put_uint(encode, limits->blob_max);
    drv_put_uint(encode, limits->batch_max);
    drv_put_uint(encode, limits->inline_max);
    drv_put_uint(encode, limits->payload_max);
    drv_put_uint(encode, limits->requests_max);
    drv_put_uint(encode, limits->array_max);
    drv_put_uint(encode, limits->meta_max);
}

static void put_intervals(struct drv_encode *encode, const struct drv_welcome *welcome)
{
    drv_put_array(encode, 5);
    drv_put_uint(encode, welcome->heartbeat_ms);
    drv_put_uint(encode, welcome->lease_ms);
    drv_put_uint(encode, welcome->reattach_ms);
    drv_put_uint(encode, welcome->ack_ms);
    drv_put_uint(encode, welcome->session_ms);
}

void drv_encode_welcome(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_welcome *welcome = &message->welcome;
    drv_put_uint(encode, welcome->version);
    drv_put_id(encode, &welcome->broker);
    drv_put_text(encode, welcome->software, DRV_TEXT_MAX);
    drv_put_bool(encode, welcome->resumed);
    drv_put_texts(encode, welcome->capabilities, welcome->capability_count,
                  DRV_CAPABILITIES_MAX);
    drv_put_uint(encode, welcome->credit_items);
    drv_put_uint(encode, welcome->credit_bytes);
    put_limits(encode, &welcome->limits);
    put_intervals(encode, welcome);
    drv_put_texts(encode, welcome->client_endpoints, welcome->client_endpoint_count,
                  DRV_ENDPOINTS_MAX);
    drv_put_texts(encode, welcome->worker_endpoints, welcome->worker_endpoint_count,
                  DRV_ENDPOINTS_MAX);
    drv_put_enum(encode, welcome->durability_max, 0, DROVER_DURABILITY_SYNCED);
    drv_put_text(encode, welcome->name, DRV_NAME_MAX);
}

/* ---- GOODBYE, ERROR, CREDIT, CHUNK ------------------------------------------------------- */

void drv_decode_goodbye(struct drv_decode *decode, struct drv_message *out_message)
{
    out_message->goodbye.code = drv_get_u32(decode);
    out_message->goodbye.text = drv_get_text(decode, DRV_TEXT_MAX);
}

void drv_encode_goodbye(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_uint(encode, message->goodbye.code);
    drv_put_text(encode, message->goodbye.text, DRV_TEXT_MAX);
}

void drv_decode_failure(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_failure *failure = &out_message->failure;
    failure->code = drv_get_u32(decode);
    failure->text = drv_get_text(decode, DRV_TEXT_MAX);
    failure->retry_after_ms = drv_get_u64(decode);
    failure->about_kind = drv_get_u32(decode);
    failure->about_seq = drv_get_u64(decode);
    failure->endpoint = drv_get_text_optional(decode, DRV_TEXT_MAX);
}

void drv_encode_failure(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_failure *failure = &message->failure;
    drv_put_uint(encode, failure->code);
    drv_put_text(encode, failure->text, DRV_TEXT_MAX);
    drv_put_uint(encode, failure->retry_after_ms);
    drv_put_uint(encode, failure->about_kind);
    drv_put_uint(encode, failure->about_seq);
    drv_put_text_optional(encode, failure->endpoint, DRV_TEXT_MAX);
}

void drv_decode_credit(struct drv_decode *decode, struct drv_message *out_message)
{
    out_message->credit.items = drv_get_u64(decode);
    out_message->credit.bytes = drv_get_u64(decode);
}

void drv_encode_credit(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_uint(encode, message->credit.items);
    drv_put_uint(encode, message->credit.bytes);
}

void drv_decode_chunk(struct drv_decode *decode, struct drv_message *out_message)
{
    out_message->chunk.transfer = drv_get_u64(decode);
    out_message->chunk.offset = drv_get_u64(decode);
    out_message->chunk.total = drv_get_u64(decode);
    out_message->chunk.piece = (struct drv_str){(const char *)decode->blob, decode->blob_len};
}

void drv_encode_chunk(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_uint(encode, message->chunk.transfer);
    drv_put_uint(encode, message->chunk.offset);
    drv_put_uint(encode, message->chunk.total);
    drv_put_blob(encode, message->chunk.piece, DRV_BLOB_MAX);
}

/* ---- ACK, HEARTBEAT ---------------------------------------------------------------------- */

void drv_decode_ack(struct drv_decode *decode, struct drv_message *out_message)
{
    out_message->ack_notes.notes = drv_get_notes(decode, true,
                                                 &out_message->ack_notes.note_count);
}

void drv_encode_ack(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_notes(encode, message->ack_notes.notes, message->ack_notes.note_count, true);
}

static void get_running(struct drv_decode *decode, struct drv_heartbeat *heartbeat)
{
    struct drv_items items;
    struct drv_running *running = drv_get_batch(decode, sizeof *running, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_ref(decode, &running[i].ref);
        running[i].elapsed_ms = drv_get_u64(decode);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    heartbeat->running = running;
    heartbeat->running_count = items.count;
}

static void get_host(struct drv_decode *decode, struct drv_heartbeat *heartbeat)
{
    struct drv_host *host = &heartbeat->host;
    uint32_t outer;
    *host = (struct drv_host){0};
    heartbeat->has_host = drv_get_open_optional(decode, &outer);
    if (!heartbeat->has_host) {
        return;
    }
    host->cpu_percent = drv_get_double(decode);
    host->memory_percent = drv_get_double(decode);
    host->disk_percent = drv_get_double(decode);
    host->process_count = drv_get_u64(decode);
    host->load1 = drv_get_double(decode);
    host->bytes_sent = drv_get_u64(decode);
    host->bytes_recv = drv_get_u64(decode);
    host->packets_sent = drv_get_u64(decode);
    host->packets_recv = drv_get_u64(decode);
    host->memory_total = drv_get_u64(decode);
    host->memory_used = drv_get_u64(decode);
    host->cpu_count = drv_get_u64(decode);
    host->uptime_ms = drv_get_u64(decode);
    drv_get_close(decode, outer);
}

/* The details are empty or one well-formed map, nested no deeper than a head: documents pass it
 * on inside of others. */
static drover_status check_details(const void *bytes, size_t len)
{
    if (len > DRV_HEARTBEAT_BLOB_MAX) {
        return DROVER_TOO_BIG;
    }
    if (len == 0) {
        return DROVER_OK;
    }
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, bytes, len);
    if (drv_cursor_peek(&cursor) != DRV_TYPE_MAP) {
        return DROVER_MALFORMED;
    }
    return drv_validate((const uint8_t *)bytes, len, &DRV_VALIDATE_HEAD);
}

void drv_decode_heartbeat(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_heartbeat *heartbeat = &out_message->heartbeat;
    get_running(decode, heartbeat);
    get_host(decode, heartbeat);
    heartbeat->next_us = drv_get_u64(decode);
    drover_status status = check_details(decode->blob, decode->blob_len);
    if (status) {
        drv_decode_fail(decode, status, "statistics are not a bounded msgpack map");
    }
    heartbeat->details = (struct drv_str){(const char *)decode->blob, decode->blob_len};
}

static void put_host(struct drv_encode *encode, const struct drv_heartbeat *heartbeat)
{
    const struct drv_host *host = &heartbeat->host;
    if (!heartbeat->has_host) {
        drv_put_nil(encode);
        return;
    }
    drv_put_array(encode, 13);
    drv_put_double(encode, host->cpu_percent);
    drv_put_double(encode, host->memory_percent);
    drv_put_double(encode, host->disk_percent);
    drv_put_uint(encode, host->process_count);
    drv_put_double(encode, host->load1);
    drv_put_uint(encode, host->bytes_sent);
    drv_put_uint(encode, host->bytes_recv);
    drv_put_uint(encode, host->packets_sent);
    drv_put_uint(encode, host->packets_recv);
    drv_put_uint(encode, host->memory_total);
    drv_put_uint(encode, host->memory_used);
    drv_put_uint(encode, host->cpu_count);
    drv_put_uint(encode, host->uptime_ms);
}

void drv_encode_heartbeat(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_heartbeat *heartbeat = &message->heartbeat;
    if (heartbeat->running_count == 0) {
        drv_put_nil(encode);
    } else {
        drv_put_batch(encode, heartbeat->running_count);
    }
    for (size_t i = 0; encode->status == DROVER_OK && i < heartbeat->running_count; i++) {
        drv_put_array(encode, 5);
        drv_put_ref(encode, &heartbeat->running[i].ref);
        drv_put_uint(encode, heartbeat->running[i].elapsed_ms);
    }
    put_host(encode, heartbeat);
    drv_put_uint(encode, heartbeat->next_us);
    drover_status status = check_details(heartbeat->details.ptr, heartbeat->details.len);
    if (status) {
        drv_encode_fail(encode, status == DROVER_TOO_BIG ? status : DROVER_INVALID);
    }
    drv_put_blob(encode, heartbeat->details, DRV_HEARTBEAT_BLOB_MAX);
}

/* ---- ATTACH, MOVED ----------------------------------------------------------------------- */

void drv_decode_attach(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    struct drv_attached *leases = drv_get_batch(decode, sizeof *leases, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_id(decode, &leases[i].id);
        leases[i].index = drv_get_index(decode);
        leases[i].attempt = drv_get_u32(decode);
        leases[i].state = drv_get_enum(decode, 1, 3, "lease is neither waiting, running, held");
        leases[i].more = drv_get_further(decode, leases[i].index);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    out_message->attach.leases = leases;
    out_message->attach.lease_count = items.count;
}

void drv_encode_attach(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_attach *attach = &message->attach;
    drv_put_batch(encode, attach->lease_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < attach->lease_count; i++) {
        const struct drv_attached *lease = &attach->leases[i];
        drv_put_array(encode, lease->more > 0 ? 5 : 4);
        drv_put_id(encode, &lease->id);
        drv_put_index(encode, lease->index);
        drv_put_uint(encode, lease->attempt);
        drv_put_enum(encode, lease->state, 1, 3);
        drv_put_further(encode, lease->index, lease->more);
    }
}

void drv_decode_moved(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_moved *moved = &out_message->moved;
    moved->client_endpoints = drv_get_texts(decode, DRV_ENDPOINTS_MAX,
                                            &moved->client_endpoint_count);
    moved->worker_endpoints = drv_get_texts(decode, DRV_ENDPOINTS_MAX,
                                            &moved->worker_endpoint_count);
}

void drv_encode_moved(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_moved *moved = &message->moved;
    drv_put_texts(encode, moved->client_endpoints, moved->client_endpoint_count,
                  DRV_ENDPOINTS_MAX);
    drv_put_texts(encode, moved->worker_endpoints, moved->worker_endpoint_count,
                  DRV_ENDPOINTS_MAX);
}
