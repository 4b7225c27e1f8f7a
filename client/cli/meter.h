/*
 * meter.h: one line of progress on stderr, drawn only when stderr is a terminal.
 */
#ifndef CLI_METER_H
#define CLI_METER_H

#include "cli.h"

struct meter {
    bool is_on;
    bool is_drawn;    /* its line is on the terminal now */
    bool shares_line; /* stdout is a terminal too */
    uint64_t begin_ms;
    uint64_t drawn_ms;
};

enum { METER_BAR_MAX = 40 }; /* bytes of a bar, NUL included */

void meter_open(struct meter *meter);

/* Draws it, ten times a second at most. */
void meter_update(struct meter *meter, const drover_map_progress *progress);

/* Takes the line away; before anything else is printed on the same terminal. */
void meter_hide(struct meter *meter);

/* The text of the line, at most width columns: for the above and tests. */
void meter_format(const drover_map_progress *progress, uint64_t elapsed_ms, size_t width,
                  char *out_text, size_t size);

/* For other lines of the kind: columns of the terminal, a bar with a blank behind it, and the
 * line itself. */
size_t meter_width(void);
void meter_bar(uint64_t done, uint64_t total, char out_text[METER_BAR_MAX]);
void meter_draw(struct meter *meter, const char *line);

#endif
