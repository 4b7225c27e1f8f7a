#include "event.h"

#include "broker.h"
#include "document.h"

/* Entries of shared data that are looked at in one turn for one subscription. */
enum { EVENT_SCAN = 4096 };

/* What happened; what does not belong to the kind is NULL or 0. */
struct event {
    enum drv_event kind;
    const struct item *item;
    const struct who *who;
    const struct queue *queue;
    const struct kv_entry *entry;
    const struct worker *worker;
    const struct schedule *schedule;
    const struct alert *alert;
    const char *limit;      /* LIMIT: in words; DENIED: kind of the message */
    struct drv_str account; /* DENIED: in whose name */
    uint32_t error_kind;
    uint64_t number; /* RETRIED: delay_ms; PURGED, SKIPPED: count */
    bool charged;
};

bool event_is_wanted(const struct core *core, enum drv_event kind)
{
    return (core->event_mask >> kind & 1) != 0;
}

/* --- who wants it ------------------------------------------------------------------------ */

static bool is_any_or(struct drv_str wanted, struct drv_str found)
{
    return wanted.ptr == NULL || str_equals(wanted, found);
}

static bool worker_matches(struct drv_str wanted, const struct who *who)
{
    if (wanted.ptr == NULL) {
        return true;
    }
    if (who == NULL) {
        return false;
    }
    char text[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(&who->session, text);
    return str_equals(wanted, str_of(who->text, who->name_len)) ||
           str_equals(wanted, drv_str_of(text));
}

static bool tag_matches(const struct stream_filter *filter, const struct item *item)
{
    return filter->tag_name.ptr == NULL ||
           (item != NULL &&
            spec_has_tag(item->task->spec, filter->tag_name, filter->tag_value));
}

static bool group_matches(const struct stream_filter *filter, const struct item *item)
{
    if (filter->group.ptr == NULL) {
        return true;
    }
    const struct group *group = item == NULL ? NULL : item->task->spec->group;
    return group != NULL && str_equals(group_name(group), filter->group);
}

static bool id_matches(const struct stream_filter *filter, const struct item *item)
{
    if (!filter->has_id) {
        return true;
    }
    return item != NULL && drover_id_equal(&filter->id, &item->task->id) &&
           (filter->index == DROVER_INDEX_NONE || filter->index == item->index);
}

static bool owner_matches(const struct stream_filter *filter, const struct item *item)
{
    return filter->only == NULL || (item != NULL && item->task->spec->account == filter->only);
}

static bool event_matches(const struct stream_filter *filter, const struct event *event)
{
    struct drv_str queue = event->queue == NULL ? str_of(NULL, 0) : queue_name(event->queue);
    struct drv_str type = event->item == NULL ? str_of(NULL, 0)
                                              : type_name(event->item->task->spec->line->type);
    return (filter->mask >> event->kind & 1) != 0 && id_matches(filter, event->item) &&
           is_any_or(filter->queue, queue) && is_any_or(filter->type, type) &&
           worker_matches(filter->worker, event->who) && tag_matches(filter, event->item) &&
           group_matches(filter, event->item) && owner_matches(filter, event->item);
}

static bool key_matches(const struct subscription *reader, const struct kv_entry *entry)
{
    struct drv_str wanted = reader->filter.text;
    struct drv_str key = str_of(entry->key, entry->key_len);
    if (reader->flags & DRV_SUBSCRIBE_PREFIX) {
        return wanted.len <= key.len &&
               (wanted.len == 0 || memcmp(wanted.ptr, key.ptr, wanted.len) == 0);
    }
    return str_equals(wanted, key);
}

/* --- how it is written ------------------------------------------------------------------- */

static void put_item(struct document *document, const struct item *item)
{
    const struct line *line = item->task->spec->line;
    document_id(document, "id", &item->task->id);
    if (item->index != DROVER_INDEX_NONE) {
        document_uint(document, "index", item->index);
    }
    document_str(document, "type", type_name(line->type));
    document_str(document, "queue", queue_name(line->queue));
    if (item->task->spec->group != NULL) {
        document_str(document, "group", group_name(item->task->spec->group));
    }
}

static void put_progress(struct document *document, const struct more *more)
{
    if (more != NULL && more->progress != NULL) {
        document_uint(document, "permille", more->progress->permille);
        document_str(document, "text", str_of(more->progress->text, more->progress->len));
    }
}

static void put_end(struct document *document, const struct unit *unit)
{
    document_text(document, "state", drover_state_name((enum drover_state)unit->state));
    if (unit->more != NULL && unit->more->error != NULL) {
        uint32_t kind = unit->more->error->kind;
        document_text(document, "error", drover_error_kind_name((enum drover_error_kind)kind));
    }
    if (unit->flags & UNIT_REPORTED) {
        document_double(document, "run_ms", (double)unit->run_us / 1000.0);
    }
}

static void put_task_event(struct document *document, const struct event *event)
{
    const struct unit *unit = event->item->unit;
    put_item(document, event->item);
    if (event->kind == DRV_EVENT_TASK_SUBMITTED) {
        document_text(document, "state", drover_state_name((enum drover_state)unit->state));
        if (unit->more != NULL && unit->more->has_retry_of) {
            document_id(document, "retry_of", &unit->more->retry_of);
        }
        return;
    }
    if (event->kind == DRV_EVENT_TASK_QUEUED) {
        return;
    }
    document_uint(document, "attempt", unit->attempt);
    if (event->who != NULL) {
        document_str(document, "worker", str_of(event->who->text, event->who->name_len));
    }
    if (event->kind == DRV_EVENT_TASK_PROGRESS) {
        put_progress(document, unit->more);
    } else if (event->kind == DRV_EVENT_TASK_ENDED) {
        put_end(document, unit);
    } else if (event->kind == DRV_EVENT_TASK_REQUEUED) {
        document_bool(document, "charged", event->charged);
    } else if (event->kind == DRV_EVENT_TASK_RETRIED) {
        document_text(document, "error",
                      drover_error_kind_name((enum drover_error_kind)event->error_kind));
        document_uint(document, "delay_ms", event->number);
    }
}

static void put_worker_event(struct document *document, const struct event *event)
{
    const struct worker *worker = event->worker;
    document_str(document, "worker", worker_name(worker));
    document_id(document, "worker_id", &worker->who->session);
    document_str(document, "host", worker_host(worker));
    if (event->kind == DRV_EVENT_WORKER_CONNECTED) {
        document_uint(document, "slots", worker->slots);
    } else {
        document_uint(document, "leases", worker->held);
    }
}

static void put_queue_event(struct document *document, const struct event *event)
{
    const struct queue *queue = event->queue;
    document_str(document, "queue", queue_name(queue));
    if (event->kind == DRV_EVENT_QUEUE_PURGED) {
        document_uint(document, "count", event->number);
    } else if (event->kind == DRV_EVENT_QUEUE_SET) {
        document_uint(document, "weight", queue->weight);
        document_uint(document, "max_count", queue->max_count);
        document_uint(document, "max_bytes", queue->max_bytes);
        document_text(document, "durability",
                      drover_durability_name((enum drover_durability)queue->level));
    }
}

static void put_kv_event(struct document *document, const struct event *event)
{
    const struct kv_entry *entry = event->entry;
    document_str(document, "key", str_of(entry->key, entry->key_len));
    document_uint(document, "version", entry->version);
    if (event->kind == DRV_EVENT_KV_DELETED || event->kind == DRV_EVENT_KV_EXPIRED) {
        return;
    }
    struct drv_val val = body_val(entry->val);
    document_uint(document, "bytes", val.len);
    if (!val.is_nil && val.len <= DRV_INLINE_MAX) {
        document_bin(document, "value", str_of((const char *)val.bytes, val.len));
        if (val.content_type.len > 0) {
            document_str(document, "content_type", val.content_type);
        }
    }
}

static void put_schedule_event(struct document *document, const struct event *event)
{
    const struct schedule *schedule = event->schedule;
    document_str(document, "schedule", schedule_name(schedule));
    if (event->kind == DRV_EVENT_SCHEDULE_FIRED) {
        document_id(document, "id", &schedule->last_id);
        document_schedule_time(document, "instant", schedule, schedule->last_ms);
        document_uint(document, "late_ms",
                      (uint64_t)(schedule->last_fired_ms > schedule->last_ms
                                     ? schedule->last_fired_ms - schedule->last_ms
                                     : 0));
    } else if (event->kind == DRV_EVENT_SCHEDULE_SKIPPED) {
        document_uint(document, "count", event->number);
        document_text(document, "reason", schedule->trouble);
    }
}

static void put_alert_event(struct document *document, const struct alert *alert)
{
    char line[ALERT_LINE_MAX];
    alert_line(alert, line);
    document_str(document, "rule", alert_rule_name(alert->rule));
    document_str(document, "subject", alert_subject(alert));
    document_text(document, "severity", drv_severity_name(alert->rule->what.severity));
    document_double(document, "value", alert->value);
    document_double(document, "threshold", alert->rule->what.threshold);
    document_str(document, "text", drv_str_of(line));
}

static void put_limit_event(struct document *document, const struct event *event)
{
    document_text(document, "limit", event->limit);
    document_str(document, "queue", queue_name(event->queue));
}

static void put_denied_event(struct document *document, const struct event *event)
{
    document_str(document, "account", event->account);
    document_text(document, "message", event->limit);
}

/* The event as a map; NULL when out of memory. */
static struct stream_data *event_write(struct core *core, const struct event *event)
{
    struct document document;
    struct drv_str bytes;
    document_begin(&document, core);
    document_map(&document, NULL);
    document_text(&document, "event", drv_event_name(event->kind));
    if (event->entry != NULL) {
        put_kv_event(&document, event);
    } else if (event->item != NULL) {
        put_task_event(&document, event);
    } else if (event->alert != NULL) {
        put_alert_event(&document, event->alert);
    } else if (event->schedule != NULL) {
        put_schedule_event(&document, event);
    } else if (event->worker != NULL) {
        put_worker_event(&document, event);
    } else if (event->kind == DRV_EVENT_BROKER_LIMIT) {
        put_limit_event(&document, event);
    } else if (event->kind == DRV_EVENT_BROKER_DENIED) {
        put_denied_event(&document, event);
    } else if (event->queue != NULL) {
        put_queue_event(&document, event);
    }
    document_end(&document);
    if (document_finish(&document, &bytes)) {
        return NULL;
    }
    struct stream_data *data = stream_data_new(core, bytes.len);
    if (data != NULL) {
        memcpy(data->bytes, bytes.ptr, bytes.len);
    }
    return data;
}

/* Tells one reader; *data is written when the first one wants it. */
static void event_tell(struct core *core, struct subscription *reader,
                       const struct event *event, struct stream_data **data)
{
    if (core->config.defects.lose_event && core->now_us % 8 == 0) {
        return; /* defect: as if it had not happened */
    }
    if (*data == NULL) {
        *data = event_write(core, event);
    }
    if (*data == NULL) {
        subscription_miss(core, reader);
    } else {
        subscription_put(core, reader, *data);
    }
}

static void event_tell_all(struct core *core, const struct event *event)
{
    struct stream_data *data = NULL;
    DRV_LIST_EACH(link, &core->event_readers)
    {
        struct subscription *reader = DRV_LIST_ITEM(link, struct subscription, in_source);
        if (event_matches(&reader->filter, event)) {
            event_tell(core, reader, event, &data);
        }
    }
    stream_data_release(core, &data);
}

/* --- what happened ----------------------------------------------------------------------- */

static void tell_item(struct core *core, const struct item *item, struct event *event)
{
    const struct lease *lease = unit_lease(item->unit);
    event->item = item;
    event->queue = item->task->spec->line->queue;
    event->who = lease != NULL && lease->worker != NULL ? lease->worker->who : core->reporter;
    event_tell_all(core, event);
}

void event_item(struct core *core, enum drv_event kind, const struct item *item)
{
    if (event_is_wanted(core, kind)) {
        tell_item(core, item, &(struct event){.kind = kind});
    }
}

void event_retried(struct core *core, const struct item *item, uint32_t error_kind,
                   uint64_t delay_ms)
{
    if (event_is_wanted(core, DRV_EVENT_TASK_RETRIED)) {
        struct event event = {
            .kind = DRV_EVENT_TASK_RETRIED, .error_kind = error_kind, .number = delay_ms};
        tell_item(core, item, &event);
    }
}

void event_requeued(struct core *core, const struct item *item, bool charged)
{
    if (event_is_wanted(core, DRV_EVENT_TASK_REQUEUED)) {
        struct event event = {.kind = DRV_EVENT_TASK_REQUEUED, .charged = charged};
        tell_item(core, item, &event);
    }
}

void event_worker(struct core *core, enum drv_event kind, const struct worker *worker)
{
    alerts_worker(core, kind, worker);
    if (event_is_wanted(core, kind) && worker->who != NULL) {
        struct event event = {.kind = kind, .who = worker->who, .worker = worker};
        event_tell_all(core, &event);
    }
}

void event_queue(struct core *core, enum drv_event kind, const struct queue *queue,
                 uint64_t count)
{
    if (event_is_wanted(core, kind)) {
        struct event event = {.kind = kind, .queue = queue, .number = count};
        event_tell_all(core, &event);
    }
}

void event_schedule(struct core *core, enum drv_event kind, const struct schedule *schedule,
                    uint64_t count)
{
    if (event_is_wanted(core, kind)) {
        struct event event = {.kind = kind, .schedule = schedule, .number = count};
        event_tell_all(core, &event);
    }
}

void event_alert(struct core *core, enum drv_event kind, const struct alert *alert)
{
    if (event_is_wanted(core, kind)) {
        event_tell_all(core, &(struct event){.kind = kind, .alert = alert});
    }
}

void event_draining(struct core *core)
{
    if (event_is_wanted(core, DRV_EVENT_BROKER_DRAINING)) {
        event_tell_all(core, &(struct event){.kind = DRV_EVENT_BROKER_DRAINING});
    }
}

/* Whether this limit was told a moment ago; if not, it is now. */
static bool limit_is_known(struct core *core, const char *reason)
{
    struct event_limit *oldest = &core->limits[0];
    for (size_t i = 0; i < EVENT_LIMITS; i++) {
        struct event_limit *limit = &core->limits[i];
        if (limit->reason == reason && core->now_us < limit->told_us + EVENT_LIMIT_US) {
            return true;
        }
        oldest = limit->told_us < oldest->told_us ? limit : oldest;
    }
    *oldest = (struct event_limit){reason, core->now_us};
    return false;
}

void event_limit(struct core *core, const char *reason, const struct queue *queue)
{
    if (event_is_wanted(core, DRV_EVENT_BROKER_LIMIT) && !limit_is_known(core, reason)) {
        struct event event = {.kind = DRV_EVENT_BROKER_LIMIT, .queue = queue, .limit = reason};
        event_tell_all(core, &event);
    }
}

void event_denied(struct core *core, struct drv_str account, const char *kind)
{
    if (event_is_wanted(core, DRV_EVENT_BROKER_DENIED)) {
        struct event event = {
            .kind = DRV_EVENT_BROKER_DENIED, .account = account, .limit = kind};
        event_tell_all(core, &event);
    }
}

void event_kv(struct core *core, enum drv_event kind, const struct kv_entry *entry)
{
    const struct event event = {.kind = kind, .entry = entry};
    struct stream_data *data = NULL;
    DRV_LIST_EACH(link, &core->kv_readers)
    {
        struct subscription *reader = DRV_LIST_ITEM(link, struct subscription, in_source);
        if (key_matches(reader, entry)) {
            event_tell(core, reader, &event, &data);
        }
    }
    stream_data_release(core, &data);
}

/* --- readers ----------------------------------------------------------------------------- */

void events_add_reader(struct core *core, struct subscription *subscription)
{
    if (subscription->stream == DRV_STREAM_EVENTS) {
        drv_list_push_back(&core->event_readers, &subscription->in_source);
        core->event_mask |= subscription->filter.mask;
        return;
    }
    drv_list_push_back(&core->kv_readers, &subscription->in_source);
    subscription->is_filling = (subscription->flags & DRV_SUBSCRIBE_PRESENT) != 0;
    subscription_touch(core, subscription);
}

void events_count_readers(struct core *core)
{
    core->event_mask = 0;
    DRV_LIST_EACH(link, &core->event_readers)
    {
        core->event_mask |= DRV_LIST_ITEM(link, struct subscription, in_source)->filter.mask;
    }
}

/* False: the window is full. */
static bool fill_put(struct core *core, struct subscription *reader, const struct event *event)
{
    struct stream_data *data = event_write(core, event);
    bool has_room = data == NULL || subscription_has_room(reader, data->len);
    if (data == NULL) {
        subscription_miss(core, reader);
    } else if (has_room) {
        subscription_put(core, reader, data);
    }
    stream_data_release(core, &data);
    return has_room;
}

void events_fill(struct core *core, struct subscription *subscription)
{
    for (int scanned = 0; scanned < EVENT_SCAN; scanned++) {
        struct drv_table_cursor before = subscription->cursor;
        const struct kv_entry *entry = drv_table_next(&core->kv, &subscription->cursor);
        struct event event = {.kind = entry == NULL ? DRV_EVENT_KV_READY : DRV_EVENT_KV_PRESENT,
                              .entry = entry};
        if (entry != NULL && !key_matches(subscription, entry)) {
            continue;
        }
        if (!fill_put(core, subscription, &event)) {
            subscription->cursor = before;
            return; /* TAKEN goes on */
        }
        if (entry == NULL) {
            subscription->is_filling = false;
            return;
        }
    }
    subscription_touch(core, subscription);
}
