/* doctor_program.c: programs and modules, see doctor.h. */
#include "doctor.h"

#include "bindir.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOAD_MS 30000 /* for a module to be loaded */

void doctor_programs(struct diagnosis *diagnosis)
{
    static const char *const names[] = {"drover-broker", "drover-worker", "drover-local"};
    char directory[BINDIR_MAX];
    struct drv_problem problem = {""};
    if (bindir_find(names, 3, directory, &problem) == DROVER_OK) {
        (void)diagnosis_add(diagnosis, "programs", FINDING_OK,
                            "drover-broker, drover-worker and drover-local are in %s",
                            directory);
        return;
    }
    struct finding *finding = diagnosis_add(diagnosis, "programs", FINDING_WARN, "%s",
                                            problem.text);
    diagnosis_advise(finding, "without them there are no private pools (local://) here; what "
                              "needs a broker elsewhere works");
}

/* ---- modules ----------------------------------------------------------------------------- */

static drover_status start_worker(const char *worker, const char *path, pid_t *out_pid,
                                  int *out_err)
{
    int ends[2];
    char load[BINDIR_MAX + 16];
    char name[] = "drover-worker";
    char check[] = "--check-config";
    char *const arguments[] = {name, check, load, NULL};
    posix_spawn_file_actions_t actions;
    (void)snprintf(load, sizeof(load), "--load=%s", path);
    if (pipe(ends) != 0) {
        return DROVER_LIMIT;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    (void)posix_spawn_file_actions_addclose(&actions, ends[1]);
    int error = posix_spawn(out_pid, worker, &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (error != 0) {
        (void)close(ends[0]);
        return DROVER_LIMIT;
    }
    *out_err = ends[0];
    return DROVER_OK;
}

/* Reads to the end, keeping what fits. False when the time is over. */
static bool read_words(int fd, char *out_text, size_t size)
{
    size_t len = 0;
    char rest[1024];
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    for (;;) {
        if (poll(&pollfd, 1, LOAD_MS) <= 0) {
            out_text[len] = '\0';
            return false;
        }
        bool fits = len < size - 1;
        ssize_t got = read(fd, fits ? out_text + len : rest,
                           fits ? size - 1 - len : sizeof(rest));
        if (got <= 0 && errno != EINTR) {
            out_text[len] = '\0';
            return true;
        }
        len += fits && got > 0 ? (size_t)got : 0;
    }
}

/* The last line that says something, without the name of the program. */
static const char *last_line(char *text)
{
    static const char program[] = "drover-worker: ";
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '\n') {
        text[--len] = '\0';
    }
    const char *line = strrchr(text, '\n');
    line = line != NULL ? line + 1 : text;
    return strncmp(line, program, strlen(program)) == 0 ? line + strlen(program) : line;
}

static void judge_load(struct diagnosis *diagnosis, const char *path, int wait_status,
                       char *words)
{
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
        (void)diagnosis_add(diagnosis, "module", FINDING_OK, "%s can be loaded", path);
        return;
    }
    struct finding *finding = diagnosis_add(
        diagnosis, "module", FINDING_FAIL, "%s",
        WIFSIGNALED(wait_status) ? "loading it kills the process" : last_line(words));
    diagnosis_advise(finding, "%s",
                     WIFSIGNALED(wait_status)
                         ? "look at what it does while it is loaded: gdb --args drover-worker "
                           "--check-config --load FILE"
                         : "build it with -shared -fPIC against this version's worker.h, with "
                           "one DROVER_MODULE in it");
}

void doctor_module(struct diagnosis *diagnosis, const char *path)
{
    static const char *const names[] = {"drover-worker"};
    char worker[BINDIR_MAX + 32];
    char directory[BINDIR_MAX];
    char words[4096];
    struct drv_problem problem = {""};
    pid_t pid = 0;
    int err = -1;
    int wait_status = 0;
    if (bindir_find(names, 1, directory, &problem) != DROVER_OK) {
        struct finding *finding = diagnosis_add(diagnosis, "module", FINDING_FAIL,
                                                "%s cannot be tried: %s", path, problem.text);
        diagnosis_advise(finding, "install drover-worker, which would load it");
        return;
    }
    (void)snprintf(worker, sizeof(worker), "%s/%s", directory, names[0]);
    if (strlen(path) >= BINDIR_MAX || start_worker(worker, path, &pid, &err) != DROVER_OK) {
        struct finding *finding = diagnosis_add(diagnosis, "module", FINDING_FAIL,
                                                "%.200s cannot be tried", path);
        diagnosis_advise(finding, "%s cannot be started here: processes or memory are short",
                         worker);
        return;
    }
    if (!read_words(err, words, sizeof(words))) {
        (void)kill(pid, SIGKILL);
    }
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
    }
    (void)close(err);
    judge_load(diagnosis, path, wait_status, words);
}
