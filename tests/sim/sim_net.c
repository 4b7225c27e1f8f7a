/*
 * sim_net.c: connections and their frames: sending, faults on the way, arrival.
 * Direct connections are in sim_direct.c.
 */
#include "sim_net.h"

#include <stdlib.h>

#include "check.h"
#include "data.h"
#include "sim_direct.h"
#include "sim_world.h"

enum {
    ACK_DELAY_US = 1000,
    LINK_QUEUE_BYTES_MAX = 64 * 1024 * 1024,
    WINDOW_IN = 16 * 1024 * 1024,
    BREAK_NOTICE_US = 2000, /* a reset is seen within this time */
    TRANSPORT_TIMEOUT_US = 8000000,
};

static struct sim_end *end_of(struct sim_conn *conn, enum sim_side side)
{
    return &conn->ends[side];
}

static enum sim_side other(enum sim_side side)
{
    return side == SIM_PEER_SIDE ? SIM_BROKER_SIDE : SIM_PEER_SIDE;
}

static bool end_is_full(const struct sim *sim, const struct sim_end *end)
{
    return end->waiting + end->travelling >= sim->profile.socket_frames;
}

/* ---- frames ---------------------------------------------------------------------------- */

void sim_net_free_frame(struct sim *sim, struct sim_frame *frame)
{
    (void)sim;
    drv_data_unref(&frame->head);
    drv_data_unref(&frame->blob);
    free(frame);
}

static struct sim_frame *frame_copy(const struct sim_frame *from)
{
    struct sim_frame *frame = malloc(sizeof *frame);
    DRV_ASSERT(frame != NULL);
    *frame = *from;
    (void)drv_data_ref(frame->head);
    (void)drv_data_ref(frame->blob);
    return frame;
}

static void frame_garble(struct sim *sim, struct sim_frame *frame)
{
    uint8_t junk[40];
    size_t len = (size_t)sim_between(sim, 0, (int64_t)sizeof junk);
    for (size_t i = 0; i < len; i++) {
        junk[i] = (uint8_t)drv_rng_next(&sim->rng);
    }
    if (len > 0) {
        junk[0] = 0xc1; /* the one byte that msgpack never uses */
    }
    drv_data_unref(&frame->head);
    drover_status status = drv_data_copy(junk, len, &frame->head);
    DRV_ASSERT(status == DROVER_OK);
}

static bool way_is_cut(const struct sim_peer *peer, enum sim_side from)
{
    return from == SIM_PEER_SIDE ? peer->cut_out : peer->cut_in;
}

static void frame_travel(struct sim *sim, struct sim_conn *conn, struct sim_frame *frame,
                         bool overtaken)
{
    struct sim_end *to = end_of(conn, frame->to);
    const struct sim_peer *peer = &sim->peers[conn->peer];
    int64_t at = sim->now_us + sim->profile.delay_us +
                 sim_between(sim, 0, sim->profile.jitter_us);
    if (at < peer->held_until_us) {
        at = peer->held_until_us;
    }
    if (at <= to->last_arrival_us) {
        at = to->last_arrival_us + 1;
    }
    if (overtaken) {
        at += sim_between(sim, 1, 20000);
    } else {
        to->last_arrival_us = at;
    }
    to->travelling++;
    sim_events_add(&sim->events, (struct sim_event){.at_us = at,
                                                    .kind = SIM_EVENT_ARRIVE,
                                                    .who = conn->id,
                                                    .object = frame});
}

void sim_net_transmit(struct sim *sim, struct sim_conn *conn, struct sim_frame *frame)
{
    const struct sim_profile *profile = &sim->profile;
    bool faults = conn->faulty && sim->phase == SIM_ACTIVE;
    sim->stats.messages++;
    if (frame->kind == DRV_CHUNK) {
        sim_count(sim, SIM_CHUNKS_SEEN);
    }
    bool cut = way_is_cut(&sim->peers[conn->peer], other(frame->to));
    if (cut || (faults && !conn->direct && sim_once_in(sim, profile->drop_in))) {
        sim_count(sim, SIM_FAULT_DROP_SEEN);
        sim_trace(sim, "net.drop", conn->id, frame->kind, frame->to);
        conn->holed = true;
        sim_net_free_frame(sim, frame);
        return;
    }
    bool overtaken = faults && sim_once_in(sim, profile->reorder_in) &&
                     (!conn->direct || sim_direct_may_reorder(frame->kind));
    bool twice = faults && sim_once_in(sim, profile->duplicate_in) &&
                 (!conn->direct || sim_direct_may_repeat(frame->kind));
    if (overtaken) {
        sim_count(sim, conn->direct ? SIM_FAULT_DIRECT_REORDER_SEEN : SIM_FAULT_REORDER_SEEN);
        sim_trace(sim, "net.reorder", conn->id, frame->kind, frame->to);
    }
    if (twice) {
        sim_count(sim,
                  conn->direct ? SIM_FAULT_DIRECT_DUPLICATE_SEEN : SIM_FAULT_DUPLICATE_SEEN);
        frame_travel(sim, conn, frame_copy(frame), true);
    }
    if (faults && !conn->direct && sim_once_in(sim, profile->garble_in)) {
        sim_count(sim, SIM_FAULT_GARBLE_SEEN);
        frame_garble(sim, frame);
    }
    frame_travel(sim, conn, frame, overtaken);
}

/* ---- links ------------------------------------------------------------------------------- */

static struct sim_frame *link_next(struct sim_end *end)
{
    struct drv_frames frames;
    if (!drv_link_next(end->link, &frames)) {
        return NULL;
    }
    struct sim_frame *frame = malloc(sizeof *frame);
    DRV_ASSERT(frame != NULL);
    *frame = (struct sim_frame){.head = frames.head,
                                .blob = frames.blob,
                                .blob_offset = frames.blob_offset,
                                .blob_len = frames.blob_len,
                                .kind = frames.kind};
    return frame;
}

static void link_refuse(struct sim *sim, struct sim_end *end)
{
    struct drv_frames frames;
    sim_count(sim, SIM_FAULT_SOCKET_FULL_SEEN);
    if (sim_once_in(sim, 2) && drv_link_next(end->link, &frames)) {
        drv_link_unsend(end->link, &frames);
    }
}

static void link_check_window(struct sim *sim, const struct sim_end *end,
                              const struct sim_frame *frame)
{
    uint64_t flying = drv_link_in_flight_bytes(end->link);
    if (drv_kind_is_charged(frame->kind) && frame->blob_len > 0 && flying > end->window &&
        flying > frame->blob_len) {
        sim_fail(sim, "byte credit exceeded: %llu bytes unsettled, window %llu",
                 (unsigned long long)flying, (unsigned long long)end->window);
    }
}

static void link_schedule_tick(struct sim *sim, struct sim_conn *conn, enum sim_side side)
{
    struct sim_end *end = end_of(conn, side);
    int64_t at = drv_link_deadline_us(end->link);
    if (at >= end->tick_at_us) {
        return;
    }
    end->tick_at_us = at;
    sim_schedule(sim, SIM_EVENT_LINK_TICK, at - sim->now_us, conn->id, side);
}

static void link_pump(struct sim *sim, struct sim_conn *conn, enum sim_side from)
{
    struct sim_end *end = end_of(conn, from);
    struct sim_end *to = end_of(conn, other(from));
    if (!end->open || end->link == NULL) {
        return;
    }
    for (;;) {
        if (to->open && end_is_full(sim, to)) {
            if (drv_link_queued(end->link) > 0) {
                link_refuse(sim, end);
            }
            break;
        }
        struct sim_frame *frame = link_next(end);
        if (frame == NULL) {
            break;
        }
        frame->conn = conn->id;
        frame->to = other(from);
        link_check_window(sim, end, frame);
        sim_net_transmit(sim, conn, frame);
    }
    link_schedule_tick(sim, conn, from);
    if (from == SIM_BROKER_SIDE) {
        sim_broker_on_room(sim, conn);
    }
}

static void link_new(struct sim *sim, struct sim_end *end, enum sim_side side)
{
    struct drv_link_config config = {
        .epoch = side == SIM_BROKER_SIDE ? sim->broker.epoch : 0,
        .window_out = DRV_BLOB_MAX,
        .window_in = WINDOW_IN,
        .ack_delay_us = ACK_DELAY_US,
        .queue_max = SIM_LINK_QUEUE_MAX,
        .queue_bytes_max = LINK_QUEUE_BYTES_MAX,
    };
    end->window = config.window_out;
    drover_status status = drv_link_new(&config, &end->link);
    DRV_ASSERT(status == DROVER_OK);
}

/* ---- connections ----------------------------------------------------------------------- */

struct sim_conn *sim_net_find(struct sim *sim, uint32_t id)
{
    return id < sim->net.count ? sim->net.conns[id] : NULL;
}

static struct sim_conn *conn_add(struct sim *sim)
{
    struct sim_net *net = &sim->net;
    if (net->count == net->capacity) {
        uint32_t capacity = net->capacity == 0 ? 64 : net->capacity * 2;
        struct sim_conn **conns = realloc(net->conns, capacity * sizeof(struct sim_conn *));
        DRV_ASSERT(conns != NULL);
        net->conns = conns;
        net->capacity = capacity;
    }
    struct sim_conn *conn = calloc(1, sizeof *conn);
    DRV_ASSERT(conn != NULL);
    conn->id = net->count;
    net->conns[net->count++] = conn;
    return conn;
}

struct sim_conn *sim_net_connect(struct sim *sim, uint32_t peer, enum core_port port)
{
    struct sim_conn *conn = conn_add(sim);
    conn->peer = peer;
    conn->port = port;
    conn->number = UINT32_MAX;
    conn->direct = drv_rng_below(&sim->rng, 100) < sim->profile.direct_percent;
    conn->faulty = true;
    sim_count(sim, conn->direct ? SIM_DIRECT_SEEN : SIM_LINKED_SEEN);
    for (unsigned side = 0; side < 2; side++) {
        struct sim_end *end = &conn->ends[side];
        end->open = true;
        end->tick_at_us = INT64_MAX;
        end->epoch = side == SIM_BROKER_SIDE ? sim->broker.epoch : 0;
        if (!conn->direct) {
            link_new(sim, end, side);
        }
    }
    if (sim->broker.core == NULL) {
        sim_net_close(sim, conn, SIM_BROKER_SIDE, true);
    }
    return conn;
}

void sim_net_agree(struct sim_conn *conn, enum sim_side side, uint64_t epoch, uint64_t window)
{
    struct sim_end *end = end_of(conn, side);
    end->epoch = epoch;
    end->window = window;
    if (end->link != NULL) {
        drv_link_set_epoch(end->link, epoch);
        drv_link_set_window_out(end->link, window);
    }
}

size_t sim_net_queued(const struct sim *sim, const struct sim_conn *conn, enum sim_side side)
{
    const struct sim_end *end = &conn->ends[side];
    if (end->link != NULL) {
        return drv_link_queued(end->link);
    }
    const struct sim_end *to = &conn->ends[other(side)];
    unsigned frames = to->waiting + to->travelling;
    return frames > sim->profile.socket_frames ? frames - sim->profile.socket_frames : 0;
}

void sim_net_close(struct sim *sim, struct sim_conn *conn, enum sim_side side, bool told)
{
    struct sim_end *end = end_of(conn, side);
    if (!end->open) {
        return;
    }
    end->open = false;
    sim->net.anything_closed = true;
    if (!end_of(conn, other(side))->open) {
        return;
    }
    if (told) {
        sim_schedule(sim, SIM_EVENT_BREAK, sim_between(sim, 100, BREAK_NOTICE_US), conn->id,
                     other(side));
    } else if (side == SIM_PEER_SIDE) {
        /* The heartbeat of the transport finds a dead peer in the end. */
        sim_schedule(sim, SIM_EVENT_BREAK, TRANSPORT_TIMEOUT_US, conn->id, SIM_BROKER_SIDE);
    }
}

static void end_release(struct sim *sim, struct sim_end *end)
{
    while (end->first != NULL) {
        struct sim_frame *frame = end->first;
        end->first = frame->next;
        sim_net_free_frame(sim, frame);
    }
    end->last = NULL;
    end->waiting = 0;
    drv_link_destroy(&end->link);
    free(end->sent);
    end->sent = NULL;
    end->sent_count = 0;
}

static void conn_free(struct sim *sim, struct sim_conn *conn)
{
    end_release(sim, &conn->ends[0]);
    end_release(sim, &conn->ends[1]);
    for (size_t i = 0; i < conn->stash_count; i++) {
        drv_data_unref(&conn->stash[i].data);
    }
    free(conn->stash);
    free(conn);
}

void sim_net_reap(struct sim *sim)
{
    struct sim_net *net = &sim->net;
    if (!net->anything_closed) {
        return;
    }
    net->anything_closed = false;
    for (uint32_t i = net->oldest; i < net->count; i++) {
        struct sim_conn *conn = net->conns[i];
        if (conn == NULL) {
            net->oldest += i == net->oldest ? 1 : 0;
            continue;
        }
        for (unsigned side = 0; side < 2; side++) {
            if (!conn->ends[side].open) {
                end_release(sim, &conn->ends[side]);
            }
        }
        if (!conn->ends[0].open && !conn->ends[1].open) {
            conn_free(sim, conn);
            net->conns[i] = NULL;
        }
    }
}

void sim_net_fini(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->net.count; i++) {
        if (sim->net.conns[i] != NULL) {
            conn_free(sim, sim->net.conns[i]);
        }
    }
    free(sim->net.conns);
    sim->net = (struct sim_net){.conns = NULL};
}

/* ---- sending and settling -----------------------------------------------------------------
 */

drover_status sim_net_send(struct sim *sim, struct sim_conn *conn, enum sim_side from,
                           const struct drv_message *message, uint64_t token)
{
    struct sim_end *end = end_of(conn, from);
    if (!end->open) {
        return DROVER_CLOSED;
    }
    if (conn->direct) {
        return sim_direct_send(sim, conn, from, message, token);
    }
    drover_status status = drv_link_send(end->link, message, token);
    if (status == DROVER_OK) {
        link_pump(sim, conn, from);
    }
    return status;
}

void sim_net_settle(struct sim *sim, struct sim_conn *conn, enum sim_side side, uint64_t seq)
{
    struct sim_end *end = end_of(conn, side);
    if (!end->open) {
        return;
    }
    if (conn->direct) {
        sim_direct_settle(sim, conn, side, seq);
        return;
    }
    drv_link_settle(end->link, seq, sim->now_us);
    link_schedule_tick(sim, conn, side);
}

/* ---- arrival ---------------------------------------------------------------------------- */

void sim_net_deliver(struct sim *sim, struct sim_conn *conn, enum sim_side to,
                     const struct drv_message *message)
{
    if (to == SIM_BROKER_SIDE) {
        sim_broker_on_message(sim, conn, message);
    } else {
        sim_peer_on_message(sim, &sim->peers[conn->peer], message);
    }
}

void sim_net_deliver_bad(struct sim *sim, struct sim_conn *conn, enum sim_side to,
                         drover_status status, const struct drv_message *message)
{
    sim_trace(sim, "net.bad", conn->id, to, status);
    if (status == DROVER_EPOCH) {
        return;
    }
    if (to == SIM_BROKER_SIDE) {
        sim_broker_on_bad(sim, conn, status, message);
    } else if (status != DROVER_UNSUPPORTED) {
        sim_peer_on_broken(sim, &sim->peers[conn->peer], true);
    }
}

void sim_net_deliver_settled(struct sim *sim, struct sim_conn *conn, enum sim_side to,
                             uint64_t token)
{
    if (to == SIM_BROKER_SIDE) {
        sim_broker_on_settled(sim, conn, token);
    } else {
        sim_peer_on_settled(sim, &sim->peers[conn->peer], token);
    }
}

/* A chunk is a slice of a larger buffer; on the other side it arrives as bytes of its own. */
static struct drv_data *frame_blob(const struct sim_frame *frame)
{
    struct drv_data *blob = NULL;
    if (frame->blob_len == 0) {
        return NULL;
    }
    if (frame->blob_offset == 0 && frame->blob_len == frame->blob->len) {
        return drv_data_ref(frame->blob);
    }
    drover_status status = drv_data_copy(frame->blob->bytes + frame->blob_offset,
                                         frame->blob_len, &blob);
    DRV_ASSERT(status == DROVER_OK);
    return blob;
}

static void link_receive(struct sim *sim, struct sim_conn *conn, struct sim_frame *frame)
{
    enum sim_side to = frame->to;
    struct sim_end *end = end_of(conn, to);
    struct drv_message message = {.kind = 0};
    const char *reason = NULL;
    struct drv_data *blob = frame_blob(frame);
    drv_arena_reset(&sim->arena);
    drover_status status = drv_link_receive(end->link, frame->head->bytes, frame->head->len,
                                            blob, frame->blob_len, sim->now_us, &sim->arena,
                                            &message, &reason);
    if (status != DROVER_OK) {
        sim_net_deliver_bad(sim, conn, to, status, &message);
    } else if (message.kind != 0) {
        sim_net_deliver(sim, conn, to, &message);
    }
    drv_data_unref(&blob);
    uint64_t token;
    while (end->open && drv_link_settled(end->link, &token)) {
        sim_net_deliver_settled(sim, conn, to, token);
    }
    if (end->open) {
        link_pump(sim, conn, to); /* an acknowledgement may have opened the window */
    }
}

static void frame_receive(struct sim *sim, struct sim_conn *conn, struct sim_frame *frame)
{
    if (conn->direct) {
        sim_direct_receive(sim, conn, frame);
    } else {
        link_receive(sim, conn, frame);
        if (end_of(conn, other(frame->to))->open) {
            link_pump(sim, conn, other(frame->to));
        }
    }
    sim_net_free_frame(sim, frame);
}

static bool end_reads(const struct sim *sim, const struct sim_conn *conn, enum sim_side side)
{
    const struct sim_peer *peer = &sim->peers[conn->peer];
    return side == SIM_BROKER_SIDE || (!peer->stopped && !peer->deaf);
}

void sim_net_on_arrive(struct sim *sim, struct sim_frame *frame)
{
    struct sim_conn *conn = sim_net_find(sim, frame->conn);
    if (conn == NULL || !end_of(conn, frame->to)->open) {
        sim_net_free_frame(sim, frame);
        return;
    }
    struct sim_end *end = end_of(conn, frame->to);
    end->travelling--;
    if (end->first == NULL && end_reads(sim, conn, frame->to)) {
        frame_receive(sim, conn, frame);
        return;
    }
    frame->next = NULL;
    if (end->first == NULL) {
        end->first = frame;
    } else {
        end->last->next = frame;
    }
    end->last = frame;
    end->waiting++;
}

void sim_net_read(struct sim *sim, struct sim_conn *conn, enum sim_side side)
{
    struct sim_end *end = end_of(conn, side);
    while (end->open && end->first != NULL && end_reads(sim, conn, side)) {
        struct sim_frame *frame = end->first;
        end->first = frame->next;
        end->waiting--;
        frame_receive(sim, conn, frame);
    }
}

void sim_net_on_tick(struct sim *sim, uint32_t id, enum sim_side side)
{
    struct sim_conn *conn = sim_net_find(sim, id);
    if (conn == NULL || !end_of(conn, side)->open) {
        return;
    }
    struct sim_end *end = end_of(conn, side);
    if (end->tick_at_us > sim->now_us) {
        return; /* an earlier one was scheduled since */
    }
    end->tick_at_us = INT64_MAX;
    drv_link_tick(end->link, sim->now_us);
    link_pump(sim, conn, side);
}

void sim_net_on_break(struct sim *sim, uint32_t id, enum sim_side side, bool quiet)
{
    struct sim_conn *conn = sim_net_find(sim, id);
    if (conn == NULL || !end_of(conn, side)->open) {
        return;
    }
    sim_trace(sim, "net.broken", id, side, quiet);
    if (side == SIM_BROKER_SIDE) {
        sim_broker_on_broken(sim, conn);
    } else {
        sim_peer_on_broken(sim, &sim->peers[conn->peer], !quiet);
    }
}

void sim_net_break(struct sim *sim, struct sim_conn *conn, bool half)
{
    unsigned first = (unsigned)drv_rng_below(&sim->rng, 2);
    sim_count(sim, half ? SIM_FAULT_BREAK_HALF_SEEN : SIM_FAULT_BREAK_BOTH_SEEN);
    sim_schedule(sim, SIM_EVENT_BREAK, 0, conn->id, first | (half ? 2u : 0u));
    if (!half) {
        sim_schedule(sim, SIM_EVENT_BREAK, sim_between(sim, 0, 5000), conn->id, 1 - first);
    }
}
