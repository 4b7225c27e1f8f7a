#include "profile.h"

#include "check.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const names[PROFILES] = {[PROFILE_NONE] = "none",
                                            [PROFILE_NETWORK_LESS] = "network-less",
                                            [PROFILE_STRICT] = "strict"};

const char *profile_name(enum profile profile)
{
    return names[profile];
}

bool profile_find(const char *name, enum profile *out_profile)
{
    for (unsigned i = 0; i < PROFILES; i++) {
        if (strcmp(names[i], name) == 0) {
            *out_profile = (enum profile)i;
            return true;
        }
    }
    return false;
}

bool profile_enter(const struct sock_fprog *program)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, program) ==
           0;
}

void profile_free(struct sock_fprog **program)
{
    if (*program != NULL) {
        free((*program)->filter);
        free(*program);
    }
    *program = NULL;
}

#ifndef DROVER_HAVE_SECCOMP

bool profile_is_possible(void)
{
    return false;
}

drover_status profile_compile(enum profile profile, struct sock_fprog **out_program)
{
    (void)profile;
    (void)out_program;
    return DROVER_UNSUPPORTED;
}

#else

#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

bool profile_is_possible(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* ---- what strict allows ---------------------------------------------------------------------
 */

/* Names that one architecture or version of libseccomp does not know are passed over. */
static const char *const allowed[] = {
    /* memory */
    "brk",
    "madvise",
    "membarrier",
    "memfd_create",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "get_mempolicy",
    "process_madvise",
    /* files */
    "access",
    "chdir",
    "chmod",
    "chown",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "lchown",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "removexattr",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "setxattr",
    "splice",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "tee",
    "truncate",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "vmsplice",
    "write",
    "writev",
    /* pipes, what is open, waiting */
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    /* sockets that are there, or made in pairs (below) */
    "getpeername",
    "getsockname",
    "getsockopt",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    /* processes, threads, signals */
    "alarm",
    "arch_prctl",
    "capget",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "futex",
    "futex_waitv",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getitimer",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "getuid",
    "kill",
    "pause",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sched_getaffinity",
    "sched_getparam",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "setitimer",
    "setpgid",
    "setpriority",
    "setrlimit",
    "setsid",
    "sigaltstack",
    "tgkill",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "times",
    "tkill",
    "vfork",
    "wait4",
    "waitid",
    /* what there is to know */
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "getrandom",
    "gettimeofday",
    "nanosleep",
    "sysinfo",
    "uname",
    /* System V and POSIX ways to talk inside of one host */
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    /* further sandboxes */
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "seccomp",
};

/* Known, and refused in so many words; whatever is in neither list is not there (ENOSYS), so
 * that a C library which is newer than the list tries the older call. */
static const char *const refused[] = {
    "accept",
    "accept4",
    "acct",
    "add_key",
    "adjtimex",
    "bind",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "connect",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsopen",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "listen",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "setdomainname",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "sethostname",
    "setns",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "settimeofday",
    "setuid",
    "socket",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
};

/* Of clone: flags that make name spaces. Those of clone3 lie in memory, where no filter sees
 * them: it is ENOSYS by not being in any list, and C libraries then use clone. */
static const unsigned long NAMESPACES = 0x7e020080UL; /* CLONE_NEW* */

/* Of ioctl, whose number has 32 bits: what would type into the worker's terminal. */
#define IOCTL_TIOCSTI 0x5412UL
enum { IOCTL_BITS = 32 };

/* ---- compiling ------------------------------------------------------------------------------
 */

static int add(scmp_filter_ctx context, uint32_t action, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);
    return number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(context, action, number, 0);
}

static int add_network_less(scmp_filter_ctx context)
{
    int status = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                                  SCMP_CMP(0, SCMP_CMP_NE, AF_UNIX));
    return status != 0 ? status : add(context, SCMP_ACT_ERRNO(EPERM), "io_uring_setup");
}

/* All but one number: what differs from it in at least one bit. (The upper half of the register
 * counts for a plain comparison, but not for the kernel.) */
static int add_ioctl(scmp_filter_ctx context)
{
    int status = 0;
    for (unsigned i = 0; status == 0 && i < IOCTL_BITS; i++) {
        unsigned long bit = 1UL << i;
        status = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                  SCMP_CMP(1, SCMP_CMP_MASKED_EQ, bit, ~IOCTL_TIOCSTI & bit));
    }
    return status;
}

static int add_strict(scmp_filter_ctx context)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < DRV_ARRAY_LEN(allowed); i++) {
        status = add(context, SCMP_ACT_ALLOW, allowed[i]);
    }
    for (size_t i = 0; status == 0 && i < DRV_ARRAY_LEN(refused); i++) {
        status = add(context, SCMP_ACT_ERRNO(EPERM), refused[i]);
    }
    if (status == 0) {
        status = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                                  SCMP_CMP(0, SCMP_CMP_EQ, AF_UNIX));
    }
    if (status == 0) {
        status = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_CMP(0, SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
    }
    return status == 0 ? add_ioctl(context) : status;
}

static drover_status read_whole(int fd, struct sock_fprog *program)
{
    struct stat about;
    if (fstat(fd, &about) != 0 || about.st_size <= 0 ||
        (size_t)about.st_size > BPF_MAXINSNS * sizeof(struct sock_filter)) {
        return DROVER_IO;
    }
    size_t len = (size_t)about.st_size;
    program->filter = malloc(len);
    if (program->filter == NULL) {
        return DROVER_NOMEM;
    }
    program->len = (unsigned short)(len / sizeof(struct sock_filter));
    return pread(fd, program->filter, len, 0) == (ssize_t)len ? DROVER_OK : DROVER_IO;
}

/* As the kernel takes it; libseccomp gives it to files only. */
static drover_status export(scmp_filter_ctx context, struct sock_fprog **out_program)
{
    struct sock_fprog *program = calloc(1, sizeof *program);
    int fd = memfd_create("profile", MFD_CLOEXEC);
    drover_status status = program == NULL ? DROVER_NOMEM : DROVER_IO;
    if (program != NULL && fd >= 0 && seccomp_export_bpf(context, fd) == 0) {
        status = read_whole(fd, program);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (status) {
        profile_free(&program);
        return status;
    }
    *out_program = program;
    return DROVER_OK;
}

drover_status profile_compile(enum profile profile, struct sock_fprog **out_program)
{
    bool is_strict = profile == PROFILE_STRICT;
    scmp_filter_ctx context = seccomp_init(is_strict ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_ALLOW);
    if (context == NULL) {
        return DROVER_NOMEM;
    }
    drover_status status = DROVER_IO;
    if (seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
        seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 && /* a tree: few steps */
        (is_strict ? add_strict(context) : add_network_less(context)) == 0) {
        status = export(context, out_program);
    }
    seccomp_release(context);
    return status;
}

#endif
