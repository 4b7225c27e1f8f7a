/* layout.c: see layout.h. */
#include "top/layout.h"

#include "check.h"
#include "human.h"

#include <string.h>

enum {
    GAP = 2,           /* between columns */
    MARK = 2,          /* "> " before the selected row */
    FIRST_MIN = 8,     /* of the first column */
    HEAD_ROWS = 10,    /* with fewer the summary is left out... */
    ALERT_ROWS = 14,   /* ...and the line for alerts */
    MESSAGE_ROWS = 8,  /* with fewer a message takes the place of the keys */
    TABS_COLUMNS = 56, /* with fewer only the view's own name is shown */
};

/* ---- lines above ------------------------------------------------------------------------- */

static void draw_parts(struct cells *cells, int row, int column, const struct summary *summary,
                       int line)
{
    for (size_t i = 0; i < summary->counts[line]; i++) {
        const struct summary_part *part = &summary->parts[line][i];
        int width = cells_width(part->text);
        if (column + width > cells->columns) {
            return;
        }
        column = cells_put(cells, row, column, width, part->style, part->text) + GAP;
    }
}

static void draw_head(const struct top *top, struct cells *cells)
{
    int column = cells_put(cells, 0, 0, cells->columns, CELL_TITLE, "drover top") + GAP;
    if (top->is_silent) {
        (void)cells_put(cells, 0, column, cells->columns - column, CELL_BAD,
                        "reconnecting: the broker does not answer; this is what was before");
    } else {
        draw_parts(cells, 0, column, &top->summary, 0);
    }
    draw_parts(cells, 1, 0, &top->summary, 1);
}

static void draw_alert(const struct top *top, struct cells *cells, int row)
{
    const struct summary *summary = &top->summary;
    char text[SUMMARY_ALERT_MAX + 64];
    if (summary->alerts == 0) {
        return;
    }
    (void)snprintf(text, sizeof(text), "! %s", summary->alert);
    if (summary->alerts > 1) {
        (void)snprintf(text, sizeof(text), "! %lld alerts, %s", (long long)summary->alerts,
                       summary->alert);
    }
    (void)cells_put(cells, row, 0, cells->columns, summary->alert_style, text);
}

/* "12 rows, by CPU %, with 'abc'" */
static void describe(const struct top *top, char *out_text, size_t size)
{
    const struct top_place *place = &top->places[top->view];
    const struct listing *table = &top->table;
    size_t len = 0;
    if (top->view == VIEW_TASKS) {
        len += (size_t)snprintf(out_text, size, "%s%s%s, ", view_tasks_name(top->tasks),
                                top->queue[0] != '\0' ? " in " : "", top->queue);
    }
    len = len < size ? len : size - 1;
    len += (size_t)snprintf(out_text + len, size - len, "%zu%s, by %s%s", table->shown_count,
                            table->has_more || table->left_out > 0 ? " of more" : "",
                            table->columns[place->sort].name, place->reverse ? " (R)" : "");
    len = len < size ? len : size - 1;
    if (place->filter[0] != '\0') {
        (void)snprintf(out_text + len, size - len, ", with '%s'", place->filter);
    }
}

static void draw_tabs(const struct top *top, struct cells *cells, int row)
{
    char text[2 * DOC_TEXT_MAX];
    int column = 0;
    for (int i = 0; i < VIEW_COUNT; i++) {
        bool is_here = i == (int)top->view;
        if (is_here || cells->columns >= TABS_COLUMNS) {
            (void)snprintf(text, sizeof(text), "%s%d %s%s", is_here ? "[" : " ", i + 1,
                           views[i].name, is_here ? "]" : " ");
            column = cells_put(cells, row, column, cells->columns,
                               is_here ? CELL_TITLE : CELL_PLAIN, text);
        }
    }
    describe(top, text, sizeof(text));
    if (column + GAP < cells->columns) {
        cells_put_right(cells, row, column + GAP, cells->columns - column - GAP, CELL_DIM,
                        text);
    }
}

/* ---- the table --------------------------------------------------------------------------- */

/* Which columns there is room for. */
struct columns {
    int width[LISTING_COLUMNS_MAX]; /* 0: left out */
};

static int sum(const struct columns *columns, size_t count)
{
    int total = MARK - GAP;
    for (size_t i = 0; i < count; i++) {
        total += columns->width[i] > 0 ? columns->width[i] + GAP : 0;
    }
    return total;
}

/* The one that goes first; count: none may. */
static size_t least(const struct listing *table, const struct columns *columns)
{
    size_t found = table->column_count;
    for (size_t i = 0; i < table->column_count; i++) {
        if (columns->width[i] > 0 && table->columns[i].rank > 0 &&
            (found == table->column_count ||
             table->columns[i].rank >= table->columns[found].rank)) {
            found = i;
        }
    }
    return found;
}

static struct columns fit(const struct listing *table, int room)
{
    struct columns columns = {{0}};
    size_t count = table->column_count;
    for (size_t i = 0; i < count; i++) {
        columns.width[i] = table->widths[i];
    }
    for (size_t out = 0; sum(&columns, count) > room && out < count;) {
        out = least(table, &columns);
        if (out < count) {
            columns.width[out] = 0;
        }
    }
    int over = sum(&columns, count) - room;
    if (over > 0) {
        int first = columns.width[0] - over;
        columns.width[0] = first > FIRST_MIN ? first : FIRST_MIN;
    }
    return columns;
}

static void draw_cell(struct cells *cells, int row, int column, int width, bool right,
                      enum cell_style style, const char *text)
{
    width = width < cells->columns - column ? width : cells->columns - column;
    if (width <= 0) {
        return;
    }
    if (right) {
        cells_put_right(cells, row, column, width, style, text);
    } else {
        (void)cells_put(cells, row, column, width, style, text);
    }
}

static void draw_header(const struct top *top, struct cells *cells, int row,
                        const struct columns *columns)
{
    const struct listing *table = &top->table;
    int column = MARK;
    for (size_t i = 0; i < table->column_count; i++) {
        if (columns->width[i] > 0) {
            draw_cell(cells, row, column, columns->width[i], table->columns[i].right,
                      i == top->places[top->view].sort ? CELL_KEY : CELL_HEAD,
                      table->columns[i].name);
            column += columns->width[i] + GAP;
        }
    }
}

static void draw_row(const struct top *top, struct cells *cells, int row, size_t place,
                     const struct columns *columns)
{
    const struct listing *table = &top->table;
    const struct listing_row *line = listing_shown(table, place);
    bool is_selected = place == top->places[top->view].selected;
    int column = MARK;
    for (size_t i = 0; line != NULL && i < table->column_count; i++) {
        if (columns->width[i] > 0) {
            const struct listing_cell *cell = &line->cells[i];
            draw_cell(cells, row, column, columns->width[i], table->columns[i].right,
                      (enum cell_style)cell->style, cell->text);
            column += columns->width[i] + GAP;
        }
    }
    if (line != NULL && is_selected) {
        (void)cells_put(cells, row, 0, 1, CELL_PLAIN, ">");
        cells_style_row(cells, row, CELL_SELECTED);
    }
}

static const char *empty_text(const struct top *top)
{
    static const char *const none[VIEW_COUNT] = {
        "no worker is connected", "no worker is connected",
        "no worker tells of executors (drover-worker --stats)", "there is no queue yet",
        "no tasks of this kind (t: others)"};
    if (!top->has_table) {
        return "asking the broker...";
    }
    return top->table.count > 0 ? "no row has that text (Esc: all)" : none[top->view];
}

/* The selected row stays in sight. */
static void scroll(struct top *top, int rows)
{
    struct top_place *place = &top->places[top->view];
    size_t room = (size_t)rows;
    size_t count = top->table.shown_count;
    if (place->selected < place->first) {
        place->first = place->selected;
    } else if (place->selected >= place->first + room) {
        place->first = place->selected - room + 1;
    } else {
        /* it is */
    }
    if (place->first + room > count) {
        place->first = count > room ? count - room : 0;
    }
}

static void draw_table(struct top *top, struct cells *cells, int row, int rows)
{
    struct columns columns = fit(&top->table, cells->columns);
    top->page = rows > 1 ? rows - 1 : 1;
    draw_header(top, cells, row, &columns);
    scroll(top, top->page);
    for (int i = 0; i < rows - 1; i++) {
        draw_row(top, cells, row + 1 + i, top->places[top->view].first + (size_t)i, &columns);
    }
    if (top->table.shown_count == 0 && rows > 1) {
        (void)cells_put(cells, row + 1, MARK, cells->columns - MARK, CELL_DIM, empty_text(top));
    }
}

/* ---- a sheet ----------------------------------------------------------------------------- */

/* How many lines of the screen the sheet takes. */
static size_t measure_sheet(const struct sheet *sheet, int columns)
{
    size_t lines = 0;
    for (size_t i = 0; i < sheet->count; i++) {
        const char *text = sheet->lines[i].text;
        do {
            text += cells_fit(text, columns);
            lines++;
        } while (text[0] != '\0');
    }
    return lines;
}

/* Those from the first one on, as far as there is room. */
static void draw_lines(const struct sheet *sheet, struct cells *cells, int row, size_t first,
                       size_t room)
{
    char piece[SHEET_LINE_MAX];
    size_t at = 0;
    for (size_t i = 0; i < sheet->count && at < first + room; i++) {
        const char *text = sheet->lines[i].text;
        do {
            size_t len = cells_fit(text, cells->columns);
            (void)snprintf(piece, sizeof(piece), "%.*s", (int)len, text);
            if (at >= first && at < first + room) {
                (void)cells_put(cells, row + (int)(at - first), 0, cells->columns,
                                sheet->lines[i].style, piece);
            }
            text += len;
            at++;
        } while (text[0] != '\0');
    }
}

static void draw_sheet(struct top *top, struct cells *cells, int row, int rows)
{
    const struct sheet *sheet = &top->sheet;
    size_t room = (size_t)(rows > 1 ? rows - 1 : 1);
    size_t count = measure_sheet(sheet, cells->columns);
    size_t most = count > room ? count - room : 0;
    char place[64];
    top->page = (int)room;
    top->sheet_first = top->sheet_first < most ? top->sheet_first : most;
    (void)cells_put(cells, row, 0, cells->columns, CELL_TITLE,
                    top->has_sheet ? sheet->title : "asking the broker...");
    if (most > 0) {
        (void)snprintf(place, sizeof(place), "lines %zu to %zu of %zu", top->sheet_first + 1,
                       top->sheet_first + room, count);
        int column = cells_width(sheet->title) + GAP;
        cells_put_right(cells, row, column, cells->columns - column, CELL_DIM, place);
    }
    draw_lines(sheet, cells, row + 1, top->sheet_first, room);
}

/* ---- lines below ------------------------------------------------------------------------- */

struct hint {
    const char *key;
    const char *word;
};

enum { HINTS_MAX = 10 };

static const struct hint view_hints[VIEW_COUNT][HINTS_MAX] = {
    {{"q", "quit"}, {"?", "help"}, {"Enter", "workers"}, {"/", "filter"}, {"s", "sort"}},
    {{"q", "quit"},
     {"?", "help"},
     {"Enter", "open"},
     {"d", "drain"},
     {"r", "resume"},
     {"/", "filter"},
     {"s", "sort"}},
    {{"q", "quit"},
     {"?", "help"},
     {"Enter", "task"},
     {"c", "cancel task"},
     {"/", "filter"},
     {"s", "sort"}},
    {{"q", "quit"},
     {"?", "help"},
     {"Enter", "tasks"},
     {"p", "pause"},
     {"r", "resume"},
     {"/", "filter"},
     {"s", "sort"}},
    {{"q", "quit"},
     {"?", "help"},
     {"Enter", "open"},
     {"c", "cancel"},
     {"t", "which"},
     {"/", "filter"},
     {"s", "sort"}},
};
static const struct hint help_hints[HINTS_MAX] = {{"Esc", "back"}, {"q", "quit"}};
static const struct hint task_hints[HINTS_MAX] = {
    {"Esc", "back"}, {"c", "cancel"}, {"Up Down", "scroll"}, {"q", "quit"}};
static const struct hint worker_hints[HINTS_MAX] = {
    {"Esc", "back"}, {"d", "drain"}, {"r", "resume"}, {"Up Down", "scroll"}, {"q", "quit"}};
static const struct hint filter_hints[HINTS_MAX] = {{"Enter", "keep it"}, {"Esc", "all rows"}};
static const struct hint confirm_hints[HINTS_MAX] = {{"y", "yes"}, {"n", "no"}};

static const struct hint *hints(const struct top *top)
{
    switch (top->mode) {
    case TOP_FILTER:
        return filter_hints;
    case TOP_CONFIRM:
        return confirm_hints;
    case TOP_SHEET:
        return top->about == TOP_ABOUT_TASK     ? task_hints
               : top->about == TOP_ABOUT_WORKER ? worker_hints
                                                : help_hints;
    case TOP_LIST:
        break;
    }
    return view_hints[top->view];
}

static void draw_keys(const struct top *top, struct cells *cells, int row)
{
    const struct hint *list = hints(top);
    int column = 0;
    for (size_t i = 0; i < HINTS_MAX && list[i].key != NULL; i++) {
        int width = cells_width(list[i].key) + 1 + cells_width(list[i].word);
        if (column + width > cells->columns) {
            return;
        }
        column = cells_put(cells, row, column, width, CELL_KEY, list[i].key) + 1;
        column = cells_put(cells, row, column, width, CELL_PLAIN, list[i].word) + GAP;
    }
}

/* What is to be said or asked; false: nothing. */
static bool message(const struct top *top, char *out_text, size_t size,
                    enum cell_style *out_style)
{
    *out_style = CELL_TITLE;
    if (top->mode == TOP_FILTER) {
        (void)snprintf(out_text, size, "only rows with: %s_", top->places[top->view].filter);
    } else if (top->mode == TOP_CONFIRM) {
        (void)snprintf(out_text, size, "cancel task %s? (y/n)", top->confirm.label);
    } else if (top->message[0] != '\0') {
        (void)snprintf(out_text, size, "%s", top->message);
        *out_style = top->message_style;
    } else if (top->table.failed || top->sheet.failed) {
        (void)snprintf(out_text, size, "out of memory: something is missing here");
        *out_style = CELL_BAD;
    } else {
        return false;
    }
    return true;
}

/* Returns how many lines it took. */
static int draw_foot(const struct top *top, struct cells *cells)
{
    char text[TOP_MESSAGE_MAX];
    enum cell_style style = CELL_PLAIN;
    bool has_message = message(top, text, sizeof(text), &style);
    bool is_low = cells->rows < MESSAGE_ROWS;
    int row = cells->rows - 1;
    if (is_low && !has_message && top->is_silent) {
        has_message = true;
        style = CELL_BAD;
        (void)snprintf(text, sizeof(text), "reconnecting");
    }
    if (has_message) {
        (void)cells_put(cells, is_low ? row : row - 1, 0, cells->columns, style, text);
    }
    if (!is_low || !has_message) {
        draw_keys(top, cells, row);
    }
    return is_low ? 1 : 2;
}

void layout_draw(struct top *top, struct cells *cells)
{
    int row = 0;
    cells_clear(cells);
    if (cells->rows < LAYOUT_ROWS_MIN || cells->columns < LAYOUT_COLUMNS_MIN) {
        (void)cells_put(cells, 0, 0, cells->columns, CELL_PLAIN, "too small (q quits)");
        return;
    }
    if (cells->rows >= HEAD_ROWS) {
        draw_head(top, cells);
        row = 2;
    }
    if (cells->rows >= ALERT_ROWS) {
        draw_alert(top, cells, row);
        row++;
    }
    int foot = draw_foot(top, cells);
    bool is_list = top->about == TOP_ABOUT_VIEW;
    if (is_list) {
        draw_tabs(top, cells, row);
        row++;
        draw_table(top, cells, row, cells->rows - row - foot);
    } else {
        draw_sheet(top, cells, row, cells->rows - row - foot);
    }
}
