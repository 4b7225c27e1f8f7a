/*
 * stat_fixture.h: trees of /proc and /sys in a temporary directory, and details as JSON.
 */
#ifndef TESTS_WORKER_STAT_FIXTURE_H
#define TESTS_WORKER_STAT_FIXTURE_H

#include "test.h"

#include "stat/details.h"

#include <drover/value.h>

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a tree of fixtures ---------------------------------------------------------------------
 */

static inline void join(char *name, size_t size, const char *root, const char *path)
{
    int length = snprintf(name, size, "%s%s", root, path);
    assert_in_range(length, 1, size - 1);
}

static inline void put_bytes(const char *root, const char *path, const void *bytes, size_t len)
{
    char name[512];
    join(name, sizeof name, root, path);
    for (char *slash = strchr(name + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(name, 0700);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline void put(const char *root, const char *path, const char *text)
{
    put_bytes(root, path, text, strlen(text));
}

/* Also a directory with all in it. */
static inline int remove_one(const char *path, const struct stat *status, int kind,
                             struct FTW *place)
{
    return remove(path);
}

static inline void take_away(const char *root, const char *path)
{
    char name[512];
    join(name, sizeof name, root, path);
    assert_int_equal(nftw(name, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static inline int make_tree(void **state)
{
    char template[] = "/tmp/drover-stat-XXXXXX";
    *state = mkdtemp(template) == NULL ? NULL : strdup(template);
    return *state == NULL ? -1 : 0;
}

static inline int remove_tree(void **state)
{
    int result = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return result;
}

#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, make_tree, remove_tree)

/* PID/stat of a process with this name, times in ticks, memory in pages. */
static inline void put_process(const char *root, int pid, int parent, const char *name,
                               unsigned ticks, unsigned started, unsigned pages)
{
    char path[64];
    char text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    (void)snprintf(text, sizeof text,
                   "%d (%s) S %d 1 1 0 -1 4194560 1 2 3 4 %u 0 7 3 20 0 5 0 %u 1000000 %u "
                   "18446744073709551615 1 1 0 0 0\n",
                   pid, name, parent, ticks, started, pages);
    put(root, path, text);
}

/* ---- details --------------------------------------------------------------------------------
 */

/* What is in the details as JSON, to be freed. Not inline: GCC 12 takes what strstr() finds in
 * it for a pointer to the variable below, once it sees both. */
static __attribute__((noinline, unused)) char *json_of(struct drv_view bytes)
{
    drover_value *value = NULL;
    char *text = NULL;
    assert_ok(drover_value_from_msgpack(bytes.bytes, bytes.len, &value));
    assert_ok(drover_value_to_json(value, DROVER_JSON_COMPACT, &text));
    drover_value_destroy(&value);
    return text;
}

/* What `write` writes under its key equals this JSON. */
#define assert_details(call, expected)                          \
    do {                                                        \
        struct stat_details details;                            \
        stat_details_init(&details);                            \
        stat_details_begin(&details, 65536);                    \
        call;                                                   \
        char *written = json_of(stat_details_finish(&details)); \
        assert_string_equal(written, expected);                 \
        free(written);                                          \
        stat_details_fini(&details);                            \
    } while (0)

#endif
