/*
 * link.c: life of a link and its acknowledgements; see link_private.h for the whole.
 */
#include "check.h"
#include "link_private.h"

#include <stdlib.h>

drover_status drv_link_new(const struct drv_link_config *config, struct drv_link **out_link)
{
    struct drv_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return DROVER_NOMEM;
    }
    link->config = *config;
    drv_list_init(&link->control);
    drv_list_init(&link->ordered);
    drv_buffer_init(&link->head);
    drv_buffer_init(&link->blob);
    link->ack_due_us = INT64_MAX;
    *out_link = link;
    return DROVER_OK;
}

static void destroy_lane(struct drv_list *lane)
{
    struct drv_list *at;
    while ((at = drv_list_pop_front(lane)) != NULL) {
        struct link_outgoing *outgoing = DRV_LIST_ITEM(at, struct link_outgoing, link);
        link_outgoing_destroy(&outgoing);
    }
}

void drv_link_destroy(struct drv_link **link)
{
    struct drv_link *gone = *link;
    *link = NULL;
    if (gone == NULL) {
        return;
    }
    destroy_lane(&gone->control);
    destroy_lane(&gone->ordered);
    for (size_t i = 0; i < gone->returned_count; i++) {
        drv_data_unref(&gone->returned[i].head);
        drv_data_unref(&gone->returned[i].blob);
    }
    link_transfers_fini(gone);
    link_ring_fini(&gone->flight);
    link_ring_fini(&gone->settled);
    link_ring_fini(&gone->inbound);
    drv_buffer_fini(&gone->head);
    drv_buffer_fini(&gone->blob);
    free(gone);
}

void drv_link_set_epoch(struct drv_link *link, uint64_t epoch)
{
    link->config.epoch = epoch;
}

void drv_link_set_window_out(struct drv_link *link, uint64_t bytes)
{
    link->config.window_out = bytes;
}

bool drv_link_is_fresh(const struct drv_link *link)
{
    return link->is_fresh;
}

/* ---- what the other side has settled ----------------------------------------------------- */

drover_status link_acknowledged(struct drv_link *link, uint64_t ack)
{
    if (ack > link->seq_out - link->returned_count) {
        return DROVER_PROTOCOL;
    }
    if (ack <= link->acked) {
        return DROVER_OK;
    }
    link->acked = ack;
    struct link_item *item;
    while ((item = link_ring_front(&link->flight)) != NULL && item->seq <= ack) {
        link->flight_bytes -= item->charge;
        if (item->token != 0) {
            link->flight_tokens--;
            link_ring_push(&link->settled, item);
        }
        link_ring_pop(&link->flight);
    }
    return DROVER_OK;
}

bool drv_link_settled(struct drv_link *link, uint64_t *out_token)
{
    const struct link_item *item = link_ring_front(&link->settled);
    if (item == NULL) {
        return false;
    }
    *out_token = item->token;
    link_ring_pop(&link->settled);
    return true;
}

uint64_t drv_link_in_flight_bytes(const struct drv_link *link)
{
    return link->flight_bytes;
}

bool drv_link_is_idle(const struct drv_link *link)
{
    return link->queued == 0 && link->returned_count == 0 && link->acked >= link->worthy_out;
}

/* ---- what we have settled ---------------------------------------------------------------- */

void link_advance(struct drv_link *link, int64_t now_us)
{
    const struct link_item *item;
    while ((item = link_ring_front(&link->inbound)) != NULL &&
           (item->is_auto || item->seq <= link->caller_in)) {
        link->settled_in = item->seq;
        link->inbound_bytes -= item->charge;
        if (item->token != 0) {
            link->worthy_in = item->token;
        }
        link_ring_pop(&link->inbound);
    }
    if (link->worthy_in > link->ack_out && link->ack_due_us == INT64_MAX) {
        link->ack_due_us = now_us + link->config.ack_delay_us;
    }
}

void drv_link_settle(struct drv_link *link, uint64_t seq, int64_t now_us)
{
    DRV_ASSERT(seq <= link->seq_in);
    if (seq > link->caller_in) {
        link->caller_in = seq;
        link_advance(link, now_us);
    }
}

void drv_link_tick(struct drv_link *link, int64_t now_us)
{
    if (now_us < link->ack_due_us) {
        return;
    }
    if (link->returned_count > 0) {
        link->ack_due_us = INT64_MAX; /* the socket is full: drv_link_next sets it again */
        return;
    }
    if (link_can_send(link)) {
        return; /* that takes the acknowledgement along */
    }
    if (link_queue_ack(link) == DROVER_OK) {
        link->ack_due_us = INT64_MAX;
    } else {
        link->ack_due_us = now_us + 1000; /* out of memory: again in a millisecond */
    }
}

int64_t drv_link_deadline_us(const struct drv_link *link)
{
    return link->ack_due_us;
}
