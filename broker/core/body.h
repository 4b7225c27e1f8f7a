/*
 * body.h: values that the core keeps.
 *
 * Small values are copied once into a block of exactly their size, large ones that arrived as
 * chunks are kept by reference. A body is immutable and counted. What is released is freed only
 * when the effects of the turn have been applied, because messages borrow its bytes.
 */
#ifndef CORE_BODY_H
#define CORE_BODY_H

#include "message.h"

struct core;

enum {
    BODY_SLABS = 64, /* sizes that come from slabs, in steps of eight bytes */
    BODY_REFERENCES_MAX = (1 << 25) - 1,
    BODY_LEN_MAX = (1 << 29) - 1,
};

struct body {
    union {
        struct {
            uint64_t len : 29; /* bytes of the value */
            uint64_t references : 25;
            uint64_t type_len : 8;  /* bytes of the content type, 0: msgpack */
            uint64_t is_shared : 1; /* bytes holds a struct drv_data *, not the value */
            uint64_t is_block : 1;  /* too large for the slabs */
        };
        uintptr_t next_dead; /* released: the next one, with the two flags in its low bits */
    };
    uint8_t bytes[]; /* value or pointer, then the content type */
};

/* Keep a copy of (or a reference to) a value. A nil value gives NULL. OK or NOMEM. */
DROVER_MUST_USE drover_status body_new(struct core *core, const struct drv_val *val,
                                       struct body **out_body);

/* Room for len bytes, to be filled by the caller. NULL when out of memory. */
struct body *body_new_room(struct core *core, size_t len);

void bodies_init(struct core *core);
void bodies_fini(struct core *core);

/* One more reference; NULL gives NULL, and so does one too many. */
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
