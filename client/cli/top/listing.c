/* listing.c: see listing.h. */
#include "top/listing.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS_KEEP = 1 << 20 };

void listing_init(struct listing *table, const struct listing_column *columns,
                  size_t column_count)
{
    DRV_ASSERT(column_count <= LISTING_COLUMNS_MAX);
    memset(table, 0, sizeof(*table));
    table->columns = columns;
    table->column_count = column_count;
    drv_arena_init(&table->texts, TEXTS_KEEP);
}

void listing_fini(struct listing *table)
{
    drv_arena_fini(&table->texts);
    free(table->rows);
    free(table->shown);
    table->rows = NULL;
    table->shown = NULL;
    table->count = table->capacity = table->shown_count = 0;
}

/* ---- rows -------------------------------------------------------------------------------- */

static const char *keep(struct listing *table, const char *text)
{
    const char *copy = drv_arena_copy(&table->texts, text, strlen(text) + 1);
    table->failed = table->failed || copy == NULL;
    return copy != NULL ? copy : "";
}

static bool grow(struct listing *table)
{
    size_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
    if (table->count < table->capacity) {
        return true;
    }
    struct listing_row *rows = realloc(table->rows, capacity * sizeof(*rows));
    if (rows == NULL) {
        table->failed = true;
        return false;
    }
    table->rows = rows;
    table->capacity = capacity;
    return true;
}

struct listing_row *listing_row(struct listing *table, const char *key, const char *name)
{
    if (table->count == LISTING_ROWS_MAX) {
        table->left_out++;
        return NULL;
    }
    if (!grow(table)) {
        return NULL;
    }
    struct listing_row *row = &table->rows[table->count++];
    memset(row, 0, sizeof(*row));
    row->key = keep(table, key);
    row->name = keep(table, name);
    for (size_t i = 0; i < LISTING_COLUMNS_MAX; i++) {
        row->cells[i].text = "";
        row->cells[i].number = -1;
    }
    return row;
}

void listing_number(struct listing *table, struct listing_row *row, double number,
                    const char *text)
{
    if (row == NULL) {
        return;
    }
    DRV_ASSERT(row->next < table->column_count);
    row->cells[row->next++] = (struct listing_cell){.text = keep(table, text),
                                                    .number = number};
}

void listing_text(struct listing *table, struct listing_row *row, const char *text)
{
    listing_number(table, row, -1, text);
}

void listing_state(struct listing *table, struct listing_row *row, const char *state)
{
    listing_text(table, row, state);
    if (row != NULL) {
        row->cells[row->next - 1].style = (uint8_t)listing_state_style(state);
    }
}

enum cell_style listing_state_style(const char *state)
{
    static const struct {
        const char *state;
        enum cell_style style;
    } styles[] = {
        {"running", CELL_GOOD},   {"connected", CELL_GOOD}, {"busy", CELL_GOOD},
        {"succeeded", CELL_GOOD}, {"failed", CELL_BAD},     {"lost_at_restart", CELL_BAD},
        {"expired", CELL_BAD},    {"blocked", CELL_BAD},    {"memory", CELL_BAD},
        {"paused", CELL_WARN},    {"draining", CELL_WARN},  {"reattaching", CELL_WARN},
        {"cancelled", CELL_WARN}, {"waiting", CELL_DIM},    {"delayed", CELL_DIM},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(styles); i++) {
        if (strcmp(styles[i].state, state) == 0) {
            return styles[i].style;
        }
    }
    return CELL_PLAIN;
}

/* ---- order and filter -------------------------------------------------------------------- */

struct order {
    const struct listing *table;
    size_t column;
    bool reverse;
};

static int by_order(const void *a, const void *b, void *context)
{
    const struct order *order = context;
    const struct listing_row *left = &order->table->rows[*(const size_t *)a];
    const struct listing_row *right = &order->table->rows[*(const size_t *)b];
    const struct listing_cell *x = &left->cells[order->column];
    const struct listing_cell *y = &right->cells[order->column];
    int result = order->table->columns[order->column].right
                     ? (x->number < y->number) - (x->number > y->number)
                     : strcmp(x->text, y->text);
    if (result != 0) {
        return order->reverse ? -result : result;
    }
    return strcmp(left->key, right->key);
}

static bool matches(const struct listing *table, const struct listing_row *row,
                    const char *filter)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcasestr(row->cells[i].text, filter) != NULL) {
            return true;
        }
    }
    return filter[0] == '\0';
}

/* As wide as their widest texts, and no wider than they may be. */
static void measure(struct listing *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        int most = table->columns[i].width > 0 ? table->columns[i].width : CELLS_COLUMNS_MAX;
        int width = cells_width(table->columns[i].name);
        for (size_t at = 0; at < table->shown_count; at++) {
            int needs = cells_width(table->rows[table->shown[at]].cells[i].text);
            width = needs > width ? needs : width;
        }
        table->widths[i] = width < most ? width : most;
    }
}

void listing_arrange(struct listing *table, size_t column, bool reverse, const char *filter)
{
    struct order order = {table, column < table->column_count ? column : 0, reverse};
    table->shown_count = 0;
    measure(table);
    if (table->count == 0) {
        return;
    }
    size_t *shown = realloc(table->shown, table->count * sizeof(*shown));
    if (shown == NULL) {
        table->failed = true;
        return;
    }
    table->shown = shown;
    for (size_t i = 0; i < table->count; i++) {
        if (matches(table, &table->rows[i], filter)) {
            shown[table->shown_count++] = i;
        }
    }
    qsort_r(shown, table->shown_count, sizeof(*shown), by_order, &order);
    measure(table);
}

const struct listing_row *listing_shown(const struct listing *table, size_t place)
{
    return place < table->shown_count ? &table->rows[table->shown[place]] : NULL;
}

size_t listing_place(const struct listing *table, const char *key)
{
    for (size_t i = 0; i < table->shown_count; i++) {
        if (strcmp(table->rows[table->shown[i]].key, key) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}
