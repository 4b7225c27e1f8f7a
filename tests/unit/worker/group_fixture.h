/*
 * group_fixture.h: a real control group (v2) of a test's own, where the machine has any.
 */
#ifndef TESTS_WORKER_GROUP_FIXTURE_H
#define TESTS_WORKER_GROUP_FIXTURE_H

#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

/* Makes one in `out_dir`; false, having said why, where that cannot be. It may be without
 * controllers: processes can be put into it, counted and ended in any case. */
static inline bool real_group_make(char *out_dir, size_t size)
{
    static const char *const mounts[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
    char path[256];
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        (void)snprintf(path, sizeof path, "%s/cgroup.controllers", mounts[i]);
        (void)snprintf(out_dir, size, "%s/drover-test-%ld", mounts[i], (long)getpid());
        if (access(path, R_OK) == 0 && mkdir(out_dir, 0700) == 0) {
            return true;
        }
    }
    fprintf(stderr, "SKIPPED: no control groups of version 2 in which groups can be made here "
                    "(root with /sys/fs/cgroup writable has them)\n");
    return false;
}

#endif
