/*
 * fuzz_replay.c: the main of a fuzz target in builds without libFuzzer.
 *
 * Runs the target once over every regular file of the directories named as arguments, the empty
 * input first. It never explores; a crash, an assert or a sanitizer report is the failure. A
 * directory without a single file is an error, because such a test could not fail.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each input gets its own exact allocation, so that the address sanitizer sees its end. */
static bool replay_file(int directory, const char *name)
{
    bool ok = false;
    uint8_t *data = NULL;
    struct stat info;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        goto out;
    }
    size_t size = (size_t)info.st_size;
    data = malloc(size ? size : 1);
    if (!data || read(fd, data, size) != (ssize_t)size) {
        goto out;
    }
    (void)LLVMFuzzerTestOneInput(data, size);
    ok = true;
out:
    if (!ok) {
        perror(name);
    }
    free(data);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool replay_directory(const char *path, size_t *count)
{
    DIR *directory = opendir(path);
    if (!directory) {
        perror(path);
        return false;
    }
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        ok = replay_file(dirfd(directory), entry->d_name);
        *count += ok ? 1 : 0;
    }
    closedir(directory);
    return ok;
}

int main(int argc, char **argv)
{
    static const uint8_t nothing[1];
    size_t total = 0;
    (void)LLVMFuzzerTestOneInput(nothing, 0);
    for (int i = 1; i < argc; i++) {
        size_t count = 0;
        if (!replay_directory(argv[i], &count)) {
            return EXIT_FAILURE;
        }
        if (count == 0) {
            fprintf(stderr, "%s: no input to replay\n", argv[i]);
            return EXIT_FAILURE;
        }
        total += count;
    }
    printf("%zu inputs replayed\n", total);
    return EXIT_SUCCESS;
}
