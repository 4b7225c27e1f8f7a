/*
 * zone.h: a time zone, out of the bytes of a TZif file (RFC 8536).
 *
 *   from            until
 *    |--- offset ----|     a period: the clock is `offset` seconds ahead of UTC
 *
 * A zone is a line of periods. The file lists those of the past and of some decades to come;
 * its last line, a rule in the notation of POSIX TZ, goes on from there for ever. Where the
 * offset grows, civil times are missing (a gap); where it shrinks, some come twice.
 *
 * Pure: whoever has the file (zone_file.h) hands its bytes in. Nothing of them is believed;
 * files that count leap seconds are refused, since the system's clock does not.
 */
#ifndef DRV_ZONE_H
#define DRV_ZONE_H

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct drv_zone;

enum {
    DRV_ZONE_BYTES_MAX = 64 * 1024, /* of a file */
    DRV_ZONE_TEXT_MAX = 32,         /* of an instant as text */
    DRV_ZONE_NAME_MAX = 128,
};

struct drv_zone_period {
    int64_t from;   /* seconds since 1970, UTC; INT64_MIN: it has no beginning */
    int64_t until;  /* INT64_MAX: it has no end */
    int32_t offset; /* local minus UTC, seconds */
    int32_t before; /* that of the period before; the same when there is none */
};

/* OK; MALFORMED: no such file; UNSUPPORTED: with leap seconds; NOMEM. */
DROVER_MUST_USE drover_status drv_zone_new(const void *bytes, size_t len,
                                           struct drv_zone **out_zone);
void drv_zone_destroy(struct drv_zone **zone);
/* Memory that it takes. */
size_t drv_zone_size(const struct drv_zone *zone);

/* The period that an instant lies in. zone NULL: UTC. */
struct drv_zone_period drv_zone_at(const struct drv_zone *zone, int64_t at_s);

/* "2026-03-29T03:00:00+02:00"; zone NULL: "2026-03-29T01:00:00Z". */
void drv_zone_format(const struct drv_zone *zone, int64_t at_s,
                     char out_text[DRV_ZONE_TEXT_MAX]);

/* Whether this may be the name of a zone: parts of letters, digits and _ + - between slashes,
 * at most DRV_ZONE_NAME_MAX bytes. No name leads out of a directory. */
bool drv_zone_name_is_valid(const char *name, size_t len);

#endif
