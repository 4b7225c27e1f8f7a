/*
 * bindir.h: where drover's programs are, for a process that starts them.
 *
 * $DROVER_BIN_DIR, if it is set, and nowhere else; otherwise the first of these that has all
 * the programs asked for: the directory of this very executable; the place where they were
 * installed together with this library, wherever both were moved to; the place that was named
 * when the library was built. The search path of the shell is not looked at.
 */
#ifndef DRV_CLIENT_BINDIR_H
#define DRV_CLIENT_BINDIR_H

#include "problem.h"

#include <drover/status.h>

#include <stddef.h>

#define BINDIR_MAX 4096 /* bytes of a path, with the NUL */

/*
 * Finds the directory that has executable files of all these names. A program with more rights
 * than its caller does not look at the environment. OK; UNAVAILABLE with a problem that names
 * the places that were searched.
 */
DROVER_MUST_USE drover_status bindir_find(const char *const *names, size_t count,
                                          char out_directory[BINDIR_MAX],
                                          struct drv_problem *problem);

#endif
