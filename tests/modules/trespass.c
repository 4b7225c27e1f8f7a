/*
 * trespass.c: a handler that tries what a sandbox forbids, and says how that went.
 *
 * trespass(what): "ok", or the name of the errno. What may be socket (internet), unix (a unix
 * socket), pair, mount, unshare, clone3 and clone (a user name space), ptrace, setuid, keyctl,
 * tty (types into a terminal), thread, fork, uid (the user that it is), open:PATH, create:PATH.
 * need:NAME is how much it has of a resource.
 */
#include <drover/worker.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd;
}

static int try_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd;
}

static long try_pair(void)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return -1;
    }
    (void)close(fds[0]);
    return close(fds[1]);
}

static long finish(long pid)
{
    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 ? -1 : waitpid((pid_t)pid, NULL, 0);
}

static long try_clone3(void)
{
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    return finish(syscall(SYS_clone3, &args, sizeof args));
}

static long try_clone(void)
{
    return finish(syscall(SYS_clone, (unsigned long)(CLONE_NEWUSER | SIGCHLD), 0, 0, 0, 0));
}

static void *nothing(void *context)
{
    return context;
}

static long try_thread(void)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    return errno != 0 ? -1 : pthread_join(thread, NULL);
}

static long try_internet(void)
{
    return try_socket(AF_INET);
}

static long try_unix(void)
{
    return try_socket(AF_UNIX);
}

static long try_mount(void)
{
    return mount("none", "/not/there", "tmpfs", 0, NULL);
}

static long try_unshare(void)
{
    return syscall(SYS_unshare, CLONE_FS);
}

static long try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long try_setuid(void)
{
    return setuid(getuid());
}

static long try_keyctl(void)
{
    return syscall(SYS_keyctl, 0, -3, 0, 0, 0);
}

/* With more bits than the kernel looks at. */
static long try_tty(void)
{
    return syscall(SYS_ioctl, STDIN_FILENO, 0x100000000UL | TIOCSTI, "x");
}

static long try_fork(void)
{
    return finish(fork());
}

static const struct {
    const char *name;
    long (*attempt)(void);
} tries[] = {{"socket", try_internet}, {"unix", try_unix},       {"pair", try_pair},
             {"mount", try_mount},     {"unshare", try_unshare}, {"clone3", try_clone3},
             {"clone", try_clone},     {"ptrace", try_ptrace},   {"setuid", try_setuid},
             {"keyctl", try_keyctl},   {"tty", try_tty},         {"thread", try_thread},
             {"fork", try_fork}};

static long attempt(const char *what)
{
    const char *path = strchr(what, ':');
    if (strncmp(what, "open:", 5) == 0) {
        return try_open(path + 1, O_RDONLY);
    }
    if (strncmp(what, "create:", 7) == 0) {
        return try_open(path + 1, O_WRONLY | O_CREAT | O_EXCL);
    }
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        if (strcmp(tries[i].name, what) == 0) {
            return tries[i].attempt();
        }
    }
    errno = EINVAL;
    return -1;
}

static drover_status trespass(drover_job *job, const drover_value *in,
                              drover_value **out_result)
{
    char what[1024];
    const char *text;
    size_t len;
    if (drover_value_get_string(in, &text, &len) || len >= sizeof what) {
        return drover_job_fail(job, "bad-arg", "text wanted");
    }
    memcpy(what, text, len);
    what[len] = '\0';
    if (strncmp(what, "need:", 5) == 0) {
        return drover_value_new_uint(drover_job_need(job, what + 5), out_result);
    }
    if (strcmp(what, "uid") == 0) {
        int count = snprintf(what, sizeof what, "%u:%u:%d", (unsigned)getuid(),
                             (unsigned)getgid(), getgroups(0, NULL));
        return drover_value_new_string(what, (size_t)count, out_result);
    }
    const char *word = attempt(what) < 0 ? strerrorname_np(errno) : "ok";
    return drover_value_new_string(word, strlen(word), out_result);
}

DROVER_MODULE("trespass", "1.0", {"trespass", trespass, DROVER_THREAD_SAFE},
              {"free", trespass, DROVER_THREAD_SAFE});
