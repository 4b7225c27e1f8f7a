#include "output.h"

#include "broker.h"
#include "check.h"

/* Elements that are looked at in one turn for one reader. */
enum { OUTPUT_SCAN = 4096 };

/* --- readers ----------------------------------------------------------------------------- */

static bool is_on_array(const struct item *item)
{
    return item->index == DROVER_INDEX_NONE && task_is_array(item->task);
}

/* Where the readers of a target hang; NULL when out of memory. */
static struct output **output_place(struct core *core, const struct item *item)
{
    if (is_on_array(item)) {
        return &item->task->array->output;
    }
    struct more *more = unit_more(core, item->unit);
    return more == NULL ? NULL : &more->output;
}

static struct item output_item(const struct output *output)
{
    if (output->index == DROVER_INDEX_NONE) {
        return item_of_task(output->task);
    }
    return array_item(output->task->array, output->index);
}

static bool task_is_followed(const struct task *task)
{
    if (task_is_array(task)) {
        return task->array->outputs > 0;
    }
    return task->unit.more != NULL && task->unit.more->output != NULL;
}

drover_status output_join(struct core *core, struct subscription *reader,
                          const struct item *item)
{
    struct item own = *item;
    struct output **place = item_own(core, &own) ? output_place(core, &own) : NULL;
    if (place == NULL) {
        return DROVER_NOMEM;
    }
    if (*place == NULL) {
        struct output *output = core_alloc(core, sizeof *output);
        if (output == NULL) {
            return DROVER_NOMEM;
        }
        drv_list_init(&output->readers);
        output->task = item->task;
        output->index = item->index;
        *place = output;
        if (task_is_array(item->task)) {
            item->task->array->outputs++;
        }
    }
    reader->output = *place;
    reader->serial = ++core->reader_serial;
    reader->is_filling = true;
    drv_list_push_back(&reader->output->readers, &reader->in_source);
    subscription_touch(core, reader);
    return DROVER_OK;
}

bool output_leave(struct core *core, struct subscription *reader)
{
    struct output *output = reader->output;
    reader->output = NULL;
    drv_list_remove(&reader->in_source);
    if (!drv_list_is_empty(&output->readers)) {
        return true;
    }
    struct item item = output_item(output);
    *output_place(core, &item) = NULL; /* it hangs there, so there is a place */
    if (task_is_array(output->task)) {
        output->task->array->outputs--;
    }
    core_free(core, output, sizeof *output);
    return false;
}

/* There is no more for this reader. False: it was the last. */
static bool reader_end(struct core *core, struct subscription *reader, enum drover_state state)
{
    reader->is_filling = false;
    bool has_others = output_leave(core, reader);
    subscription_put_end(core, reader, state);
    return has_others;
}

void output_close(struct core *core, struct output *output, enum drover_state state)
{
    bool has_others = output != NULL;
    while (has_others) {
        struct subscription *reader = DRV_LIST_ITEM(drv_list_first(&output->readers),
                                                    struct subscription, in_source);
        if (reader->is_filling) {
            subscription_miss(core, reader);
        }
        has_others = reader_end(core, reader, state);
    }
}

/* A reader that has got what there was before; NULL: none. */
static struct subscription *settled_reader(const struct output *output)
{
    DRV_LIST_EACH(link, &output->readers)
    {
        struct subscription *reader = DRV_LIST_ITEM(link, struct subscription, in_source);
        if (!reader->is_filling) {
            return reader;
        }
    }
    return NULL;
}

static enum drover_state item_state(const struct item *item)
{
    return is_on_array(item) ? array_state(item->task->array)
                             : (enum drover_state)item->unit->state;
}

void output_ended(struct core *core, const struct item *item)
{
    const struct more *more = item->unit->more;
    struct output *output = is_on_array(item) ? item->task->array->output
                            : more != NULL    ? more->output
                                              : NULL;
    bool has_others = output != NULL;
    while (has_others) {
        struct subscription *reader = settled_reader(output);
        has_others = reader != NULL && reader_end(core, reader, item_state(item));
    }
}

/* --- routing ----------------------------------------------------------------------------- */

/* A piece on its way to the readers. */
struct route {
    const struct lease *lease;
    uint64_t served; /* readers up to this one get only what lies behind `end` */
    uint64_t asked;  /* readers behind this one get nothing yet */
    uint32_t stream;
    uint64_t offset, end;
    struct drv_str text;
    struct stream_data *whole, *rest; /* made when somebody wants them */
};

/* Where a reader that goes through an array element by element stands. */
static bool reader_is_at(const struct subscription *reader, uint32_t index)
{
    return reader->flags & DRV_SUBSCRIBE_FOLLOW || reader->output->index == index ||
           (reader->is_at && reader->at == index);
}

static bool reader_wants(const struct subscription *reader, const struct lease *lease,
                         uint32_t stream)
{
    return (reader->filter.mask >> stream & 1) != 0 && reader_is_at(reader, lease->index);
}

static struct stream_data *piece_new(struct core *core, const struct route *route, uint64_t cut)
{
    struct drv_str text = str_of(route->text.ptr + cut, route->text.len - cut);
    struct stream_data *data = stream_data_new(core, text.len);
    if (data != NULL) {
        data->piece = (struct drv_piece){.index = route->lease->index,
                                         .attempt = route->lease->unit->attempt,
                                         .stream = route->stream,
                                         .offset = route->offset + cut};
        memcpy(data->bytes, text.ptr, text.len);
    }
    return data;
}

static void route_to(struct core *core, struct route *route, struct subscription *reader)
{
    bool has_seen = reader->serial <= route->served && route->end > route->offset;
    uint64_t cut = has_seen ? route->end - route->offset : 0;
    if (reader->serial > route->asked || cut >= route->text.len ||
        !reader_wants(reader, route->lease, route->stream)) {
        return;
    }
    struct stream_data **data = cut > 0 ? &route->rest : &route->whole;
    if (*data == NULL) {
        *data = piece_new(core, route, cut);
    }
    if (*data == NULL) {
        subscription_miss(core, reader);
    } else {
        subscription_put(core, reader, *data);
    }
}

static void route_to_all(struct core *core, struct route *route, const struct output *output)
{
    for (const struct drv_list *link = output == NULL ? NULL : output->readers.next;
         link != NULL && link != &output->readers; link = link->next) {
        route_to(core, route,
                 DRV_LIST_ITEM((struct drv_list *)link, struct subscription, in_source));
    }
}

static const struct output *unit_output(const struct lease *lease)
{
    return lease->unit->more == NULL ? NULL : lease->unit->more->output;
}

static const struct output *array_output(const struct lease *lease)
{
    return task_is_array(lease->task) ? lease->task->array->output : NULL;
}

static void route_piece(struct core *core, struct route *route)
{
    if (route->text.len > 0) {
        route_to_all(core, route, unit_output(route->lease));
        route_to_all(core, route, array_output(route->lease));
    }
    stream_data_release(core, &route->whole);
    stream_data_release(core, &route->rest);
}

/* Those that wait for this lease look again. */
static void wake_filling(struct core *core, const struct output *output)
{
    for (struct drv_list *link = output == NULL ? NULL : output->readers.next;
         link != NULL && link != &output->readers; link = link->next) {
        struct subscription *reader = DRV_LIST_ITEM(link, struct subscription, in_source);
        if (reader->is_filling) {
            subscription_touch(core, reader);
        }
    }
}

/* --- what workers are asked -------------------------------------------------------------- */

/* Asks for the output of a lease on behalf of all readers there are. False: out of memory. */
static bool output_ask(struct core *core, struct lease *lease)
{
    if (lease->follow == NULL) {
        lease->follow = core_alloc(core, sizeof *lease->follow);
    }
    if (lease->follow == NULL) {
        return false;
    }
    lease->follow->asked = core->reader_serial;
    lease->follow->is_pending = true;
    lease_notify(core, lease, NOTICE_FOLLOW);
    return true;
}

static void unfollow(struct core *core, struct lease *lease)
{
    core_free(core, lease->follow, sizeof *lease->follow);
    lease->follow = NULL;
}

static uint32_t streams_of(const struct output *output, const struct lease *lease)
{
    uint32_t streams = 0;
    for (const struct drv_list *link = output == NULL ? NULL : output->readers.next;
         link != NULL && link != &output->readers; link = link->next) {
        const struct subscription *reader = DRV_LIST_ITEM((struct drv_list *)link,
                                                          struct subscription, in_source);
        for (uint32_t stream = DRV_OUTPUT_STDOUT; stream <= DRV_OUTPUT_DATA; stream++) {
            streams |= reader_wants(reader, lease, stream) ? 1u << stream : 0;
        }
    }
    return streams;
}

static uint32_t lease_streams(const struct lease *lease)
{
    return streams_of(unit_output(lease), lease) | streams_of(array_output(lease), lease);
}

uint32_t output_wanted(struct core *core, struct lease *lease)
{
    uint32_t streams = lease_streams(lease);
    if (streams == 0 && lease->follow != NULL) {
        unfollow(core, lease);
    }
    return streams;
}

void output_given(struct core *core, struct lease *lease)
{
    if (task_is_followed(lease->task) && lease->worker->sends_output &&
        lease_streams(lease) != 0) {
        (void)output_ask(core, lease); /* without memory: what comes with the result */
    }
}

void output_attached(struct core *core, struct lease *lease)
{
    if (lease->follow != NULL) {
        (void)output_ask(core, lease);
    } else {
        output_given(core, lease); /* a reader came while the worker was away */
    }
}

void output_taken(struct core *core, struct lease *lease)
{
    if (lease->follow == NULL) {
        return;
    }
    unfollow(core, lease);
    wake_filling(core, unit_output(lease));
    wake_filling(core, array_output(lease));
}

void output_log(struct core *core, struct lease *lease, const struct drv_log_chunk *log)
{
    struct follow *follow = lease->follow;
    if (follow == NULL || log->offset > UINT64_MAX - log->text.len) {
        return; /* nobody follows any more, and the worker is about to hear of it */
    }
    struct route route = {.lease = lease,
                          .served = follow->served,
                          .asked = follow->asked,
                          .stream = log->stream,
                          .offset = log->offset,
                          .end = follow->end[log->stream],
                          .text = log->text};
    route_piece(core, &route);
    uint64_t end = log->offset + log->text.len;
    follow->end[log->stream] = end > route.end ? end : route.end;
    if (log->flags & DRV_LOG_TAIL_END) {
        follow->served = follow->asked;
        follow->is_pending = false;
        wake_filling(core, unit_output(lease));
        wake_filling(core, array_output(lease));
    }
    if (lease_streams(lease) == 0) {
        lease_notify(core, lease, NOTICE_FOLLOW);
    }
}

/* --- what is kept ------------------------------------------------------------------------ */

static size_t tail_size(size_t piece_count, size_t len)
{
    return sizeof(struct tail) + piece_count * sizeof(struct drv_piece) + len;
}

static const char *tail_text(const struct tail *tail)
{
    return (const char *)(tail->pieces + tail->piece_count);
}

void tail_drop(struct core *core, struct more *more)
{
    struct tail *tail = more->tail;
    more->tail = NULL;
    if (tail != NULL) {
        size_t size = tail_size(tail->piece_count, tail->len);
        drv_list_remove(&tail->link);
        core->tail_bytes -= size;
        core_free(core, tail, size);
    }
}

/* The oldest go until there is room. */
static bool tails_make_room(struct core *core, size_t size)
{
    struct drv_list *link;
    while (core->tail_bytes + size > core->config.output_bytes_max &&
           (link = drv_list_first(&core->tails)) != NULL) {
        struct more *more = DRV_LIST_ITEM(link, struct tail, link)->more;
        more->has_lost_tail = true;
        tail_drop(core, more);
    }
    return core->tail_bytes + size <= core->config.output_bytes_max;
}

static void tail_keep(struct core *core, struct unit *unit, const struct drv_tail *from)
{
    if (unit->more != NULL) {
        tail_drop(core, unit->more);
    }
    if (from->piece_count == 0) {
        return;
    }
    size_t size = tail_size(from->piece_count, from->text.len);
    struct more *more = unit_more(core, unit);
    struct tail *tail = more == NULL || !tails_make_room(core, size) ? NULL
                                                                     : core_alloc(core, size);
    if (tail == NULL) {
        if (more != NULL) {
            more->has_lost_tail = true;
        }
        return;
    }
    tail->more = more;
    tail->serial = core->reader_serial;
    tail->attempt = unit->attempt;
    tail->piece_count = (uint32_t)from->piece_count;
    tail->len = (uint32_t)from->text.len;
    memcpy(tail->pieces, from->pieces, from->piece_count * sizeof *from->pieces);
    if (from->text.len > 0) {
        memcpy(tail->pieces + from->piece_count, from->text.ptr, from->text.len);
    }
    more->tail = tail;
    more->has_lost_tail = false;
    drv_list_push_back(&core->tails, &tail->link);
    core->tail_bytes += size;
}

void output_result(struct core *core, struct lease *lease, const struct drv_tail *tail)
{
    const struct follow *follow = lease->follow;
    size_t at = 0;
    for (size_t i = 0; task_is_followed(lease->task) && i < tail->piece_count; i++) {
        const struct drv_piece *piece = &tail->pieces[i];
        struct route route = {.lease = lease,
                              .served = follow == NULL ? 0 : follow->served,
                              .asked = UINT64_MAX,
                              .stream = piece->stream,
                              .offset = piece->offset,
                              .end = follow == NULL ? 0 : follow->end[piece->stream],
                              .text = str_of(tail->text.ptr + at, piece->len)};
        route_piece(core, &route);
        at += piece->len;
    }
    if (tail->piece_count > 0 || lease->unit->more != NULL) {
        tail_keep(core, lease->unit, tail);
    }
}

/* --- what was there before --------------------------------------------------------------- */

/* The pieces that are kept. False: the window is full. */
static bool fill_tail(struct core *core, struct subscription *reader, const struct item *item)
{
    const struct more *more = item->unit->more;
    if (more == NULL || more->tail == NULL || more->tail->serial >= reader->serial) {
        return true;
    }
    const struct tail *tail = more->tail;
    size_t at = 0;
    for (uint32_t i = 0; i < tail->piece_count; at += tail->pieces[i].len, i++) {
        const struct drv_piece *piece = &tail->pieces[i];
        if (i < reader->piece || (reader->filter.mask >> piece->stream & 1) == 0) {
            continue;
        }
        if (!subscription_has_room(reader, piece->len)) {
            return false;
        }
        struct stream_data *data = stream_data_new(core, piece->len);
        if (data == NULL) {
            subscription_miss(core, reader);
        } else {
            data->piece = *piece;
            data->piece.index = item->index;
            data->piece.attempt = tail->attempt;
            memcpy(data->bytes, tail_text(tail) + at, piece->len);
            subscription_put(core, reader, data);
            stream_data_release(core, &data);
        }
        reader->piece = i + 1;
    }
    return true;
}

/* What its worker has of a running attempt. False: that is to come. */
static bool fill_running(struct core *core, const struct subscription *reader,
                         const struct item *item)
{
    struct lease *lease = unit_lease(item->unit);
    bool is_once = !(reader->flags & DRV_SUBSCRIBE_FOLLOW);
    if (lease == NULL || lease->worker == NULL || !lease->worker->sends_output ||
        lease->worker->session->peer == NULL || (is_once && !(lease->flags & LEASE_STARTED))) {
        return true;
    }
    if (lease->follow == NULL || lease->follow->asked < reader->serial) {
        if (lease->follow != NULL && lease->follow->is_pending) {
            return false; /* asked when that is through */
        }
        if (!output_ask(core, lease)) {
            return true;
        }
    }
    return !is_once || !lease->follow->is_pending;
}

/* One task or element. False: to be continued. */
static bool fill_unit(struct core *core, struct subscription *reader, const struct item *item)
{
    if (!reader->is_at) {
        reader->is_at = true;
        reader->piece = 0;
        if (reader->output->index != item->index && !(reader->flags & DRV_SUBSCRIBE_FOLLOW)) {
            reader->serial = ++core->reader_serial; /* it comes to this element only now */
        }
        if (item->unit->more != NULL && item->unit->more->has_lost_tail) {
            subscription_miss(core, reader);
        }
    }
    if (!fill_tail(core, reader, item) || !fill_running(core, reader, item)) {
        return false;
    }
    reader->is_at = false;
    return true;
}

/* Element after element. False: to be continued. */
static bool fill_array(struct core *core, struct subscription *reader, struct array *array)
{
    for (int scanned = 0; reader->at < array->index_end; scanned++) {
        if (scanned == OUTPUT_SCAN) {
            subscription_touch(core, reader);
            return false;
        }
        if (array_element(array, reader->at) != NULL) { /* what has no record never ran */
            struct item item = array_item(array, reader->at);
            if (!fill_unit(core, reader, &item)) {
                return false;
            }
        }
        reader->at++;
    }
    return true;
}

void output_fill(struct core *core, struct subscription *reader)
{
    struct item item = output_item(reader->output);
    bool is_done = is_on_array(&item) ? fill_array(core, reader, item.task->array)
                                      : fill_unit(core, reader, &item);
    if (!is_done) {
        return;
    }
    reader->is_filling = false;
    if (unit_is_terminal(item.unit) || !(reader->flags & DRV_SUBSCRIBE_FOLLOW)) {
        (void)reader_end(core, reader, item_state(&item));
    }
}
