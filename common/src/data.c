#include "data.h"

#include "pieces.h"

#include <stdlib.h>
#include <string.h>

drover_status drv_data_new(size_t len, struct drv_data **out_data)
{
    if (len >= SIZE_MAX - sizeof(struct drv_data)) {
        return DROVER_NOMEM;
    }
    struct drv_data *data = malloc(sizeof *data + len + 1);
    if (data == NULL) {
        return DROVER_NOMEM;
    }
    atomic_init(&data->references, 1);
    data->len = len;
    data->pieces = NULL;
    data->bytes[len] = '\0';
    *out_data = data;
    return DROVER_OK;
}

drover_status drv_data_resize(struct drv_data **data, size_t len)
{
    if (len >= SIZE_MAX - sizeof **data) {
        return DROVER_NOMEM;
    }
    struct drv_data *resized = realloc(*data, sizeof *resized + len + 1);
    if (resized == NULL) {
        return DROVER_NOMEM;
    }
    resized->len = len;
    resized->bytes[len] = '\0';
    *data = resized;
    return DROVER_OK;
}

drover_status drv_data_copy(const void *bytes, size_t len, struct drv_data **out_data)
{
    drover_status status = drv_data_new(len, out_data);
    if (!status && len > 0) {
        memcpy((*out_data)->bytes, bytes, len);
    }
    return status;
}

struct drv_data *drv_data_ref(struct drv_data *data)
{
    if (data != NULL) {
        atomic_fetch_add_explicit(&data->references, 1, memory_order_relaxed);
    }
    return data;
}

void drv_data_unref(struct drv_data **data)
{
    if (data == NULL || *data == NULL) {
        return;
    }
    /* Release: our reads happen before the free; acquire: theirs do too. The only reference
     * need not be counted: nobody else can make another one. */
    if (atomic_load_explicit(&(*data)->references, memory_order_acquire) == 1 ||
        atomic_fetch_sub_explicit(&(*data)->references, 1, memory_order_acq_rel) == 1) {
        drv_pieces_free((*data)->pieces);
        free(*data);
    }
    *data = NULL;
}
