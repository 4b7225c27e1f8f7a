/*
 * procfile.h: one process as /proc tells it.
 *
 * A process may end between any two looks, and its number may be given to another: who compares
 * two samples compares `started` too. Names are whatever a process calls itself: blanks,
 * parentheses, line ends and bytes that are not UTF-8 included.
 */
#ifndef WORKER_STAT_PROCFILE_H
#define WORKER_STAT_PROCFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STAT_PROCESS_NAME_MAX = 64,
    STAT_TREE_MAX = 256, /* processes that are counted below one */
};

struct stat_process {
    int32_t pid, parent;
    char state;                       /* R S D Z T..., as in proc(5) */
    char name[STAT_PROCESS_NAME_MAX]; /* UTF-8 */
    uint64_t ticks;                   /* processor time of its own */
    uint64_t child_ticks;             /* of children that it has waited for */
    uint64_t started;                 /* ticks after the start of the machine */
    uint64_t rss_bytes;
    uint32_t threads;
    uint32_t processes; /* of a tree: those that live, itself included */
    double cpu_percent; /* of one processor, between two samples; set by who compares them */
};

/* The text of /proc/PID/stat. False for anything else. */
bool stat_process_parse(const char *text, struct stat_process *out_process);

/* Reads PID/stat below the open directory /proc; false when it is gone. */
bool stat_process_read(int proc_fd, int32_t pid, struct stat_process *out_process);

/*
 * The same for a process and all below it: rss_bytes, threads and ticks are those of the whole
 * tree; ticks never go backwards while the root of the tree lives, since what a child used goes
 * to its parent when it is waited for. Needs PID/task/PID/children, without which the process
 * stands alone.
 */
bool stat_process_read_tree(int proc_fd, int32_t pid, struct stat_process *out_process);

/* Opens root + "/proc"; -1 when it is not there. */
int stat_process_open(const char *root);

/* Ticks per second. */
uint64_t stat_process_tick_rate(void);

/* Percentage of one processor between two samples of one process; STAT_UNKNOWN when it cannot
 * be told. */
double stat_process_cpu_percent(uint64_t ticks_before, uint64_t ticks_now, int64_t elapsed_us);

#endif
