/*
 * What handlers print: from the pipes of their processes to the log, to the attempts that
 * print, and to the certificate of a crash.
 *
 *    epoll ──note──> marks (how full each pipe is) ──ring is read──> FINISHED: settle
 *                                                        └─────────> all up to the mark: read
 *
 * Whose bytes they are: an executor sends FINISHED before it begins with the next attempt, and
 * says with it how far its pipes were filled. The marks are taken before the ring is read. So
 * once the ring has been read to its end, what stands before a mark and was not settled was
 * printed by the attempt that runs now. Only when FINISHED could not say how far (the agent was
 * stopped in the middle of a read), everything before the mark counts as that attempt's.
 *
 * Threads of a process share its pipes, and what comes out of them cannot be told apart: it
 * counts as printed by every attempt that runs there, and has no id in the log.
 *
 * A process that prints faster than this is read waits in its pipe. Memory is bounded: nothing
 * is kept but a line and a tail.
 */
#include "pool_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const enum pool_stream STREAMS[LANE_PIPES] = {POOL_STREAM_STDOUT, POOL_STREAM_STDERR};

static bool has_threads(const struct proc *proc)
{
    return proc->crew->threads > 1;
}

/* Who prints; NULL: nobody, or it cannot be known. */
static struct run *running(const struct proc *proc)
{
    return has_threads(proc) ? NULL : pool_running(&proc->seats[0]);
}

/* ---- life ---------------------------------------------------------------------------------
 */

void pool_output_init(struct output *output)
{
    *output = (struct output){.is_ready = false};
    for (size_t i = 0; i < LANE_PIPES; i++) {
        output->pipes[i].fd = -1;
        drv_buffer_init(&output->pipes[i].line);
    }
    drv_buffer_init(&output->tail);
}

void pool_output_fini(struct output *output)
{
    for (size_t i = 0; i < LANE_PIPES; i++) {
        drv_buffer_fini(&output->pipes[i].line);
    }
    drv_buffer_fini(&output->tail);
}

static drover_status open_pipe(const struct pool *pool, struct proc *proc, size_t which,
                               int *out_end)
{
    int fds[2];
    struct epoll_event interest = {.events = EPOLLIN, .data.u32 = proc->number};
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return DROVER_IO;
    }
    proc->output.pipes[which].fd = fds[0];
    *out_end = fds[1];
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, fds[0], &interest) != 0) {
        return DROVER_IO;
    }
    return DROVER_OK;
}

drover_status pool_output_open(struct pool *pool, struct proc *proc, int out_ends[LANE_PIPES])
{
    drover_status status = DROVER_OK;
    for (size_t i = 0; i < LANE_PIPES; i++) {
        proc->output.pipes[i].read = proc->output.pipes[i].mark = 0;
        out_ends[i] = -1;
    }
    for (size_t i = 0; !status && i < LANE_PIPES; i++) {
        status = open_pipe(pool, proc, i, &out_ends[i]);
    }
    return status;
}

static void close_pipe(const struct pool *pool, struct output_pipe *pipe)
{
    if (pipe->fd >= 0) {
        (void)epoll_ctl(pool->epoll_fd, EPOLL_CTL_DEL, pipe->fd, NULL);
        (void)close(pipe->fd);
        pipe->fd = -1;
    }
}

void pool_output_close(struct pool *pool, struct proc *proc)
{
    for (size_t i = 0; i < LANE_PIPES; i++) {
        close_pipe(pool, &proc->output.pipes[i]);
        drv_buffer_clear(&proc->output.pipes[i].line);
    }
    drv_buffer_clear(&proc->output.tail);
    proc->output.is_ready = proc->output.has_ended = false;
}

/* ---- to the log ---------------------------------------------------------------------------
 */

/* Whether one more line may go there in this second. */
static bool may_log(struct pool *pool, int64_t now_us)
{
    if (pool->log == NULL || pool->drops_output || pool->log->level > DRV_LOG_INFO) {
        return false;
    }
    if (now_us >= pool->log_until_us) {
        if (pool->lines_dropped > 0) {
            drv_log_warn(pool->log, "output comes too fast for the log",
                         drv_log_uint("lines_left_out", pool->lines_dropped));
        }
        pool->log_until_us = now_us + POOL_LOG_SPAN_US;
        pool->lines_logged = 0;
        pool->lines_dropped = 0;
    }
    bool is_allowed = pool->lines_logged < POOL_LOG_LINES;
    pool->lines_logged += is_allowed ? 1 : 0;
    pool->lines_dropped += is_allowed ? 0 : 1;
    return is_allowed;
}

void pool_log_line(struct pool *pool, const struct proc *proc, const struct run *run,
                   enum pool_stream stream, struct drv_view text, int64_t now_us)
{
    struct drv_log_field fields[6];
    size_t count = 0;
    if (text.len == 0 || !may_log(pool, now_us)) {
        return;
    }
    if (run != NULL) {
        fields[count++] = drv_log_id("id", &run->id);
        if (run->index != DROVER_INDEX_NONE) {
            fields[count++] = drv_log_uint("index", run->index);
        }
    }
    fields[count++] = drv_log_int("pid", proc->pid);
    if (stream != POOL_STREAM_LOG) {
        fields[count++] = drv_log_str("stream",
                                      stream == POOL_STREAM_STDOUT ? "stdout" : "stderr");
    }
    fields[count++] = drv_log_view("text", text);
    fields[count] = drv_log_end();
    drv_log_write(pool->log, DRV_LOG_INFO, stream == POOL_STREAM_LOG ? "handler" : "output",
                  fields);
}

static void end_line(struct pool *pool, struct proc *proc, size_t which, const struct run *run,
                     int64_t now_us)
{
    struct drv_buffer *line = &proc->output.pipes[which].line;
    pool_log_line(pool, proc, run, STREAMS[which], drv_buffer_view(line), now_us);
    drv_buffer_clear(line);
}

static void log_lines(struct pool *pool, struct proc *proc, size_t which, const struct run *run,
                      struct drv_view bytes, int64_t now_us)
{
    struct drv_buffer *line = &proc->output.pipes[which].line;
    const uint8_t *at = bytes.bytes;
    size_t left = pool->log == NULL ? 0 : bytes.len;
    while (left > 0) {
        const uint8_t *newline = memchr(at, '\n', left);
        size_t part = newline != NULL ? (size_t)(newline - at) : left;
        bool is_cut = part > POOL_LINE_MAX - line->len;
        part = is_cut ? POOL_LINE_MAX - line->len : part;
        (void)!drv_buffer_append(line, at, part);
        if (newline != NULL || is_cut) {
            end_line(pool, proc, which, run, now_us);
        }
        part += newline != NULL && !is_cut ? 1 : 0;
        at += part;
        left -= part;
    }
}

/* ---- to the attempts ------------------------------------------------------------------------
 */

static void keep_tail(struct drv_buffer *tail, struct drv_view bytes)
{
    if (bytes.len > POOL_STDERR_MAX) {
        bytes = drv_view_of(bytes.bytes + bytes.len - POOL_STDERR_MAX, POOL_STDERR_MAX);
    }
    if (tail->len + bytes.len > POOL_STDERR_MAX) {
        size_t cut = tail->len + bytes.len - POOL_STDERR_MAX;
        memmove(tail->bytes, tail->bytes + cut, tail->len - cut);
        tail->len -= cut;
    }
    (void)!drv_buffer_append(tail, bytes.bytes, bytes.len);
}

static void tell_runs(const struct proc *proc, size_t which, struct drv_view bytes,
                      const struct pool_sink *sink)
{
    for (size_t i = 0; i < proc->crew->threads; i++) {
        const struct run *run = pool_running(&proc->seats[i]);
        if (run != NULL && !run_is_many(run)) {
            struct pool_event event = {.kind = POOL_OUTPUT, .token = run->token};
            event.output.stream = STREAMS[which];
            event.output.bytes = bytes;
            sink->on_event(sink->context, &event);
        }
    }
}

static void take(struct pool *pool, struct proc *proc, size_t which, struct drv_view bytes,
                 const struct pool_sink *sink, int64_t now_us)
{
    const struct run *run = running(proc); /* for the log */
    keep_tail(&proc->output.tail, bytes);
    log_lines(pool, proc, which, run, bytes, now_us);
    tell_runs(proc, which, bytes, sink);
}

/* Reads up to a position, as far as there is something. */
static void read_to(struct pool *pool, struct proc *proc, size_t which, uint64_t position,
                    const struct pool_sink *sink, int64_t now_us)
{
    uint8_t bytes[8192];
    struct output_pipe *pipe = &proc->output.pipes[which];
    while (pipe->fd >= 0 && pipe->read < position) {
        uint64_t left = position - pipe->read;
        lane_read_begin(&proc->seats[0].lane, which);
        ssize_t got = read(pipe->fd, bytes, left < sizeof(bytes) ? left : sizeof(bytes));
        lane_read_end(&proc->seats[0].lane, which, got > 0 ? (size_t)got : 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got == 0) {
            close_pipe(pool, pipe);
        }
        if (got <= 0) {
            return;
        }
        pipe->read += (uint64_t)got;
        take(pool, proc, which, drv_view_of(bytes, (size_t)got), sink, now_us);
    }
}

void pool_output_note(struct proc *proc, bool has_ended)
{
    struct output *output = &proc->output;
    output->is_ready = true;
    output->has_ended = output->has_ended || has_ended;
    for (size_t i = 0; i < LANE_PIPES; i++) {
        struct output_pipe *pipe = &output->pipes[i];
        int len = 0;
        if (pipe->fd >= 0 && ioctl(pipe->fd, FIONREAD, &len) == 0 && len > 0) {
            pipe->mark = pipe->read +
                         (uint64_t)(len < POOL_OUTPUT_TURN ? len : POOL_OUTPUT_TURN);
        }
    }
    output->after = ring_reader_position(&proc->seats[0].lane.in);
}

void pool_output_read(struct pool *pool, struct proc *proc, const struct pool_sink *sink,
                      int64_t now_us)
{
    struct output *output = &proc->output;
    if (!output->is_ready) {
        return;
    }
    const struct seat *seat = &proc->seats[0];
    if (!has_threads(proc) && seat->placed_count > 0 && !seat->lane.is_broken &&
        !ring_reader_has_passed(&seat->lane.in, output->after)) {
        pool->has_work = true; /* first what the ring had to say by then */
        return;
    }
    struct run *run = running(proc);
    if (run != NULL && run_is_many(run) &&
        !pool_range_isolate(pool, &proc->seats[0], run, sink, now_us)) {
        pool->has_work = true; /* first it must be known which element prints */
        return;
    }
    output->is_ready = false;
    for (size_t i = 0; i < LANE_PIPES; i++) {
        read_to(pool, proc, i, output->pipes[i].mark, sink, now_us);
        if (output->has_ended) { /* this many more, or the end */
            read_to(pool, proc, i, output->pipes[i].read + POOL_OUTPUT_TURN, sink, now_us);
        }
    }
}

void pool_output_settle(struct pool *pool, struct seat *seat, const struct run *run,
                        const uint64_t printed[LANE_PIPES], const struct pool_sink *sink,
                        int64_t now_us)
{
    struct proc *proc = seat->proc;
    if (has_threads(proc)) {
        pool_output_note(proc, false);
        pool_output_read(pool, proc, sink, now_us);
        return;
    }
    for (size_t i = 0; i < LANE_PIPES; i++) {
        struct output_pipe *pipe = &proc->output.pipes[i];
        if (printed[i] == pipe->read && pipe->line.len == 0) {
            continue; /* nothing new, as ever */
        }
        uint64_t position = printed[i] == LANE_PRINTED_UNKNOWN ? pipe->mark : printed[i];
        uint64_t most = pipe->read + POOL_OUTPUT_LAST;
        read_to(pool, proc, i, position < most ? position : most, sink, now_us);
        end_line(pool, proc, i, run, now_us);
    }
}

void pool_output_drain(struct pool *pool, struct proc *proc, const struct pool_sink *sink,
                       int64_t now_us)
{
    for (size_t i = 0; i < LANE_PIPES; i++) {
        struct output_pipe *pipe = &proc->output.pipes[i];
        read_to(pool, proc, i, pipe->read + POOL_OUTPUT_LAST, sink, now_us);
        end_line(pool, proc, i, running(proc), now_us);
    }
}
