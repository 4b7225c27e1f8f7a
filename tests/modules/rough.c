/*
 * rough.c: handlers that misbehave, for the tests of what holds them.
 */
#include <drover/worker.h>

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void wait_for_ever(void)
{
    for (;;) {
        (void)pause();
    }
}

/* Says who it is, and then sees no flag; dies of SIGTERM. */
static drover_status deaf(drover_job *job, const drover_value *in, drover_value **out_result)
{
    char text[64];
    (void)in;
    (void)out_result;
    (void)snprintf(text, sizeof(text), "%ld", (long)getpid());
    drover_job_progress(job, 1, text);
    wait_for_ever();
}

/* The same, and ignores SIGTERM. */
static drover_status stubborn(drover_job *job, const drover_value *in,
                              drover_value **out_result)
{
    (void)signal(SIGTERM, SIG_IGN);
    return deaf(job, in, out_result);
}

/* A child in its group, one in a session of its own, and one whose parent has gone. Their pids
 * and its own are the text of its progress. */
static void spread(drover_job *job)
{
    char text[128];
    int link[2];
    pid_t orphan = 0;
    if (pipe(link) != 0) {
        abort();
    }
    pid_t child = fork();
    if (child == 0) {
        wait_for_ever();
    }
    pid_t stranger = fork();
    if (stranger == 0) {
        (void)setsid();
        (void)signal(SIGTERM, SIG_IGN);
        wait_for_ever();
    }
    pid_t between = fork();
    if (between == 0) {
        (void)setsid();
        pid_t last = fork();
        if (last == 0) {
            wait_for_ever();
        }
        (void)!write(link[1], &last, sizeof(last));
        _exit(0);
    }
    if (read(link[0], &orphan, sizeof(orphan)) != (ssize_t)sizeof(orphan)) {
        abort();
    }
    (void)snprintf(text, sizeof(text), "%ld %ld %ld %ld", (long)getpid(), (long)child,
                   (long)stranger, (long)orphan);
    drover_job_progress(job, 1, text);
}

static drover_status tree(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)in;
    (void)out_result;
    spread(job);
    wait_for_ever();
}

/* Stops when asked to, but leaves its family behind. */
static drover_status careless(drover_job *job, const drover_value *in,
                              drover_value **out_result)
{
    (void)in;
    (void)out_result;
    spread(job);
    return drover_job_sleep_ms(job, INT32_MAX);
}

/* exit(3) with its payload. */
static drover_status leave(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t code = 0;
    (void)out_result;
    if (drover_value_get_int(in, &code)) {
        return drover_job_fail(job, "bad-arg", "integer wanted");
    }
    (void)fputs("leaving now\n", stderr);
    _exit((int)code);
}

/* Overwrites every page that it shares with someone, ring and claims included, then goes on. */
static drover_status scribble(drover_job *job, const drover_value *in,
                              drover_value **out_result)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    (void)job;
    (void)in;
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        char *end;
        uintptr_t from = strtoul(line, &end, 16); /* FROM-TO ... NAME */
        if (strstr(line, "drover-lane") != NULL && *end == '-') {
            memset((void *)from, 0xee, strtoul(end + 1, NULL, 16) - from);
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return drover_value_new_nil(out_result);
}

/* The shared value of its array, and how many bytes of metadata it has. */
static drover_status shared(drover_job *job, const drover_value *in, drover_value **out_result)
{
    size_t meta_len;
    drover_value *copy = NULL;
    (void)in;
    const void *meta = drover_job_meta(job, &meta_len);
    if (meta_len > 0 && ((const char *)meta)[0] != 'm') {
        return drover_job_fail(job, "meta", "not what was sent");
    }
    if (drover_job_shared(job) == NULL) {
        return drover_value_new_int((int64_t)meta_len, out_result);
    }
    drover_status status = drover_value_copy(drover_job_shared(job), &copy);
    *out_result = copy;
    return status;
}

/* That many bytes, raw. */
static drover_status bulk(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t len;
    if (drover_value_get_int(in, &len) || len < 0) {
        return drover_job_fail(job, "bad-arg", "length wanted");
    }
    char *bytes = malloc((size_t)len + 1);
    if (bytes == NULL) {
        return DROVER_NOMEM;
    }
    memset(bytes, 'b', (size_t)len);
    drover_status status = drover_value_new_raw(bytes, (size_t)len, "application/x-bulk",
                                                out_result);
    free(bytes);
    return status;
}

/* More reports than anyone wants to read. */
static drover_status chatter(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t count;
    if (drover_value_get_int(in, &count)) {
        return drover_job_fail(job, "bad-arg", "count wanted");
    }
    for (int64_t i = 0; i < count; i++) {
        drover_job_progress(job, (unsigned)(i * 1000 / count), "still at it");
        drover_job_log(job, "line %lld", (long long)i);
    }
    return drover_value_new_int(count, out_result);
}

/* Says that it is at 45 %, and stays there until it is cancelled. */
static drover_status halfway(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)in;
    drover_job_progress(job, 450, "nearly half");
    while (drover_job_sleep_ms(job, 1000) == DROVER_OK) {
    }
    return drover_value_new_nil(out_result) == DROVER_OK ? DROVER_CANCELLED : DROVER_NOMEM;
}

/* "out TEXT\n" to stdout and "err TEXT\n" to stderr. */
static drover_status speak(drover_job *job, const drover_value *in, drover_value **out_result)
{
    const char *text;
    size_t len;
    (void)out_result;
    if (drover_value_get_string(in, &text, &len)) {
        return drover_job_fail(job, "bad-arg", "text wanted");
    }
    (void)printf("out %s\n", text);
    (void)fprintf(stderr, "err %s\n", text);
    return DROVER_OK;
}

/* That many bytes to stdout as fast as they go, of every value, without a line's end. */
static drover_status flood(drover_job *job, const drover_value *in, drover_value **out_result)
{
    static unsigned char bytes[65536];
    int64_t left;
    if (drover_value_get_int(in, &left)) {
        return drover_job_fail(job, "bad-arg", "length wanted");
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(i % 255 + (i % 255 >= '\n' ? 1 : 0));
    }
    while (left > 0) {
        size_t len = left < (int64_t)sizeof(bytes) ? (size_t)left : sizeof(bytes);
        ssize_t done = write(STDOUT_FILENO, bytes, len);
        if (done <= 0) {
            return drover_job_fail(job, "write", "stdout is gone");
        }
        left -= done;
    }
    return drover_value_copy(in, out_result);
}

/* Half a line to stdout, without a flush. */
static drover_status mumble(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)job;
    (void)in;
    (void)out_result;
    (void)fputs("half a li", stdout);
    return DROVER_OK;
}

/* The numbers up to its payload as partial data, as fast as they go; how many were not taken.
 * A payload of 0: one that is too long. */
static drover_status spout(drover_job *job, const drover_value *in, drover_value **out_result)
{
    static char text[DROVER_JOB_EMIT_MAX];
    int64_t count;
    int64_t lost = 0;
    drover_value *value = NULL;
    if (drover_value_get_int(in, &count)) {
        return drover_job_fail(job, "bad-arg", "count wanted");
    }
    drover_status status = DROVER_OK;
    if (count == 0) {
        memset(text, 'x', sizeof(text));
        status = drover_value_new_string(text, sizeof(text), &value);
        status = status ? status : drover_job_emit(job, value);
        drover_value_destroy(&value);
    }
    for (int64_t i = 0; i < count && !status; i++) {
        status = drover_value_new_int(i, &value);
        lost += !status && drover_job_emit(job, value) == DROVER_BUSY ? 1 : 0;
        drover_value_destroy(&value);
    }
    return status ? status : drover_value_new_int(lost, out_result);
}

/* Writes once, conditionally: {"expected": version}; the version found or made. */
static drover_status compare(drover_job *job, const drover_value *in, drover_value **out_result)
{
    drover_value *value = NULL;
    int64_t expected;
    int64_t version = -1;
    if (drover_value_get_int(in, &expected) || drover_value_new_int(1, &value)) {
        return drover_job_fail(job, "bad-arg", "version wanted");
    }
    drover_status status = drover_job_kv_cas(job, "key", value, expected, 0, 10 * 1000,
                                             &version);
    drover_value_destroy(&value);
    if (status == DROVER_CONFLICT) {
        return drover_value_new_int(-version, out_result);
    }
    return status ? status : drover_value_new_int(version, out_result);
}

/* Deletes a key within the milliseconds of its payload. */
static drover_status forget(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t ms;
    (void)out_result;
    if (drover_value_get_int(in, &ms)) {
        return drover_job_fail(job, "bad-arg", "milliseconds wanted");
    }
    return drover_job_kv_del(job, "key", (uint64_t)ms);
}

/* ---- for several threads of a process -----------------------------------------------------
 */

static void tell_pid(drover_job *job)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%ld", (long)getpid());
    drover_job_progress(job, 1, text);
}

/* Says who it is and waits until it is told to stop. */
static drover_status hold(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)in;
    (void)out_result;
    tell_pid(job);
    return drover_job_sleep_ms(job, INT32_MAX);
}

/* Says who it is and sees no flag. */
static drover_status numb(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)in;
    (void)out_result;
    tell_pid(job);
    wait_for_ever();
}

/* How many attempts this process has had of this type. */
static drover_status tally(drover_job *job, const drover_value *in, drover_value **out_result)
{
    static _Atomic int64_t calls;
    (void)job;
    (void)in;
    return drover_value_new_int(++calls, out_result);
}

/* Waits until the file of its payload is there. */
static drover_status gate(drover_job *job, const drover_value *in, drover_value **out_result)
{
    const char *path;
    size_t len;
    (void)out_result;
    if (drover_value_get_string(in, &path, &len)) {
        return drover_job_fail(job, "bad-arg", "path wanted");
    }
    drover_status status = DROVER_OK;
    while (!status && access(path, F_OK) != 0) {
        status = drover_job_sleep_ms(job, 10);
    }
    return status;
}

/* Says so many lines, or what is no text, and crashes. */
static drover_status rant(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t lines;
    (void)out_result;
    if (drover_value_get_int(in, &lines)) {
        return drover_job_fail(job, "bad-arg", "number wanted");
    }
    for (int64_t i = 1; i <= lines; i++) {
        (void)fprintf(stderr, "line %" PRId64 "\n", i);
    }
    if (lines == 0) {
        (void)fputs("no text: \xff\n", stderr);
    }
    abort();
}

/*
 * Says by progress that it runs. The first attempt waits for the file PATH, makes PATH.asked,
 * and writes into "writer"; the next one writes first, and stays.
 */
static drover_status supersede(drover_job *job, const drover_value *in,
                               drover_value **out_result)
{
    char asked[512];
    const char *path;
    size_t len;
    drover_value *number = NULL;
    (void)out_result;
    if (drover_value_get_string(in, &path, &len)) {
        return drover_job_fail(job, "bad-arg", "path wanted");
    }
    (void)snprintf(asked, sizeof(asked), "%s.asked", path);
    bool is_first = drover_job_attempt(job) == 1;
    drover_job_progress(job, 1, "runs");
    while (is_first && access(path, F_OK) != 0) {
        (void)poll(NULL, 0, 1);
    }
    drover_status status = drover_value_new_int(drover_job_attempt(job), &number);
    if (is_first) {
        FILE *file = fopen(asked, "w");
        status = file == NULL || fclose(file) != 0 ? DROVER_IO : status;
    }
    if (!status) {
        status = drover_job_kv_set(job, "writer", number, 0, 60000, NULL);
    }
    drover_value_destroy(&number);
    if (!status) {
        wait_for_ever();
    }
    return status;
}

/* Takes that many bytes and keeps them; gives them back when the number is negative. */
static drover_status keep(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t bytes;
    if (drover_value_get_int(in, &bytes) || bytes == 0) {
        return drover_job_fail(job, "bad-arg", "bytes wanted");
    }
    size_t len = (size_t)(bytes < 0 ? -bytes : bytes);
    char *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return DROVER_NOMEM;
    }
    memset(memory, 1, len);
    if (bytes < 0) {
        (void)munmap(memory, len);
    }
    return drover_value_new_int(bytes, out_result);
}

/* Uses up its stack. */
static int sink(int depth)
{
    volatile char pages[4096];
    pages[0] = (char)depth;
    return depth < INT32_MAX ? sink(depth + 1) + pages[0] : 0;
}

/* Ends its process in the way of its payload. */
static drover_status perish(drover_job *job, const drover_value *in, drover_value **out_result)
{
    const char *way;
    size_t len;
    if (drover_value_get_string(in, &way, &len)) {
        return drover_job_fail(job, "bad-arg", "a way wanted");
    }
    (void)fputs("perishing\n", stderr);
    if (strcmp(way, "segv") == 0) {
        (void)raise(SIGSEGV);
    } else if (strcmp(way, "abort") == 0) {
        abort();
    } else if (strcmp(way, "stack") == 0) {
        return drover_value_new_int(sink(0), out_result);
    } else if (strcmp(way, "exit") == 0) {
        exit(3);
    } else if (strcmp(way, "quick") == 0) {
        _exit(3);
    } else if (strcmp(way, "kill") == 0) {
        (void)kill(getpid(), SIGKILL);
    }
    return drover_job_fail(job, "alive", "%s did not end it", way);
}

/* Children that never stay: each forks the next one, in a session of its own, and is gone. Ends
 * by itself after a while, should nobody be able to end it. Says who it is. They are called
 * chain-N after the number that is given. */
static drover_status chain(drover_job *job, const drover_value *in, drover_value **out_result)
{
    enum { CHAINS = 4, LONGEST_S = 20 };
    time_t end = time(NULL) + LONGEST_S;
    int64_t number = 0;
    char name[16];
    (void)!drover_value_get_int(in, &number);
    (void)snprintf(name, sizeof name, "chain-%" PRId64, number % 10000000);
    for (int i = 0; i < CHAINS; i++) {
        if (fork() != 0) {
            continue;
        }
        (void)signal(SIGTERM, SIG_IGN);
        while (time(NULL) < end) {
            pid_t next = fork();
            if (next > 0) {
                _exit(0);
            }
            (void)setsid();
            (void)prctl(PR_SET_NAME, name);
        }
        _exit(0);
    }
    return deaf(job, in, out_result);
}

/* Opens files until it may not open more, and says how many it could. */
static drover_status opens(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t count = 0;
    (void)job;
    (void)in;
    while (open("/dev/null", O_RDONLY) >= 0) { /* not closed on purpose */
        count++;
    }
    return drover_value_new_int(count, out_result);
}

/* takes and touches that many bytes, and keeps them until it is cancelled */
static drover_status hoard(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t bytes = 0;
    (void)out_result;
    (void)!drover_value_get_int(in, &bytes);
    char *memory = malloc((size_t)bytes + 1);
    if (memory == NULL) {
        return drover_job_fail(job, "nomem", "no memory");
    }
    for (int64_t i = 0; i < bytes; i += 1024) {
        ((volatile char *)memory)[i] = 1;
    }
    drover_status status = drover_job_sleep_ms(job, INT32_MAX);
    free(memory);
    return status;
}

DROVER_MODULE("rough", "1", {"deaf", deaf, 0}, {"stubborn", stubborn, 0}, {"tree", tree, 0},
              {"careless", careless, 0}, {"leave", leave, 0}, {"scribble", scribble, 0},
              {"shared", shared, 0}, {"bulk", bulk, 0}, {"chatter", chatter, 0},
              {"halfway", halfway, 0}, {"compare", compare, 0}, {"forget", forget, 0},
              {"speak", speak, 0}, {"flood", flood, 0}, {"mumble", mumble, 0},
              {"spout", spout, 0}, {"hold", hold, DROVER_THREAD_SAFE},
              {"numb", numb, DROVER_THREAD_SAFE}, {"tally", tally, DROVER_THREAD_SAFE},
              {"keep", keep, DROVER_THREAD_SAFE}, {"perish", perish, DROVER_THREAD_SAFE},
              {"gate", gate, DROVER_THREAD_SAFE}, {"supersede", supersede, 0},
              {"rant", rant, 0}, {"hoard", hoard, 0}, {"chain", chain, 0}, {"opens", opens, 0});
