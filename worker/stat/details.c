#include "stat/details.h"

#include "check.h"
#include "stat/rate.h"

#include <math.h>

enum { HEADER_LEN = 5, MAP_FORM = 0xdf, LIST_FORM = 0xdd };

void stat_details_init(struct stat_details *details)
{
    *details = (struct stat_details){.row_max = 0};
    drv_buffer_init(&details->buffer);
}

void stat_details_fini(struct stat_details *details)
{
    drv_buffer_fini(&details->buffer);
}

static void begin_item(struct stat_details *details, const char *key)
{
    if (details->depth > 0) {
        details->count[details->depth - 1]++;
    }
    if (key != NULL) {
        drv_pack_key(&details->pack, key);
    }
}

/* The count is filled in at the end; the five-byte forms leave room for it. */
static void open_container(struct stat_details *details, const char *key, uint8_t form)
{
    const uint8_t header[HEADER_LEN] = {form};
    DRV_ASSERT(details->depth < STAT_DETAILS_DEPTH);
    begin_item(details, key);
    details->position[details->depth] = details->buffer.len;
    details->count[details->depth] = 0;
    details->depth++;
    drv_pack_raw(&details->pack, header, sizeof header);
}

void stat_details_begin(struct stat_details *details, size_t max)
{
    DRV_ASSERT(max >= STAT_DETAILS_RESERVE);
    drv_buffer_clear(&details->buffer);
    drv_pack_init(&details->pack, &details->buffer);
    details->row_max = max - STAT_DETAILS_RESERVE;
    details->depth = 0;
    open_container(details, NULL, MAP_FORM);
}

struct drv_view stat_details_finish(struct stat_details *details)
{
    DRV_ASSERT(details->depth == 1);
    stat_details_end(details);
    bool is_whole = drv_pack_status(&details->pack) == DROVER_OK &&
                    details->buffer.len <= details->row_max + STAT_DETAILS_RESERVE;
    return is_whole ? drv_buffer_view(&details->buffer) : drv_view_of(NULL, 0);
}

size_t stat_details_narrow(struct stat_details *details, unsigned share)
{
    size_t row_max = details->row_max;
    if (details->buffer.len < row_max) {
        details->row_max = details->buffer.len + (row_max - details->buffer.len) / 100 * share;
    }
    return row_max;
}

void stat_details_widen(struct stat_details *details, size_t row_max)
{
    details->row_max = row_max;
}

void stat_details_map(struct stat_details *details, const char *key)
{
    open_container(details, key, MAP_FORM);
}

void stat_details_list(struct stat_details *details, const char *key)
{
    open_container(details, key, LIST_FORM);
}

void stat_details_end(struct stat_details *details)
{
    DRV_ASSERT(details->depth > 0);
    details->depth--;
    if (details->pack.failed) {
        return;
    }
    uint8_t *header = details->buffer.bytes + details->position[details->depth];
    uint32_t count = details->count[details->depth];
    for (size_t i = HEADER_LEN - 1; i >= 1; i--) {
        header[i] = (uint8_t)(count & 0xff);
        count >>= 8U;
    }
}

void stat_details_row(struct stat_details *details)
{
    details->row_mark = details->buffer.len;
    open_container(details, NULL, MAP_FORM);
}

bool stat_details_keep(struct stat_details *details)
{
    stat_details_end(details);
    if (details->pack.failed) {
        return false;
    }
    if (details->buffer.len <= details->row_max) {
        return true;
    }
    details->buffer.len = details->row_mark;
    details->count[details->depth - 1]--;
    return false;
}

void stat_details_uint(struct stat_details *details, const char *key, uint64_t number)
{
    begin_item(details, key);
    drv_pack_uint(&details->pack, number);
}

void stat_details_real(struct stat_details *details, const char *key, double number)
{
    double rounded = round(number * 100) / 100;
    begin_item(details, key);
    if (!stat_is_known(number)) {
        drv_pack_nil(&details->pack);
    } else if (rounded == floor(rounded) && rounded < 1e15) {
        drv_pack_uint(&details->pack, (uint64_t)rounded); /* 0 in one byte instead of nine */
    } else {
        drv_pack_double(&details->pack, rounded);
    }
}

void stat_details_bool(struct stat_details *details, const char *key, bool flag)
{
    begin_item(details, key);
    drv_pack_bool(&details->pack, flag);
}

void stat_details_text(struct stat_details *details, const char *key, const char *text)
{
    begin_item(details, key);
    drv_pack_text(&details->pack, text);
}
