/* child.c: see child.h. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_USAGE_ERROR = 64, EXIT_NO_EXEC = 126 };

static const char ready_word[] = "ready ";

void child_init(struct child *child, const char *name)
{
    *child = (struct child){.name = name, .out = -1, .err = -1};
}

static void close_end(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void child_fini(struct child *child)
{
    close_end(&child->out);
    close_end(&child->err);
}

/* ---- starting ---------------------------------------------------------------------------- */

static _Noreturn void become(pid_t keeper, const char *path, char *const *arguments,
                             const char *mark, const int ends[2])
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != keeper ||
        dup2(ends[0], STDOUT_FILENO) < 0 || dup2(ends[1], STDERR_FILENO) < 0 ||
        (mark != NULL && setenv(mark, "1", 1) != 0)) {
        _exit(EXIT_NO_EXEC);
    }
    (void)execv(path, arguments);
    (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
    _exit(EXIT_NO_EXEC);
}

static bool make_pipe(int *out_read, int *out_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *out_read = ends[0];
    *out_write = ends[1];
    return true;
}

drover_status child_start(struct child *child, const char *path, char *const *arguments,
                          const char *mark)
{
    int ends[2] = {-1, -1};
    pid_t keeper = getpid();
    if (make_pipe(&child->out, &ends[0]) && make_pipe(&child->err, &ends[1])) {
        pid_t pid = fork();
        if (pid == 0) {
            become(keeper, path, arguments, mark, ends);
        }
        child->pid = pid > 0 ? pid : 0;
    }
    close_end(&ends[0]);
    close_end(&ends[1]);
    return child->pid > 0 ? DROVER_OK : DROVER_LIMIT;
}

/* ---- what it says ------------------------------------------------------------------------ */

/* Reads into a buffer; 0 when nothing came, *fd is -1 at the end. */
static size_t read_some(int *fd, char *buffer, size_t size)
{
    ssize_t got = *fd >= 0 ? read(*fd, buffer, size) : 0;
    if (got > 0) {
        return (size_t)got;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_end(fd);
    }
    return 0;
}

void child_read_out(struct child *child)
{
    char text[PIPE_BUF];
    size_t len = read_some(&child->out, text, sizeof(text));
    for (size_t i = 0; i < len && !child->is_ready; i++) {
        bool is_end = text[i] == '\n' || child->line_len == sizeof(child->line) - 1;
        child->line[child->line_len] = is_end ? '\0' : text[i];
        child->line_len += !is_end;
        child->is_ready = is_end &&
                          strncmp(child->line, ready_word, sizeof(ready_word) - 1) == 0;
    }
}

void child_ready_value(const struct child *child, const char *key, char *out_text, size_t size)
{
    size_t len = strlen(key);
    const char *at = child->line;
    while ((at = strchr(at, ' ')) != NULL) {
        at++;
        if (strncmp(at, key, len) == 0 && at[len] == '=') {
            at += len + 1;
            (void)snprintf(out_text, size, "%.*s", (int)strcspn(at, " "), at);
            return;
        }
    }
    out_text[0] = '\0';
}

bool child_wants_err(const struct child *child)
{
    return child->err >= 0 && child->held_len < CHILD_HELD_MAX;
}

bool child_has_words(const struct child *child)
{
    return child->held_len > 0 && (child->is_ready || child->held_len == CHILD_HELD_MAX);
}

void child_read_err(struct child *child)
{
    if (child_wants_err(child)) {
        child->held_len += read_some(&child->err, child->held + child->held_len,
                                     CHILD_HELD_MAX - child->held_len);
    }
}

void child_show(struct child *child)
{
    size_t len = child->held_len < PIPE_BUF ? child->held_len : PIPE_BUF;
    ssize_t sent = write(STDERR_FILENO, child->held, len);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    size_t gone = sent < 0 ? child->held_len : (size_t)sent; /* nobody listens any more */
    child->held_len -= gone;
    memmove(child->held, child->held + gone, child->held_len);
}

/* ---- why it has ended -------------------------------------------------------------------- */

/* The last line that it wrote; "" without any. */
static void last_line(const struct child *child, char *out_line, size_t size)
{
    size_t end = child->held_len;
    while (end > 0 && child->held[end - 1] == '\n') {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && child->held[begin - 1] != '\n') {
        begin--;
    }
    size_t len = end - begin < size - 1 ? end - begin : size - 1;
    memcpy(out_line, child->held + begin, len);
    out_line[len] = '\0';
}

drover_status child_explain(struct child *child, int wait_status, char *out_text, size_t size)
{
    char line[KEEPER_TEXT_MAX] = "";
    child_read_err(child);
    if (WIFSIGNALED(wait_status)) {
        (void)snprintf(out_text, size, "%s was killed by signal %d", child->name,
                       WTERMSIG(wait_status));
        return DROVER_UNAVAILABLE;
    }
    int code = WEXITSTATUS(wait_status);
    if (!child->is_ready) {
        last_line(child, line, sizeof(line));
    }
    if (line[0] == '\0') {
        (void)snprintf(out_text, size, "%s has ended with exit code %d", child->name, code);
        return DROVER_UNAVAILABLE;
    }
    if (code == EXIT_USAGE_ERROR || code == EXIT_NO_EXEC) {
        child->held_len = 0; /* the line says it all */
    }
    (void)snprintf(out_text, size, "%s", line);
    return code == EXIT_USAGE_ERROR ? DROVER_INVALID : DROVER_UNAVAILABLE;
}
