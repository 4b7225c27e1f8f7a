/*
 * sim_direct.c: connections without sequence checks.
 */
#include "sim_direct.h"

#include <stdlib.h>

#include "buffer.h"
#include "check.h"
#include "data.h"
#include "sim_world.h"

enum {
    DIRECT_FRAMES_MAX = SIM_LINK_QUEUE_MAX,
};

/* What opens and closes a connection, what must find something in place, and what is not
 * numbered although a later one undoes it, keeps its order and comes once; everything else is
 * fair game. */
bool sim_direct_may_reorder(unsigned kind)
{
    return kind >= DRV_SUBMIT && kind != DRV_SHARED && kind != DRV_RESULTS &&
           kind != DRV_WATCH && kind != DRV_UNWATCH && kind != DRV_DRAIN;
}

bool sim_direct_may_repeat(unsigned kind)
{
    return (kind >= DRV_SUBMIT && kind != DRV_WATCH && kind != DRV_UNWATCH &&
            kind != DRV_DRAIN) ||
           kind == DRV_HEARTBEAT;
}

static drover_status stash_put(void *context, const struct drv_val *val, uint64_t *out_transfer)
{
    struct sim_conn *conn = context;
    struct sim_stash *stash = realloc(conn->stash,
                                      (conn->stash_count + 1) * sizeof *conn->stash);
    DRV_ASSERT(stash != NULL);
    conn->stash = stash;
    drover_status status = drv_data_copy(val->bytes, val->len, &stash[conn->stash_count].data);
    DRV_ASSERT(status == DROVER_OK);
    conn->stash_count++;
    stash[conn->stash_count - 1].number = conn->stash_count;
    *out_transfer = conn->stash_count;
    return DROVER_OK;
}

static drover_status stash_take(void *context, uint64_t transfer, uint64_t total,
                                struct drv_data **out_data)
{
    struct sim_conn *conn = context;
    if (transfer == 0 || transfer > conn->stash_count ||
        conn->stash[transfer - 1].data->len != total) {
        return DROVER_PROTOCOL;
    }
    *out_data = conn->stash[transfer - 1].data;
    return DROVER_OK;
}

static void sent_push(struct sim_end *end, uint64_t seq, uint64_t token)
{
    if (end->sent_count == end->sent_capacity) {
        size_t capacity = end->sent_capacity == 0 ? 32 : end->sent_capacity * 2;
        struct sim_sent *sent = malloc(capacity * sizeof *sent);
        DRV_ASSERT(sent != NULL);
        for (size_t i = 0; i < end->sent_count; i++) {
            sent[i] = end->sent[(end->sent_first + i) % end->sent_capacity];
        }
        free(end->sent);
        end->sent = sent;
        end->sent_first = 0;
        end->sent_capacity = capacity;
    }
    end->sent[(end->sent_first + end->sent_count++) % end->sent_capacity] = (struct sim_sent){
        .seq = seq, .token = token};
}

static struct drv_data *data_of(const struct drv_buffer *buffer)
{
    struct drv_data *data = NULL;
    drover_status status = drv_data_copy(buffer->bytes, buffer->len, &data);
    DRV_ASSERT(status == DROVER_OK);
    return data;
}

drover_status sim_direct_send(struct sim *sim, struct sim_conn *conn, enum sim_side from,
                              const struct drv_message *message, uint64_t token)
{
    struct sim_end *end = &conn->ends[from];
    struct sim_end *to = &conn->ends[1 - (int)from];
    if (to->open && to->waiting + to->travelling > DIRECT_FRAMES_MAX) {
        return DROVER_BUSY;
    }
    struct drv_message copy = *message;
    copy.epoch = end->epoch;
    copy.seq = end->next_seq + 1;
    copy.ack = 0;
    struct drv_transfers transfers = {.put = stash_put, .context = conn};
    struct drv_buffer head, blob;
    drv_buffer_init(&head);
    drv_buffer_init(&blob);
    drover_status status = drv_message_encode(&copy, &transfers, &head, &blob);
    if (status == DROVER_OK) {
        end->next_seq++;
        if (token != 0) {
            sent_push(end, copy.seq, token);
        }
        struct sim_frame *frame = calloc(1, sizeof *frame);
        DRV_ASSERT(frame != NULL);
        frame->head = data_of(&head);
        frame->blob = data_of(&blob);
        frame->blob_len = blob.len;
        frame->kind = message->kind;
        frame->conn = conn->id;
        frame->to = (enum sim_side)(1 - (int)from);
        frame->direct_seq = copy.seq;
        sim_net_transmit(sim, conn, frame);
    }
    drv_buffer_fini(&head);
    drv_buffer_fini(&blob);
    return status;
}

static void direct_note_received(struct sim_end *end, uint64_t seq)
{
    for (uint64_t passed = end->received + 1; passed < seq; passed++) {
        DRV_ASSERT(end->missing_count < SIM_MISSING_MAX);
        end->missing[end->missing_count++] = passed;
    }
    for (size_t i = 0; i < end->missing_count; i++) {
        if (end->missing[i] == seq) {
            end->missing[i] = end->missing[--end->missing_count];
            break;
        }
    }
    end->received = seq > end->received ? seq : end->received;
}

/* Everything up to here has been received. */
static uint64_t direct_whole(const struct sim_end *end)
{
    uint64_t whole = end->received;
    for (size_t i = 0; i < end->missing_count; i++) {
        whole = end->missing[i] <= whole ? end->missing[i] - 1 : whole;
    }
    return whole;
}

void sim_direct_settle(struct sim *sim, struct sim_conn *conn, enum sim_side side, uint64_t seq)
{
    struct sim_end *end = &conn->ends[side];
    if (seq > end->want_settle) {
        end->want_settle = seq;
    }
    uint64_t whole = direct_whole(end);
    uint64_t settled = end->want_settle < whole ? end->want_settle : whole;
    if (settled <= end->settled) {
        return;
    }
    end->settled = settled;
    int64_t delay = sim->profile.delay_us + sim_between(sim, 0, sim->profile.jitter_us);
    unsigned sender = 1 - (unsigned)side;
    sim_schedule(sim, SIM_EVENT_ACK, delay, conn->id, settled << 1 | sender);
}

void sim_direct_receive(struct sim *sim, struct sim_conn *conn, struct sim_frame *frame)
{
    struct sim_end *end = &conn->ends[frame->to];
    struct drv_transfers transfers = {.take = stash_take, .context = conn};
    struct drv_message message = {.kind = 0};
    const char *reason = NULL;
    if (conn->holed) {
        sim_net_deliver_bad(sim, conn, frame->to, DROVER_PROTOCOL, &message);
        return;
    }
    drv_arena_reset(&sim->arena);
    drover_status status = drv_message_decode(frame->head->bytes, frame->head->len,
                                              frame->blob->bytes, frame->blob_len, &transfers,
                                              &sim->arena, &message, &reason);
    direct_note_received(end, frame->direct_seq);
    bool exempt = message.kind == DRV_HELLO || message.kind == DRV_ATTACH || end->epoch == 0;
    if (status != DROVER_OK) {
        sim_fail(sim, "a sound %s did not decode: %s (%s)", drv_kind_name(frame->kind),
                 drover_status_name(status), reason == NULL ? "?" : reason);
    } else if (message.epoch != end->epoch && !exempt) {
        sim_net_deliver_bad(sim, conn, frame->to, DROVER_EPOCH, &message);
    } else {
        sim_net_deliver(sim, conn, frame->to, &message);
    }
    if (end->open) {
        sim_direct_settle(sim, conn, frame->to, end->want_settle);
    }
}

void sim_net_on_ack(struct sim *sim, uint32_t id, enum sim_side side, uint64_t seq)
{
    struct sim_conn *conn = sim_net_find(sim, id);
    if (conn == NULL || !conn->ends[side].open) {
        return;
    }
    const struct sim_peer *peer = &sim->peers[conn->peer];
    if (side == SIM_PEER_SIDE && peer->stopped) {
        sim_schedule(sim, SIM_EVENT_ACK, peer->stopped_until_us - sim->now_us + 1, id,
                     seq << 1 | (unsigned)side);
        return;
    }
    struct sim_end *end = &conn->ends[side];
    while (end->open && end->sent_count > 0 && end->sent[end->sent_first].seq <= seq) {
        uint64_t token = end->sent[end->sent_first].token;
        end->sent_first = (end->sent_first + 1) % end->sent_capacity;
        end->sent_count--;
        sim_net_deliver_settled(sim, conn, side, token);
    }
}
