#include "tmpdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

drover_status drv_tmpdir_new(const char *parent, const char *prefix,
                             char out_path[DRV_TMPDIR_PATH_MAX])
{
    char path[DRV_TMPDIR_PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%sXXXXXX", parent, prefix);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return DROVER_TOO_BIG;
    }
    if (mkdtemp(path) == NULL) {
        return DROVER_IO;
    }
    memcpy(out_path, path, (size_t)len + 1);
    return DROVER_OK;
}

/* What is deeper than one level is moved up to the top, so that a tree of any depth becomes a
 * list: no recursion, no path longer than a name, two descriptors. */
struct removal {
    int top;        /* the directory that is being emptied */
    uint64_t moved; /* names given to what was moved up */
    bool failed;
};

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_directory(int parent, const char *name)
{
    struct stat info;
    return fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

/* A command may have taken the rights away; where they cannot be given back, the next call
 * fails. */
static bool give_rights(int parent, const char *name)
{
    return fchmodat(parent, name, 0700, 0) == 0;
}

static void move_up(struct removal *removal, int from, const char *name)
{
    char target[64];
    (void)give_rights(from, name); /* moving a directory writes into it */
    do {
        (void)snprintf(target, sizeof(target), ".drover-%llu",
                       (unsigned long long)removal->moved++);
    } while (renameat2(from, name, removal->top, target, RENAME_NOREPLACE) != 0 &&
             errno == EEXIST);
}

/* Takes everything out of one directory. */
static void flatten(struct removal *removal, int fd)
{
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        removal->failed = true;
        (void)close(fd);
        return;
    }
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (is_dot(entry->d_name)) {
            continue;
        }
        if (is_directory(fd, entry->d_name)) {
            move_up(removal, fd, entry->d_name);
        } else {
            (void)unlinkat(fd, entry->d_name, 0);
        }
    }
    (void)closedir(directory);
}

/* One pass over the top directory; returns how many entries it removed. */
static size_t remove_entries(struct removal *removal, DIR *top)
{
    size_t removed = 0;
    rewinddir(top);
    for (struct dirent *entry = readdir(top); entry != NULL; entry = readdir(top)) {
        const char *name = entry->d_name;
        if (is_dot(name)) {
            continue;
        }
        int flag = 0;
        if (is_directory(removal->top, name)) {
            (void)give_rights(removal->top, name);
            int fd = openat(removal->top, name,
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (fd >= 0) {
                flatten(removal, fd);
            }
            flag = AT_REMOVEDIR;
        }
        removed += unlinkat(removal->top, name, flag) == 0 ? 1 : 0;
    }
    return removed;
}

drover_status drv_tmpdir_remove(const char *path)
{
    (void)chmod(path, 0700);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *top = fd < 0 ? NULL : fdopendir(fd);
    if (top == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return errno == ENOENT ? DROVER_OK : DROVER_IO;
    }
    struct removal removal = {.top = fd};
    while (remove_entries(&removal, top) > 0 && !removal.failed) {
    }
    (void)closedir(top);
    return rmdir(path) == 0 ? DROVER_OK : DROVER_IO;
}
