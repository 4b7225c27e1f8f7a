/*
 * lane.h: values that are too large for a ring, between an agent and an executor that may be
 * hostile; both ends are here.
 */
#include "lane_file.h"

#include "pieces.h"
#include "test.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEN = 100 * 1000 };

struct stage {
    struct lane agent, executor;
    int call_fd;
    struct drv_data *value; /* LEN bytes */
    struct drv_buffer record;
};

static int stage_open(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    struct lane_ends ends;
    assert_non_null(stage);
    stage->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_ok(lane_open(&stage->agent, stage->call_fd, &ends));
    assert_ok(lane_join(&stage->executor, &ends));
    assert_ok(drv_data_new(LEN, &stage->value));
    memset(stage->value->bytes, 'v', LEN);
    drv_buffer_init(&stage->record);
    *state = stage;
    return 0;
}

static int stage_close(void **state)
{
    struct stage *stage = *state;
    lane_close(&stage->executor);
    lane_close(&stage->agent);
    (void)close(stage->call_fd);
    drv_data_unref(&stage->value);
    drv_buffer_fini(&stage->record);
    free(stage);
    return 0;
}

/* Sends the first `len` bytes of the value; `mark` tells one from the other. */
static drover_status give(struct stage *stage, struct lane *from, char mark, size_t len)
{
    struct record_shared head = {.kind = RECORD_SHARED};
    stage->value->bytes[0] = (uint8_t)mark;
    const struct lane_value value = {.bytes = drv_view_of(stage->value->bytes, len)};
    const struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .slot = &head.value, .value = &value};
    return lane_send(from, &record);
}

/* The head of the next record. */
static struct record_value next_slot(struct stage *stage, struct lane *to,
                                     struct drv_view *out_rest)
{
    struct record_shared head;
    assert_ok(ring_read(&to->in, &stage->record));
    *out_rest = drv_buffer_view(&stage->record);
    assert_true(lane_take_head(out_rest, &head, sizeof(head)));
    return head.value;
}

/* Takes a copy of the next value. */
static drover_status take(struct stage *stage, struct lane *to, char expected)
{
    struct drv_view rest;
    struct drv_view type;
    struct drv_data *data = NULL;
    struct record_value slot = next_slot(stage, to, &rest);
    drover_status status = lane_take_value(to, &slot, false, &rest, &data, &type);
    if (!status) {
        assert_int_equal(data->len, LEN);
        assert_int_equal(data->bytes[0], expected);
        assert_int_equal(data->bytes[LEN - 1], 'v');
    }
    drv_data_unref(&data);
    return status;
}

/* A record as an executor might write it. */
static void forge(struct stage *stage, const struct record_value *slot)
{
    const struct record_shared head = {.kind = RECORD_SHARED, .value = *slot};
    const struct drv_view part = drv_view_of(&head, sizeof(head));
    assert_ok(ring_write(&stage->executor.out, &part, 1));
}

static uint64_t memory_of(int fd)
{
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    return (uint64_t)info.st_blocks * 512;
}

/* One value after the other goes through the same file, both ways. */
static void test_lane_file_is_used_again(void **state)
{
    struct stage *stage = *state;
    for (char mark = 'a'; mark != 'f'; mark++) {
        assert_ok(give(stage, &stage->agent, mark, LEN));
        assert_ok(take(stage, &stage->executor, mark));
        assert_ok(give(stage, &stage->executor, mark, LEN));
        assert_ok(take(stage, &stage->agent, mark));
    }
    assert_int_equal(stage->agent.sent[1].fd, -1);
    assert_int_equal(stage->executor.sent[1].fd, -1);
    char byte; /* and nothing but the two files went through the socket */
    assert_int_equal(recv(stage->agent.values_fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(recv(stage->executor.values_fd, &byte, 1, MSG_DONTWAIT), -1);
}

/* An executor reads in place, and the bytes stay until it is done with them. */
static void test_lane_borrowed_value_stays_until_it_is_released(void **state)
{
    struct stage *stage = *state;
    struct drv_view rest;
    struct drv_view first;
    struct drv_view second;
    struct drv_view type;
    assert_ok(give(stage, &stage->agent, 'a', LEN));
    struct record_value slot = next_slot(stage, &stage->executor, &rest);
    assert_int_equal(slot.form, RECORD_KEPT);
    assert_ok(lane_borrow_value(&stage->executor, &slot, &rest, &first, &type));
    assert_ok(give(stage, &stage->agent, 'b', LEN));
    assert_ok(take(stage, &stage->executor, 'b')); /* the other file, and it is free again */
    assert_int_equal(first.bytes[0], 'a');
    assert_int_equal(first.bytes[LEN], '\0');
    lane_release(&stage->executor, slot.file);
    assert_ok(give(stage, &stage->agent, 'c', LEN - 1));
    slot = next_slot(stage, &stage->executor, &rest);
    assert_ok(lane_borrow_value(&stage->executor, &slot, &rest, &second, &type));
    assert_ptr_equal(second.bytes, first.bytes);
    assert_int_equal(second.bytes[0], 'c');
    assert_int_equal(second.bytes[LEN - 1], '\0'); /* a NUL behind every value */
}

/* An executor that releases nothing stops nobody: values go in files of their own. */
static void test_lane_files_that_are_never_released_do_not_stop_the_agent(void **state)
{
    struct stage *stage = *state;
    struct drv_view rest;
    struct drv_view bytes;
    struct drv_view type;
    for (size_t i = 0; i < LANE_FILES; i++) {
        assert_ok(give(stage, &stage->agent, 'a', LEN));
        struct record_value slot = next_slot(stage, &stage->executor, &rest);
        assert_ok(lane_borrow_value(&stage->executor, &slot, &rest, &bytes, &type));
    }
    for (char mark = 'a'; mark != 'k'; mark++) {
        assert_ok(give(stage, &stage->agent, mark, LEN));
        assert_ok(take(stage, &stage->executor, mark));
    }
    (void)lane_trim(&stage->agent); /* takes nothing away that is used */
    assert_int_equal(bytes.bytes[0], 'a');
    /* Words that nobody should write do not help it either. */
    for (size_t i = 0; i < LANE_FILES; i++) {
        atomic_store(&stage->executor.shared->files[0][i], LANE_FILE_TRIMMED + (uint32_t)i);
    }
    assert_ok(give(stage, &stage->agent, 'z', LEN));
    assert_ok(take(stage, &stage->executor, 'z'));
}

/* What a record says of a file is checked: its number, its length, and that it is there. */
static void test_lane_record_that_names_a_wrong_file_is_refused(void **state)
{
    struct stage *stage = *state;
    const struct record_value wrong[] = {
        {.form = RECORD_KEPT, .file = 0, .len = LEN}, /* never passed */
        {.form = RECORD_KEPT, .file = LANE_FILES, .len = LEN},
        {.form = RECORD_KEPT, .file = UINT16_MAX, .len = LEN},
        {.form = RECORD_FILE, .len = LEN},
        {.form = RECORD_KEPT + 1, .len = LEN},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        forge(stage, &wrong[i]);
        assert_int_equal(take(stage, &stage->agent, 'v'), DROVER_MALFORMED);
    }
    const struct record_value long_one = {.form = RECORD_KEPT,
                                          .len = (uint64_t)POOL_VALUE_MAX + 1};
    forge(stage, &long_one);
    assert_int_equal(take(stage, &stage->agent, 'v'), DROVER_TOO_BIG);
}

static void pass(struct stage *stage, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    char byte = 'f';
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    assert_int_equal(sendmsg(stage->executor.values_fd, &message, 0), 1);
}

/* A file that could become shorter, is too short, or is no memory file is not taken. */
static void test_lane_file_that_is_not_sealed_is_refused(void **state)
{
    struct stage *stage = *state;
    const struct record_value slot = {.form = RECORD_KEPT, .len = LEN};
    int fds[2];
    int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int small = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(loose, (off_t)POOL_VALUE_MAX + 4096), 0);
    assert_int_equal(fcntl(small, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    const int all[] = {loose, small, fds[0], fds[1]};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        pass(stage, all[i]);
        forge(stage, &slot);
        assert_int_equal(take(stage, &stage->agent, 'v'), DROVER_MALFORMED);
        assert_int_equal(stage->agent.taken[0].fd, -1);
        (void)close(all[i]);
    }
}

/* Sends LEN bytes with a mark at both ends, in pieces of their own. */
static void give_pieces(struct stage *stage, uint8_t mark)
{
    struct drv_data *data = NULL;
    struct record_shared head = {.kind = RECORD_SHARED};
    stage->value->bytes[0] = mark;
    assert_ok(drv_pieces_new(&data));
    assert_ok(drv_pieces_copy(data, drv_view_of(stage->value->bytes, LEN / 3)));
    assert_ok(drv_pieces_copy(data, drv_view_of(stage->value->bytes + LEN / 3, 1)));
    assert_ok(drv_pieces_copy(
        data, drv_view_of(stage->value->bytes + LEN / 3 + 1, LEN - LEN / 3 - 1)));
    const struct lane_value value = {.bytes = drv_pieces_view(data), .pieces = data};
    assert_int_equal(value.bytes.len, LEN);
    const struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .slot = &head.value, .value = &value};
    assert_ok(lane_send(&stage->agent, &record));
    drv_data_unref(&data);
}

/* A value in pieces is one piece for the executor: in a file that is new, in one that is used
 * again, in one of its own, and where the agent may touch no file. */
static void test_lane_value_in_pieces_arrives_whole(void **state)
{
    struct stage *stage = *state;
    for (int round = 0; round < 2; round++) {
        struct drv_view rest;
        struct drv_view type;
        struct drv_view bytes[LANE_FILES];
        struct record_value slots[LANE_FILES];
        stage->agent.may_map = round == 0;
        for (uint8_t mark = 'a'; mark != 'd'; mark++) {
            give_pieces(stage, mark);
            assert_ok(take(stage, &stage->executor, (char)mark));
        }
        for (size_t i = 0; i < LANE_FILES; i++) {
            give_pieces(stage, 'e');
            slots[i] = next_slot(stage, &stage->executor, &rest);
            assert_ok(lane_borrow_value(&stage->executor, &slots[i], &rest, &bytes[i], &type));
            assert_memory_equal(bytes[i].bytes, stage->value->bytes, LEN);
            assert_int_equal(bytes[i].bytes[LEN], '\0');
        }
        give_pieces(stage, 'f');
        assert_ok(take(stage, &stage->executor, 'f'));
        for (size_t i = 0; i < LANE_FILES; i++) {
            lane_release(&stage->executor, slots[i].file);
        }
    }
}

/* Gives a value from the executor, and the agent's copy of it. */
static struct drv_data *report(struct stage *stage, char mark)
{
    struct drv_view rest;
    struct drv_view type;
    struct drv_data *data = NULL;
    assert_ok(give(stage, &stage->executor, mark, LEN));
    struct record_value slot = next_slot(stage, &stage->agent, &rest);
    assert_int_equal(slot.form, RECORD_KEPT);
    assert_ok(lane_take_value(&stage->agent, &slot, false, &rest, &data, &type));
    assert_int_equal(data->len, LEN);
    return data;
}

/* An executor can write into a file of its own as long as it likes: what it has reported does
 * not change. */
static void test_lane_reported_value_does_not_change_any_more(void **state)
{
    struct stage *stage = *state;
    for (int round = 0; round < 2; round++) {
        stage->agent.may_map = round == 0;
        struct drv_data *data = report(stage, 'a');
        void *map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
                         stage->executor.sent[0].fd, 0);
        assert_ptr_not_equal(map, MAP_FAILED);
        memset(map, 'X', LEN);
        assert_int_equal(data->bytes[0], 'a');
        assert_int_equal(data->bytes[LEN - 1], 'v');
        assert_int_equal(munmap(map, LEN), 0);
        drv_data_unref(&data);
    }
}

/* It can take the pages out of any file that it has, between two steps of the agent: those are
 * zeros then, for itself, and nobody gets a signal. Shorter it can make none. */
static void test_lane_pages_that_an_executor_takes_out_are_zeros(void **state)
{
    struct stage *stage = *state;
    struct drv_data *data = report(stage, 'a'); /* the agent has it mapped by now */
    drv_data_unref(&data);
    assert_ok(give(stage, &stage->agent, 'a', LEN));
    assert_ok(take(stage, &stage->executor, 'a'));
    for (int round = 0; round < 4; round++) {
        struct drv_view rest;
        struct drv_view type;
        int up = stage->executor.sent[0].fd;
        int down = stage->executor.taken[0].fd;
        stage->agent.may_map = round < 2;
        assert_ok(give(stage, &stage->executor, 'b', LEN));
        const int fds[] = {up, down};
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(ftruncate(fds[i], 0), -1);
            assert_int_equal(fallocate(fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                                       (off_t)POOL_VALUE_MAX),
                             0);
        }
        struct record_value slot = next_slot(stage, &stage->agent, &rest);
        assert_ok(lane_take_value(&stage->agent, &slot, false, &rest, &data, &type));
        assert_int_equal(data->bytes[0], 0);
        assert_int_equal(data->bytes[LEN - 1], 0);
        drv_data_unref(&data);
        assert_ok(give(stage, &stage->agent, 'c', LEN)); /* and its own writing goes on */
        assert_ok(take(stage, &stage->executor, 'c'));
    }
    (void)lane_trim(&stage->agent);
    (void)lane_trim(&stage->agent);
    assert_int_equal(memory_of(stage->agent.taken[0].fd), 0); /* what the agent got goes back */
}

/* Where memory is promised strictly, the agent touches no file. */
static void test_lane_that_may_not_map_reads_and_writes_by_calls(void **state)
{
    struct stage *stage = *state;
    stage->agent.may_map = false;
    for (char mark = 'a'; mark != 'e'; mark++) {
        assert_ok(give(stage, &stage->agent, mark, LEN));
        assert_ok(take(stage, &stage->executor, mark));
        assert_ok(give(stage, &stage->executor, mark, LEN));
        assert_ok(take(stage, &stage->agent, mark));
    }
    assert_null(stage->agent.sent[0].map);
    assert_null(stage->agent.taken[0].map);
    stage->agent.may_map = true;
    assert_ok(give(stage, &stage->executor, 'e', LEN));
    assert_ok(take(stage, &stage->agent, 'e'));
    assert_non_null(stage->agent.taken[0].map);
}

/* Every length around a page and around the largest that a record holds, both ways, the NUL
 * behind it included. */
static void test_lane_values_around_pages_arrive_whole(void **state)
{
    static const size_t lens[] = {0,     1,     32767, 32768, 32769, 36863,
                                  36864, 36865, 65535, 65536, 65537};
    struct stage *stage = *state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct lane *const ends[][2] = {{&stage->agent, &stage->executor},
                                        {&stage->executor, &stage->agent}};
        for (size_t j = 0; j < 2; j++) {
            struct drv_view rest;
            struct drv_view type;
            struct drv_data *data = NULL;
            assert_ok(give(stage, ends[j][0], 'm', lens[i]));
            struct record_value slot = next_slot(stage, ends[j][1], &rest);
            assert_int_equal(slot.form,
                             lens[i] > RECORD_INLINE_MAX ? RECORD_KEPT : RECORD_INLINE);
            assert_ok(lane_take_value(ends[j][1], &slot, false, &rest, &data, &type));
            assert_int_equal(data->len, lens[i]);
            assert_memory_equal(data->bytes, stage->value->bytes, lens[i]);
            drv_data_unref(&data);
        }
    }
}

/* The agent gives back what was not used of any file since it last looked; then it goes on. */
static void test_lane_idle_memory_goes_back(void **state)
{
    struct stage *stage = *state;
    assert_ok(give(stage, &stage->agent, 'a', LEN));
    assert_ok(take(stage, &stage->executor, 'a'));
    assert_ok(give(stage, &stage->executor, 'a', LEN));
    assert_ok(take(stage, &stage->agent, 'a'));
    assert_true(memory_of(stage->agent.sent[0].fd) >= LEN);
    assert_true(memory_of(stage->agent.taken[0].fd) >= LEN);
    assert_true(lane_trim(&stage->agent)); /* it was used just now */
    assert_true(memory_of(stage->agent.sent[0].fd) >= LEN);
    assert_false(lane_trim(&stage->agent));
    assert_int_equal(memory_of(stage->agent.sent[0].fd), 0);
    assert_int_equal(memory_of(stage->agent.taken[0].fd), 0);
    assert_ok(give(stage, &stage->agent, 'b', LEN));
    assert_ok(take(stage, &stage->executor, 'b'));
    assert_ok(give(stage, &stage->executor, 'b', LEN));
    assert_ok(take(stage, &stage->agent, 'b'));
    assert_int_equal(stage->agent.sent[1].fd, -1);
}

/* A seat whose lane was never opened is closed as any other, and closes nobody's descriptor. */
static void test_lane_that_was_never_opened_closes_nothing(void **state)
{
    struct lane lane = {.wake_fd = -1, .call_fd = -1, .values_fd = -1};
    int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (kept < 0) { /* there was none */
        kept = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    lane_close(&lane);
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
    (void)close(kept);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, stage_open, stage_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lane_file_is_used_again),
        TEST(test_lane_borrowed_value_stays_until_it_is_released),
        TEST(test_lane_files_that_are_never_released_do_not_stop_the_agent),
        TEST(test_lane_record_that_names_a_wrong_file_is_refused),
        TEST(test_lane_file_that_is_not_sealed_is_refused),
        TEST(test_lane_value_in_pieces_arrives_whole),
        TEST(test_lane_reported_value_does_not_change_any_more),
        TEST(test_lane_pages_that_an_executor_takes_out_are_zeros),
        TEST(test_lane_that_may_not_map_reads_and_writes_by_calls),
        TEST(test_lane_values_around_pages_arrive_whole),
        TEST(test_lane_idle_memory_goes_back),
        TEST(test_lane_that_was_never_opened_closes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
