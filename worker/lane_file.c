#include "lane_file.h"

#include "check.h"
#include "pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Of a file that is kept: the largest value and the NUL behind it. */
#define FILE_BYTES ((off_t)POOL_VALUE_MAX + FILE_PAGE)
#define FILE_PAGE 4096

/* A file for one value changes no more; one that is kept only never becomes shorter. */
#define SEALS_ONCE (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define SEALS_KEPT (F_SEAL_SHRINK | F_SEAL_GROW)

/* ---- life ---------------------------------------------------------------------------------
 */

/*
 * Whether a page of a memory file that is touched can always be had. Where memory is promised
 * strictly (overcommit_memory 2, proc(5)) it may be refused, and who touches a page that the
 * other side has taken out of the file gets a signal; system calls give an error.
 */
static bool pages_are_promised(void)
{
    char mode = '2';
    int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        mode = read(fd, &mode, 1) == 1 ? mode : '2';
        (void)close(fd);
    }
    return mode == '0' || mode == '1';
}

void lane_files_init(struct lane *lane, bool is_agent)
{
    lane->is_agent = is_agent;
    lane->may_map = !is_agent || pages_are_promised();
    for (size_t i = 0; i < LANE_FILES; i++) {
        lane->sent[i] = lane->taken[i] = (struct lane_file){.fd = -1};
    }
}

static void file_fini(struct lane_file *file)
{
    if (file->map != NULL) {
        (void)munmap(file->map, (size_t)FILE_BYTES);
    }
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    *file = (struct lane_file){.fd = -1};
}

void lane_files_fini(struct lane *lane)
{
    for (size_t i = 0; i < LANE_FILES; i++) {
        file_fini(&lane->sent[i]);
        file_fini(&lane->taken[i]);
    }
}

/* Whose the file is; `up`: it was made by the executor. */
static _Atomic uint32_t *word_of(const struct lane *lane, bool is_up, size_t number)
{
    return &lane->shared->files[is_up ? 1 : 0][number];
}

static bool change(_Atomic uint32_t *word, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(word, &from, to, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* False: it may not be, or cannot. */
static bool ensure_mapped(const struct lane *lane, struct lane_file *file, int access)
{
    if (file->map == NULL && lane->may_map) {
        void *map = mmap(NULL, (size_t)FILE_BYTES, access, MAP_SHARED, file->fd, 0);
        file->map = map == MAP_FAILED ? NULL : map;
    }
    return file->map != NULL;
}

/* All faults at once; purely advice. */
static void touch(struct lane_file *file, size_t len, int advice)
{
    if (file->touched < len) {
        (void)madvise(file->map, len, advice);
        file->touched = len;
    }
}

/* ---- sending ------------------------------------------------------------------------------
 */

static drover_status send_fd(int socket, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    char byte = 'f';
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    while (sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS) {
            return DROVER_BUSY;
        }
        if (errno != EINTR) {
            return DROVER_IO;
        }
    }
    return DROVER_OK;
}

static drover_status write_at(int fd, struct drv_view bytes, size_t at)
{
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t put = pwrite(fd, bytes.bytes + done, bytes.len - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return errno == ENOSPC || errno == ENOMEM ? DROVER_NOMEM : DROVER_IO;
        }
        done += (size_t)put;
    }
    return DROVER_OK;
}

/* The value, wherever it is, from the beginning of the file on. */
static drover_status write_value(int fd, const struct lane_value *value)
{
    if (value->pieces == NULL) {
        return write_at(fd, value->bytes, 0);
    }
    const struct drv_pieces *pieces = value->pieces->pieces;
    drover_status status = DROVER_OK;
    size_t at = 0;
    for (size_t i = 0; !status && i < pieces->count; i++) {
        const struct drv_data_piece *piece = &pieces->items[i];
        status = write_at(fd, drv_view_of(piece->bytes, piece->len), at);
        at += piece->len;
    }
    return status;
}

/*
 * The same into memory that the file has already, by a mapping: a system call would look every
 * page up. What has none yet is better written by one, which takes no fault for every page.
 */
static bool write_mapped(const struct lane *lane, struct lane_file *file,
                         const struct lane_value *value)
{
    size_t len = value->bytes.len + 1;
    if (file->filled < len || !ensure_mapped(lane, file, PROT_READ | PROT_WRITE)) {
        return false;
    }
    touch(file, len, MADV_POPULATE_WRITE);
    if (value->pieces == NULL) {
        memcpy(file->map, value->bytes.bytes, value->bytes.len);
    } else {
        drv_pieces_write(value->pieces, file->map);
    }
    file->map[len - 1] = '\0';
    return true;
}

drover_status lane_file_send(struct lane *lane, const struct lane_value *value)
{
    int fd = memfd_create("drover-value", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return DROVER_IO;
    }
    drover_status status = write_value(fd, value);
    if (!status && fcntl(fd, F_ADD_SEALS, SEALS_ONCE) != 0) {
        status = DROVER_IO;
    }
    if (!status) {
        status = send_fd(lane->values_fd, fd);
    }
    (void)close(fd);
    return status;
}

static drover_status make_file(struct lane_file *file)
{
    file->fd = memfd_create("drover-values", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file->fd < 0) {
        return DROVER_IO;
    }
    if (ftruncate(file->fd, FILE_BYTES) != 0 ||
        fcntl(file->fd, F_ADD_SEALS, SEALS_KEPT | F_SEAL_SEAL) != 0) {
        file_fini(file);
        return DROVER_IO;
    }
    return DROVER_OK;
}

/* A file that is free, the first one, so that no more are used than needed at a time;
 * LANE_FILES: there is none. */
static size_t pick(struct lane *lane)
{
    for (size_t i = 0; i < LANE_FILES; i++) {
        if (change(word_of(lane, !lane->is_agent, i), LANE_FILE_FREE, LANE_FILE_USED)) {
            return i;
        }
    }
    return LANE_FILES;
}

static void note_use(struct lane *lane, struct lane_file *file, size_t len)
{
    lane->has_spare = true;
    file->recent = len > file->recent ? len : file->recent;
    file->filled = len > file->filled ? len : file->filled;
}

/* Its memory is what the value takes, and a NUL. */
static drover_status fill_file(struct lane_file *file, const struct lane_value *value)
{
    drover_status status = write_value(file->fd, value);
    return status ? status : write_at(file->fd, drv_view_of("", 1), value->bytes.len);
}

drover_status lane_file_write(struct lane *lane, const struct lane_value *value,
                              uint32_t *out_number)
{
    size_t number = pick(lane);
    if (number == LANE_FILES) {
        return DROVER_UNKNOWN;
    }
    struct lane_file *file = &lane->sent[number];
    drover_status status = file->fd < 0 ? make_file(file) : DROVER_OK;
    if (!status) {
        status = write_mapped(lane, file, value) ? DROVER_OK : fill_file(file, value);
        note_use(lane, file, value->bytes.len + 1);
    }
    if (!status && !file->is_passed) {
        status = send_fd(lane->values_fd, file->fd);
        file->is_passed = status == DROVER_OK;
    }
    if (status) {
        atomic_store_explicit(word_of(lane, !lane->is_agent, number), LANE_FILE_FREE,
                              memory_order_release);
        return status;
    }
    *out_number = (uint32_t)number;
    return DROVER_OK;
}

/* ---- receiving ----------------------------------------------------------------------------
 */

/* Every descriptor in a control message; all but the first are closed. */
static int first_fd(struct msghdr *message)
{
    int found = -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
            if (found < 0) {
                found = fd;
            } else {
                (void)close(fd);
            }
        }
    }
    return found;
}

static int receive_fd(int socket, bool wait)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t got;
    do {
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    } while (got < 0 && errno == EINTR);
    return got <= 0 ? -1 : first_fd(&message);
}

/* Only memory files have seals; of those of huge pages there may be none left when one is
 * touched. */
static bool is_sealed_file(int fd, int seals, uint64_t len)
{
    struct stat info;
    struct statfs system;
    int has = fcntl(fd, F_GET_SEALS);
    return has >= 0 && (has & seals) == seals && fstat(fd, &info) == 0 && info.st_size >= 0 &&
           (uint64_t)info.st_size == len && fstatfs(fd, &system) == 0 &&
           system.f_type == TMPFS_MAGIC;
}

static drover_status read_file(int fd, struct drv_data *data)
{
    size_t done = 0;
    while (done < data->len) {
        ssize_t got = pread(fd, data->bytes + done, data->len - done, (off_t)done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return DROVER_IO;
        }
        done += (size_t)got;
    }
    return DROVER_OK;
}

static drover_status copy_out(int fd, uint64_t len, struct drv_data **out_data)
{
    struct drv_data *data = NULL;
    drover_status status = drv_data_new((size_t)len, &data);
    if (!status) {
        status = read_file(fd, data);
    }
    if (status) {
        drv_data_unref(&data);
        return status;
    }
    *out_data = data;
    return DROVER_OK;
}

drover_status lane_file_receive(struct lane *lane, uint64_t len, bool wait,
                                struct drv_data **out_data)
{
    int fd = receive_fd(lane->values_fd, wait);
    if (fd < 0) {
        return DROVER_MALFORMED;
    }
    drover_status status = is_sealed_file(fd, SEALS_ONCE, len) ? copy_out(fd, len, out_data)
                                                               : DROVER_MALFORMED;
    (void)close(fd);
    return status;
}

/* A file that a record names comes with the first record that does so. */
static drover_status ensure_taken(struct lane *lane, uint32_t number, bool wait)
{
    if (number >= LANE_FILES) {
        return DROVER_MALFORMED;
    }
    struct lane_file *file = &lane->taken[number];
    if (file->fd >= 0) {
        return DROVER_OK;
    }
    int fd = receive_fd(lane->values_fd, wait);
    if (fd < 0) {
        return DROVER_MALFORMED;
    }
    if (!is_sealed_file(fd, SEALS_KEPT, (uint64_t)FILE_BYTES)) {
        (void)close(fd);
        return DROVER_MALFORMED;
    }
    file->fd = fd;
    return DROVER_OK;
}

drover_status lane_file_view(struct lane *lane, uint32_t number, uint64_t len, bool wait,
                             struct drv_view *out_bytes)
{
    DRV_ASSERT(!lane->is_agent && len <= POOL_VALUE_MAX);
    drover_status status = ensure_taken(lane, number, wait);
    if (status) {
        return status;
    }
    if (!ensure_mapped(lane, &lane->taken[number], PROT_READ)) {
        return DROVER_IO;
    }
    *out_bytes = drv_view_of(lane->taken[number].map, (size_t)len);
    return DROVER_OK;
}

void lane_release(struct lane *lane, uint32_t number)
{
    atomic_store_explicit(word_of(lane, lane->is_agent, number), LANE_FILE_FREE,
                          memory_order_release);
}

drover_status lane_file_copy(struct lane *lane, uint32_t number, uint64_t len, bool wait,
                             struct drv_data **out_data)
{
    drover_status status = ensure_taken(lane, number, wait);
    if (status) {
        return status;
    }
    struct lane_file *file = &lane->taken[number];
    note_use(lane, file, (size_t)len + 1);
    if (ensure_mapped(lane, file, PROT_READ)) { /* a system call would look every page up */
        touch(file, (size_t)len, MADV_POPULATE_READ);
        status = drv_data_copy(file->map, (size_t)len, out_data);
    } else {
        status = copy_out(file->fd, len, out_data);
    }
    lane_release(lane, number);
    return status;
}

/* ---- giving memory back -------------------------------------------------------------------
 */

/* Keeps what was used of the file lately. */
static void trim_file(struct lane_file *file, _Atomic uint32_t *word)
{
    if (file->filled == 0 || !change(word, LANE_FILE_FREE, LANE_FILE_TRIMMED)) {
        return;
    }
    off_t keep = ((off_t)file->recent + FILE_PAGE - 1) / FILE_PAGE * FILE_PAGE;
    if (file->filled > file->recent) {
        /* An executor may have sealed its file against this: then it keeps its memory. */
        (void)fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, keep,
                        FILE_BYTES - keep);
    }
    file->filled = file->recent;
    file->touched = file->touched < file->recent ? file->touched : file->recent;
    file->recent = 0;
    (void)change(word, LANE_FILE_TRIMMED, LANE_FILE_FREE);
}

bool lane_trim(struct lane *lane)
{
    DRV_ASSERT(lane->is_agent);
    lane->has_spare = false;
    for (size_t i = 0; lane->shared != NULL && i < LANE_FILES; i++) {
        trim_file(&lane->sent[i], word_of(lane, false, i));
        trim_file(&lane->taken[i], word_of(lane, true, i));
        lane->has_spare = lane->has_spare || lane->sent[i].filled > 0 ||
                          lane->taken[i].filled > 0;
    }
    return lane->has_spare;
}
