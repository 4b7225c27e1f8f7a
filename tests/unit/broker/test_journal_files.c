/* store/journal/files.h: the operating system's files when there are no descriptors left. */
#include "files.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The first descriptor that is free. */
static int free_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(fd);
    return fd;
}

/* Who has taken all descriptors keeps the journal from nothing, and the limit stays. */
static void test_files_open_when_all_descriptors_are_taken(void **state)
{
    (void)state;
    char base[] = "/tmp/drover-files-XXXXXX";
    struct rlimit before, after;
    struct files_dir *dir = NULL;
    struct files_file *file = NULL;
    assert_non_null(mkdtemp(base));
    assert_int_equal(files_real.open_dir(NULL, base, false, &dir), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit full = {.rlim_cur = (rlim_t)free_descriptor(), .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
    assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
    assert_int_equal(errno, EMFILE);
    int error = files_real.open(dir, "segment", FILES_CREATE, &file);
    int missing = files_real.open(dir, "nothing", FILES_READ, &file);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(error, 0);
    assert_int_equal(missing, ENOENT);
    assert_int_equal(after.rlim_cur, full.rlim_cur);
    files_real.close(file);
    assert_int_equal(files_real.unlink(dir, "segment"), 0);
    files_real.close_dir(dir);
    assert_int_equal(rmdir(base), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_open_when_all_descriptors_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
