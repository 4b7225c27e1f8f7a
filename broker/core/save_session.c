/*
 * save_session.c: the records of sessions, their replies, shared data and queues.
 */
#include "broker.h"
#include "check.h"
#include "save_parts.h"

/* --- replies ----------------------------------------------------------------------------- */

static void put_text(struct record_writer *writer, const char *text)
{
    record_put_str(writer, drv_str_of(text));
}

static void put_reply(struct record_writer *writer, const struct reply *reply)
{
    struct drv_val val = body_val(reply->val);
    record_put_uint(writer, reply->req);
    record_put_uint(writer, reply->code);
    record_put_int(writer, reply->number);
    record_put_uint(writer, reply->retry_after_ms);
    put_text(writer, reply->text);
    record_put_u8(writer, (uint8_t)reply->level);
    record_put_uint(writer, reply->note_count);
    for (size_t i = 0; i < reply->note_count; i++) {
        const struct reply_note *note = &reply->notes[i];
        record_put_uint(writer, note->position);
        record_put_uint(writer, note->code);
        record_put_uint(writer, note->retry_after_ms);
        put_text(writer, note->text);
        if (note->code == DROVER_ATTACHED) {
            record_put_id(writer, &note->id);
        }
    }
    record_put_val(writer, &val);
}

static void put_new_replies(struct core *core, struct session *session)
{
    struct record_writer writer = save_begin(core, CORE_SAVE_REPLIES, &session->id, 0);
    struct drv_list *link;
    record_put_uint(&writer, session->floor);
    while ((link = drv_list_pop_front(&session->unsaved_replies)) != NULL) {
        put_reply(&writer, DRV_LIST_ITEM(link, struct reply, unsaved));
    }
    save_end(core, &writer, NULL);
}

/* --- sessions ---------------------------------------------------------------------------- */

static void put_whole(struct core *core, struct session *session)
{
    const struct worker *worker = session->worker;
    const struct who *who = worker == NULL ? session->past : worker->who;
    struct record_writer writer = save_begin(core, CORE_SAVE_SESSION, &session->id, 0);
    record_put_uint(&writer, session->handle.generation);
    record_put_u8(&writer, (uint8_t)session->role);
    record_put_u8(&writer,
                  (uint8_t)((worker != NULL && worker->is_draining ? SESSION_DRAINING : 0) |
                            (session->account != NULL ? SESSION_OWNED : 0)));
    record_put_str(&writer, drv_str_of(session->name));
    record_put_str(&writer, who == NULL ? str_of(NULL, 0)
                                        : str_of(who->text + who->name_len, who->host_len));
    if (session->account != NULL) {
        record_put_str(&writer, account_name(session->account));
    }
    record_put_uint(&writer, session->floor);
    DRV_LIST_EACH(link, &session->replies)
    {
        struct reply *reply = DRV_LIST_ITEM(link, struct reply, link);
        drv_list_remove(&reply->unsaved);
        if (!reply->is_open) {
            put_reply(&writer, reply);
        }
    }
    save_end(core, &writer, NULL);
    session->mark = save_mark(core);
    session->is_saved = true;
}

void save_put_session(struct core *core, struct session *session)
{
    if (session->is_saved) {
        put_new_replies(core, session);
    } else {
        put_whole(core, session);
    }
}

void save_session_end(struct core *core, const struct session *session)
{
    if (core->save.is_on) {
        struct record_writer writer = save_begin(core, CORE_SAVE_SESSION_END, &session->id, 0);
        save_end(core, &writer, NULL);
    }
}

/* --- shared data ------------------------------------------------------------------------- */

void save_kv(struct core *core, struct kv_entry *entry)
{
    if (!core->save.is_on) {
        return;
    }
    drover_id id = kv_saved_id(core, entry);
    struct drv_val val = body_val(entry->val);
    struct record_writer writer = save_begin(core, CORE_SAVE_KV, &id, 0);
    bool is_armed = timer_is_armed(&entry->timer);
    int64_t at_us = is_armed ? timer_at_us(core, &entry->timer) : 0;
    int64_t left_us = is_armed ? at_us - core->now_us : -1;
    record_put_str(&writer, str_of(entry->key, entry->key_len));
    record_put_uint(&writer, entry->version);
    record_put_uint(&writer, (uint64_t)(left_us < 0 ? 0 : left_us + 1));
    record_put_fixed(&writer, left_us < 0 ? 0 : save_wall(core, at_us));
    record_put_val_head(&writer, &val);
    save_end(core, &writer, &val);
    entry->mark = save_mark(core);
}

void save_kv_delete(struct core *core, const struct kv_entry *entry)
{
    if (core->save.is_on) {
        drover_id id = kv_saved_id(core, entry);
        struct record_writer writer = save_begin(core, CORE_SAVE_KV_DELETE, &id, 0);
        record_put_uint(&writer, core->kv_version);
        save_end(core, &writer, NULL);
    }
}

/* --- queues ------------------------------------------------------------------------------ */

/* 0: what the configuration says, also when that changes. */
static void put_limit(struct record_writer *writer, uint64_t limit, uint64_t otherwise)
{
    record_put_uint(writer, limit == otherwise ? 0 : limit);
}

void save_queue(struct core *core, struct queue *queue)
{
    static const drover_id nobody = {{0}};
    if (!core->save.is_on) {
        return;
    }
    struct record_writer writer = save_begin(core, CORE_SAVE_QUEUE, &nobody, 0);
    record_put_str(&writer, queue_name(queue));
    record_put_u8(&writer, queue->has_settings);
    record_put_u8(&writer, queue->is_paused);
    record_put_uint(&writer, queue->weight);
    put_limit(&writer, queue->max_count, core->config.queue_count_max);
    put_limit(&writer, queue->max_bytes, core->config.queue_bytes_max);
    record_put_uint(&writer, queue->level);
    struct throttle_limits limits = queue_limits(queue);
    record_put_uint(&writer, limits.rate);
    record_put_uint(&writer, limits.concurrency);
    record_put_uint(&writer, limits.per_key);
    record_put_uint(&writer, queue->aging_us / 1000);
    record_put_u8(&writer, (uint8_t)queue->placement);
    save_end(core, &writer, NULL);
    queue->mark = save_mark(core);
}
