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

/* What the loader knows by the names of the C library. */
__attribute__((visibility("default"))) int shim_fdatasync(int fd) __asm__("fdatasync");
__attribute__((visibility("default"))) ssize_t
shim_pwrite(int fd, const void *bytes, size_t len, off_t offset) __asm__("pwrite");
__attribute__((visibility("default"))) ssize_t
shim_pwrite64(int fd, const void *bytes, size_t len, off_t offset) __asm__("pwrite64");

/* True: the call is to fail, errno says how. */
static int fails(const char *call)
{
    char text[WORD_MAX] = "";
    const char *path = getenv("FAILING_DISK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t len = read(fd, text, sizeof text - 1);
    (void)close(fd);
    char *rest = NULL;
    const char *name = len > 0 ? strtok_r(text, " \n", &rest) : NULL;
    const char *second = name != NULL ? strtok_r(NULL, " \n", &rest) : NULL;
    const char *third = second != NULL ? strtok_r(NULL, " \n", &rest) : NULL;
    if (second == NULL || strcmp(name, call) != 0) {
        return 0;
    }
    int error = (int)strtol(second, NULL, 10);
    int ms = third != NULL ? (int)strtol(third, NULL, 10) : 0;
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

int shim_fdatasync(int fd)
{
    int (*real)(int) = NULL;
    next("fdatasync", &real, sizeof real);
    return fails("sync") ? -1 : real(fd);
}

ssize_t shim_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = NULL;
    next("pwrite", &real, sizeof real);
    return fails("write") ? -1 : real(fd, bytes, len, offset);
}

ssize_t shim_pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
    return shim_pwrite(fd, bytes, len, offset);
}
