/*
 * need.h: what an attempt has of its worker's resources, as bytes that travel with it from the
 * lease to its handler: for each of them its name, and how much in decimal, each with a zero
 * behind it.
 */
#ifndef NEED_H
#define NEED_H

#include "data.h"
#include "message.h"
#include "view.h"

#include <drover/drover.h>

/* 20 digits, and two zeros. */
enum { NEED_BYTES_MAX = DRV_LABELS_MAX * (DRV_NAME_MAX + 22) };

/* *out_bytes is NULL when there are none. OK, NOMEM. */
DROVER_MUST_USE drover_status need_pack(const struct drv_count *needs, size_t count,
                                        struct drv_data **out_bytes);

/* The first of them; *bytes is moved behind it. False: there is none. */
bool need_take(struct drv_view *bytes, const char **out_name, uint64_t *out_count);

/* The name of the variable that tells a command of it: DROVER_NEED_ and the name in capitals,
 * with _ for what is neither letter nor digit. */
enum { NEED_VARIABLE_MAX = DRV_NAME_MAX + 16 };
void need_variable(const char *name, char out_text[NEED_VARIABLE_MAX]);

#endif
