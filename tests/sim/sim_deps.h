/*
 * sim_deps.h: who waits for whom, seen from outside.
 *
 * Nothing is leased before its parents have ended as it asked, nor before what it awaits has; a
 * parent that did not succeed ends its child, and nothing else does so in its name; what
 * something waits for is not forgotten; leases tell how parents ended, and handlers can fetch
 * their results; a graph is there as a whole or not at all.
 */
#ifndef SIM_DEPS_H
#define SIM_DEPS_H

#include <stdbool.h>
#include <stdint.h>

#include "core.h"
#include "sim_model.h"

struct sim;
struct sim_lease;
struct sim_peer;

/* Whether a submit made then may be refused for the sake of a parent. */
bool sim_deps_may_be_refused(struct sim *sim, const struct sim_task *task, int64_t made_us);
/* The same of a retry, whenever it was asked for. */
bool sim_deps_retry_may_be_refused(struct sim *sim, const struct sim_task *task);
/* Whether nothing that it waits for keeps it from being leased. */
bool sim_deps_are_over(struct sim *sim, const struct sim_task *task);

/* ---- records ---- */
void sim_deps_on_submit(struct sim *sim, uint32_t serial);
/* It is about to be leased. */
void sim_deps_on_lease(struct sim *sim, uint32_t serial);
void sim_deps_on_awaits(struct sim *sim, uint32_t serial, const struct core_record *record);
/* It failed and no attempt of it has: by a parent? */
bool sim_deps_on_failed(struct sim *sim, uint32_t serial);
/* Whether its AWAIT had to fail. */
bool sim_deps_await_fails(struct sim *sim, const struct sim_task *task);
void sim_deps_on_forgotten(struct sim *sim, uint32_t serial);

/* ---- workers ---- */
void sim_deps_on_told_await(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref);
void sim_deps_on_parents(struct sim *sim, struct sim_peer *peer,
                         const struct drv_lease_entry *entry);
/* A handler wants to know how a parent has ended. */
void sim_deps_fetch(struct sim *sim, struct sim_peer *peer, const struct sim_lease *lease);
void sim_deps_on_fetched(struct sim *sim, struct sim_peer *peer, const struct drv_reply *reply);

void sim_deps_probe(struct sim *sim);

#endif
