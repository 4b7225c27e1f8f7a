#include "conceal.h"

#include "identity.h"

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

static const char LANDLOCK[] = "landlock";

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
    const struct concealed *key;
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
    if (fstat(fd, &about) == 0 && !S_ISLNK(about.st_mode) &&
        !(about.st_ino == way->key->inode && about.st_dev == way->key->device)) {
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

/* path: absolute; its slashes are overwritten. */
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

int conceal_rules(const struct concealed *key)
{
    char path[PATH_MAX];
    struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE |
                                                              LANDLOCK_ACCESS_FS_REFER};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                           LANDLOCK_CREATE_RULESET_VERSION);
    if (version < ABI_REFER) {
        errno = version < 0 ? errno : ENOSYS;
        return -1;
    }
    memcpy(path, key->path, sizeof path);
    struct way way = {
        .ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0),
        .folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .key = key};
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

bool conceal_keep_to(int rules)
{
    return syscall(SYS_landlock_restrict_self, rules, 0) == 0;
}

bool conceal_enter(const struct concealed *key)
{
    int rules = conceal_rules(key);
    if (rules < 0) {
        return false;
    }
    bool done = conceal_keep_to(rules);
    int why = errno;
    (void)close(rules);
    errno = why;
    return done;
}

/* ---- change ------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return sum ^ sum >> 32U;
}

static uint64_t mix_folder(uint64_t sum, const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        return mix(sum, 0);
    }
    sum = mix(mix(sum, about.st_ino), about.st_dev);
    sum = mix(mix(sum, (uint64_t)about.st_mtim.tv_sec), (uint64_t)about.st_mtim.tv_nsec);
    return mix(mix(sum, (uint64_t)about.st_ctim.tv_sec), (uint64_t)about.st_ctim.tv_nsec);
}

uint64_t conceal_stamp(const struct concealed *key)
{
    char path[PATH_MAX];
    uint64_t sum = mix_folder(0, "/");
    memcpy(path, key->path, sizeof path);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        sum = mix_folder(sum, path);
        *slash = '/';
    }
    return sum;
}

/* ---- at the start ------------------------------------------------------------------------ */

/* The file that an option means, without links. */
static bool find(const char *identity, char out_path[PATH_MAX])
{
    char link[64];
    int fd;
    if (drv_identity_descriptor(identity, &fd)) {
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        identity = link;
    }
    return realpath(identity, out_path) != NULL;
}

/* Whether this user could open the file by its name: then it could be read without the
 * descriptor. */
static bool can_open(const char *path)
{
    return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0 || errno != EACCES;
}

static const char *choose(struct conceal *conceal, const char *identity)
{
    struct stat about;
    int fd;
    struct concealed *key = &conceal->key;
    if (!find(identity, key->path)) {
        return NULL;
    }
    if (drv_identity_descriptor(identity, &fd) && !can_open(key->path)) {
        return "permissions";
    }
    if (stat(key->path, &about) != 0) {
        return NULL;
    }
    key->device = about.st_dev;
    key->inode = about.st_ino;
    int rules = conceal_rules(key);
    if (rules < 0) {
        return NULL;
    }
    (void)close(rules);
    return LANDLOCK;
}

drover_status conceal_prepare(struct conceal *conceal, const char *identity,
                              enum conceal_mode mode, struct drv_problem *problem)
{
    *conceal = (struct conceal){.how = identity == NULL ? "none" : "readable"};
    if (identity == NULL) {
        return DROVER_OK;
    }
    if (mode == CONCEAL_OFF) {
        (void)drv_problem_set(&conceal->why, DROVER_UNSUPPORTED, "--hide-key off");
        return DROVER_OK;
    }
    const char *how = choose(conceal, identity);
    if (how != NULL) {
        conceal->how = how;
        return DROVER_OK;
    }
    (void)drv_problem_set(&conceal->why, DROVER_UNSUPPORTED, "%s", strerror(errno));
    return mode == CONCEAL_REQUIRE
               ? drv_problem_set(problem, DROVER_UNSUPPORTED,
                                 "--hide-key require: handlers could read %s: %s", identity,
                                 conceal->why.text)
               : DROVER_OK;
}

const struct concealed *conceal_key(const struct conceal *conceal)
{
    return conceal->how == LANDLOCK ? &conceal->key : NULL;
}
