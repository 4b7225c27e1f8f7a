#include "hand_page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HAND_PATH_MAX = 4096, HAND_FILE_BYTES = 4096 };

static const char MAGIC[8] = {'D', 'R', 'V', 'H', 'A', 'N', 'D', '1'};

_Static_assert(sizeof(struct hand_page) <= HAND_FILE_BYTES, "the page holds it");

/* The one that is meant, else the one that was in hand the fewest times, emptied. */
static struct hand_suspect *suspect_of(struct hand_page *page, const struct core_hand *task)
{
    struct hand_suspect *least = &page->suspects[0];
    for (size_t i = 0; i < HAND_SUSPECTS_MAX; i++) {
        struct hand_suspect *suspect = &page->suspects[i];
        if (suspect->crashes > 0 && suspect->index == task->index &&
            drover_id_equal(&suspect->id, &task->id)) {
            return suspect;
        }
        least = suspect->crashes < least->crashes ? suspect : least;
    }
    *least = (struct hand_suspect){.id = task->id, .index = task->index};
    return least;
}

static void take_in(struct hand_page *page, struct core_hand *out_crashed)
{
    if (memcmp(page->magic, MAGIC, sizeof MAGIC) != 0) {
        memset(page, 0, sizeof *page);
        memcpy(page->magic, MAGIC, sizeof MAGIC);
    }
    *out_crashed = page->task;
    if (page->task.is_held != 0) {
        suspect_of(page, &page->task)->crashes++;
        page->task.is_held = 0;
    }
}

drover_status hand_open(const char *directory, struct hand_page **out_page,
                        struct core_hand *out_crashed, struct drv_problem *problem)
{
    char path[HAND_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/broker.hand", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return drv_problem_set(problem, DROVER_IO, "%s: %s", path, strerror(errno));
    }
    /* A page without space behind it would be a SIGBUS on a full disk. */
    int error = posix_fallocate(fd, 0, HAND_FILE_BYTES);
    void *bytes = error != 0
                      ? MAP_FAILED
                      : mmap(NULL, HAND_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    error = error == 0 && bytes == MAP_FAILED ? errno : error;
    (void)close(fd);
    if (bytes == MAP_FAILED) {
        return drv_problem_set(problem, DROVER_IO, "%s: %s", path, strerror(error));
    }
    *out_page = bytes;
    take_in(*out_page, out_crashed);
    return DROVER_OK;
}

void hand_close(struct hand_page **page, bool in_order)
{
    struct hand_page *closed = *page;
    *page = NULL;
    if (closed == NULL) {
        return;
    }
    closed->task.is_held = 0;
    for (size_t i = 0; i < HAND_SUSPECTS_MAX; i++) {
        if (in_order && closed->suspects[i].crashes < HAND_CRASHES_MAX) {
            closed->suspects[i].crashes = 0;
        }
    }
    (void)munmap(closed, HAND_FILE_BYTES);
}
