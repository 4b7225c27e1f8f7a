/*
 * task_meter.h: how far one task is, in a line on stderr, drawn only when stderr is a terminal:
 * its progress if its handler reports some, else why it is where it is.
 */
#ifndef CLI_TASK_METER_H
#define CLI_TASK_METER_H

#include "cli.h"
#include "meter.h"

struct task_meter {
    struct meter meter;
    uint64_t asked_ms; /* when the broker was asked last */
};

void task_meter_open(struct task_meter *meter);

/* How much of left_ms to wait before it wants to be drawn again; all of it off a terminal. */
int64_t task_meter_slice(const struct task_meter *meter, int64_t left_ms);

/* Asks the broker, twice a second at most, and draws. */
void task_meter_update(struct task_meter *meter, const struct cli *cli,
                       const drover_task_ref *task);

/* Takes the line away. */
void task_meter_hide(struct task_meter *meter);

/* The line itself, at most width columns of it, from the document of a task. */
void task_meter_format(const drover_value *document, size_t width, char *out_text, size_t size);

#endif
