/*
 * gate.h: what may not leave before the store has what it depends on.
 *
 *   core effect ──level MEMORY──────────────────────────────────> link
 *        └──────WRITTEN, SYNCED──> queue of that level ──store──> link
 *                                  (message or acknowledgement,
 *                                   and the number of the last record of its turn)
 *
 * A message is encoded when it comes, so it borrows nothing from the core while it waits.
 * There is one queue a level, each in the order of record numbers, so that nothing has to be
 * searched and a message of a weak level never waits for the disk. Order between the two ends
 * of a connection: within a level everything keeps it, also what could leave at once while
 * something waits, since the store goes on between two looks at it; across levels nothing that
 * speaks of the same task can meet, since a message that gives tasks away holds those of one
 * level and every other one waits for the highest of what it speaks of. Three things keep their
 * order across levels as well and go into the strongest queue behind what they must not
 * overtake: everything behind a WELCOME that waits, acknowledgements (each stands for all
 * before it), and values that travel as chunks.
 *
 * When the store has failed nothing is let out any more.
 */
#ifndef BROKER_GATE_H
#define BROKER_GATE_H

#include "connection.h"
#include "store.h"

struct gated {           /* something that waits */
    uint64_t lsn;        /* that must be safe first */
    uint64_t connection; /* serial */
    uint32_t number;
    struct drv_link_held *held; /* owned; NULL: an acknowledgement */
    uint64_t seq;               /* of it */
    bool is_welcome;
};

struct gate_queue {      /* a ring, in the order of lsn */
    struct gated *items; /* owned; capacity is a power of two */
    size_t first, count, capacity;
};

struct gate {
    struct gate_queue queues[2]; /* WRITTEN, SYNCED */
};

void gate_fini(struct gate *gate);

/* Sends, now or later. OK; BUSY: the peer does not read; and what drv_link_send returns. */
DROVER_MUST_USE drover_status gate_send(struct gate *gate, struct connection *peer,
                                        const struct drv_message *message, uint64_t token,
                                        enum drover_durability level, uint64_t lsn,
                                        const struct store *store);

/* Acknowledges, now or later. True: now. */
bool gate_settle(struct gate *gate, struct connection *peer, uint64_t seq,
                 enum drover_durability level, uint64_t lsn, const struct store *store,
                 int64_t now_us);

/* Lets out what the store has. */
void gate_open(struct gate *gate, struct connections *peers, const struct store *store,
               int64_t now_us);

/* How many things wait. */
size_t gate_count(const struct gate *gate);

#endif
