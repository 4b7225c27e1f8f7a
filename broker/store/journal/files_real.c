/* files_real.c: the operating system's files; see files.h. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct files_dir {
    int fd;
};

struct files_file {
    int fd;
};

/* The directory that holds path, opened; -1 with errno. */
static int open_parent(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL) {
        return -1;
    }
    size_t len = strlen(copy);
    while (len > 1 && copy[len - 1] == '/') {
        copy[--len] = '\0';
    }
    char *slash = strrchr(copy, '/');
    const char *parent = ".";
    if (slash == copy) {
        parent = "/";
    } else if (slash != NULL) {
        *slash = '\0';
        parent = copy;
    }
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = errno;
    free(copy);
    errno = error;
    return fd;
}

static int make_dir(const char *path)
{
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? 0 : errno;
    }
    int fd = open_parent(path);
    if (fd < 0) {
        return errno;
    }
    int error = fsync(fd) == 0 ? 0 : errno;
    (void)close(fd);
    return error;
}

static int real_open_dir(void *context, const char *path, bool create,
                         struct files_dir **out_dir)
{
    (void)context;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && create) {
        int error = make_dir(path);
        if (error != 0) {
            return error;
        }
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0) {
        return errno;
    }
    struct files_dir *dir = malloc(sizeof(*dir));
    if (dir == NULL) {
        (void)close(fd);
        return ENOMEM;
    }
    dir->fd = fd;
    *out_dir = dir;
    return 0;
}

static void real_close_dir(struct files_dir *dir)
{
    if (dir != NULL) {
        (void)close(dir->fd);
        free(dir);
    }
}

static int real_lock_dir(struct files_dir *dir)
{
    return flock(dir->fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
}

static int real_list(struct files_dir *dir, files_name_fn visit, void *visit_context)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return error;
    }
    int error = 0;
    errno = 0;
    for (const struct dirent *entry; error == 0 && (entry = readdir(stream)) != NULL;) {
        error = visit(visit_context, entry->d_name);
        errno = 0;
    }
    error = error != 0 ? error : errno;
    (void)closedir(stream);
    return error;
}

static int real_rename(struct files_dir *dir, const char *from, const char *to)
{
    return renameat(dir->fd, from, dir->fd, to) == 0 ? 0 : errno;
}

static int real_unlink(struct files_dir *dir, const char *name)
{
    return unlinkat(dir->fd, name, 0) == 0 ? 0 : errno;
}

static int real_sync_dir(struct files_dir *dir)
{
    return fsync(dir->fd) == 0 ? 0 : errno;
}

/* Opens beyond the soft limit. Other threads may do so for that moment, too; few are as quick.
 */
static int open_from_reserve(int dir_fd, const char *name, int flags)
{
    struct rlimit limit, raised;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        errno = EMFILE;
        return -1;
    }
    raised = limit;
    raised.rlim_cur += FILES_RESERVE;
    if (raised.rlim_cur > limit.rlim_max) {
        raised.rlim_cur = limit.rlim_max;
    }
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0) {
        errno = EMFILE;
        return -1;
    }
    int fd = openat(dir_fd, name, flags, 0600);
    int error = errno;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    errno = error;
    return fd;
}

static int real_open(struct files_dir *dir, const char *name, enum files_mode mode,
                     struct files_file **out_file)
{
    int flags = O_CLOEXEC | O_NOFOLLOW;
    switch (mode) {
    case FILES_READ:
        flags |= O_RDONLY;
        break;
    case FILES_WRITE:
        flags |= O_RDWR;
        break;
    case FILES_CREATE:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    }
    struct files_file *file = malloc(sizeof(*file));
    if (file == NULL) {
        return ENOMEM;
    }
    file->fd = openat(dir->fd, name, flags, 0600);
    if (file->fd < 0 && errno == EMFILE) {
        file->fd = open_from_reserve(dir->fd, name, flags);
    }
    if (file->fd < 0) {
        int error = errno;
        free(file);
        return error;
    }
    *out_file = file;
    return 0;
}

static void real_close(struct files_file *file)
{
    if (file != NULL) {
        (void)close(file->fd);
        free(file);
    }
}

static int real_size(struct files_file *file, uint64_t *out_size)
{
    struct stat info;
    if (fstat(file->fd, &info) != 0) {
        return errno;
    }
    *out_size = (uint64_t)info.st_size;
    return 0;
}

static int real_read(struct files_file *file, uint64_t offset, void *bytes, size_t len,
                     size_t *out_len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = pread(file->fd, (char *)bytes + done, len - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errno;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    *out_len = done;
    return 0;
}

static int real_write(struct files_file *file, uint64_t offset, const void *bytes, size_t len,
                      size_t *out_len)
{
    ssize_t put;
    do {
        put = pwrite(file->fd, bytes, len, (off_t)offset);
    } while (put < 0 && errno == EINTR);
    if (put < 0) {
        return errno;
    }
    if (put == 0) {
        return EIO;
    }
    *out_len = (size_t)put;
    return 0;
}

static int real_allocate(struct files_file *file, uint64_t len)
{
    int error;
    do {
        error = posix_fallocate(file->fd, 0, (off_t)len);
    } while (error == EINTR);
    return error;
}

static int real_truncate(struct files_file *file, uint64_t len)
{
    return ftruncate(file->fd, (off_t)len) == 0 ? 0 : errno;
}

static int real_sync(struct files_file *file)
{
    return fdatasync(file->fd) == 0 ? 0 : errno;
}

const struct files files_real = {
    .open_dir = real_open_dir,
    .close_dir = real_close_dir,
    .lock_dir = real_lock_dir,
    .list = real_list,
    .rename = real_rename,
    .unlink = real_unlink,
    .sync_dir = real_sync_dir,
    .open = real_open,
    .close = real_close,
    .size = real_size,
    .read = real_read,
    .write = real_write,
    .allocate = real_allocate,
    .truncate = real_truncate,
    .sync = real_sync,
};
