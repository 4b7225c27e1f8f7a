/*
 * cells.h: a picture of rows and columns of characters, which a terminal or a test shows.
 *
 * A character is a base and the marks that combine with it. One that takes two columns fills
 * its cell and the one to its right, which then has no width. Nothing is drawn beyond the
 * edges, nor half of a wide character. Widths are those of the locale (wcwidth).
 */
#ifndef CLI_TOP_CELLS_H
#define CLI_TOP_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

/* What stands in a cell means; how that looks is the surface's matter. Everything that a style
 * says is said in words too. */
enum cell_style {
    CELL_PLAIN,
    CELL_TITLE,    /* what it is */
    CELL_HEAD,     /* over the columns */
    CELL_SELECTED, /* the row that keys are about */
    CELL_KEY,      /* to be pressed */
    CELL_DIM,
    CELL_GOOD,
    CELL_WARN,
    CELL_BAD,
    CELL_STYLES
};

enum {
    CELL_TEXT_MAX = 3, /* a base and two marks */
    CELLS_ROWS_MAX = 500,
    CELLS_COLUMNS_MAX = 1000,
};

struct cell {
    wchar_t text[CELL_TEXT_MAX + 1]; /* ends with 0; empty: the right half of a wide one */
    uint8_t width;                   /* columns: 1, 2; 0: as above */
    uint8_t style;                   /* an enum cell_style */
};

struct cells {
    int rows, columns;
    struct cell *list; /* owned */
};

void cells_init(struct cells *cells);
void cells_fini(struct cells *cells);

/* A blank picture of this size, cut to the limits; it has at least one cell. False: no memory,
 * and it is as it was. */
bool cells_resize(struct cells *cells, int rows, int columns);

void cells_clear(struct cells *cells);

const struct cell *cells_at(const struct cells *cells, int row, int column);

/*
 * Writes UTF-8 from this column on, over at most `width` columns; what is longer is cut, and
 * ends with a tilde. Text must have been escaped. Returns the column behind it.
 */
int cells_put(struct cells *cells, int row, int column, int width, enum cell_style style,
              const char *text);

/* The same, so that it ends where the width does. */
void cells_put_right(struct cells *cells, int row, int column, int width, enum cell_style style,
                     const char *text);

/* Gives a whole row one style. */
void cells_style_row(struct cells *cells, int row, enum cell_style style);

/* How many columns a text takes. */
int cells_width(const char *text);

/* How many bytes of a text go into one line of so many columns: between characters, after a
 * blank where there is one in its second half. At least a character, unless it is empty. */
size_t cells_fit(const char *text, int columns);

/* A row as UTF-8 without the blanks at its end, cut to size. Returns out_text. */
char *cells_line(const struct cells *cells, int row, char *out_text, size_t size);

#endif
