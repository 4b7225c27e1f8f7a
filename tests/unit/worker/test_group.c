/*
 * Control groups: found, taken and given back in a folder that plays cgroupfs; and as far as
 * the machine has them, real ones.
 *
 * Here mkdir and rmdir do below the folder what the kernel does: a new group has its files, and
 * one with processes cannot be removed before they were ended. "0" in a list of processes is
 * this process.
 */
#include "stat_fixture.h"

#include "group.h"
#include "stat/text.h"

#include "group_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OWN "/sys/fs/cgroup/system.slice/drover-worker.service"
enum { SELF = 4321 };

static char fake[512];            /* the folder; "": none */
static bool has_memory_oom_group; /* of the groups that are made in it */

static bool is_fake(const char *path)
{
    return fake[0] != '\0' && strncmp(path, fake, strlen(fake)) == 0;
}

static void get(const char *path, char *text, size_t size)
{
    assert_ok(stat_text_read("", path, text, size));
    text[strcspn(text, "\n")] = '\0';
}

/* The value of a file of the fake tree. */
static const char *value(const char *root, const char *path)
{
    static char text[256];
    char name[768];
    (void)snprintf(name, sizeof name, "%s%s", root, path);
    get(name, text, sizeof text);
    return text;
}

static bool exists(const char *root, const char *path)
{
    char name[768];
    (void)snprintf(name, sizeof name, "%s%s", root, path);
    return access(name, F_OK) == 0;
}

int mkdir(const char *path, mode_t mode)
{
    static const char *const files[][2] = {
        {"cgroup.procs", ""},           {"cgroup.kill", ""},
        {"cpu.stat", "usage_usec 0\n"}, {"memory.max", "max\n"},
        {"memory.swap.max", "max\n"},   {"memory.events", "oom_kill 0\n"},
        {"pids.max", "max\n"},          {"memory.oom.group", "0\n"}};
    int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    const char *name = strrchr(path, '/');
    if (result == 0 && is_fake(path) && strncmp(name, "/drover-", 8) == 0) {
        size_t count = sizeof files / sizeof *files - (has_memory_oom_group ? 0 : 1);
        for (size_t i = 0; i < count; i++) {
            char file[64];
            (void)snprintf(file, sizeof file, "/%s", files[i][0]);
            put(path, file, files[i][1]);
        }
    }
    return result;
}

int rmdir(const char *path)
{
    if (is_fake(path) && exists(path, "/cgroup.procs")) {
        bool is_killed = strcmp(value(path, "/cgroup.kill"), "1") == 0;
        bool is_left = strcmp(value(path, "/../cgroup.procs"), "0") == 0;
        const char *inside = value(path, "/cgroup.procs");
        if (*inside != '\0' && !is_killed && !(is_left && strcmp(inside, "0") == 0)) {
            errno = EBUSY;
            return -1;
        }
        take_away(path, "");
        return 0;
    }
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/* ---- a folder that plays it -----------------------------------------------------------------
 */

static void make_fake(const char *root)
{
    (void)snprintf(fake, sizeof fake, "%s", root);
    has_memory_oom_group = true;
    put(root, "/proc/self/cgroup", "0::/system.slice/drover-worker.service\n");
    put(root, OWN "/cgroup.type", "domain\n");
    put(root, OWN "/cgroup.controllers", "cpu io memory pids\n");
    put(root, OWN "/cgroup.procs", "4321\n");
    put(root, OWN "/cgroup.subtree_control", "");
}

static int clear_fake(void **state)
{
    fake[0] = '\0';
    return remove_tree(state);
}

static void expect_none(const char *root, const char *reason)
{
    struct group_tree tree;
    struct drv_problem why = {""};
    assert_int_equal(group_tree_open(&tree, root, SELF, &why), DROVER_UNSUPPORTED);
    if (strstr(why.text, reason) == NULL) {
        fail_msg("'%s' does not say '%s'", why.text, reason);
    }
    assert_string_equal(tree.dir, "");
}

/* Whatever is missing is named, and nothing is left changed. */
static void test_what_is_missing_is_named(void **state)
{
    const char *root = *state;
    expect_none(root, "no control groups of version 2");
    make_fake(root);
    put(root, "/proc/self/cgroup", "5:memory:/a\n4:pids:/b\n");
    expect_none(root, "no control groups of version 2");
    put(root, "/proc/self/cgroup", "0::/elsewhere\n");
    expect_none(root, "not to be seen");
    make_fake(root);
    put(root, OWN "/cgroup.controllers", "cpu io pids\n");
    expect_none(root, "no controller memory");
    put(root, OWN "/cgroup.controllers", "hugetlb\n");
    expect_none(root, "no controller memory, pids");
    make_fake(root);
    put(root, OWN "/cgroup.procs", "4321\n17\n");
    expect_none(root, "other processes in it (17)");
    make_fake(root);
    take_away(root, OWN "/cgroup.type");
    expect_none(root, "root of all");
    make_fake(root);
    assert_false(exists(root, OWN "/" GROUP_AGENT));
}

/* A group that its user may not change is not divided. */
static void test_what_is_not_writable_is_left(void **state)
{
    const char *root = *state;
    make_fake(root);
    take_away(root, OWN "/cgroup.subtree_control");
    expect_none(root, "Delegate=yes");
    assert_false(exists(root, OWN "/" GROUP_AGENT));
}

/* A kernel whose groups lack a file: all is put back. */
static void test_what_lacks_a_file_is_given_back(void **state)
{
    const char *root = *state;
    make_fake(root);
    has_memory_oom_group = false;
    expect_none(root, "lack something");
    assert_string_equal(value(root, OWN "/cgroup.subtree_control"), "-memory -pids");
    assert_string_equal(value(root, OWN "/cgroup.procs"), "0");
    assert_false(exists(root, OWN "/" GROUP_AGENT));
    assert_false(exists(root, OWN "/drover-0"));
}

/* Taken: the agent is in a leaf, the controllers are handed down. Given back: as before. */
static void test_a_tree_is_taken_and_given_back(void **state)
{
    const char *root = *state;
    struct group_tree tree;
    struct drv_problem why = {""};
    make_fake(root);
    assert_ok(group_tree_open(&tree, root, SELF, &why));
    assert_string_equal(value(root, OWN "/" GROUP_AGENT "/cgroup.procs"), "0");
    assert_string_equal(value(root, OWN "/cgroup.subtree_control"), "+memory +pids");
    assert_false(exists(root, OWN "/drover-0"));
    assert_true(group_make(tree.dir, 7));
    put(root, OWN "/drover-7/cgroup.procs", "99\n");
    group_tree_close(&tree);
    assert_string_equal(tree.dir, "");
    assert_false(exists(root, OWN "/drover-7"));
    assert_false(exists(root, OWN "/" GROUP_AGENT));
    assert_string_equal(value(root, OWN "/cgroup.subtree_control"), "-memory -pids");
    assert_string_equal(value(root, OWN "/cgroup.procs"), "0");
}

/* What an earlier life has left is ended and removed; what is not ours is let alone. */
static void test_remains_are_cleared_away(void **state)
{
    const char *root = *state;
    struct group_tree tree;
    struct drv_problem why = {""};
    char path[768];
    make_fake(root);
    (void)snprintf(path, sizeof path, "%s%s/drover-12", root, OWN);
    assert_int_equal(mkdir(path, 0700), 0);
    put(path, "/cgroup.procs", "1717\n");
    put(root, OWN "/drover-of-others/cgroup.procs", "1718\n");
    put(root, OWN "/other/cgroup.procs", "1719\n");
    assert_ok(group_tree_open(&tree, root, SELF, &why));
    assert_false(exists(root, OWN "/drover-12"));
    assert_true(exists(root, OWN "/drover-of-others"));
    assert_true(exists(root, OWN "/other"));
    group_tree_close(&tree);
    assert_true(exists(root, OWN "/other"));
}

/* A leaf in which somebody lives is another worker's. */
static void test_another_workers_leaf_is_left(void **state)
{
    const char *root = *state;
    char path[768];
    make_fake(root);
    (void)snprintf(path, sizeof path, "%s%s/" GROUP_AGENT, root, OWN);
    assert_int_equal(mkdir(path, 0700), 0);
    put(path, "/cgroup.procs", "1717\n");
    expect_none(root, "no leaf");
    assert_string_equal(value(path, "/cgroup.procs"), "1717");
}

/* The second place where the hierarchy may be mounted. */
static void test_a_mixed_hierarchy_is_found(void **state)
{
    const char *root = *state;
    char expected[600];
    struct group_tree tree;
    struct drv_problem why = {""};
    make_fake(root);
    put(root, "/proc/self/cgroup", "4:pids:/x\n0::/u\n");
    put(root, "/sys/fs/cgroup/unified/u/cgroup.type", "domain\n");
    put(root, "/sys/fs/cgroup/unified/u/cgroup.controllers", "pids memory\n");
    put(root, "/sys/fs/cgroup/unified/u/cgroup.procs", "4321\n");
    put(root, "/sys/fs/cgroup/unified/u/cgroup.subtree_control", "");
    assert_ok(group_tree_open(&tree, root, SELF, &why));
    (void)snprintf(expected, sizeof expected, "%s/sys/fs/cgroup/unified/u", root);
    assert_string_equal(tree.dir, expected);
    group_tree_close(&tree);
}

/* Limits are written where they are set, and only there. */
static void test_limits_are_written(void **state)
{
    const char *root = *state;
    char dir[600];
    make_fake(root);
    (void)snprintf(dir, sizeof dir, "%s%s", root, OWN);
    assert_true(group_make(dir, 3));
    assert_true(group_limit(dir, 3, &(struct drv_bounds){.cpu_ms = 100}));
    assert_string_equal(value(dir, "/drover-3/memory.max"), "max");
    assert_string_equal(value(dir, "/drover-3/pids.max"), "max");
    assert_true(group_limit(
        dir, 3, &(struct drv_bounds){.memory_bytes = UINT64_C(5000000000), .processes = 4}));
    assert_string_equal(value(dir, "/drover-3/memory.max"), "5000000000");
    assert_string_equal(value(dir, "/drover-3/memory.swap.max"), "0");
    assert_string_equal(value(dir, "/drover-3/memory.oom.group"), "1");
    assert_int_equal(strtol(value(dir, "/drover-3/pids.max"), NULL, 10),
                     4 * GROUP_THREADS_EACH);
    /* A machine without swap has no such file. */
    take_away(dir, "/drover-3/memory.swap.max");
    assert_true(group_limit(dir, 3, &(struct drv_bounds){.memory_bytes = 1}));
    take_away(dir, "/drover-3/memory.max");
    assert_false(group_limit(dir, 3, &(struct drv_bounds){.memory_bytes = 1}));
    assert_false(group_limit(dir, 4, &(struct drv_bounds){.memory_bytes = 1}));
}

static void test_use_is_read(void **state)
{
    const char *root = *state;
    char dir[600];
    struct group_use use;
    make_fake(root);
    (void)snprintf(dir, sizeof dir, "%s%s", root, OWN);
    assert_false(group_read(dir, 3, &use));
    assert_true(group_make(dir, 3));
    put(dir, "/drover-3/cgroup.procs", "12\n13\n14\n");
    put(dir, "/drover-3/cpu.stat", "usage_usec 700\nuser_usec 500\nsystem_usec 200\n");
    put(dir, "/drover-3/memory.events", "low 0\nmax 9\noom 2\noom_kill 5\noom_group_kill 1\n");
    assert_true(group_read(dir, 3, &use));
    assert_int_equal(use.processes, 3);
    assert_int_equal(use.cpu_us, 700);
    assert_int_equal(use.user_us, 500);
    assert_int_equal(use.system_us, 200);
    assert_int_equal(use.oom_kills, 5);
    assert_false(group_remove(dir, 3)); /* they live */
    /* One of the same number is new. */
    assert_true(group_make(dir, 3));
    assert_true(group_read(dir, 3, &use));
    assert_int_equal(use.processes + use.cpu_us + use.oom_kills, 0);
    assert_true(group_remove(dir, 3));
    assert_true(group_remove(dir, 3));
    group_kill(dir, 3);
}

/* ---- real ones ------------------------------------------------------------------------------
 */

/* What joins a group is counted there with its children, and ends with all of them at once. */
static void test_a_real_group_is_joined_and_ended(void **state)
{
    char dir[256];
    struct group_use use;
    char byte = 0;
    int lines[2];
    if (!real_group_make(dir, sizeof dir)) {
        skip();
    }
    assert_true(group_make(dir, 1));
    assert_int_equal(pipe(lines), 0);
    pid_t pid = fork();
    if (pid == 0) {
        byte = group_join(dir, 1) && fork() >= 0 ? 'y' : 'n';
        (void)setsid(); /* no group of processes holds it */
        (void)!write(lines[1], &byte, 1);
        for (;;) {
            (void)pause();
        }
    }
    assert_int_equal(read(lines[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(read(lines[0], &byte, 1), 1); /* its child is there, too */
    assert_true(group_read(dir, 1, &use));
    assert_int_equal(use.processes, 2);
    assert_false(group_remove(dir, 1));
    group_kill(dir, 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(group_make(dir, 1)); /* waits for the last of them */
    assert_true(group_read(dir, 1, &use));
    assert_int_equal(use.processes, 0);
    assert_true(group_remove(dir, 1));
    assert_int_equal(rmdir(dir), 0);
    (void)close(lines[0]);
    (void)close(lines[1]);
}

#define FAKE(test) cmocka_unit_test_setup_teardown(test, make_tree, clear_fake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE(test_what_is_missing_is_named),
        FAKE(test_what_is_not_writable_is_left),
        FAKE(test_what_lacks_a_file_is_given_back),
        FAKE(test_a_tree_is_taken_and_given_back),
        FAKE(test_remains_are_cleared_away),
        FAKE(test_another_workers_leaf_is_left),
        FAKE(test_a_mixed_hierarchy_is_found),
        FAKE(test_limits_are_written),
        FAKE(test_use_is_read),
        cmocka_unit_test(test_a_real_group_is_joined_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
