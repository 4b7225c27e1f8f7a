#include "body.h"

#include "broker.h"
#include "check.h"
#include "data.h"

#include <stdlib.h>
#include <string.h>

/* Values that came as chunks and are at least this long are not copied. */
enum { BODY_SHARE_MIN = 4096 };

static struct drv_data *body_data(const struct body *body)
{
    struct drv_data *data;
    memcpy(&data, body->bytes, sizeof data);
    return data;
}

static size_t body_type_offset(const struct body *body)
{
    return body->is_shared ? sizeof(struct drv_data *) : body->len;
}

static size_t slab_of_size(size_t size)
{
    return (size + 7) / 8 - 1;
}

void bodies_init(struct core *core)
{
    for (size_t i = 0; i < BODY_SLABS; i++) {
        drv_slab_init(&core->body_slabs[i], &core->pages, (i + 1) * 8);
    }
}

void bodies_fini(struct core *core)
{
    for (size_t i = 0; i < BODY_SLABS; i++) {
        drv_slab_fini(&core->body_slabs[i]);
    }
}

/* With one reference, the rest is up to the caller. */
static struct body *body_alloc(struct core *core, size_t tail)
{
    size_t slab = slab_of_size(sizeof(struct body) + tail);
    bool is_block = slab >= BODY_SLABS;
    struct body *body = is_block ? malloc(sizeof *body + tail)
                                 : drv_slab_take(&core->body_slabs[slab]);
    if (body != NULL) {
        body->references = 1;
        body->type_len = 0;
        body->is_shared = false;
        body->is_block = is_block;
    }
    return body;
}

uint64_t body_cost(const struct body *body)
{
    if (body == NULL) {
        return 0;
    }
    return sizeof *body + body_type_offset(body) + body->type_len +
           (body->is_shared ? body->len : 0);
}

static bool val_is_shareable(const struct drv_val *val)
{
    return val->data != NULL && val->len >= BODY_SHARE_MIN && val->bytes == val->data->bytes &&
           val->len == val->data->len;
}

drover_status body_new(struct core *core, const struct drv_val *val, struct body **out_body)
{
    if (val->is_nil) {
        *out_body = NULL;
        return DROVER_OK;
    }
    bool share = val_is_shareable(val);
    size_t kept = share ? sizeof(struct drv_data *) : val->len;
    size_t type_len = val->content_type.ptr == NULL ? 0 : val->content_type.len;
    if (val->len > BODY_LEN_MAX) {
        return DROVER_NOMEM;
    }
    struct body *body = body_alloc(core, kept + type_len);
    if (body == NULL) {
        return DROVER_NOMEM;
    }
    body->len = val->len & BODY_LEN_MAX;
    body->type_len = (uint8_t)type_len;
    body->is_shared = share;
    if (share) {
        struct drv_data *data = drv_data_ref(val->data);
        memcpy(body->bytes, &data, sizeof data);
    } else if (val->len > 0) {
        memcpy(body->bytes, val->bytes, val->len);
    }
    if (type_len > 0) {
        memcpy(body->bytes + kept, val->content_type.ptr, type_len);
    }
    core->memory_bytes += body_cost(body);
    *out_body = body;
    return DROVER_OK;
}

struct body *body_new_room(struct core *core, size_t len)
{
    struct body *body = len > BODY_LEN_MAX ? NULL : body_alloc(core, len);
    if (body == NULL) {
        return NULL;
    }
    body->len = len & BODY_LEN_MAX;
    memset(body->bytes, 0, len);
    core->memory_bytes += body_cost(body);
    return body;
}

struct body *body_ref(struct body *body)
{
    if (body == NULL || body->references == BODY_REFERENCES_MAX) {
        return NULL;
    }
    body->references++;
    return body;
}

enum { DEAD_SHARED = 1, DEAD_BLOCK = 2, DEAD_FLAGS = 7 };

void body_release(struct core *core, struct body **body)
{
    struct body *released = *body;
    *body = NULL;
    if (released == NULL || --released->references > 0) {
        return;
    }
    core->memory_bytes -= body_cost(released);
    uintptr_t flags = (released->is_shared ? (uintptr_t)DEAD_SHARED : 0) |
                      (released->is_block ? (uintptr_t)DEAD_BLOCK : 0);
    released->next_dead = (uintptr_t)core->dead_bodies | flags;
    core->dead_bodies = released;
}

struct drv_val body_val(const struct body *body)
{
    struct drv_val val = {.is_nil = body == NULL};
    if (body == NULL) {
        return val;
    }
    if (body->is_shared) {
        val.data = body_data(body);
        val.bytes = val.data->bytes;
    } else {
        val.bytes = body->bytes;
    }
    val.len = body->len;
    if (body->type_len > 0) {
        val.content_type.ptr = (const char *)body->bytes + body_type_offset(body);
        val.content_type.len = body->type_len;
    }
    return val;
}

bool body_equals(const struct body *body, const struct drv_val *val)
{
    struct drv_val kept = body_val(body);
    return val_equals(&kept, val);
}

void bodies_bury(struct core *core)
{
    while (core->dead_bodies != NULL) {
        struct body *body = core->dead_bodies;
        uintptr_t dead = body->next_dead;
        core->dead_bodies = (struct body *)(dead & ~(uintptr_t)DEAD_FLAGS);
        if (dead & DEAD_SHARED) {
            struct drv_data *data = body_data(body);
            drv_data_unref(&data);
        }
        if (dead & DEAD_BLOCK) {
            free(body);
        } else {
            drv_slab_give(body);
        }
    }
}
