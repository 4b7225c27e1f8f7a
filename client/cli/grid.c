/* grid.c: see grid.h. */
#include "grid.h"

#include "check.h"
#include "doc.h"
#include "human.h"

#include <inttypes.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_colors(void)
{
    const char *never = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) != 0 && (never == NULL || never[0] == '\0');
}

void grid_open(struct grid *grid, const struct grid_column *columns, size_t count)
{
    memset(grid, 0, sizeof(*grid));
    grid->table = scols_new_table();
    if (grid->table == NULL) {
        grid->failed = true;
        return;
    }
    (void)scols_table_enable_noencoding(grid->table, 1);
    (void)scols_table_enable_colors(grid->table, has_colors());
    for (size_t i = 0; i < count; i++) {
        int flags = columns[i].right ? SCOLS_FL_RIGHT : 0;
        flags |= columns[i].cut ? SCOLS_FL_TRUNC : 0;
        if (scols_table_new_column(grid->table, columns[i].name, 0, flags) == NULL) {
            grid->failed = true;
        }
    }
}

void grid_row(struct grid *grid)
{
    grid->line = grid->failed ? NULL : scols_table_new_line(grid->table, NULL);
    grid->next = 0;
    grid->failed = grid->failed || grid->line == NULL;
}

void grid_text(struct grid *grid, const char *text)
{
    if (!grid->failed && scols_line_set_data(grid->line, grid->next, text) != 0) {
        grid->failed = true;
    }
    grid->next++;
}

static void colored(struct grid *grid, const char *text, const char *color)
{
    grid_text(grid, text);
    if (!grid->failed) {
        struct libscols_cell *cell = scols_line_get_cell(grid->line, grid->next - 1);
        (void)scols_cell_set_color(cell, color);
    }
}

void grid_int(struct grid *grid, int64_t number)
{
    char text[HUMAN_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%" PRId64, number);
    grid_text(grid, text);
}

void grid_double(struct grid *grid, double number)
{
    char text[HUMAN_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%.1f", number);
    grid_text(grid, text);
}

void grid_known(struct grid *grid, const drover_value *map, const char *key)
{
    if (map != NULL && doc_has(map, key)) {
        grid_double(grid, doc_double(map, key));
    } else {
        grid_text(grid, "-");
    }
}

void grid_age(struct grid *grid, int64_t ms)
{
    char text[HUMAN_TEXT_MAX];
    grid_text(grid, human_age(ms, text));
}

void grid_bytes(struct grid *grid, int64_t bytes)
{
    char text[HUMAN_TEXT_MAX];
    grid_text(grid, human_bytes(bytes, text));
}

void grid_state(struct grid *grid, const char *state)
{
    static const struct {
        const char *state;
        const char *color;
    } colors[] = {
        {"succeeded", "green"}, {"connected", "green"},     {"failed", "red"},
        {"blocked", "red"},     {"lost_at_restart", "red"}, {"expired", "brown"},
        {"cancelled", "brown"}, {"reattaching", "brown"},   {"draining", "brown"},
        {"paused", "brown"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(colors); i++) {
        if (strcmp(colors[i].state, state) == 0) {
            colored(grid, state, colors[i].color);
            return;
        }
    }
    grid_text(grid, state);
}

void grid_sort(struct grid *grid)
{
    if (!grid->failed) {
        struct libscols_column *first = scols_table_get_column(grid->table, 0);
        (void)scols_column_set_cmpfunc(first, scols_cmpstr_cells, NULL);
        (void)scols_sort_table(grid->table, first);
    }
}

int grid_print(struct grid *grid)
{
    int code = CLI_OK;
    if (grid->failed) {
        code = cli_no_memory();
    } else if (scols_table_get_nlines(grid->table) > 0 && scols_print_table(grid->table) != 0) {
        code = cli_say(CLI_IO, "cannot print the table");
    }
    scols_unref_table(grid->table);
    grid->table = NULL;
    return code;
}
