/*
 * sheet.h: lines of text to read: a task that was opened, a worker, the help.
 *
 * Pure. Texts are escaped. Bounded by SHEET_LINES_MAX; the last line then says so.
 */
#ifndef CLI_TOP_SHEET_H
#define CLI_TOP_SHEET_H

#include "top/cells.h"

#include "arena.h"

#include <drover/client.h>

enum { SHEET_LINES_MAX = 2000, SHEET_LINE_MAX = 1024, SHEET_TITLE_MAX = 128 };

struct sheet_line {
    const char *text;
    enum cell_style style;
};

struct sheet {
    char title[SHEET_TITLE_MAX];
    struct sheet_line *lines; /* owned */
    size_t count, capacity;
    bool failed; /* out of memory: some are missing */
    struct drv_arena texts;
};

void sheet_init(struct sheet *sheet);
void sheet_fini(struct sheet *sheet);

/* Everything about a task (document 2), after why it is where it is (document 3, or NULL). */
void sheet_task(struct sheet *sheet, const drover_value *task, const drover_value *why);

/* A worker with what it holds (document 8). */
void sheet_worker(struct sheet *sheet, const drover_value *worker);

/* Every key. */
void sheet_help(struct sheet *sheet);

/* In one line why there is nothing to be seen. */
void sheet_problem(struct sheet *sheet, const char *text);

#endif
