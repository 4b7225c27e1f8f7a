/*
 * check_stream.c: subscriptions, their windows, and the output that is kept.
 */
#include "check_core.h"

static void check_entries(struct check *check, const struct subscription *subscription)
{
    uint64_t number = 0, count = 0, bytes = 0;
    bool has_unsent = false;
    DRV_LIST_EACH(link, &subscription->entries)
    {
        const struct stream_entry *entry = DRV_LIST_ITEM(link, struct stream_entry, link);
        has_unsent = has_unsent || link == subscription->unsent;
        expect(check, entry->number > number && entry->number <= subscription->last,
               "entries of a subscription are out of order");
        expect(check, has_unsent == (entry->number > subscription->told),
               "a subscription does not know what it has sent");
        expect(check,
               entry->data != NULL ||
                   (subscription->has_end && link->next == &subscription->entries),
               "something comes after the end of an output");
        number = entry->number;
        bytes += DRV_STREAM_ENTRY_BYTES + (entry->data == NULL ? 0 : entry->data->len);
        count++;
    }
    expect(check, has_unsent || subscription->unsent == &subscription->entries,
           "a subscription is to send what it has not got");
    expect(check, subscription->count == count && subscription->bytes == bytes,
           "the entries of a subscription are miscounted");
    uint64_t end = subscription->has_end ? 1 : 0;
    expect(check, count <= subscription->items_max + end,
           "a subscription keeps more entries than its window takes");
    expect(check,
           count <= 1 + end || bytes <= subscription->bytes_max + end * DRV_STREAM_ENTRY_BYTES,
           "a subscription keeps more bytes than its window takes");
}

static void check_source(struct check *check, const struct subscription *subscription)
{
    bool is_linked = drv_list_is_linked(&subscription->in_source);
    if (subscription->stream != DRV_STREAM_LOGS) {
        expect(check, is_linked, "a subscription is told nothing");
        expect(check,
               subscription->stream != DRV_STREAM_EVENTS ||
                   (subscription->filter.mask & ~check->core->event_mask) == 0,
               "a subscription waits for events that nobody tells");
        return;
    }
    const struct output *output = subscription->output;
    expect(check, is_linked == (output != NULL), "a reader of output is in a wrong list");
    expect(check, (output == NULL) == (subscription->end_state != 0),
           "output has neither a source nor an end");
    if (output == NULL) {
        return;
    }
    struct item item;
    expect(check, item_find(check->core, &output->task->id, output->index, &item),
           "output of a task that is forgotten is read");
    expect(check, !task_is_array(output->task) || output->task->array->outputs > 0,
           "an array does not know its readers");
    expect(check, subscription->serial <= check->core->reader_serial,
           "a reader has a number that was never given");
}

void check_streams(struct check *check, const struct session *session)
{
    uint64_t bytes = 0;
    uint32_t count = 0;
    DRV_LIST_EACH(link, &session->subscriptions)
    {
        const struct subscription *subscription = DRV_LIST_ITEM(link, struct subscription,
                                                                in_session);
        expect(check, subscription->session == session, "a subscription is another's");
        expect(check, subscription->told <= subscription->last,
               "a client was told more than there was");
        expect(check, session->peer != NULL || subscription->is_waiting,
               "a subscription sends without a connection");
        check_entries(check, subscription);
        check_source(check, subscription);
        bytes += subscription->bytes_max;
        count++;
    }
    expect(check, session->subscription_count == count, "subscriptions are miscounted");
    expect(check, session->stream_bytes == bytes, "the windows of a session are miscounted");
    expect(check, count <= DRV_SUBSCRIPTIONS_MAX && bytes <= STREAM_SESSION_BYTES,
           "a session has too many subscriptions");
    check->stream_bytes += bytes;
}

void check_output(struct check *check)
{
    const struct core *core = check->core;
    uint64_t bytes = 0;
    DRV_LIST_EACH(link, &core->tails)
    {
        const struct tail *tail = DRV_LIST_ITEM(link, struct tail, link);
        expect(check, tail->more->tail == tail, "kept output is nobody's");
        bytes += sizeof *tail + tail->piece_count * sizeof *tail->pieces + tail->len;
    }
    expect(check, core->tail_bytes == bytes, "kept output is miscounted");
    expect(check, bytes <= core->config.output_bytes_max, "more output is kept than allowed");
    expect(check, core->stream_bytes == check->stream_bytes, "windows are miscounted");
    expect(check, core->stream_bytes <= core->config.stream_bytes_max,
           "more was granted to subscriptions than allowed");
}
