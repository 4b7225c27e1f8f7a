/* Disks: which mounts are some, how full they are, and what becomes of one that never answers.
 */
#include "stat_fixture.h"

#include "clock.h"
#include "stat/diskwatch.h"
#include "stat/rate.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>

/* ---- file systems of the tests --------------------------------------------------------------
 */

/* 100 blocks of 1 KiB, 40 free, 20 of them for everybody. */
static int ask_healthy(const char *path, struct statvfs *out_numbers)
{
    *out_numbers = (struct statvfs){
        .f_bsize = 4096, .f_frsize = 1024, .f_blocks = 100, .f_bfree = 40, .f_bavail = 20};
    return 0;
}

static int ask_broken(const char *path, struct statvfs *out_numbers)
{
    errno = EIO;
    return -1;
}

static int ask_never(const char *path, struct statvfs *out_numbers)
{
    fail_msg("%s must not be asked", path);
    return -1;
}

/* Answers while the gate is open, and waits for a byte while it is closed. */
static int gate[2];
static atomic_bool is_gate_open;
static atomic_int asked;

static int ask_gated(const char *path, struct statvfs *out_numbers)
{
    char byte;
    atomic_fetch_add(&asked, 1);
    while (!atomic_load(&is_gate_open) && read(gate[0], &byte, 1) < 0 && errno == EINTR) {
    }
    return ask_healthy(path, out_numbers);
}

static void make_gate(void)
{
    assert_int_equal(pipe(gate), 0);
    atomic_store(&asked, 0);
    atomic_store(&is_gate_open, false);
}

static void open_gate(void)
{
    atomic_store(&is_gate_open, true);
    assert_int_equal(write(gate[1], "x", 1), 1);
}

/* Whatever was written meanwhile is read again. */
static void close_gate(void)
{
    char bytes[16];
    struct pollfd item = {.fd = gate[0], .events = POLLIN};
    atomic_store(&is_gate_open, false);
    while (poll(&item, 1, 0) > 0) {
        assert_true(read(gate[0], bytes, sizeof bytes) > 0);
    }
}

static void read_disk(const char *root, stat_disk_ask_fn ask, struct stat_disk *out_disk)
{
    struct drv_buffer text;
    drv_buffer_init(&text);
    stat_disk_read(root, ask, &text, out_disk);
    drv_buffer_fini(&text);
}

/* ---- which ----------------------------------------------------------------------------------
 */

static const char mountinfo[] =
    "21 26 0:20 / /proc rw,relatime - proc proc rw\n"
    "23 26 0:6 / /dev rw - devtmpfs devtmpfs rw\n"
    "24 23 0:22 / /dev/shm rw - tmpfs tmpfs rw\n"
    "26 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda1 rw\n"
    "27 26 254:0 /sub /bind rw - ext4 /dev/vda1 rw\n"
    "28 26 7:1 / /snap/core ro - squashfs /dev/loop1 ro\n"
    "29 26 254:16 / /data\\040disk\\134x rw - xfs /dev/vdb rw\n"
    "30 26 0:50 / /pool rw - zfs tank/a rw\n"
    "31 26 0:60 / /home rw - nfs4 server:/home rw\n"
    "32 26 0:61 / /ssh rw - fuse.sshfs me@there: rw\n"
    "33 26 0:62 / /net rw - autofs systemd-1 rw\n"
    "nonsense\n"
    "34 26 x:y / /odd rw - ext4 /dev/vdz rw\n"
    "35 26 9:9 / /cut rw\n";

/* Disks, pools and the root are asked, once each; network file systems are named. */
static void test_disk_mounts_are_chosen(void **state)
{
    struct stat_disk disk;
    put(*state, "/proc/self/mountinfo", mountinfo);
    read_disk(*state, ask_healthy, &disk);
    assert_details(
        stat_disk_write(&disk, false, &details),
        "{\"disk\":{\"mounts\":["
        "{\"path\":\"/\",\"type\":\"ext4\",\"total\":102400,\"used\":61440,"
        "\"available\":20480,\"percent\":75},"
        "{\"path\":\"/data disk\\\\x\",\"type\":\"xfs\",\"total\":102400,\"used\":61440,"
        "\"available\":20480,\"percent\":75},"
        "{\"path\":\"/pool\",\"type\":\"zfs\",\"total\":102400,\"used\":61440,"
        "\"available\":20480,\"percent\":75},"
        "{\"path\":\"/home\",\"type\":\"nfs4\",\"remote\":true},"
        "{\"path\":\"/ssh\",\"type\":\"fuse.sshfs\",\"remote\":true}],"
        "\"stale\":false,\"truncated\":false}}");
    assert_true(stat_disk_root_percent(&disk) == 75);
}

/* A network file system is never asked. */
static void test_disk_network_is_not_asked(void **state)
{
    struct stat_disk disk;
    put(*state, "/proc/self/mountinfo",
        "31 26 0:60 / /home rw - nfs4 server:/home rw\n"
        "32 26 0:61 / /c rw - cifs //server/c rw\n"
        "33 26 0:62 / /s rw - smb3 //server/c rw\n"
        "34 26 0:63 / /9 rw - 9p host rw\n");
    read_disk(*state, ask_never, &disk);
    assert_int_equal(disk.count, 4);
    assert_true(stat_disk_root_percent(&disk) == 0);
}

/* The root is, whatever it is on: there may be no other disk. */
static void test_disk_root_is_always_asked(void **state)
{
    struct stat_disk disk;
    put(*state, "/proc/self/mountinfo",
        "1 1 0:1 / / rw - rootfs rootfs rw\n"
        "31 26 0:60 / / rw - overlay overlay rw\n");
    read_disk(*state, ask_healthy, &disk);
    assert_int_equal(disk.count, 1);
    assert_true(stat_disk_root_percent(&disk) == 75);
}

/* A disk that gives an error has no numbers. */
static void test_disk_that_fails_has_no_numbers(void **state)
{
    struct stat_disk disk;
    put(*state, "/proc/self/mountinfo", "26 1 254:0 / / rw - ext4 /dev/vda1 rw\n");
    read_disk(*state, ask_broken, &disk);
    assert_details(stat_disk_write(&disk, true, &details),
                   "{\"disk\":{\"mounts\":[{\"path\":\"/\",\"type\":\"ext4\"}],\"stale\":true,"
                   "\"truncated\":false}}");
    assert_true(stat_disk_root_percent(&disk) == 0);
}

/* Before the first answer the group is there, and says that it is not. */
static void test_disk_before_the_first_answer(void **state)
{
    assert_details(stat_disk_write(NULL, true, &details),
                   "{\"disk\":{\"mounts\":[],\"stale\":true,\"truncated\":false}}");
}

/* Their number is bounded, and it is told when there are more. */
static void test_disk_mounts_are_bounded(void **state)
{
    struct stat_disk *disk = calloc(1, sizeof *disk);
    char *text = calloc(1, 100 * 80);
    size_t len = 0;
    assert_true(disk != NULL && text != NULL);
    for (int i = 0; i < 100; i++) {
        len += (size_t)snprintf(text + len, 80, "9 9 8:%d / /d%d rw - ext4 /dev/d%d rw\n", i, i,
                                i);
    }
    put(*state, "/proc/self/mountinfo", text);
    read_disk(*state, ask_healthy, disk);
    assert_int_equal(disk->count, STAT_MOUNTS_MAX);
    assert_int_equal(disk->more, 100 - STAT_MOUNTS_MAX);
    free(text);
    free(disk);
}

/* The real ones: the root of this host is there and in use. */
static void test_disk_of_this_host(void **state)
{
    struct stat_disk disk;
    read_disk("", statvfs, &disk);
    assert_true(disk.count >= 1);
    double percent = stat_disk_root_percent(&disk);
    assert_true(percent > 0 && percent <= 100);
}

/* ---- in a thread ----------------------------------------------------------------------------
 */

static const struct stat_disk *until_fresh(struct stat_diskwatch *watch)
{
    bool is_stale = true;
    const struct stat_disk *disk = NULL;
    uint64_t deadline_ms = drv_clock_now_ms() + (uint64_t)test_deadline_ms(20000);
    while (is_stale) {
        assert_true(drv_clock_now_ms() < deadline_ms);
        disk = stat_diskwatch_ask(watch, &is_stale);
    }
    return disk;
}

/* A question is answered, and so is the next. */
static void test_diskwatch_answers(void **state)
{
    struct stat_diskwatch *watch = NULL;
    put(*state, "/proc/self/mountinfo", mountinfo);
    assert_ok(stat_diskwatch_new(*state, ask_healthy, &watch));
    assert_true(stat_disk_root_percent(until_fresh(watch)) == 75);
    put(*state, "/proc/self/mountinfo", "");
    while (until_fresh(watch)->count > 0) {
    }
    stat_diskwatch_destroy(&watch);
    assert_null(watch);
}

/* A file system that hangs: the last numbers stay, and say that they are old; only one thread
 * waits for it; when it answers they are fresh again. */
static void test_diskwatch_survives_a_hang(void **state)
{
    struct stat_diskwatch *watch = NULL;
    bool is_stale = false;
    make_gate();
    put(*state, "/proc/self/mountinfo", "26 1 254:0 / / rw - ext4 /dev/vda1 rw\n");
    assert_ok(stat_diskwatch_new(*state, ask_gated, &watch));
    assert_null(stat_diskwatch_ask(watch, &is_stale));
    assert_true(is_stale);
    open_gate();
    assert_true(stat_disk_root_percent(until_fresh(watch)) == 75);
    close_gate();
    int before = atomic_load(&asked);
    for (int i = 0; i < 3; i++) {
        const struct stat_disk *disk = stat_diskwatch_ask(watch, &is_stale);
        assert_true(is_stale);
        assert_non_null(disk);
    }
    assert_int_equal(atomic_load(&asked), before + 1);
    open_gate();
    assert_non_null(until_fresh(watch));
    stat_diskwatch_destroy(&watch);
}

/* The end does not wait for a file system that hangs. */
static void test_diskwatch_ends_while_a_disk_hangs(void **state)
{
    struct stat_diskwatch *watch = NULL;
    bool is_stale = false;
    make_gate();
    put(*state, "/proc/self/mountinfo", "26 1 254:0 / / rw - ext4 /dev/vda1 rw\n");
    assert_ok(stat_diskwatch_new(*state, ask_gated, &watch));
    assert_null(stat_diskwatch_ask(watch, &is_stale));
    stat_diskwatch_destroy(&watch);
    assert_null(watch);
    open_gate(); /* the thread ends by itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TREE(test_disk_mounts_are_chosen),
        WITH_TREE(test_disk_network_is_not_asked),
        WITH_TREE(test_disk_root_is_always_asked),
        WITH_TREE(test_disk_that_fails_has_no_numbers),
        cmocka_unit_test(test_disk_before_the_first_answer),
        WITH_TREE(test_disk_mounts_are_bounded),
        cmocka_unit_test(test_disk_of_this_host),
        WITH_TREE(test_diskwatch_answers),
        WITH_TREE(test_diskwatch_survives_a_hang),
        WITH_TREE(test_diskwatch_ends_while_a_disk_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
