/*
 * sim_book.h: a worker's book of leases; used by sim_worker.c and sim_report.c.
 */
#ifndef SIM_BOOK_H
#define SIM_BOOK_H

#include "sim_worker.h"

struct sim_lease *sim_book_find(struct sim_worker *worker, const struct drv_ref *ref);
struct sim_lease *sim_book_at(struct sim_worker *worker, uint64_t serial);
void sim_book_remove(struct sim_worker *worker, struct sim_lease *lease);
/* What left the book, so that a late duplicate of its LEASE is not taken for a new one. */
void sim_book_remember(struct sim_worker *worker, const struct drv_ref *ref, uint64_t epoch);

void sim_book_take(struct sim *sim, struct sim_peer *peer, const struct drv_lease *message);
void sim_book_recall(struct sim *sim, struct sim_peer *peer, const struct drv_leases *leases);
void sim_book_abort(struct sim *sim, struct sim_peer *peer, const struct drv_abort *abort);
void sim_book_go(struct sim *sim, struct sim_peer *peer, const struct drv_leases *leases);
/* Handlers for whatever has a slot. */
void sim_book_start(struct sim *sim, struct sim_peer *peer);
void sim_book_finish(struct sim *sim, struct sim_peer *peer, uint64_t serial);
/* What runs comes back without a result: all of it when it was interrupted, one when what ran
 * it is lost. Whether anything ran. */
bool sim_book_break_off(struct sim *sim, struct sim_peer *peer, enum drv_return_reason reason);
/* Everything unstarted goes back, or (told false) is dropped without a word. */
void sim_book_return_all(struct sim *sim, struct sim_peer *peer, enum drv_return_reason reason,
                         bool told);

/* sim_report.c */
void sim_report_flush_soon(struct sim *sim, struct sim_peer *peer, int64_t delay_us);
void sim_report_flush(struct sim *sim, struct sim_peer *peer);
void sim_report_started(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref);
void sim_report_returned(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref,
                         enum drv_return_reason reason);
bool sim_report_is_empty(const struct sim_worker *worker);

#endif
