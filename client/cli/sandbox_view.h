/*
 * sandbox_view.h: what a worker keeps its handlers to, for worker show.
 */
#ifndef CLI_SANDBOX_VIEW_H
#define CLI_SANDBOX_VIEW_H

#include "cli.h"

/* Prints the map `sandbox` of a worker's details. CLI_OK, or says why not. */
int sandbox_view_print(const drover_value *sandbox);

#endif
