/*
 * conceal.h: what keeps a command from reading the worker's own key.
 *
 * A command has the worker's user, and with it what that user may read; the words of its
 * command line may be a task's. So it is kept (Landlock) to what lies beside the way to the
 * key: in the folder of the key everything but files NAME.key and the key itself, and in each
 * folder above everything but the next one on the way. Nothing else is taken from it, but files
 * that come to be directly in one of these folders after its start: it cannot read them either.
 *
 * Wants a kernel of 5.19 or later: an older one forbids to whom it keeps to anything all
 * renaming across directories. A key that is gone when a command starts is concealed well.
 */
#ifndef WORKER_CONCEAL_H
#define WORKER_CONCEAL_H

#include "log.h"

#include <limits.h>
#include <stdbool.h>

enum { CONCEAL_ENTRIES_MAX = 4096 }; /* files in the folders on the way to the key */

/* The file of a key as commands find it, wherever they run: its absolute path in out_path, or
 * NULL (path is NULL; or it cannot be concealed here, which is logged). */
const char *conceal_prepare(const char *path, const struct drv_log *log,
                            char out_path[PATH_MAX]);

/*
 * Keeps the calling process, which must have no new privileges, and all that it starts from
 * reading that key, for good. Uses system calls only, so it may be called after fork, in a
 * process with one thread. False, with errno: it could not, and the process must not go on.
 */
bool conceal_enter(const char *path);

#endif
