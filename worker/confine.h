/*
 * confine.h: what the processes of a command may do, set between fork and exec.
 *
 * Limits (setrlimit) are for each process of the command, and never above what the worker
 * itself has. Paths (Landlock) are for all of them together: where any is named, nothing else
 * of the file system can be opened, changed or executed; what the worker holds open is not
 * passed on anyway. Paths are looked up at each start. The command has no new privileges in any
 * case (executor.c), so none of it can be taken back.
 *
 * A user and a group can be changed to when the worker is root; other groups are dropped then.
 * A profile (profile.h) says which system calls are left; it is entered last.
 *
 * Needs no library: Landlock is a part of the kernel from 5.13 on, where it is switched on.
 * What an older kernel cannot tell apart (renaming across directories before 5.19, truncating
 * before 6.2) it forbids or allows as it knows.
 */
#ifndef WORKER_CONFINE_H
#define WORKER_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "profile.h"

enum { CONFINE_FILES_MIN = 8 }; /* stdin, stdout, stderr, and what a loader opens */

struct confine {
    const char *const *read; /* absolute paths: files and directories, with all below them, that
                                can be read and executed */
    size_t read_count;
    const char *const *write; /* the same, and changed */
    size_t write_count;
    uint64_t memory_max;    /* bytes of address space; 0: no limit, as for all of them */
    uint64_t cpu_s_max;     /* seconds of processor time, then SIGXCPU, 5 s later SIGKILL */
    uint64_t files_max;     /* descriptors */
    uint64_t file_size_max; /* bytes of a file that it writes, then SIGXFSZ */
    enum profile profile;
    const struct sock_fprog *program; /* of the profile, borrowed; NULL for none */
    const char *user;                 /* as it was configured; NULL: the worker's own */
    const char *user_name, *home;     /* of the user; NULL: the system does not know it */
    uid_t uid;
    gid_t gid;
};

/* Whether any path is named; whether anything is. */
bool confine_has_paths(const struct confine *confine);
bool confine_is_set(const struct confine *confine);

/* Whether this kernel can keep a process to paths. */
bool confine_can_paths(void);

/*
 * Confines the calling process for good. `scratch`: a directory that can be changed besides;
 * NULL: none. Devices that are nothing but sources and sinks (/dev/null, zero, full, urandom,
 * random) can always be used. A change of the user takes back PR_SET_PDEATHSIG, which is set
 * again: `parent` is who must be there still. Uses system calls only, so it may be called after
 * fork, in a process with one thread.
 * False, with errno: it could not, and the process must not go on.
 */
bool confine_enter(const struct confine *confine, const char *scratch, pid_t parent);

#endif
