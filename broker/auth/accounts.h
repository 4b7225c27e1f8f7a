/*
 * accounts.h: the file that says whose keys are known, and what they may do.
 *
 * One fact a line; words are separated by blanks; a line that begins with # is a comment.
 *
 *     key   ACCOUNT PUBLIC-KEY ROLE[,ROLE]... [queues=PATTERN[,PATTERN]...]
 *     limit ACCOUNT [tasks=N] [bytes=SIZE] [rate=N] [results=N] [keys=N] [sessions=N]
 *
 *     key   alice 5fd1...90 submit,observe queues=default,bulk-*
 *     key   fleet 77e0...1c work
 *     limit alice tasks=100000 bytes=1G rate=500
 *
 * PUBLIC-KEY is 64 hexadecimal digits, as `drover keygen` prints it; roles are submit, work,
 * observe, admin; a pattern is a queue's name in which * stands for any characters. An account
 * may have many keys, a key one account. A file without a key lets nobody in.
 */
#ifndef AUTH_ACCOUNTS_H
#define AUTH_ACCOUNTS_H

#include "access.h"
#include "problem.h"

enum {
    ACCOUNTS_FILE_MAX = 16 << 20, /* bytes of the file */
    ACCOUNTS_LINE_MAX = 16 << 10, /* bytes of a line */
};

/*
 * Reads the text of such a file; `path` is for problems, which name it and the line. OK;
 * INVALID, LIMIT, NOMEM with a problem.
 */
DROVER_MUST_USE drover_status accounts_parse(const char *path, const char *text, size_t len,
                                             uint64_t seed, struct access **out_access,
                                             struct drv_problem *problem);

/* The same from the disk. Others must not be able to write to it. Blocks on the file. OK; as
 * above; IO, REFUSED with a problem. */
DROVER_MUST_USE drover_status accounts_read(const char *path, uint64_t seed,
                                            struct access **out_access,
                                            struct drv_problem *problem);

#endif
