/*
 * pieces.h: data that is kept as it came: in pieces, each in the memory it was received in.
 *
 * Who wants a long value in a place of its own choice (a file, another message) copies it there
 * once, instead of first into one piece of memory. Such data has no bytes of its own. Only who
 * asked for it ever sees one; everybody else gets one piece. Shared by reference like any data,
 * and as immutable.
 */
#ifndef DRV_PIECES_H
#define DRV_PIECES_H

#include "data.h"

#include <stdbool.h>

struct drv_data_piece {
    const uint8_t *bytes; /* in what `owner` owns */
    size_t len;
    void *owner; /* owned */
    void (*free_owner)(void *owner);
};

struct drv_pieces {
    struct drv_data_piece *items; /* owned */
    size_t count, capacity;
};

/*
 * Memory in which a message came, whose owner would leave it to us. `keep` gives what owns it
 * from then on, and where the bytes are now; NULL: no memory, nothing has happened.
 */
struct drv_lender {
    void *(*keep)(void *context, const uint8_t **out_bytes);
    void (*free_owner)(void *owner);
    void *context;
};

/* Data of no pieces yet, with one reference, the caller's. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_pieces_new(struct drv_data **out_data);

/* One more piece at the end of data that nobody else has a reference to: what the lender has,
 * or a copy. OK, or NOMEM: it stays as it was. */
DROVER_MUST_USE drover_status drv_pieces_lend(struct drv_data *data,
                                              const struct drv_lender *lender, size_t len);
DROVER_MUST_USE drover_status drv_pieces_copy(struct drv_data *data, struct drv_view bytes);

/* The bytes of such data, one behind the other. */
void drv_pieces_write(const struct drv_data *data, uint8_t *out_bytes);

/* The same as one piece of memory instead; *data is replaced. Any other data stays. OK, or
 * NOMEM: it stays as it was. */
DROVER_MUST_USE drover_status drv_pieces_join(struct drv_data **data);

/* What stands for the bytes of such data: none, and their length. */
static inline struct drv_view drv_pieces_view(const struct drv_data *data)
{
    return drv_view_of(NULL, data->len);
}

/* For drv_data_unref. */
void drv_pieces_free(struct drv_pieces *pieces);

static inline bool drv_data_is_pieces(const struct drv_data *data)
{
    return data != NULL && data->pieces != NULL;
}

#endif
