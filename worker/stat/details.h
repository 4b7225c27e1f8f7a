/*
 * details.h: the map of further statistics in a heartbeat, bounded while it is written.
 *
 * Its keys are those of common/PROTOCOL.md, section 8. Lists whose length nobody knows are
 * written row by row; a row with which the whole would become longer than it may is taken back,
 * and the list says `truncated`. Scalars outside of rows are few and always fit.
 *
 *     stat_details_list(&details, "mounts");
 *     for (...) {
 *         stat_details_row(&details);
 *         stat_details_text(&details, "path", path);
 *         if (!stat_details_keep(&details)) break;
 *     }
 *     stat_details_end(&details);
 */
#ifndef WORKER_STAT_DETAILS_H
#define WORKER_STAT_DETAILS_H

#include "pack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STAT_DETAILS_DEPTH = 8,
    STAT_DETAILS_RESERVE = 1024, /* for what follows a full list */
};

struct stat_details {
    struct drv_buffer buffer; /* owned */
    struct drv_pack pack;
    size_t row_max;                      /* no row may end behind it */
    size_t position[STAT_DETAILS_DEPTH]; /* of the header of each open container */
    uint32_t count[STAT_DETAILS_DEPTH];
    unsigned depth;
    size_t row_mark; /* where the open row begins */
};

/* max: bytes of the whole, at least STAT_DETAILS_RESERVE. */
void stat_details_init(struct stat_details *details);
void stat_details_fini(struct stat_details *details);

/* Begins the outermost map anew. */
void stat_details_begin(struct stat_details *details, size_t max);

/* Ends it. The bytes, valid until the next begin; an empty view when memory ran out or it is
 * longer than max (which only scalars could bring about). */
struct drv_view stat_details_finish(struct stat_details *details);

/* From here on rows may fill only `share` percent of what is left for rows. */
size_t stat_details_narrow(struct stat_details *details, unsigned share);
/* End of that; takes what narrow returned. */
void stat_details_widen(struct stat_details *details, size_t row_max);

/* Containers; key NULL: an item of a list. */
void stat_details_map(struct stat_details *details, const char *key);
void stat_details_list(struct stat_details *details, const char *key);
void stat_details_end(struct stat_details *details);

/* A map as an item of the open list; keep ends it, and takes it back when it does not fit:
 * false, and nothing more will. */
void stat_details_row(struct stat_details *details);
DROVER_MUST_USE bool stat_details_keep(struct stat_details *details);

void stat_details_uint(struct stat_details *details, const char *key, uint64_t number);
/* Two decimals; nil for STAT_UNKNOWN. */
void stat_details_real(struct stat_details *details, const char *key, double number);
void stat_details_bool(struct stat_details *details, const char *key, bool flag);
/* UTF-8. */
void stat_details_text(struct stat_details *details, const char *key, const char *text);

#endif
