/* screen.c: see screen.h. */
#include "top/screen.h"

#include "top/model.h"

#include "check.h"
#include "utf8.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termcap.h>
#include <unistd.h>

enum { ESCAPE_MS = 25, ROWS_FALLBACK = 24, COLUMNS_FALLBACK = 80 };

struct screen {
    SCREEN *terminal; /* owned */
    bool has_colors;
    uint8_t pending[DRV_UTF8_LEN_MAX]; /* the first bytes of a character */
    size_t pending_len;
};

struct look {
    attr_t attributes;
    short color; /* -1: the terminal's own */
};

static const struct look looks[CELL_STYLES] = {
    [CELL_PLAIN] = {A_NORMAL, -1},           [CELL_TITLE] = {A_BOLD, -1},
    [CELL_HEAD] = {A_UNDERLINE, -1},         [CELL_SELECTED] = {A_REVERSE, -1},
    [CELL_KEY] = {A_BOLD | A_UNDERLINE, -1}, [CELL_DIM] = {A_DIM, -1},
    [CELL_GOOD] = {A_NORMAL, COLOR_GREEN},   [CELL_WARN] = {A_NORMAL, COLOR_YELLOW},
    [CELL_BAD] = {A_BOLD, COLOR_RED},
};

/* ---- opening ----------------------------------------------------------------------------- */

static bool refuse(char *out_text, size_t size, const char *text)
{
    (void)snprintf(out_text, size, "%s", text);
    return false;
}

bool screen_is_possible(char *out_text, size_t size)
{
    const char *term = getenv("TERM");
    if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) {
        return refuse(out_text, size,
                      "this is no terminal; `drover status --watch` needs none");
    }
    if (term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0) {
        return refuse(out_text, size,
                      "this terminal (TERM) cannot be drawn on; `drover status --watch` can "
                      "be used");
    }
    if (tgetent(NULL, term) != 1) {
        return refuse(out_text, size, "this terminal is not known (TERM, terminfo)");
    }
    return true;
}

static void start_colors(struct screen *screen)
{
    const char *never = getenv("NO_COLOR");
    screen->has_colors = (never == NULL || never[0] == '\0') && has_colors() &&
                         start_color() == OK && use_default_colors() == OK;
    for (short style = 0; screen->has_colors && style < CELL_STYLES; style++) {
        (void)init_pair((short)(style + 1), looks[style].color, -1);
    }
}

struct screen *screen_open(char *out_text, size_t size)
{
    struct screen *screen = screen_is_possible(out_text, size) ? calloc(1, sizeof(*screen))
                                                               : NULL;
    if (screen == NULL) {
        return NULL;
    }
    screen->terminal = newterm(NULL, stdout, stdin);
    if (screen->terminal == NULL) {
        (void)refuse(out_text, size, "this terminal cannot be taken over (TERM, terminfo)");
        free(screen);
        return NULL;
    }
    (void)set_term(screen->terminal);
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)nodelay(stdscr, TRUE);
    (void)keypad(stdscr, TRUE);
    (void)curs_set(0);
    (void)set_escdelay(ESCAPE_MS);
    start_colors(screen);
    return screen;
}

void screen_close(struct screen **screen)
{
    if (*screen == NULL) {
        return;
    }
    (void)endwin();
    delscreen((*screen)->terminal);
    free(*screen);
    *screen = NULL;
}

/* ---- showing ----------------------------------------------------------------------------- */

void screen_measure(struct screen *screen, int *out_rows, int *out_columns)
{
    struct winsize size;
    (void)screen;
    *out_rows = ROWS_FALLBACK;
    *out_columns = COLUMNS_FALLBACK;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        *out_rows = size.ws_row < CELLS_ROWS_MAX ? size.ws_row : CELLS_ROWS_MAX;
        *out_columns = size.ws_col < CELLS_COLUMNS_MAX ? size.ws_col : CELLS_COLUMNS_MAX;
    }
    if (is_term_resized(*out_rows, *out_columns)) {
        (void)resize_term(*out_rows, *out_columns);
        (void)clearok(stdscr, TRUE);
    }
}

static void put(const struct screen *screen, int row, int column, const struct cell *cell)
{
    const struct look *look = &looks[cell->style];
    short pair = screen->has_colors && look->color >= 0 ? (short)(cell->style + 1) : 0;
    cchar_t character;
    if (setcchar(&character, cell->text, look->attributes, pair, NULL) == OK) {
        (void)mvadd_wch(row, column, &character);
    }
}

void screen_show(struct screen *screen, const struct cells *cells)
{
    (void)erase();
    for (int row = 0; row < cells->rows; row++) {
        for (int column = 0; column < cells->columns; column++) {
            const struct cell *cell = cells_at(cells, row, column);
            if (cell->width > 0) {
                put(screen, row, column, cell);
            }
        }
    }
    (void)refresh();
}

/* ---- keys -------------------------------------------------------------------------------- */

static uint32_t special(int key)
{
    static const struct {
        int curses;
        uint32_t ours;
    } keys[] = {
        {KEY_UP, TOP_KEY_UP},         {KEY_DOWN, TOP_KEY_DOWN},
        {KEY_PPAGE, TOP_KEY_PAGE_UP}, {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
        {KEY_HOME, TOP_KEY_HOME},     {KEY_END, TOP_KEY_END},
        {KEY_ENTER, TOP_KEY_ENTER},   {KEY_BACKSPACE, TOP_KEY_BACKSPACE},
        {KEY_DC, TOP_KEY_BACKSPACE},  {KEY_BTAB, TOP_KEY_BACK_TAB},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(keys); i++) {
        if (keys[i].curses == key) {
            return keys[i].ours;
        }
    }
    return 0;
}

static uint32_t plain(int key)
{
    switch (key) {
    case '\r':
    case '\n':
        return TOP_KEY_ENTER;
    case '\t':
        return TOP_KEY_TAB;
    case 0x1b:
        return TOP_KEY_ESCAPE;
    case 0x08:
    case 0x7f:
        return TOP_KEY_BACKSPACE;
    default:
        return (uint32_t)key;
    }
}

/* A byte of a character of several. Its code point when it is the last; 0: there is more to
 * come, or it was none. What cannot be decoded is left out, in any locale. */
static uint32_t collect(struct screen *screen, uint8_t byte)
{
    uint32_t code = 0;
    if ((byte & 0xc0) != 0x80 || screen->pending_len == DRV_UTF8_LEN_MAX) {
        screen->pending_len = 0;
    }
    screen->pending[screen->pending_len++] = byte;
    if (drv_utf8_decode(screen->pending, screen->pending_len, &code) == 0) {
        return 0;
    }
    screen->pending_len = 0;
    return code;
}

uint32_t screen_key(struct screen *screen)
{
    int key = 0;
    while ((key = getch()) != ERR) {
        uint32_t ours = key > 0xff   ? special(key)
                        : key > 0x7f ? collect(screen, (uint8_t)key)
                                     : plain(key);
        if (ours != 0) {
            return ours;
        }
    }
    return 0;
}
