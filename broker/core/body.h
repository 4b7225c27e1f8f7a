/*
 * body.h: values that the core keeps.
 *
 * Small values are copied once into a block of exactly their size, large ones that arrived as
 * chunks are kept by reference. A body is immutable and counted. What is released is freed only
 * when the effects of the turn have been applied, because messages borrow from it.
 */
#ifndef CORE_BODY_H
#define CORE_BODY_H

#include "message.h"

struct core;

struct body {
    struct body *next_dead; /* among those to be freed at the end of the turn */
    uint32_t len;           /* bytes of the value */
    uint32_t references;
    uint8_t type_len; /* bytes of the content type, 0: msgpack */
    bool is_shared;   /* bytes holds a struct drv_data *, not the value */
    uint8_t bytes[];  /* value or pointer, then the content type */
};

/* Keep a copy of (or a reference to) a value. A nil value gives NULL. OK or NOMEM. */
DROVER_MUST_USE drover_status body_new(struct core *core, const struct drv_val *val,
                                       struct body **out_body);

/* Room for len bytes, to be filled by the caller. NULL when out of memory. */
struct body *body_new_room(struct core *core, size_t len);

/* One more reference; NULL gives NULL. */
struct body *body_ref(struct body *body);

/* Gives one reference back and nulls the pointer. */
void body_release(struct core *core, struct body **body);

/* The value as messages carry it, borrowed; NULL gives nil. */
struct drv_val body_val(const struct body *body);

static inline uint64_t body_len(const struct body *body)
{
    return body == NULL ? 0 : body->len;
}

/* Bytes that the body takes in memory. */
uint64_t body_cost(const struct body *body);

/* Whether a kept value and a received one are the same. */
bool body_equals(const struct body *body, const struct drv_val *val);

/* Frees what was released during the turn. */
void bodies_bury(struct core *core);

#endif
