/*
 * watch_flush.c: puts results into messages, within the client's credit.
 */
#include "broker.h"
#include "check.h"

/* Estimated bytes of an entry in the head, beside its texts. */
enum { OUTCOME_HEAD_BYTES = 96 };

/* One RESULTS message being filled. */
struct bundle {
    struct session *session;
    struct flight *flight;
    struct drv_outcome *entries;
    size_t count, capacity;
    struct drv_meter meter;
    uint64_t bytes;
    enum drover_durability level; /* of all its entries */
};

static uint64_t credit_left(const struct session *session)
{
    return session->credit_items > session->items_in_flight
               ? session->credit_items - session->items_in_flight
               : 0;
}

static bool bundle_has_room(const struct bundle *bundle, uint64_t bytes)
{
    const struct peer *peer = bundle->session->peer;
    bool is_first = bundle->count == 0 && peer->flight_bytes == 0;
    return bundle->count < bundle->capacity &&
           (is_first || peer_window_has(peer, bundle->bytes + bytes));
}

static bool bundle_add(struct bundle *bundle, const struct drv_outcome *entry,
                       enum drover_durability level)
{
    size_t head_bytes = OUTCOME_HEAD_BYTES + entry->error.code.len + entry->error.text.len +
                        entry->error.stderr_tail.len;
    if ((bundle->count > 0 && level != bundle->level) ||
        !bundle_has_room(bundle, entry->val.len) ||
        !drv_meter_fits(&bundle->meter, head_bytes, &entry->val)) {
        return false;
    }
    bundle->entries[bundle->count++] = *entry;
    bundle->bytes += entry->val.len;
    bundle->level = level;
    return true;
}

static struct drv_outcome outcome_of(const struct item *item, bool states_only)
{
    const struct unit *unit = item->unit;
    struct drv_outcome outcome = {
        .id = item->task->id,
        .index = item->index,
        .state = unit->state,
        .attempt = unit->attempt,
        .val = {.is_nil = true},
        .error = failure_view(unit->more == NULL ? NULL : unit->more->error),
        .level = item->task->spec->numbers.level,
    };
    if (!states_only) {
        outcome.val = body_val(unit->result);
    }
    return outcome;
}

static void bundle_losses(struct bundle *bundle)
{
    struct session *session = bundle->session;
    struct drv_list *link;
    while ((link = drv_list_first(&session->ready_losses)) != NULL) {
        struct loss *loss = DRV_LIST_ITEM(link, struct loss, link);
        struct drv_outcome entry = {
            .id = loss->id,
            .index = loss->index,
            .state = DROVER_STATE_LOST,
            .val = {.is_nil = true},
            .error = {.kind = DROVER_ERROR_LOST,
                      .text = drv_str_of("the broker was restarted without it"),
                      .exit_code = -1},
            .level = loss->level,
        };
        if (!bundle_add(bundle, &entry, DROVER_DURABILITY_MEMORY)) {
            return;
        }
        drv_list_remove(link);
        drv_list_push_back(&bundle->flight->losses, link);
    }
}

static enum drover_durability level_of(const struct drv_outcome *outcome)
{
    return (enum drover_durability)outcome->level;
}

static void bundle_tasks(struct bundle *bundle)
{
    struct session *session = bundle->session;
    struct drv_list *link;
    while ((link = drv_list_first(&session->ready_tasks)) != NULL) {
        struct task *task = DRV_CONTAINER_OF(link, struct task, place.link);
        struct item item = item_of_task(task);
        struct drv_outcome entry = outcome_of(&item, (task->flags & TASK_STATES) != 0);
        if (!bundle_add(bundle, &entry, level_of(&entry))) {
            return;
        }
        drv_list_remove(link);
        drv_list_push_back(&bundle->flight->sent, link);
    }
}

/* Results that were dropped meanwhile are passed over. False: wait until what is in flight has
 * been settled. */
static bool watch_skip_dropped(struct watch *watch, const struct piece *piece)
{
    struct array *array = watch->task->array;
    while (watch->sent < array->ended &&
           array_item(array, array_ended_at(array, watch->sent)).unit->flags & UNIT_DROPPED) {
        if (piece->upto > piece->from) {
            watch->sent++;
        } else if (watch->sent == watch->settled) {
            watch->sent++;
            watch->settled++;
            watch->session->unread--;
        } else {
            return false;
        }
    }
    return true;
}

/* What was passed over behind the last entry is settled with it. */
static void piece_cover(struct piece *piece, const struct watch *watch)
{
    if (piece->upto > piece->from) {
        piece->upto = watch->sent;
    }
}

/* Elements that ended, in order. False: the message is full. */
static bool bundle_elements(struct bundle *bundle, struct watch *watch, struct piece *piece)
{
    struct array *array = watch->task->array;
    while (watch_skip_dropped(watch, piece) && watch->sent < array->ended) {
        struct item item = array_item(array, array_ended_at(array, watch->sent));
        struct drv_outcome entry = outcome_of(&item, (watch->flags & WATCH_STATES) != 0);
        if (!bundle_add(bundle, &entry, level_of(&entry))) {
            piece_cover(piece, watch);
            return false;
        }
        if (piece->upto == piece->from) {
            piece->from = watch->sent;
        }
        piece->upto = ++watch->sent;
    }
    piece_cover(piece, watch);
    return true;
}

/* What of an array can go into the message. False: it is full. */
static bool bundle_array(struct core *core, struct bundle *bundle, struct watch *watch)
{
    struct piece *piece = core_alloc(core, sizeof *piece);
    if (piece == NULL) {
        return false;
    }
    bool has_room = bundle_elements(bundle, watch, piece);
    bool is_last = watch->sent == watch->task->array->ended &&
                   unit_is_terminal(&watch->task->unit) && !watch->last_sent;
    if (has_room && is_last) {
        struct item item = item_of_task(watch->task);
        struct drv_outcome entry = outcome_of(&item, true);
        has_room = bundle_add(bundle, &entry, level_of(&entry));
        watch->last_sent = has_room;
        piece->has_last = has_room;
    }
    if (piece->upto == piece->from) {
        piece->from = piece->upto = watch->sent;
    }
    if (piece->upto == piece->from && !piece->has_last) {
        core_free(core, piece, sizeof *piece);
        return has_room;
    }
    piece->id = watch->task->id;
    piece->serial = watch->serial;
    drv_list_push_back(&bundle->flight->pieces, &piece->link);
    return has_room;
}

/* One ready watch. False: the message is full. */
static bool bundle_watch(struct core *core, struct bundle *bundle, struct watch *watch)
{
    if (watch->index == DROVER_INDEX_NONE && task_is_array(watch->task)) {
        if (!bundle_array(core, bundle, watch)) {
            return false;
        }
        drv_list_remove(&watch->in_session);
        watch->is_ready = false;
        return true;
    }
    struct item item = item_of_task(watch->task);
    if (watch->index != DROVER_INDEX_NONE) {
        item = array_item(watch->task->array, watch->index);
    }
    struct drv_outcome entry = outcome_of(&item, (watch->flags & WATCH_STATES) != 0);
    if (!bundle_add(bundle, &entry, level_of(&entry))) {
        return false;
    }
    drv_list_remove(&watch->in_session);
    drv_list_push_back(&bundle->flight->watches, &watch->in_session);
    return true;
}

static void bundle_watches(struct core *core, struct bundle *bundle)
{
    struct drv_list *link;
    while ((link = drv_list_first(&bundle->session->ready_watches)) != NULL) {
        if (!bundle_watch(core, bundle, DRV_LIST_ITEM(link, struct watch, in_session))) {
            return;
        }
    }
}

/* One RESULTS message. False: nothing more can be sent now. */
static bool results_send(struct core *core, struct session *session)
{
    uint64_t capacity = credit_left(session);
    capacity = capacity < DRV_BATCH_MAX ? capacity : DRV_BATCH_MAX;
    capacity = capacity < session->unread ? capacity : session->unread;
    struct bundle bundle = {.session = session, .capacity = (size_t)capacity};
    if (capacity == 0) {
        return false;
    }
    drv_meter_reset(&bundle.meter);
    bundle.entries = effects_take(core, bundle.capacity, sizeof *bundle.entries);
    struct drv_message *message = effects_message(core, DRV_RESULTS);
    bundle.flight = peer_fly(core, session->peer, 0, DROVER_DURABILITY_MEMORY);
    if (bundle.entries == NULL || message == NULL || bundle.flight == NULL) {
        session->peer->is_broken = true;
        return false;
    }
    bundle_losses(&bundle);
    bundle_tasks(&bundle);
    bundle_watches(core, &bundle);
    if (bundle.count == 0) {
        session->peer->last_token--;
        peer_land(core, session->peer, bundle.flight);
        return false;
    }
    bundle.flight->bytes = bundle.bytes;
    bundle.flight->items = bundle.count;
    bundle.flight->level = bundle.level;
    session->peer->flight_bytes += bundle.bytes;
    session->items_in_flight += bundle.count;
    session_expect(core, session);
    message->results.entries = bundle.entries;
    message->results.entry_count = bundle.count;
    effects_send_at(core, session->peer, message, bundle.flight->token, bundle.level);
    return true;
}

void watch_flush(struct core *core, struct session *session)
{
    while (session->unread > session->items_in_flight && results_send(core, session)) {
    }
}
