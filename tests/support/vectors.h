/*
 * vectors.h: the test vectors of common/PROTOCOL.md, read from the document itself.
 */
#ifndef VECTORS_H
#define VECTORS_H

#include "arena.h"
#include "buffer.h"
#include "data.h"
#include "message.h"

enum vector_sort { SORT_VECTOR, SORT_ALSO, SORT_REFUSE };

struct vector {
    enum vector_sort sort;
    char name[64];
    char argument[64]; /* of "also": the vector it equals; of "refuse": the code */
    struct drv_buffer head;
    struct drv_buffer blob;
};

struct vector_document {
    char *text; /* owned; the whole file */
    struct vector vectors[256];
    size_t count;
};

/* Group fixtures: the state is the struct vector_document. */
int vectors_setup(void **state);
int vectors_teardown(void **state);

/* The vector of that name; there must be one. */
const struct vector *vector_find(const struct vector_document *document, const char *name);

/* Transfers that are always complete; what is sent gets the numbers 1, 2, ... */
struct vector_transfers {
    struct drv_data *taken[DRV_TRANSFERS_MAX];
    size_t count;
    uint64_t put;
};

/* A vector that was decoded; ends with coded_fini. */
struct coded {
    struct vector_transfers transfers;
    struct drv_transfers hooks;
    struct drv_arena arena;
    struct drv_message message;
    struct drv_buffer head, blob;
};

drover_status vector_decode(const struct vector *vector, struct coded *coded,
                            const char **out_reason);
/* The same for a vector that must not be refused. */
void vector_must_decode(const struct vector *vector, struct coded *coded);
void coded_fini(struct coded *coded);

#endif
