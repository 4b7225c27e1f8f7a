#include "lane.h"

#include "check.h"
#include "lane_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PRINTED_LOOKS = 200, /* at a pipe that the agent is reading */
    PRINTED_PAUSE_NS = 50 * 1000,
};

static size_t shared_size(void)
{
    return sizeof(struct lane_shared) + 2 * ring_size(LANE_RING_BYTES);
}

static struct ring_shared *ring_at(struct lane_shared *shared, size_t number)
{
    return (struct ring_shared *)(void *)((uint8_t *)shared + sizeof(*shared) +
                                          number * ring_size(LANE_RING_BYTES));
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

static drover_status map_shared(struct lane *lane, int memory_fd)
{
    void *memory = mmap(NULL, shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    if (memory == MAP_FAILED) {
        return DROVER_IO;
    }
    lane->shared = memory;
    return DROVER_OK;
}

static drover_status open_parts(struct lane *lane, struct lane_ends *ends)
{
    int sockets[2];
    ends->memory_fd = memfd_create("drover-lane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    /* Sealed against shrinking, so that touching it can never raise SIGBUS. */
    if (ends->memory_fd < 0 || ftruncate(ends->memory_fd, (off_t)shared_size()) != 0 ||
        fcntl(ends->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return DROVER_IO;
    }
    lane->wake_fd = ends->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lane->wake_fd < 0) {
        return DROVER_IO;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        return DROVER_IO;
    }
    lane->values_fd = sockets[0];
    ends->values_fd = sockets[1];
    return map_shared(lane, ends->memory_fd);
}

drover_status lane_open(struct lane *lane, int call_fd, struct lane_ends *out_ends)
{
    *lane = (struct lane){.wake_fd = -1, .call_fd = call_fd, .values_fd = -1};
    *out_ends = (struct lane_ends){
        .memory_fd = -1, .wake_fd = -1, .call_fd = call_fd, .values_fd = -1};
    lane_files_init(lane, true);
    drover_status status = open_parts(lane, out_ends);
    if (status) {
        lane_ends_close(out_ends);
        lane_close(lane);
        return status;
    }
    ring_init(ring_at(lane->shared, 0));
    ring_init(ring_at(lane->shared, 1));
    ring_writer_init(&lane->out, ring_at(lane->shared, 0), LANE_RING_BYTES);
    ring_reader_init(&lane->in, ring_at(lane->shared, 1), LANE_RING_BYTES);
    return DROVER_OK;
}

drover_status lane_join(struct lane *lane, const struct lane_ends *ends)
{
    int memory_fd = ends->memory_fd;
    *lane = (struct lane){
        .wake_fd = ends->wake_fd, .call_fd = ends->call_fd, .values_fd = ends->values_fd};
    lane_files_init(lane, false);
    drover_status status = map_shared(lane, memory_fd);
    close_fd(&memory_fd);
    if (status) {
        lane_close(lane);
        return status;
    }
    ring_reader_init(&lane->in, ring_at(lane->shared, 0), LANE_RING_BYTES);
    ring_writer_init(&lane->out, ring_at(lane->shared, 1), LANE_RING_BYTES);
    return DROVER_OK;
}

void lane_close(struct lane *lane)
{
    if (lane->shared != NULL) { /* else it has no files: it may never have been opened */
        lane_files_fini(lane);
        (void)munmap(lane->shared, shared_size());
        lane->shared = NULL;
    }
    close_fd(&lane->wake_fd);
    close_fd(&lane->values_fd);
}

void lane_ends_close(struct lane_ends *ends)
{
    close_fd(&ends->memory_fd);
    close_fd(&ends->values_fd);
    ends->wake_fd = ends->call_fd = -1;
}

void lane_signal(int event_fd)
{
    uint64_t one = 1;
    while (write(event_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

void lane_clear(int event_fd)
{
    uint64_t count;
    while (read(event_fd, &count, sizeof(count)) < 0 && errno == EINTR) {
    }
}

/* ---- claims -------------------------------------------------------------------------------
 */

static uint64_t claim_word(uint64_t serial, enum lane_claim claim)
{
    return serial << 2 | (uint64_t)claim;
}

void lane_place(struct lane *lane, uint32_t claim, uint64_t serial)
{
    atomic_store(&lane->shared->claims[claim], claim_word(serial, LANE_PLACED));
}

bool lane_claim(struct lane *lane, uint32_t claim, uint64_t serial, enum lane_claim to)
{
    uint64_t expected = claim_word(serial, LANE_PLACED);
    return atomic_compare_exchange_strong(&lane->shared->claims[claim], &expected,
                                          claim_word(serial, to));
}

bool lane_is_taken(const struct lane *lane, uint32_t claim, uint64_t serial)
{
    return atomic_load(&lane->shared->claims[claim]) == claim_word(serial, LANE_TAKEN);
}

/* ---- what was printed ---------------------------------------------------------------------
 */

void lane_read_begin(struct lane *lane, size_t pipe)
{
    atomic_fetch_add(&lane->shared->pipes[pipe].turn, 1);
}

void lane_read_end(struct lane *lane, size_t pipe, size_t len)
{
    struct lane_pipe *state = &lane->shared->pipes[pipe];
    atomic_fetch_add(&state->read, len);
    atomic_fetch_add(&state->turn, 1);
}

uint64_t lane_printed(const struct lane *lane, size_t pipe, int fd)
{
    const struct lane_pipe *state = &lane->shared->pipes[pipe];
    const struct timespec pause = {.tv_nsec = PRINTED_PAUSE_NS};
    for (int i = 0; i < PRINTED_LOOKS; i++) {
        int left = 0;
        uint64_t turn = atomic_load(&state->turn);
        uint64_t read = atomic_load(&state->read);
        if (ioctl(fd, FIONREAD, &left) != 0 || left < 0) {
            return LANE_PRINTED_UNKNOWN;
        }
        if (turn % 2 == 0 && atomic_load(&state->turn) == turn) {
            return read + (uint64_t)left;
        }
        (void)nanosleep(&pause, NULL);
    }
    return LANE_PRINTED_UNKNOWN;
}

/* ---- sending ------------------------------------------------------------------------------
 */

static uint16_t form_of(const struct lane_value *value)
{
    if (value == NULL || value->is_nil) {
        return RECORD_NIL;
    }
    return value->pieces == NULL && value->bytes.len <= RECORD_INLINE_MAX ? RECORD_INLINE
                                                                          : RECORD_FILE;
}

size_t lane_record_len(const struct lane_record *record)
{
    size_t len = record->head_len;
    for (size_t i = 0; i < record->count; i++) {
        len += record->parts[i].len;
    }
    if (form_of(record->value) != RECORD_NIL) {
        len += record->value->content_type.len;
    }
    if (form_of(record->value) == RECORD_INLINE) {
        len += record->value->bytes.len;
    }
    return len;
}

static void fill_slot(const struct lane_record *record)
{
    if (record->slot == NULL) {
        return;
    }
    *record->slot = (struct record_value){.form = form_of(record->value)};
    if (record->slot->form != RECORD_NIL) {
        record->slot->len = record->value->bytes.len;
        record->slot->content_type_len = (uint32_t)record->value->content_type.len;
    }
}

/* Puts a value that is too large for the ring where the record says. */
static drover_status send_value(struct lane *lane, const struct lane_record *record)
{
    uint32_t number = 0;
    drover_status status = lane_file_write(lane, record->value, &number);
    if (status == DROVER_UNKNOWN) {
        return lane_file_send(lane, record->value);
    }
    record->slot->form = RECORD_KEPT;
    record->slot->file = (uint16_t)number;
    return status;
}

drover_status lane_send(struct lane *lane, const struct lane_record *record)
{
    struct drv_view parts[LANE_PARTS_MAX + 3];
    size_t count = 0;
    DRV_ASSERT(record->count <= LANE_PARTS_MAX && (record->slot != NULL || !record->value));
    if (form_of(record->value) != RECORD_NIL && record->value->bytes.len > POOL_VALUE_MAX) {
        return DROVER_TOO_BIG;
    }
    /* Room first: a value that was sent cannot be called back. */
    drover_status status = ring_writer_fits(&lane->out, lane_record_len(record));
    if (status) {
        return status;
    }
    fill_slot(record);
    if (form_of(record->value) == RECORD_FILE) {
        status = send_value(lane, record);
        if (status) {
            return status;
        }
    }
    parts[count++] = drv_view_of(record->head, record->head_len);
    for (size_t i = 0; i < record->count; i++) {
        parts[count++] = record->parts[i];
    }
    if (form_of(record->value) != RECORD_NIL) {
        parts[count++] = record->value->content_type;
    }
    if (form_of(record->value) == RECORD_INLINE) {
        parts[count++] = record->value->bytes;
    }
    return ring_write(&lane->out, parts, count);
}

/* ---- receiving ----------------------------------------------------------------------------
 */

bool lane_take_bytes(struct drv_view *rest, size_t len, struct drv_view *out_bytes)
{
    if (len > rest->len) {
        return false;
    }
    *out_bytes = drv_view_of(rest->bytes, len);
    if (len > 0) {
        *rest = drv_view_of(rest->bytes + len, rest->len - len);
    }
    return true;
}

bool lane_take_head(struct drv_view *rest, void *out_head, size_t len)
{
    struct drv_view bytes;
    if (!lane_take_bytes(rest, len, &bytes)) {
        return false;
    }
    memcpy(out_head, bytes.bytes, len);
    return true;
}

/* What is the same in every form: the length, and the content type, which is taken. */
static drover_status begin_value(const struct record_value *slot, struct drv_view *rest,
                                 struct drv_view *out_content_type)
{
    if (slot->len > POOL_VALUE_MAX) {
        return DROVER_TOO_BIG;
    }
    if (slot->content_type_len > DROVER_CONTENT_TYPE_MAX ||
        !lane_take_bytes(rest, slot->content_type_len, out_content_type)) {
        return DROVER_MALFORMED;
    }
    return DROVER_OK;
}

drover_status lane_take_value(struct lane *lane, const struct record_value *slot, bool wait,
                              struct drv_view *rest, struct drv_data **out_data,
                              struct drv_view *out_content_type)
{
    if (slot->form == RECORD_NIL) {
        *out_data = NULL;
        *out_content_type = drv_view_of(NULL, 0);
        return DROVER_OK;
    }
    drover_status status = begin_value(slot, rest, out_content_type);
    if (status) {
        return status;
    }
    if (slot->form == RECORD_FILE) {
        return lane_file_receive(lane, slot->len, wait, out_data);
    }
    if (slot->form == RECORD_KEPT) {
        return lane_file_copy(lane, slot->file, slot->len, wait, out_data);
    }
    struct drv_view bytes;
    if (slot->form != RECORD_INLINE || !lane_take_bytes(rest, (size_t)slot->len, &bytes)) {
        return DROVER_MALFORMED;
    }
    return drv_data_copy(bytes.bytes, bytes.len, out_data);
}

drover_status lane_borrow_value(struct lane *lane, const struct record_value *slot,
                                struct drv_view *rest, struct drv_view *out_bytes,
                                struct drv_view *out_content_type)
{
    DRV_ASSERT(slot->form == RECORD_KEPT);
    drover_status status = begin_value(slot, rest, out_content_type);
    return status ? status : lane_file_view(lane, slot->file, slot->len, true, out_bytes);
}
