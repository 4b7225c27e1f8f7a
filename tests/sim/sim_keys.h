/*
 * sim_keys.h: worlds whose broker asks for keys: every peer has one and an account of its own,
 * but strangers, whose key nobody knows. The table is handed out again from time to time.
 */
#ifndef SIM_KEYS_H
#define SIM_KEYS_H

#include <stdint.h>

struct core_event;
struct sim;

/* The core gets the table. Nothing where the profile has no keys. */
void sim_keys_hand_out(struct sim *sim);
/* What the shell would say of a message of this peer. */
void sim_keys_show(struct sim *sim, uint32_t peer, struct core_event *event);

#endif
