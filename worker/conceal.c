#include "conceal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ABI_REFER = 2, LISTING_SIZE = 8192 };

struct listing_entry { /* of getdents64 */
    uint64_t inode;
    int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[];
};

struct way { /* to the key */
    int ruleset;
    int folder;         /* open, on the way */
    const char *next;   /* what of it is not shown */
    bool is_last;       /* the folder of the key */
    size_t entry_count; /* so far, of all folders */
};

static bool is_key(const char *name)
{
    static const char suffix[] = ".key";
    size_t len = strlen(name);
    return len >= sizeof(suffix) - 1 && strcmp(name + len - (sizeof(suffix) - 1), suffix) == 0;
}

/* What cannot be opened or allowed stays hidden. */
static void show(const struct way *way, const char *name)
{
    struct stat about;
    int fd = openat(way->folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &about) == 0 && !S_ISLNK(about.st_mode)) {
        struct landlock_path_beneath_attr rule = {
            .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE, .parent_fd = fd};
        if (S_ISDIR(about.st_mode)) {
            rule.allowed_access |= LANDLOCK_ACCESS_FS_REFER;
        }
        (void)syscall(SYS_landlock_add_rule, way->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
                      0);
    }
    (void)close(fd);
}

static bool is_shown(const struct way *way, const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, way->next) != 0 &&
           !(way->is_last && is_key(name));
}

/* All of a folder but the next step. */
static bool show_folder(struct way *way)
{
    _Alignas(struct listing_entry) char listing[LISTING_SIZE];
    long len;
    while ((len = syscall(SYS_getdents64, way->folder, listing, sizeof(listing))) > 0) {
        for (long at = 0; at < len;) {
            const struct listing_entry *entry = (const void *)(listing + at);
            at += entry->size;
            if (++way->entry_count > CONCEAL_ENTRIES_MAX) {
                errno = E2BIG;
                return false;
            }
            if (is_shown(way, entry->name)) {
                show(way, entry->name);
            }
        }
    }
    return len == 0;
}

static bool step(struct way *way)
{
    int folder = openat(way->folder, way->next,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        return false;
    }
    (void)close(way->folder);
    way->folder = folder;
    return true;
}

/* path: absolute and resolved; its slashes are overwritten. */
static bool walk(struct way *way, char *path)
{
    for (char *name = path + 1; name != NULL;) {
        char *slash = strchr(name, '/');
        way->is_last = slash == NULL;
        way->next = name;
        if (slash != NULL) {
            *slash = '\0';
        }
        if (!show_folder(way) || (slash != NULL && !step(way))) {
            return false;
        }
        name = slash != NULL ? slash + 1 : NULL;
    }
    return true;
}

/* The rules, in a descriptor; -1 with errno. */
static int make_ruleset(char *path)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE |
                                                              LANDLOCK_ACCESS_FS_REFER};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                           LANDLOCK_CREATE_RULESET_VERSION);
    if (version < ABI_REFER) {
        errno = version < 0 ? errno : ENOSYS;
        return -1;
    }
    struct way way = {
        .ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0),
        .folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    bool done = way.ruleset >= 0 && way.folder >= 0 && walk(&way, path);
    int why = errno;
    if (way.folder >= 0) {
        (void)close(way.folder);
    }
    if (!done && way.ruleset >= 0) {
        (void)close(way.ruleset);
    }
    errno = why;
    return done ? way.ruleset : -1;
}

bool conceal_enter(const char *path)
{
    char resolved[PATH_MAX];
    if (realpath(path, resolved) == NULL) {
        return errno == ENOENT;
    }
    int ruleset = make_ruleset(resolved);
    if (ruleset < 0) {
        return false;
    }
    bool done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    int why = errno;
    (void)close(ruleset);
    errno = why;
    return done;
}

static bool is_possible(const char *path)
{
    char resolved[PATH_MAX];
    int ruleset = realpath(path, resolved) != NULL ? make_ruleset(resolved) : -1;
    if (ruleset >= 0) {
        (void)close(ruleset);
    }
    return ruleset >= 0;
}

const char *conceal_prepare(const char *path, const struct drv_log *log,
                            char out_path[PATH_MAX])
{
    if (path == NULL) {
        return NULL;
    }
    size_t len = 0;
    if (path[0] != '/') { /* commands run elsewhere */
        if (getcwd(out_path, PATH_MAX - 1) == NULL) {
            out_path[0] = '\0';
        }
        len = strlen(out_path);
        out_path[len++] = '/';
    }
    int more = snprintf(out_path + len, PATH_MAX - len, "%s", path);
    bool fits = more >= 0 && (size_t)more < PATH_MAX - len;
    errno = fits ? errno : ENAMETOOLONG;
    if (fits && is_possible(out_path)) {
        return out_path;
    }
    drv_log_warn(log, "commands can read the key of this worker", drv_log_str("identity", path),
                 drv_log_str("why", strerror(errno)));
    return NULL;
}
