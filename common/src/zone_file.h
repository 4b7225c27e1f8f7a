/*
 * zone_file.h: the system's time zones, read where tzdata keeps them.
 *
 * $TZDIR, as the C library has it, else /usr/share/zoneinfo. The files are small; reading one
 * blocks for as long as the disk takes.
 */
#ifndef DRV_ZONE_FILE_H
#define DRV_ZONE_FILE_H

#include "buffer.h"

#include <drover/status.h>

/* Appends the bytes of the zone's file (zone.h). OK; INVALID: no name of a zone; UNKNOWN: there
 * is no such file; TOO_BIG; IO; NOMEM. */
DROVER_MUST_USE drover_status drv_zone_file_read(const char *name, struct drv_buffer *buffer);

#endif
