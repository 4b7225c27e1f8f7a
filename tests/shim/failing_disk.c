/*
 * failing_disk.c: preloaded into a real broker: a disk that fails, or is slow, when a test says
 * so.
 *
 *     LD_PRELOAD=failing_disk.so FAILING_DISK=FILE drover-broker ...
 *
 * FILE holds up to three words, and is read again at every call: the name of a call (`sync`:
 * fdatasync; `write`: pwrite), what it gives from now on (an errno, 0: it works), and how many
 * milliseconds it takes first. Without the file everything is as ever.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORD_MAX = 64 };

int fdatasync(int fd);
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset);
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset);

/* True: the call is to fail, errno says how. */
static int fails(const char *call)
{
    char text[WORD_MAX] = "", name[WORD_MAX] = "";
    const char *path = getenv("FAILING_DISK");
    int error = 0;
    int ms = 0;
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t len = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (len <= 0 || sscanf(text, "%63s %d %d", name, &error, &ms) < 2 ||
        strcmp(name, call) != 0) {
        return 0;
    }
    (void)poll(NULL, 0, ms); /* the slow disk itself, not a test that waits */
    errno = error;
    return error != 0;
}

/* A function of the C library; the copy is how POSIX says it is to be done. */
static void next(const char *name, void *out_function, size_t size)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(out_function, &symbol, size);
}

int fdatasync(int fd)
{
    int (*real)(int) = NULL;
    next("fdatasync", &real, sizeof real);
    return fails("sync") ? -1 : real(fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = NULL;
    next("pwrite", &real, sizeof real);
    return fails("write") ? -1 : real(fd, bytes, len, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
    return pwrite(fd, bytes, len, offset);
}
