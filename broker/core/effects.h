/*
 * effects.h: what the shell is asked to do, gathered during a turn.
 *
 * Messages live in an arena until core_effects_clear. Out of memory never loses a message
 * silently: the connection that it was for is closed, and the peer sorts things out by
 * reconnecting.
 */
#ifndef CORE_EFFECTS_H
#define CORE_EFFECTS_H

#include "arena.h"
#include "core.h"

struct peer;
struct item;
struct session;
struct worker;

struct effects {
    struct core_effect *items; /* owned */
    size_t count;
    size_t capacity;
    struct drv_arena arena; /* messages and what they point to */
};

/* Something that messages borrow from and that is freed when the turn is over. */
struct corpse {
    struct corpse *next;
};

void effects_init(struct effects *effects);
void effects_fini(struct effects *effects);

/* Zeroed memory until the effects are cleared; NULL when out of memory. */
void *effects_alloc(struct core *core, size_t count, size_t size);
/* The same, not zeroed. */
void *effects_take(struct core *core, size_t count, size_t size);
/* A copy of a text; a nil text when out of memory. */
struct drv_str effects_text(struct core *core, struct drv_str text);

/* A message to be filled and sent; NULL when out of memory. */
struct drv_message *effects_message(struct core *core, enum drv_kind kind);

/* Send it. message may be NULL (out of memory): the peer is closed then. */
void effects_send(struct core *core, struct peer *peer, const struct drv_message *message,
                  uint64_t token);
/* The same, but not before the records of this turn have a level. Messages of one peer may
 * overtake each other only across levels: a message that gives away tasks (LEASE, RESULTS,
 * SHARED) holds those of one level. */
void effects_send_at(struct core *core, struct peer *peer, const struct drv_message *message,
                     uint64_t token, enum drover_durability level);
void effects_close(struct core *core, struct peer *peer);
/* At the level that the peer has asked for by what it reported (peer->settle_level). */
void effects_settle(struct core *core, struct peer *peer, uint64_t seq);

/* Records: the general form, and the one about an attempt. */
void effects_record(struct core *core, const struct core_record *record);
void effects_record_item(struct core *core, enum core_record_kind kind, const struct item *item,
                         const drover_id *session);

/* An alert begins or is over; copied. */
void effects_alert(struct core *core, const struct core_alert *alert);

/* Tell the operator about a worker. */
/* A message of this kind was refused in the name of this account. */
void effects_notice_denied(struct core *core, struct drv_str account, const char *kind);
void effects_notice(struct core *core, const char *text, const struct worker *worker);

/* Free `block` (whose first member is its corpse) when the turn is over. */
void effects_bury(struct core *core, struct corpse *corpse);

#endif
