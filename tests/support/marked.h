/*
 * marked.h: finds the processes that a test has caused, whoever their parent is now: the test
 * marks its environment, which all of them inherit; and the files that they leave, in a
 * directory of the test that TMPDIR names.
 */
#ifndef TEST_MARKED_H
#define TEST_MARKED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct marked {
    char mark[64];      /* NAME=VALUE */
    char directory[64]; /* TMPDIR */
};

/* Marks this process from here on, and makes the directory. */
void marked_init(struct marked *marked);
void marked_fini(struct marked *marked); /* removes the directory */

/* Marked processes that live, but this one and its children that were only forked. */
size_t marked_count(const struct marked *marked);

/* One whose name (as in /proc/PID/comm) is this; 0: there is none. */
pid_t marked_find(const struct marked *marked, const char *name);

/* Waits until none lives and the directory is empty; false at the deadline. */
bool marked_until_gone(const struct marked *marked);

#endif
