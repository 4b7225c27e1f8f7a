/* cells.c: see cells.h. */
#include "top/cells.h"

#include "check.h"
#include "utf8.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

void cells_init(struct cells *cells)
{
    memset(cells, 0, sizeof(*cells));
}

void cells_fini(struct cells *cells)
{
    free(cells->list);
    cells_init(cells);
}

static int clamp(int number, int max)
{
    return number < 1 ? 1 : number > max ? max : number;
}

bool cells_resize(struct cells *cells, int rows, int columns)
{
    rows = clamp(rows, CELLS_ROWS_MAX);
    columns = clamp(columns, CELLS_COLUMNS_MAX);
    if (rows != cells->rows || columns != cells->columns) {
        struct cell *list = calloc((size_t)rows * (size_t)columns, sizeof(*list));
        if (list == NULL) {
            return false;
        }
        free(cells->list);
        cells->list = list;
        cells->rows = rows;
        cells->columns = columns;
    }
    cells_clear(cells);
    return true;
}

static struct cell *at(const struct cells *cells, int row, int column)
{
    DRV_ASSERT(row >= 0 && row < cells->rows && column >= 0 && column < cells->columns);
    return &cells->list[(size_t)row * (size_t)cells->columns + (size_t)column];
}

const struct cell *cells_at(const struct cells *cells, int row, int column)
{
    return at(cells, row, column);
}

static void blank(struct cell *cell)
{
    *cell = (struct cell){.text = L" ", .width = 1, .style = cell->style};
}

/* What loses one of its halves goes as a whole. */
static void set(struct cells *cells, int row, int column, wchar_t code, int width,
                enum cell_style style)
{
    struct cell *cell = at(cells, row, column);
    if (cell->width == 0 && column > 0 && width > 0) {
        blank(at(cells, row, column - 1));
    } else if (cell->width == 2) {
        blank(at(cells, row, column + 1));
    } else {
        /* a character of its own */
    }
    memset(cell, 0, sizeof(*cell));
    cell->text[0] = code;
    cell->width = (uint8_t)width;
    cell->style = (uint8_t)style;
}

void cells_clear(struct cells *cells)
{
    for (int i = 0; i < cells->rows * cells->columns; i++) {
        cells->list[i] = (struct cell){.text = L" ", .width = 1, .style = CELL_PLAIN};
    }
}

/* ---- characters -------------------------------------------------------------------------- */

/* The next character of a text and its columns; what the locale cannot show is a question mark.
 * False at the end. */
static bool next(struct drv_view *text, wchar_t *out_code, int *out_width)
{
    uint32_t code = 0;
    if (text->len == 0) {
        return false;
    }
    size_t taken = drv_utf8_decode(text->bytes, text->len, &code);
    *text = drv_view_of(text->bytes + (taken > 0 ? taken : 1),
                        text->len - (taken > 0 ? taken : 1));
    *out_code = taken > 0 && code >= 0x20 ? (wchar_t)code : L'?';
    *out_width = wcwidth(*out_code);
    if (*out_width < 0) {
        *out_code = L'?';
        *out_width = 1;
    }
    return true;
}

int cells_width(const char *text)
{
    struct drv_view view = drv_view_text(text);
    wchar_t code = 0;
    int width = 0;
    int sum = 0;
    while (next(&view, &code, &width) && sum < CELLS_COLUMNS_MAX) {
        sum += width;
    }
    return sum;
}

size_t cells_fit(const char *text, int columns)
{
    struct drv_view view = drv_view_text(text);
    wchar_t code = 0;
    int width = 0;
    int sum = 0;
    size_t fits = 0;
    size_t blank_at = 0;
    while (next(&view, &code, &width)) {
        if (sum + width > columns && fits > 0) {
            return blank_at > fits / 2 ? blank_at : fits;
        }
        sum += width;
        fits = (size_t)(view.bytes - (const uint8_t *)text);
        blank_at = code == L' ' ? fits : blank_at;
    }
    return fits;
}

/* A mark belongs to the character before it; those beyond the room for them are left out. */
static void combine(struct cells *cells, int row, int column, wchar_t mark)
{
    struct cell *cell = at(cells, row, column);
    if (cell->width == 0 && column > 0) {
        cell = at(cells, row, column - 1);
    }
    size_t len = wcslen(cell->text);
    if (len > 0 && len < CELL_TEXT_MAX) {
        cell->text[len] = mark;
    }
}

int cells_put(struct cells *cells, int row, int column, int width, enum cell_style style,
              const char *text)
{
    struct drv_view view = drv_view_text(text);
    wchar_t code = 0;
    int columns = 0;
    int first = column;
    int end = column + width < cells->columns ? column + width : cells->columns;
    bool is_cut = cells_width(text) > end - column;
    int room = is_cut ? end - 1 : end;
    if (row < 0 || row >= cells->rows || column < 0 || column >= end) {
        return column;
    }
    while (next(&view, &code, &columns) && column + columns <= room) {
        if (columns == 0 && column > first) {
            combine(cells, row, column - 1, code);
        } else if (columns > 0) {
            set(cells, row, column, code, columns, style);
            if (columns == 2) {
                set(cells, row, column + 1, 0, 0, style);
            }
        } else {
            /* a mark that has nothing to stand on */
        }
        column += columns;
    }
    if (is_cut) {
        set(cells, row, column++, L'~', 1, style);
    }
    return column;
}

void cells_put_right(struct cells *cells, int row, int column, int width, enum cell_style style,
                     const char *text)
{
    int needs = cells_width(text);
    int shift = needs < width ? width - needs : 0;
    (void)cells_put(cells, row, column + shift, width - shift, style, text);
}

void cells_style_row(struct cells *cells, int row, enum cell_style style)
{
    for (int column = 0; row >= 0 && row < cells->rows && column < cells->columns; column++) {
        at(cells, row, column)->style = (uint8_t)style;
    }
}

char *cells_line(const struct cells *cells, int row, char *out_text, size_t size)
{
    size_t len = 0;
    size_t kept = 0;
    for (int column = 0; column < cells->columns; column++) {
        const struct cell *cell = at(cells, row, column);
        for (const wchar_t *code = cell->text; *code != 0; code++) {
            uint8_t bytes[DRV_UTF8_LEN_MAX];
            size_t count = drv_utf8_encode((uint32_t)*code, bytes);
            if (len + count >= size) {
                break;
            }
            memcpy(out_text + len, bytes, count);
            len += count;
            kept = *code == L' ' ? kept : len;
        }
    }
    out_text[kept] = '\0';
    return out_text;
}
