/*
 * data.h: immutable bytes shared by reference, across threads too.
 *
 * The maker writes into `bytes` before anyone else has a reference; from then on nobody does. A
 * NUL follows them, which len does not count.
 *
 * `bytes` lies at a multiple of 16: when the kernel copies from the beginning of a page to 1 to
 * 15 bytes behind that of another one, some processors take eight times as long.
 */
#ifndef DRV_DATA_H
#define DRV_DATA_H

#include "check.h"
#include "view.h"

#include <drover/status.h>

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct drv_pieces;

struct drv_data {
    atomic_size_t references;
    size_t len;
    struct drv_pieces *pieces; /* owned; NULL: the bytes are here, else pieces.h */
    _Alignas(16) uint8_t bytes[];
};

/* Uninitialised bytes with one reference, the caller's. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_data_new(size_t len, struct drv_data **out_data);

/* The same, filled with a copy. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_data_copy(const void *bytes, size_t len,
                                            struct drv_data **out_data);

/* Another length for data that nobody else has a reference to; what is new is uninitialised.
 * OK, or NOMEM: it stays as it was. */
DROVER_MUST_USE drover_status drv_data_resize(struct drv_data **data, size_t len);

/* One more reference to the same data; returns data. NULL gives NULL. */
struct drv_data *drv_data_ref(struct drv_data *data);

/* Gives one reference back and nulls the pointer; the last one frees. NULLs are fine. */
void drv_data_unref(struct drv_data **data);

/* The bytes, which are not in pieces; an empty view for NULL. */
static inline struct drv_view drv_data_view(const struct drv_data *data)
{
    if (data == NULL) {
        return drv_view_of(NULL, 0);
    }
    DRV_ASSERT(data->pieces == NULL);
    return drv_view_of(data->bytes, data->len);
}

#endif
