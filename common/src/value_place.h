/*
 * value_place.h: values inside the memory of something else.
 *
 * An outcome brings its value in its own piece of memory. Such a value is read and copied as
 * any other, but never changed and never destroyed: it goes with its owner.
 */
#ifndef DRV_VALUE_PLACE_H
#define DRV_VALUE_PLACE_H

#include <drover/value.h>

#include <stddef.h>

/* How much memory a value of so many encoded bytes takes. */
size_t drv_value_place_size(size_t len);

/* Makes a value out of `len` bytes that are known to be one msgpack value, in `memory`, which
 * is aligned for pointers and has drv_value_place_size(len) bytes. */
drover_value *drv_value_place(void *memory, const void *bytes, size_t len);

#endif
