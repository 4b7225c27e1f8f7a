/*
 * spec.h: what is common to many submits: type and options, checked, copied, shared.
 *
 * Submits with the same type and options share one object, so that the session groups them by
 * comparing pointers. Payloads are held by reference (drv_data), so that a message can be
 * made again after a reconnect.
 */
#ifndef DRV_CLIENT_SPEC_H
#define DRV_CLIENT_SPEC_H

#include "arena.h"
#include "data.h"
#include "message.h"

#include <drover/client.h>

struct drv_task_spec {
    unsigned references; /* guarded by the client's lock */
    struct drv_arena arena;
    struct drv_spec spec;        /* pointers into the arena */
    size_t head_bytes;           /* upper bound of its encoded size */
    bool is_plain;               /* has no lists and no metadata: can be compared cheaply */
    int64_t wait_ms;             /* how long to go on when busy; -1 for ever */
    drover_submit_options given; /* what it was made from; its pointers are only compared */
    uint32_t flags;              /* the same */
};

/*
 * Resolves options (NULL: defaults; of whatever version) into out_options and checks them.
 * OK or INVALID with a static reason, TOO_BIG (metadata), LIMIT (too many of something).
 */
DROVER_MUST_USE drover_status drv_options_resolve(const drover_submit_options *options,
                                                  drover_submit_options *out_options,
                                                  const char **out_reason);

/*
 * The spec for this type, these resolved options and DRV_SPEC_* flags: `last` (may be NULL)
 * with another reference if it is the same, else a new one. OK, INVALID (type), NOMEM.
 */
DROVER_MUST_USE drover_status drv_task_spec_ensure(struct drv_task_spec *last, const char *type,
                                                   const drover_submit_options *options,
                                                   uint32_t flags,
                                                   struct drv_task_spec **out_spec);

struct drv_task_spec *drv_task_spec_ref(struct drv_task_spec *spec);
void drv_task_spec_unref(struct drv_task_spec **spec);

/* Bytes of a value that is kept without memory of its own. */
#define DRV_PAYLOAD_SMALL 47

struct drv_payload {
    struct drv_data *data; /* owned reference; NULL: a small value or none */
    char *content_type;    /* owned; NULL: msgpack */
    uint8_t small_len;     /* of a small value; 0: none */
    uint8_t small[DRV_PAYLOAD_SMALL];
};

#define DRV_PAYLOAD_NONE ((struct drv_payload){.data = NULL})

/* A copy of the value's bytes; value may be NULL. OK, NOMEM, TOO_BIG. */
DROVER_MUST_USE drover_status drv_payload_init(struct drv_payload *payload,
                                               const drover_value *value);
void drv_payload_fini(struct drv_payload *payload);

/* The other one has no value afterwards. */
void drv_payload_move(struct drv_payload *to, struct drv_payload *from);

/* As it goes into a message; borrows from the payload, which stays where it is. */
struct drv_val drv_payload_val(const struct drv_payload *payload);

static inline size_t drv_payload_len(const struct drv_payload *payload)
{
    return payload->data == NULL ? payload->small_len : payload->data->len;
}

#endif
