/*
 * stream_flush.c: LOGS and EVENTS for a client, at the end of a turn.
 */
#include "broker.h"
#include "check.h"
#include "event.h"
#include "output.h"
#include "stream.h"

/* Bytes sent to one session in one turn; the rest follows at once, but others come between. */
enum { STREAM_TURN_BYTES = 1024 * 1024 };

/* Entries that go into one message: they follow each other without a gap. */
struct batch {
    uint64_t first;
    size_t count;
    size_t bytes;
    bool has_end;
};

static struct stream_entry *entry_at(struct drv_list *link)
{
    return DRV_LIST_ITEM(link, struct stream_entry, link);
}

static struct batch batch_of(const struct subscription *subscription)
{
    struct batch batch = {.first = entry_at(subscription->unsent)->number};
    for (struct drv_list *link = subscription->unsent; link != &subscription->entries;
         link = link->next) {
        const struct stream_entry *entry = entry_at(link);
        size_t len = entry->data == NULL ? 0 : entry->data->len;
        if (entry->number != batch.first + batch.count || batch.count == DRV_BATCH_MAX ||
            batch.bytes + len > DRV_BLOB_MAX) {
            break;
        }
        if (entry->data == NULL) {
            batch.has_end = true; /* nothing comes after it */
            break;
        }
        batch.count++;
        batch.bytes += len;
    }
    return batch;
}

/* The bytes of the batch, one after the other; NULL when out of memory. */
static char *batch_bytes(struct core *core, const struct subscription *subscription,
                         const struct batch *batch)
{
    char *bytes = effects_alloc(core, batch->bytes + 1, 1);
    struct drv_list *link = subscription->unsent;
    size_t at = 0;
    for (size_t i = 0; bytes != NULL && i < batch->count; i++, link = link->next) {
        const struct stream_data *data = entry_at(link)->data;
        memcpy(bytes + at, data->bytes, data->len);
        at += data->len;
    }
    return bytes;
}

static bool fill_logs(struct core *core, const struct subscription *subscription,
                      const struct batch *batch, struct drv_logs *logs)
{
    struct drv_piece *pieces = effects_alloc(core, batch->count, sizeof *pieces);
    struct drv_list *link = subscription->unsent;
    for (size_t i = 0; pieces != NULL && i < batch->count; i++, link = link->next) {
        pieces[i] = entry_at(link)->data->piece;
        pieces[i].len = entry_at(link)->data->len;
    }
    *logs = (struct drv_logs){
        .subscription = subscription->number,
        .first = batch->first,
        .pieces = pieces,
        .piece_count = batch->count,
        .state = batch->has_end ? subscription->end_state : 0,
        .text = str_of(batch_bytes(core, subscription, batch), batch->bytes),
    };
    return logs->text.ptr != NULL && pieces != NULL;
}

static bool fill_events(struct core *core, const struct subscription *subscription,
                        const struct batch *batch, struct drv_events *events)
{
    struct drv_event_entry *entries = effects_alloc(core, batch->count, sizeof *entries);
    struct drv_list *link = subscription->unsent;
    for (size_t i = 0; entries != NULL && i < batch->count; i++, link = link->next) {
        const struct stream_data *data = entry_at(link)->data;
        entries[i] = (struct drv_event_entry){.age_ms = ms_of_us(core->now_us - data->at_us),
                                              .len = data->len};
    }
    *events = (struct drv_events){
        .subscription = subscription->number,
        .first = batch->first,
        .entries = entries,
        .entry_count = batch->count,
        .maps = str_of(batch_bytes(core, subscription, batch), batch->bytes),
    };
    return events->maps.ptr != NULL && entries != NULL;
}

static void send_batch(struct core *core, struct subscription *subscription,
                       const struct batch *batch)
{
    bool is_output = subscription->stream == DRV_STREAM_LOGS;
    struct drv_message *message = effects_message(core, is_output ? DRV_LOGS : DRV_EVENTS);
    bool is_filled = message != NULL &&
                     (is_output ? fill_logs(core, subscription, batch, &message->logs)
                                : fill_events(core, subscription, batch, &message->events));
    /* What is told has happened for good; and all of it at one level keeps its order. */
    effects_send_at(core, subscription->session->peer, is_filled ? message : NULL, 0,
                    save_level_max(core));
    uint64_t end = batch->first + batch->count + (batch->has_end ? 1 : 0);
    for (uint64_t number = batch->first; number < end; number++) {
        subscription->unsent = subscription->unsent->next;
    }
    subscription->told = end - 1;
}

/* All that is there; false: something is left for another turn. */
static bool subscription_flush(struct core *core, struct subscription *subscription,
                               size_t *left)
{
    while (subscription->unsent != &subscription->entries) {
        struct batch batch = batch_of(subscription);
        if (*left < batch.bytes) {
            return false;
        }
        *left -= batch.bytes;
        send_batch(core, subscription, &batch);
    }
    if (subscription->told < subscription->last && subscription_has_room(subscription, 0)) {
        /* The last that happened was missed. A reader that is behind hears of it later. */
        struct batch batch = {.first = subscription->last + 1};
        send_batch(core, subscription, &batch);
    }
    return true;
}

static void subscription_fill(struct core *core, struct subscription *subscription)
{
    if (subscription->stream == DRV_STREAM_KV) {
        events_fill(core, subscription);
    } else if (subscription->stream == DRV_STREAM_LOGS) {
        output_fill(core, subscription);
    }
}

void streams_flush(struct core *core, struct session *session)
{
    struct drv_list now, *link;
    size_t left = STREAM_TURN_BYTES;
    drv_list_init(&now);
    drv_list_splice_back(&now, &session->ready_streams);
    while ((link = drv_list_pop_front(&now)) != NULL) {
        struct subscription *subscription = DRV_LIST_ITEM(link, struct subscription, ready);
        if (subscription->is_waiting) {
            continue; /* SUBSCRIBE touches it again */
        }
        if (subscription->is_filling) {
            subscription_fill(core, subscription);
        }
        if (!subscription_flush(core, subscription, &left)) {
            subscription_touch(core, subscription);
        }
    }
}
