/*
 * restore_session.c: reads the records of sessions, replies, shared data, queues; see
 * save_session.c.
 */
#include "broker.h"
#include "check.h"
#include "restore.h"
#include "save_parts.h"

#include <stdlib.h>

/* Remarks of one reply. */
enum { NOTES_MAX = 65536 };

/* --- texts ------------------------------------------------------------------------------- */

/* A text is its place in the scratch, plus one, until all are known. */
static const char *read_text(struct restore *restore, struct record_reader *reader)
{
    struct drv_str text = record_str(reader, DRV_ERROR_TEXT_MAX);
    struct drv_buffer *texts = &restore->scratch;
    size_t at = texts->len + 1;
    if (text.len == 0 || drv_buffer_append(texts, text.ptr, text.len) ||
        drv_buffer_append_byte(texts, 0)) {
        return NULL;
    }
    return (const char *)at;
}

static void place_text(const char **text, const struct body *texts)
{
    if (*text != NULL) {
        *text = (const char *)texts->bytes + ((size_t)*text - 1);
    }
}

static bool place_texts(struct restore *restore, struct reply *reply)
{
    const struct drv_buffer *scratch = &restore->scratch;
    if (scratch->len == 0) {
        return true;
    }
    reply->texts = body_new_room(restore->core, scratch->len);
    if (reply->texts == NULL) {
        return false;
    }
    memcpy(reply->texts->bytes, scratch->bytes, scratch->len);
    place_text(&reply->text, reply->texts);
    for (size_t i = 0; i < reply->note_count; i++) {
        place_text(&reply->notes[i].text, reply->texts);
    }
    return true;
}

/* --- replies ----------------------------------------------------------------------------- */

static bool read_notes(struct restore *restore, struct record_reader *reader,
                       struct reply *reply)
{
    uint64_t count = record_uint_max(reader, NOTES_MAX);
    if (count > record_left(reader)) {
        return restore_wrong(restore, "more remarks than bytes");
    }
    for (uint64_t i = 0; i < count; i++) {
        uint32_t position = record_u32(reader);
        uint32_t code = record_u32(reader);
        uint32_t after_ms = record_u32(reader);
        const char *text = read_text(restore, reader);
        size_t before = reply->note_count;
        reply_note(reply, position, (drover_status)code, text, after_ms);
        if (reply->note_count == before) {
            return false;
        }
        if (code == DROVER_ATTACHED) {
            reply->notes[before].has_id = true;
            reply->notes[before].id = record_id(reader);
        }
    }
    return true;
}

static bool read_reply_fields(struct restore *restore, struct record_reader *reader,
                              struct reply *reply)
{
    reply->code = record_u32(reader);
    reply->number = record_int(reader);
    reply->retry_after_ms = record_u32(reader);
    reply->text = read_text(restore, reader);
    uint8_t level = record_u8(reader);
    if (level < DROVER_DURABILITY_MEMORY || level > DROVER_DURABILITY_SYNCED) {
        return restore_wrong(restore, "a reply of no level");
    }
    reply->level = (enum drover_durability)level;
    if (!read_notes(restore, reader, reply)) {
        return false;
    }
    struct drv_val val = record_val(reader);
    return body_new(restore->core, &val, &reply->val) == DROVER_OK;
}

static bool read_reply(struct restore *restore, struct record_reader *reader,
                       struct session *session)
{
    uint64_t req = record_uint(reader);
    if (req == 0) {
        return restore_wrong(restore, "a reply without a number");
    }
    struct reply *reply = reply_restore(restore->core, session, req);
    if (reply == NULL) {
        return false;
    }
    drv_buffer_clear(&restore->scratch);
    if (!read_reply_fields(restore, reader, reply) || !place_texts(restore, reply)) {
        reply->text = NULL;
        reply->note_count = 0;
        reply_restored(restore->core, reply);
        return false;
    }
    reply_restored(restore->core, reply);
    return true;
}

static bool read_replies(struct restore *restore, struct record_reader *reader,
                         struct session *session)
{
    uint64_t floor = record_uint(reader);
    while (record_left(reader) > 0) {
        if (!read_reply(restore, reader, session)) {
            return false;
        }
    }
    replies_release_below(restore->core, session,
                          floor > session->floor ? floor : session->floor);
    return true;
}

bool restore_replies(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader)
{
    struct session *session = session_find(restore->core, &saved->id);
    return session == NULL || read_replies(restore, reader, session);
}

/* --- sessions ---------------------------------------------------------------------------- */

static struct session *session_of_record(struct restore *restore,
                                         const struct core_saved *saved, uint8_t role)
{
    struct core *core = restore->core;
    struct session *session = session_find(core, &saved->id);
    if (role != DRV_ROLE_CLIENT && role != DRV_ROLE_WORKER) {
        (void)restore_wrong(restore, "a session of no role");
        return NULL;
    }
    if (session != NULL && session->role != (enum drv_role)role) {
        (void)restore_wrong(restore, "a session of two roles");
        return NULL;
    }
    if (session == NULL) {
        uint32_t last = core->sessions.generation; /* it has a number already */
        session = session_new(core, &saved->id, (enum drv_role)role);
        core->sessions.generation = last;
    }
    return session;
}

static void drop_replies(struct core *core, struct session *session)
{
    struct drv_list *link;
    while ((link = drv_list_first(&session->replies)) != NULL) {
        reply_free(core, DRV_LIST_ITEM(link, struct reply, link));
    }
}

/* What is known of the worker behind the session; whether it is one is seen at the end. */
static bool read_worker(struct restore *restore, struct session *session, uint8_t flags,
                        struct drv_str name, struct drv_str host)
{
    struct core *core = restore->core;
    session->was_draining = (flags & SESSION_DRAINING) != 0;
    who_release(core, &session->past);
    session->past = who_new(core, &session->id, name, host);
    return session->past != NULL;
}

/* In whose name it is. */
static bool read_account(struct restore *restore, struct session *session, bool is_owned,
                         struct drv_str name)
{
    if (!is_owned) {
        session->is_unclaimed = session->account == NULL;
        return true;
    }
    if (!access_name_is_fine(name)) {
        return restore_wrong(restore, "a session of no account");
    }
    if (session->account != NULL) {
        return str_equals(account_name(session->account), name) ||
               restore_wrong(restore, "a session of two accounts");
    }
    struct account *account = account_ensure(restore->core, name);
    if (account != NULL) {
        session_own(session, account);
    }
    return account != NULL;
}

bool restore_session_whole(struct restore *restore, const struct core_saved *saved,
                           struct record_reader *reader)
{
    struct core *core = restore->core;
    uint32_t generation = record_u32(reader);
    uint8_t role = record_u8(reader);
    uint8_t flags = record_u8(reader);
    struct drv_str name = record_str(reader, DRV_NAME_MAX);
    struct drv_str host = record_str(reader, UINT8_MAX);
    bool is_owned = (flags & SESSION_OWNED) != 0;
    struct drv_str account = is_owned ? record_str(reader, ACCESS_NAME_MAX) : str_of(NULL, 0);
    if (generation == 0 || drover_id_is_zero(&saved->id) ||
        (name.len > 0 && memchr(name.ptr, '\0', name.len) != NULL)) {
        return restore_wrong(restore, "a session without number, id or name");
    }
    struct session *session = session_of_record(restore, saved, role);
    if (session == NULL) {
        return false;
    }
    session->handle.generation = generation;
    session->mark = restore->mark;
    if (generation > core->sessions.generation) {
        core->sessions.generation = generation;
    }
    drop_replies(core, session);
    if (!read_account(restore, session, is_owned, account)) {
        return false;
    }
    bool has_name = name.len == 0 || session_set_name(core, session, name);
    bool has_worker = role != DRV_ROLE_WORKER ||
                      read_worker(restore, session, flags, name, host);
    return has_name && has_worker && read_replies(restore, reader, session);
}

bool restore_session_end(struct restore *restore, const struct core_saved *saved,
                         struct record_reader *reader)
{
    struct session *session = session_find(restore->core, &saved->id);
    (void)reader;
    if (session != NULL) {
        session_end(restore->core, session);
    }
    return true;
}

/* --- shared data ------------------------------------------------------------------------- */

bool restore_kv(struct restore *restore, const struct core_saved *saved,
                struct record_reader *reader)
{
    struct core *core = restore->core;
    struct drv_str key = record_str(reader, DRV_KEY_MAX);
    uint64_t version = record_uint(reader);
    uint64_t left_us = record_uint(reader);
    int64_t wall_us = record_fixed(reader);
    struct drv_val val = record_val(reader);
    struct body *body = NULL;
    (void)saved;
    if (key.len == 0 || version == 0 || reader->failed) {
        return restore_wrong(restore, "shared data without key or version");
    }
    if (body_new(core, &val, &body)) {
        return false;
    }
    int64_t due_us = left_us == 0 ? 0 : restore_due(restore, wall_us, left_us - 1);
    struct kv_entry *entry = kv_restore(core, key, &body, version, due_us);
    if (entry != NULL) {
        entry->mark = restore->mark;
    }
    return entry != NULL;
}

bool restore_kv_delete(struct restore *restore, const struct core_saved *saved,
                       struct record_reader *reader)
{
    struct core *core = restore->core;
    uint64_t version = record_uint(reader);
    core->kv_version = version > core->kv_version ? version : core->kv_version;
    struct kv_entry *entry = kv_find_saved(core, &saved->id);
    if (entry != NULL) {
        kv_delete(core, entry);
    }
    return true;
}

/* --- queues ------------------------------------------------------------------------------ */

/* 0 is what the configuration says. */
static uint64_t limit_of(struct record_reader *reader, uint64_t otherwise)
{
    uint64_t limit = record_uint(reader);
    return limit == 0 ? otherwise : limit;
}

/* The bucket begins empty: the life before may just have emptied it. */
static bool read_throttle(struct restore *restore, struct record_reader *reader,
                          struct queue *queue)
{
    struct throttle_limits limits;
    limits.rate = record_uint(reader);
    limits.concurrency = record_uint(reader);
    limits.per_key = record_uint(reader);
    if (limits.rate > (uint64_t)THROTTLE_RATE_MAX) {
        return restore_wrong(restore, "a queue with a rate that is none");
    }
    if (queue_limit(restore->core, queue, &limits)) {
        return false;
    }
    if (queue->throttle != NULL) {
        throttle_empty(restore->core, queue->throttle);
    }
    return true;
}

/* Older records end before these, and read as 0. */
static bool read_order(struct restore *restore, struct record_reader *reader,
                       struct queue *queue)
{
    uint64_t aging_ms = record_uint(reader);
    uint32_t placement = record_u8(reader);
    if (aging_ms > (uint64_t)DRV_AGING_MAX_MS || placement > DRV_PLACEMENT_PACK) {
        return restore_wrong(restore, "a queue with an order that is none");
    }
    queue_age(restore->core, queue, aging_ms * 1000);
    queue->placement = placement;
    return true;
}

bool restore_queue(struct restore *restore, const struct core_saved *saved,
                   struct record_reader *reader)
{
    struct core *core = restore->core;
    struct drv_str name = record_str(reader, DRV_NAME_MAX);
    bool has_settings = record_u8(reader) != 0;
    bool is_paused = record_u8(reader) != 0;
    uint32_t weight = record_u32(reader);
    (void)saved;
    if (name.len == 0 || weight == 0) {
        return restore_wrong(restore, "a queue without name or weight");
    }
    struct queue *queue = queue_ensure(core, name);
    if (queue == NULL) {
        return false;
    }
    queue_pause(core, queue, is_paused);
    queue->weight = weight;
    queue->max_count = limit_of(reader, core->config.queue_count_max);
    queue->max_bytes = limit_of(reader, core->config.queue_bytes_max);
    queue->level = record_u32(reader);
    if (queue->level > DROVER_DURABILITY_SYNCED) {
        queue_release(core, queue);
        return restore_wrong(restore, "a queue with a durability that is none");
    }
    bool is_fine = read_throttle(restore, reader, queue) && read_order(restore, reader, queue);
    has_settings = has_settings || queue->throttle != NULL;
    queue->mark = restore->mark;
    queue_keep(core, queue, has_settings);
    queue_release(core, queue);
    return is_fine;
}
