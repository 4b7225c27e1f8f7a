/*
 * listing.h: rows of a view: what they say, how they are sorted, which of them a filter leaves.
 *
 *     documents ──view_add()──> rows ──listing_arrange(sort, filter)──> shown ──layout──> cells
 *
 * Bounded: rows beyond LISTING_ROWS_MAX are counted and not kept. All texts are escaped, belong
 * to the table and go with its next clearing.
 */
#ifndef CLI_TOP_LISTING_H
#define CLI_TOP_LISTING_H

#include "top/cells.h"

#include "arena.h"

#include <drover/client.h>

enum { LISTING_COLUMNS_MAX = 14, LISTING_ROWS_MAX = 10000 };

struct listing_column {
    const char *name;
    bool right;    /* numbers: sorted as such, and the largest first */
    uint8_t rank;  /* who goes first where there is no room: the highest; 0 stays */
    uint8_t width; /* at most, on the screen; 0: as wide as its widest text */
};

struct listing_cell {
    const char *text;
    double number; /* of the right ones: what they are sorted by */
    uint8_t style; /* an enum cell_style */
};

struct listing_row {
    const char *key;  /* stays the same from one picture to the next */
    const char *name; /* what an operator calls it: a worker's id, a queue, a host */
    drover_task_ref task;
    bool has_task; /* there is one to be opened or cancelled */
    uint8_t next;  /* cells that are filled */
    struct listing_cell cells[LISTING_COLUMNS_MAX];
};

struct listing {
    const struct listing_column *columns; /* borrowed */
    size_t column_count;
    struct listing_row *rows; /* owned */
    size_t count, capacity;
    size_t left_out; /* rows for which there was no room */
    bool has_more;   /* the broker has more than was asked for */
    bool failed;     /* out of memory: some are missing */
    struct drv_arena texts;
    size_t *shown; /* owned; numbers of rows, as they were arranged */
    size_t shown_count;
    int widths[LISTING_COLUMNS_MAX]; /* of the columns, for what is shown */
};

void listing_init(struct listing *table, const struct listing_column *columns,
                  size_t column_count);
void listing_fini(struct listing *table);

/* Begins a row; its cells follow from left to right. The texts are copied. NULL: no room or no
 * memory, which the table remembers; the cells are then for nothing. */
struct listing_row *listing_row(struct listing *table, const char *key, const char *name);
void listing_text(struct listing *table, struct listing_row *row, const char *text);
void listing_state(struct listing *table, struct listing_row *row, const char *state);
void listing_number(struct listing *table, struct listing_row *row, double number,
                    const char *text);

/* Which rows are shown, in which order: those with the text of filter (in any cell, in upper or
 * lower case), by a column; what is equal there by the key. */
void listing_arrange(struct listing *table, size_t column, bool reverse, const char *filter);

/* The row at a place in that order; NULL beyond the last. */
const struct listing_row *listing_shown(const struct listing *table, size_t place);

/* Where the row with this key is shown; SIZE_MAX: it is not. */
size_t listing_place(const struct listing *table, const char *key);

/* How a task, worker or queue in this state looks. */
enum cell_style listing_state_style(const char *state);

#endif
