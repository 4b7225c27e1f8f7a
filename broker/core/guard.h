/*
 * guard.h: every message passes here before its handler: is the key known, may it send this,
 * and does what it names belong to it?
 *
 *     first message ──key──> grant ──┐
 *     message ──> access_scope(roles, kind) ─┬─ NOTHING: refused, counted, told
 *                                            └─ OWN, ALL: core->scope, core->actor while it is
 *                                               dealt with; handlers ask guard_may, guard_queue
 *
 * Without an access table nothing of this happens. A new table counts at once for all
 * connections: who is not in it any more is refused, who has other rights connects anew.
 */
#ifndef CORE_GUARD_H
#define CORE_GUARD_H

#include "access.h"
#include "task.h"

struct worker;

/* A connection's key, from the shell, with its first message. */
void guard_identify(struct core *core, struct peer *peer, const struct core_event *event);

/* Whether the message may be dealt with; else it has been answered. */
bool guard_admits(struct core *core, struct peer *peer, const struct drv_message *message);
/* It has been dealt with. */
void guard_leave(struct core *core);

/* A HELLO: whether the key may be what it says, and go on with this session (NULL: a new one).
 * OK; DENIED, BUSY with a static text. */
DROVER_MUST_USE drover_status guard_hello(struct core *core, const struct peer *peer,
                                          const struct drv_hello *hello,
                                          const struct session *session, const char **out_text);
/* The session becomes its account's. False: out of memory. */
bool guard_bind(struct core *core, const struct peer *peer, struct session *session);

/* Another table; it is taken. */
void guard_replace(struct core *core, struct access **access);

/* Refused in the name of the peer: counted and told, not answered. */
void guard_denied(struct core *core, const struct peer *peer, enum drv_kind kind);

/* Whether who sent the message at hand may do with this task what he asks for; and with a
 * schedule, or whatever else has options. */
bool guard_may(const struct core *core, const struct task *task);
bool guard_may_spec(const struct core *core, const struct spec *spec);

/* The same of something that the message names: a no is told, and counted once a message. */
bool guard_admits_task(struct core *core, const struct task *task);
bool guard_admits_spec(struct core *core, const struct spec *spec);

/* Whose tasks alone he may see; NULL: all. */
const struct account *guard_only(const struct core *core);

/* Whether he may use this queue. */
bool guard_may_queue(const struct core *core, struct drv_str queue);
/* Whether he may submit what has these options: the queue, the parents. */
drover_status guard_spec(const struct core *core, const struct drv_spec *spec,
                         const char **out_text);
/* Whether a worker may read this, since something that it runs has waited for it. */
bool guard_is_parent(const struct worker *worker, const struct item *item);

extern const char GUARD_FOREIGN[]; /* the task belongs to another account */

#endif
