#include "pieces.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { PIECES_MIN = 8 };

drover_status drv_pieces_new(struct drv_data **out_data)
{
    struct drv_data *data = NULL;
    struct drv_pieces *pieces = calloc(1, sizeof *pieces);
    if (pieces == NULL || drv_data_new(0, &data) != DROVER_OK) {
        free(pieces);
        return DROVER_NOMEM;
    }
    data->pieces = pieces;
    *out_data = data;
    return DROVER_OK;
}

/* Room for one more; NULL: no memory. */
static struct drv_data_piece *next_piece(struct drv_pieces *pieces)
{
    if (pieces->count == pieces->capacity) {
        size_t capacity = pieces->capacity == 0 ? PIECES_MIN : pieces->capacity * 2;
        struct drv_data_piece *items = realloc(pieces->items, capacity * sizeof *items);
        if (items == NULL) {
            return NULL;
        }
        pieces->items = items;
        pieces->capacity = capacity;
    }
    return &pieces->items[pieces->count];
}

static drover_status add(struct drv_data *data, const struct drv_data_piece *piece)
{
    struct drv_data_piece *place = next_piece(data->pieces);
    if (place == NULL || piece->len > SIZE_MAX - data->len) {
        return DROVER_NOMEM;
    }
    *place = *piece;
    data->pieces->count++;
    data->len += piece->len;
    return DROVER_OK;
}

drover_status drv_pieces_lend(struct drv_data *data, const struct drv_lender *lender,
                              size_t len)
{
    struct drv_data_piece piece = {.len = len, .free_owner = lender->free_owner};
    if (next_piece(data->pieces) == NULL) { /* what was kept cannot be given back */
        return DROVER_NOMEM;
    }
    piece.owner = lender->keep(lender->context, &piece.bytes);
    return piece.owner == NULL ? DROVER_NOMEM : add(data, &piece);
}

drover_status drv_pieces_copy(struct drv_data *data, struct drv_view bytes)
{
    DRV_ASSERT(bytes.len > 0);
    uint8_t *copy = malloc(bytes.len);
    if (copy == NULL) {
        return DROVER_NOMEM;
    }
    memcpy(copy, bytes.bytes, bytes.len);
    drover_status status = add(
        data, &(struct drv_data_piece){
                  .bytes = copy, .len = bytes.len, .owner = copy, .free_owner = free});
    if (status) {
        free(copy);
    }
    return status;
}

void drv_pieces_write(const struct drv_data *data, uint8_t *out_bytes)
{
    DRV_ASSERT(data->pieces != NULL);
    for (size_t i = 0; i < data->pieces->count; i++) {
        const struct drv_data_piece *piece = &data->pieces->items[i];
        memcpy(out_bytes, piece->bytes, piece->len);
        out_bytes += piece->len;
    }
}

drover_status drv_pieces_join(struct drv_data **data)
{
    struct drv_data *joined = NULL;
    if (!drv_data_is_pieces(*data)) {
        return DROVER_OK;
    }
    drover_status status = drv_data_new((*data)->len, &joined);
    if (status) {
        return status;
    }
    drv_pieces_write(*data, joined->bytes);
    drv_data_unref(data);
    *data = joined;
    return DROVER_OK;
}

void drv_pieces_free(struct drv_pieces *pieces)
{
    if (pieces == NULL) {
        return;
    }
    for (size_t i = 0; i < pieces->count; i++) {
        pieces->items[i].free_owner(pieces->items[i].owner);
    }
    free(pieces->items);
    free(pieces);
}
