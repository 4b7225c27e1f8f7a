/*
 * tmpdir.h: temporary directories that are gone afterwards.
 */
#ifndef DRV_TMPDIR_H
#define DRV_TMPDIR_H

#include <drover/status.h>

#include <stddef.h>

enum {
    DRV_TMPDIR_PATH_MAX = 1024, /* bytes of a path, with the NUL */
};

/*
 * Makes a new directory, mode 0700, with a random name that begins with `prefix`, in `parent`;
 * out_path receives its path. OK, IO (errno says why), TOO_BIG (path).
 */
DROVER_MUST_USE drover_status drv_tmpdir_new(const char *parent, const char *prefix,
                                             char out_path[DRV_TMPDIR_PATH_MAX]);

/*
 * Removes a directory and all that is in it, however deep, without recursion and without
 * following symbolic links; directories that were made unreadable are opened up first. Nobody
 * may change it meanwhile. What resists (a mount, a foreign owner) stays. OK or IO.
 */
DROVER_MUST_USE drover_status drv_tmpdir_remove(const char *path);

#endif
