/*
 * name.h: the rule for names, for bytes without a NUL (see drover_name_is_valid).
 */
#ifndef DRV_NAME_H
#define DRV_NAME_H

#include "view.h"

#include <stdbool.h>

/* 1 to DROVER_NAME_MAX characters out of A-Z a-z 0-9 . _ : - */
bool drv_name_is_valid(struct drv_view name);

#endif
