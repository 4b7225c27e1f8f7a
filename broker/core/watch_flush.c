/*
 * watch_flush.c: puts results into messages, within the client's credit.
 */
#include "broker.h"
#include "check.h"
#include "lengths.h"

#include <string.h>

/* Estimated bytes of an entry in the head, beside its texts. */
enum { OUTCOME_HEAD_BYTES = 96 };
/* The values of a range are gathered in blocks of this size. */
enum { GATHER_BYTES = 16384 };
enum { RESULTS_MAX = 16384 }; /* in one message, however few entries they make */

/* A block of the effects in which what lies together is put together. */
struct gather {
    uint8_t *bytes;
    size_t used, room;
};

/* One RESULTS message being filled. */
struct bundle {
    struct session *session;
    struct flight *flight;
    struct drv_outcome *entries;
    size_t count, capacity;
    size_t items, items_max;       /* results, and how many there may be */
    struct gather values, lengths; /* of ranges */
    const struct task *open;       /* whose elements may join the last entry; NULL: nobody's */
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
    return bundle->items < bundle->items_max &&
           (is_first || peer_window_has(peer, bundle->bytes + bytes));
}

static bool bundle_add(struct bundle *bundle, const struct drv_outcome *entry,
                       enum drover_durability level)
{
    size_t head_bytes = OUTCOME_HEAD_BYTES + entry->error.code.len + entry->error.text.len +
                        entry->error.stderr_tail.len;
    if ((bundle->count > 0 && level != bundle->level) || bundle->count == bundle->capacity ||
        !bundle_has_room(bundle, entry->val.len) ||
        !drv_meter_fits(&bundle->meter, head_bytes, &entry->val)) {
        return false;
    }
    bundle->entries[bundle->count++] = *entry;
    bundle->items++;
    bundle->bytes += entry->val.len;
    bundle->level = level;
    bundle->open = NULL;
    return true;
}

/* --- ranges ------------------------------------------------------------------------------ */

/* Whether it can be one of many elements that just succeeded. */
static bool is_plain(const struct unit *unit)
{
    const struct body *result = unit->result;
    return unit->state == DROVER_STATE_SUCCEEDED && unit->more == NULL &&
           (result == NULL || (!result->is_shared && result->type_len == 0));
}

static bool follows(const struct drv_outcome *last, const struct item *item)
{
    uint32_t count = last->range.count == 0 ? 1 : last->range.count;
    return count < DRV_RANGE_MAX && last->index + count == item->index &&
           last->attempt == item->unit->attempt && is_plain(item->unit);
}

/* Room of a block for what is to lie together; a new one when little is left. */
static bool gather_has(struct core *core, struct gather *gather, size_t len)
{
    if (gather->bytes == NULL || gather->room - gather->used < len) {
        *gather = (struct gather){.bytes = effects_take(core, GATHER_BYTES, 1),
                                  .room = GATHER_BYTES};
    }
    return gather->bytes != NULL;
}

static bool gather_is_full(const struct gather *gather, size_t len)
{
    return gather->room - gather->used < len;
}

static void put_value(struct bundle *bundle, struct drv_outcome *entry,
                      const struct drv_val *val)
{
    struct gather *values = &bundle->values, *lengths = &bundle->lengths;
    size_t len = val->is_nil ? 0 : val->len;
    size_t used = drv_lengths_put(lengths->bytes + lengths->used, val->is_nil, len);
    lengths->used += used;
    entry->range.lengths.len += used;
    if (len > 0) {
        memcpy(values->bytes + values->used, val->bytes, len);
    }
    values->used += len;
    entry->val.len += len;
    entry->range.count++;
}

/* The entry becomes a range of one; false: it cannot, or there is no memory. */
static bool range_open(struct core *core, struct bundle *bundle, struct drv_outcome *entry)
{
    struct drv_val first = entry->val;
    if (first.len > GATHER_BYTES / 4 || !gather_has(core, &bundle->values, GATHER_BYTES / 2) ||
        !gather_has(core, &bundle->lengths, GATHER_BYTES / 2)) {
        return false;
    }
    entry->val = (struct drv_val){.bytes = bundle->values.bytes + bundle->values.used};
    entry->range.lengths.ptr = (const char *)bundle->lengths.bytes + bundle->lengths.used;
    put_value(bundle, entry, &first);
    return true;
}

/* As one more of the elements in the last entry; false: it needs its own. */
static bool bundle_extend(struct core *core, struct bundle *bundle, const struct item *item,
                          bool states_only)
{
    if (bundle->open != item->task) {
        return false;
    }
    struct drv_outcome *last = &bundle->entries[bundle->count - 1];
    struct drv_val val = {.is_nil = true};
    if (!follows(last, item)) {
        return false;
    }
    if (!states_only && item->unit->result != NULL) {
        val = (struct drv_val){.bytes = item->unit->result->bytes,
                               .len = item->unit->result->len};
    }
    if (val.len > GATHER_BYTES / 4 || !bundle_has_room(bundle, val.len)) {
        return false;
    }
    bool is_range = last->range.count > 0;
    if (is_range && (gather_is_full(&bundle->values, val.len) ||
                     gather_is_full(&bundle->lengths, DRV_LENGTH_BYTES_MAX))) {
        return false;
    }
    if (!drv_meter_grows(&bundle->meter, DRV_LENGTH_BYTES_MAX, val.len) ||
        (!is_range && !range_open(core, bundle, last))) {
        return false;
    }
    put_value(bundle, last, &val);
    bundle->items++;
    bundle->bytes += val.len;
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

static bool bundle_element(struct core *core, struct bundle *bundle, const struct item *item,
                           bool states_only)
{
    if (bundle_extend(core, bundle, item, states_only)) {
        return true;
    }
    struct drv_outcome entry = outcome_of(item, states_only);
    if (!bundle_add(bundle, &entry, level_of(&entry))) {
        return false;
    }
    bool may_grow = bundle->session->takes_ranges && is_plain(item->unit);
    bundle->open = may_grow ? item->task : NULL;
    return true;
}

/* Elements that ended, in order. False: the message is full. */
static bool bundle_elements(struct core *core, struct bundle *bundle, struct watch *watch,
                            struct piece *piece)
{
    struct array *array = watch->task->array;
    while (watch_skip_dropped(watch, piece) && watch->sent < array->ended) {
        struct item item = array_item(array, array_ended_at(array, watch->sent));
        if (!bundle_element(core, bundle, &item, (watch->flags & WATCH_STATES) != 0)) {
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
    bool has_room = bundle_elements(core, bundle, watch, piece);
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
    uint64_t items_max = credit_left(session);
    items_max = items_max < RESULTS_MAX ? items_max : RESULTS_MAX;
    items_max = items_max < session->unread ? items_max : session->unread;
    if (items_max == 0) {
        return false;
    }
    struct bundle bundle = {.session = session, .items_max = (size_t)items_max};
    bundle.capacity = items_max < DRV_BATCH_MAX ? (size_t)items_max : DRV_BATCH_MAX;
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
    bundle.flight->items = bundle.items;
    bundle.flight->level = bundle.level;
    session->peer->flight_bytes += bundle.bytes;
    session->items_in_flight += bundle.items;
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
