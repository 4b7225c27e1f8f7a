/*
 * files.h: the file operations that the journal needs, behind one struct of functions.
 *
 * The real ones are `files_real`; tests put their own behind the same struct (a disk in memory
 * that fails, tears and loses, tests/support/fault_disk.h). Every function returns 0 or an
 * errno number and leaves its out_ parameters untouched on failure. All names are plain names
 * inside the one directory that was opened. Calls may block on the disk.
 *
 * A struct files is shared and constant; a struct files_dir and its files are used by one
 * thread at a time.
 */
#ifndef STORE_JOURNAL_FILES_H
#define STORE_JOURNAL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many descriptors beyond the soft limit of the process are opened all the same, if the hard
 * one has room: peers that take all that there are must not stop the journal. */
enum { FILES_RESERVE = 64 };

/* An open directory and an open file: whatever the implementation makes of them. */
struct files_dir;
struct files_file;

/* Called once per name in a directory, in no order; a number other than 0 ends the listing. */
typedef int (*files_name_fn)(void *context, const char *name);

enum files_mode {
    FILES_READ,   /* must exist */
    FILES_WRITE,  /* must exist; read and write */
    FILES_CREATE, /* must not exist; mode 0600, read and write */
};

struct files {
    void *context; /* the implementation's own, handed to open_dir */

    /* Opens a directory; with create a missing one is made (0700; missing parents are an error)
     * and its parent synced. */
    int (*open_dir)(void *context, const char *path, bool create, struct files_dir **out_dir);
    void (*close_dir)(struct files_dir *dir); /* gives the lock back */
    /* Takes the directory for this opener alone, until it is closed: 0, EWOULDBLOCK, errno. */
    int (*lock_dir)(struct files_dir *dir);
    int (*list)(struct files_dir *dir, files_name_fn visit, void *visit_context);
    int (*rename)(struct files_dir *dir, const char *from, const char *to); /* replaces to */
    int (*unlink)(struct files_dir *dir, const char *name);
    /* Creates, renames and unlinks so far are on the disk when it returns 0. */
    int (*sync_dir)(struct files_dir *dir);

    int (*open)(struct files_dir *dir, const char *name, enum files_mode mode,
                struct files_file **out_file);
    void (*close)(struct files_file *file);
    int (*size)(struct files_file *file, uint64_t *out_size);
    /* Up to len bytes; fewer, or 0, only at the end of the file. */
    int (*read)(struct files_file *file, uint64_t offset, void *bytes, size_t len,
                size_t *out_len);
    /* Up to len bytes, possibly fewer, never 0. */
    int (*write)(struct files_file *file, uint64_t offset, const void *bytes, size_t len,
                 size_t *out_len);
    /* Gives the file len bytes of size and disk space; what was not written reads as zeros. */
    int (*allocate)(struct files_file *file, uint64_t len);
    int (*truncate)(struct files_file *file, uint64_t len);
    /* Data, and as much of the metadata as is needed to read it, is on the disk at 0. After a
     * failure nothing is known about it: nobody may call it again and believe a 0. */
    int (*sync)(struct files_file *file);
};

/* The operating system's. */
extern const struct files files_real;

#endif
