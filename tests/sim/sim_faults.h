/*
 * sim_faults.h: what strikes from time to time, and strangers.
 */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stdbool.h>

struct sim;
struct sim_peer;

/* One fault out of those that the profile allows; schedules the next. */
void sim_faults_strike(struct sim *sim);
/* No more faults: what is cut, deaf or held back is well again. */
void sim_faults_heal(struct sim *sim);

/* A peer is cut off no longer. */
void sim_faults_mend(struct sim *sim, struct sim_peer *peer);

#endif
