/*
 * grid.h: tables on stdout, by libsmartcols.
 *
 * As wide as the terminal, without cutting when stdout is none; colours on terminals only and
 * never when NO_COLOR is set. Text must have been escaped. Running out of memory is remembered
 * and told by grid_print.
 */
#ifndef CLI_GRID_H
#define CLI_GRID_H

#include "cli.h"

struct grid_column {
    const char *name;
    bool right; /* numbers */
    bool cut;   /* may be cut to fit a terminal */
};

struct libscols_table;
struct libscols_line;

struct grid {
    struct libscols_table *table; /* owned */
    struct libscols_line *line;   /* the last row; borrowed */
    size_t next;                  /* cell of that row */
    bool failed;
};

void grid_open(struct grid *grid, const struct grid_column *columns, size_t count);

/* Starts a row; the cells follow from left to right. */
void grid_row(struct grid *grid);
void grid_text(struct grid *grid, const char *text);
void grid_int(struct grid *grid, int64_t number);
/* One decimal. */
void grid_double(struct grid *grid, double number);
/* The number under key, "-" when it is nil or not there. */
void grid_known(struct grid *grid, const drover_value *map, const char *key);
void grid_age(struct grid *grid, int64_t ms);
void grid_bytes(struct grid *grid, int64_t bytes);
/* The state of a task, worker or queue in its colour. */
void grid_state(struct grid *grid, const char *state);

/* Sorts the rows by the text of the first column. */
void grid_sort(struct grid *grid);

/* Prints and releases it. CLI_OK, or says why not. */
int grid_print(struct grid *grid);

#endif
