#include "confine.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPU_GRACE_S = 5 };

/* What kernels later than the headers of Debian 12 tell apart. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
enum { ABI_REFER = 2, ABI_TRUNCATE = 3 };

#define RIGHTS_READ \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_FILE                                              \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | \
     LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define RIGHTS_FIRST                                                         \
    (LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1) /* all that the first version knew \
                                           */

static const char *const HARMLESS_DEVICES[] = {"/dev/null", "/dev/zero", "/dev/full",
                                               "/dev/random", "/dev/urandom"};

bool confine_has_paths(const struct confine *confine)
{
    return confine->read_count + confine->write_count > 0;
}

bool confine_is_set(const struct confine *confine)
{
    return confine_has_paths(confine) || confine->memory_max > 0 || confine->cpu_s_max > 0 ||
           confine->files_max > 0 || confine->file_size_max > 0 ||
           confine->profile != PROFILE_NONE || confine->user != NULL;
}

static int landlock_version(void)
{
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool confine_can_paths(void)
{
    return landlock_version() > 0;
}

/* ---- paths ------------------------------------------------------------------------------- */

/* Every right that this kernel knows. */
static uint64_t all_rights(int version)
{
    uint64_t rights = RIGHTS_FIRST;
    if (version >= ABI_REFER) {
        rights |= LANDLOCK_ACCESS_FS_REFER;
    }
    if (version >= ABI_TRUNCATE) {
        rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
    }
    return rights;
}

static bool allow(int ruleset, const char *path, uint64_t rights)
{
    struct stat about;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool done = false;
    if (fstat(fd, &about) == 0) {
        struct landlock_path_beneath_attr rule = {
            .allowed_access = S_ISDIR(about.st_mode) ? rights : rights & RIGHTS_FILE,
            .parent_fd = fd};
        done = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) ==
               0;
    }
    int why = errno;
    (void)close(fd);
    errno = why;
    return done;
}

static bool allow_devices(int ruleset, uint64_t rights)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(HARMLESS_DEVICES); i++) {
        if (!allow(ruleset, HARMLESS_DEVICES[i], rights & RIGHTS_FILE) && errno != ENOENT) {
            return false;
        }
    }
    return true;
}

static bool allow_all(int ruleset, const struct confine *confine, const char *scratch,
                      uint64_t rights)
{
    bool done = allow_devices(ruleset, rights) &&
                (scratch == NULL || allow(ruleset, scratch, rights));
    for (size_t i = 0; done && i < confine->read_count; i++) {
        done = allow(ruleset, confine->read[i], RIGHTS_READ);
    }
    for (size_t i = 0; done && i < confine->write_count; i++) {
        done = allow(ruleset, confine->write[i], rights);
    }
    return done;
}

static bool keep_to_paths(const struct confine *confine, const char *scratch)
{
    int version = landlock_version();
    if (version <= 0) {
        errno = ENOSYS;
        return false;
    }
    struct landlock_ruleset_attr attr = {.handled_access_fs = all_rights(version)};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0) {
        return false;
    }
    bool done = allow_all(ruleset, confine, scratch, attr.handled_access_fs) &&
                syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    int why = errno;
    (void)close(ruleset);
    errno = why;
    return done;
}

/* ---- limits ------------------------------------------------------------------------------ */

static bool limit(__rlimit_resource_t resource, uint64_t soft, uint64_t hard)
{
    struct rlimit now;
    if (soft == 0) {
        return true;
    }
    if (getrlimit(resource, &now) != 0) {
        return false;
    }
    now.rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
    now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
    return setrlimit(resource, &now) == 0;
}

/* ---- identity ----------------------------------------------------------------------------
 */

static bool become(const struct confine *confine, pid_t parent)
{
    if (confine->user == NULL) {
        return true;
    }
    if (setgroups(0, NULL) != 0 || setresgid(confine->gid, confine->gid, confine->gid) != 0 ||
        setresuid(confine->uid, confine->uid, confine->uid) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return false;
    }
    if (getppid() != parent) {
        errno = ESRCH;
        return false;
    }
    return true;
}

bool confine_enter(const struct confine *confine, const char *scratch, pid_t parent)
{
    uint64_t cpu = confine->cpu_s_max;
    return limit(RLIMIT_AS, confine->memory_max, confine->memory_max) &&
           limit(RLIMIT_CPU, cpu, cpu + CPU_GRACE_S) &&
           limit(RLIMIT_NOFILE, confine->files_max, confine->files_max) &&
           limit(RLIMIT_FSIZE, confine->file_size_max, confine->file_size_max) &&
           (!confine_has_paths(confine) || keep_to_paths(confine, scratch)) &&
           become(confine, parent) &&
           (confine->program == NULL || profile_enter(confine->program));
}
