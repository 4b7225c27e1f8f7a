/*
 * summary.h: the broker and its tasks in two lines, and what fires in a third.
 *
 * Of each line the parts stand in the order of their weight: what does not fit is left out from
 * the end. Pure.
 */
#ifndef CLI_TOP_SUMMARY_H
#define CLI_TOP_SUMMARY_H

#include "top/cells.h"

#include <drover/client.h>

enum {
    SUMMARY_LINES = 2,
    SUMMARY_PARTS_MAX = 12,
    SUMMARY_PART_MAX = 80,
    SUMMARY_ALERT_MAX = 256
};

struct summary_part {
    char text[SUMMARY_PART_MAX]; /* escaped */
    enum cell_style style;
};

struct summary {
    struct summary_part parts[SUMMARY_LINES][SUMMARY_PARTS_MAX];
    size_t counts[SUMMARY_LINES];
    int64_t alerts;                /* that fire and are news: see doc_is_news */
    char alert[SUMMARY_ALERT_MAX]; /* the first of them; escaped */
    enum cell_style alert_style;
};

/* Out of document 1. */
void summary_read(struct summary *summary, const drover_value *status);

#endif
