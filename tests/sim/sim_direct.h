/*
 * sim_direct.h: connections without sequence checks; used by sim_net.c only.
 *
 * Messages are encoded and decoded, but some arrive twice or late. What is settled is told to
 * the sender by an event. A cumulative settlement never runs ahead of a message that is still
 * on its way.
 */
#ifndef SIM_DIRECT_H
#define SIM_DIRECT_H

#include "sim_net.h"

drover_status sim_direct_send(struct sim *sim, struct sim_conn *conn, enum sim_side from,
                              const struct drv_message *message, uint64_t token);
void sim_direct_receive(struct sim *sim, struct sim_conn *conn, struct sim_frame *frame);
void sim_direct_settle(struct sim *sim, struct sim_conn *conn, enum sim_side side,
                       uint64_t seq);
bool sim_direct_may_reorder(unsigned kind);
bool sim_direct_may_repeat(unsigned kind);

/* Of sim_net.c. */
void sim_net_transmit(struct sim *sim, struct sim_conn *conn, struct sim_frame *frame);
void sim_net_deliver(struct sim *sim, struct sim_conn *conn, enum sim_side to,
                     const struct drv_message *message);
void sim_net_deliver_bad(struct sim *sim, struct sim_conn *conn, enum sim_side to,
                         drover_status status, const struct drv_message *message);
void sim_net_deliver_settled(struct sim *sim, struct sim_conn *conn, enum sim_side to,
                             uint64_t token);

#endif
