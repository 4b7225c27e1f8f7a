/*
 * screen.h: the terminal, by ncurses: cells on it, keys from it. The only file that knows it.
 *
 * Colours are used where the terminal has them and NO_COLOR is not set; bold, reverse and dim
 * say the same without. A terminal that cannot move its cursor is refused.
 */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include "top/cells.h"

#include <stdint.h>

struct screen;

/* Whether stdin and stdout are a terminal that can be drawn on; if not, out_text (size bytes)
 * says why. Touches nothing. */
bool screen_is_possible(char *out_text, size_t size);

/* Takes over the terminal on stdin and stdout. NULL: out_text (size bytes) says why it cannot
 * be done. */
struct screen *screen_open(char *out_text, size_t size);

/* Gives it back as it was. */
void screen_close(struct screen **screen);

/* Its size has changed, or may have. */
void screen_measure(struct screen *screen, int *out_rows, int *out_columns);

/* Shows the picture. */
void screen_show(struct screen *screen, const struct cells *cells);

/* The next key that was pressed, an enum top_key or a code point; 0: none. Never waits, but for
 * the rest of a key that begins with Esc. */
uint32_t screen_key(struct screen *screen);

#endif
