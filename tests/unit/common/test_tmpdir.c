/*
 * Temporary directories and their removal.
 */
#include "tmpdir.h"

#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_file(int directory, const char *name)
{
    int fd = openat(directory, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

/* A directory is new, private, and named by its prefix. */
static void test_tmpdir_new_is_private(void **state)
{
    char path[DRV_TMPDIR_PATH_MAX];
    char other[DRV_TMPDIR_PATH_MAX];
    struct stat info;
    assert_ok(drv_tmpdir_new("/tmp", "drover-test-", path));
    assert_ok(drv_tmpdir_new("/tmp", "drover-test-", other));
    assert_string_not_equal(path, other);
    assert_int_equal(strncmp(path, "/tmp/drover-test-", 17), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_ok(drv_tmpdir_remove(path));
    assert_ok(drv_tmpdir_remove(other));
    assert_int_equal(drv_tmpdir_new("/nonexistent", "x", path), DROVER_IO);
}

/* Trees of any depth go, names that are used for moving included, without following links. */
static void test_tmpdir_remove_deep_tree(void **state)
{
    enum { DEPTH = 200 }; /* deeper than a path may be long */
    static const char DEEPER[] = "a-name-that-makes-the-path-longer-than-it-may-be";
    char path[DRV_TMPDIR_PATH_MAX];
    char outside[DRV_TMPDIR_PATH_MAX];
    assert_ok(drv_tmpdir_new("/tmp", "drover-test-", outside));
    assert_ok(drv_tmpdir_new("/tmp", "drover-test-", path));
    int kept = open(outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(kept >= 0);
    make_file(kept, "kept");
    int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < DEPTH; i++) {
        assert_true(at >= 0);
        make_file(at, "file");
        assert_int_equal(symlinkat(outside, at, "link"), 0);
        assert_int_equal(mkdirat(at, ".drover-0", 0700), 0);
        assert_int_equal(mkdirat(at, DEEPER, 0700), 0);
        int next = openat(at, DEEPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)close(at);
        at = next;
    }
    (void)fchmod(at, 0);
    (void)close(at);
    assert_ok(drv_tmpdir_remove(path));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(faccessat(kept, "kept", F_OK, 0), 0);
    (void)close(kept);
    assert_ok(drv_tmpdir_remove(outside));
    assert_ok(drv_tmpdir_remove(outside)); /* what is not there needs no removal */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_tmpdir_new_is_private),
    cmocka_unit_test(test_tmpdir_remove_deep_tree),
};

TEST_MAIN(tests)
