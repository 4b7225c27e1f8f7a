/*
 * link_pair.h: two links and what lies between them, for tests of link.h.
 *
 * The tests see the inside of a link, so that they can say "the next number" and "the memory
 * held"; what they check is its behaviour.
 */
#ifndef LINK_PAIR_H
#define LINK_PAIR_H

#include "arena.h"
#include "link_private.h"

#define MIB ((uint64_t)1024 * 1024)
#define LINK_EPOCH 7

struct link_pair {
    struct drv_link *broker; /* epoch 7 from the start */
    struct drv_link *peer;   /* epoch 7, unless a test says otherwise */
    struct drv_arena arena;
    struct drv_message message; /* received last */
    struct drv_data *blob;      /* what it borrows from */
    const char *reason;
    int64_t now_us;
};

/* For cmocka_unit_test_setup_teardown: windows of 1 MiB, acknowledgements after 1 ms. */
int link_pair_setup(void **state);
int link_pair_teardown(void **state);

struct drv_link *link_make(uint64_t epoch, uint64_t window);

/* ---- frames
 * ---------------------------------------------------------------------------------- */

/* The frames that leave next; there must be some. */
struct drv_frames link_next(struct drv_link *link);
void link_drop(struct drv_frames *frames);
/* Gives frames to a link as a socket would: as bytes of its own. */
drover_status link_receive(struct link_pair *pair, struct drv_link *to,
                           const struct drv_frames *frames);
/* One frame pair from one link to the other; returns the kind that left. */
unsigned link_deliver(struct link_pair *pair, struct drv_link *from, struct drv_link *to);
/* Delivers what may leave without an acknowledgement; returns its charged bytes. */
uint64_t link_fill_window(struct link_pair *pair, struct drv_link *from, struct drv_link *to);
/* Delivers a bare ACK for everything that was settled. */
void link_acknowledge(struct link_pair *pair, struct drv_link *from, struct drv_link *to);
void link_expect_silence(struct drv_link *link);
void link_expect_token(struct drv_link *link, uint64_t expected);
void link_expect_no_token(struct drv_link *link);

/* Frames as a peer with other rules might make them; epoch, seq and ack are the message's. */
struct drv_frames link_forge(const struct drv_message *message,
                             const struct drv_transfers *transfers);
drover_status link_receive_forged(struct link_pair *pair, struct drv_link *to,
                                  const struct drv_message *message);

/* ---- messages
 * -------------------------------------------------------------------------------- */

drover_id link_id(unsigned number);

/* A value of so many bytes whose content depends on the seed; the caller unrefs it. */
struct drv_data *link_content(size_t len, unsigned seed);
bool link_is_content(const struct drv_val *val, size_t len, unsigned seed);

/* A small message that nothing holds up. */
void link_send_drain(struct drv_link *link, uint64_t token);
/* A REPORT with one result of so many bytes. */
drover_status link_try_report(struct drv_link *link, unsigned number, size_t len,
                              uint64_t token);
void link_send_report(struct drv_link *link, unsigned number, size_t len, uint64_t token);
/* A LEASE of the element 3 of an array, and a RECALL or GO that speaks of it. */
void link_send_lease(struct drv_link *link, unsigned number, size_t len);
void link_send_refs(struct drv_link *link, enum drv_kind kind, unsigned number);

#endif
