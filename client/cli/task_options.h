/*
 * task_options.h: the options of a task, which submit, map, run and xargs share.
 *
 * What a broker does not serve comes back as its own refusal; nothing is dropped here.
 */
#ifndef CLI_TASK_OPTIONS_H
#define CLI_TASK_OPTIONS_H

#include "cli.h"

extern const struct drv_option task_option_list[];
extern const size_t task_option_count;

#define TASK_OPTION_LIST_MAX 64 /* tags, needs, labels, dependencies: each */

struct task_options {
    drover_submit_options submit; /* points into the rest */
    drover_pair tags[TASK_OPTION_LIST_MAX];
    drover_pair require[TASK_OPTION_LIST_MAX];
    drover_need needs[TASK_OPTION_LIST_MAX];
    drover_dependency after[TASK_OPTION_LIST_MAX];
    char *names[3 * TASK_OPTION_LIST_MAX]; /* owned; what stands before the = */
    size_t name_count;
};

/*
 * Reads them. How long to try while the broker is busy is busy_ms unless --busy-timeout says
 * otherwise. CLI_OK, or says what is wrong and returns the exit code; to be finished in either
 * case.
 */
int task_options_init(struct task_options *options, struct cli *cli, int64_t busy_ms);
void task_options_fini(struct task_options *options);

/* Reads a limit, such as memory=1G or cpu=30s. False: it is none. */
bool task_limit_parse(drover_submit_options *submit, const char *text);

/* Reads how much of something is needed: a number, of memory also as 4G. False: it is none. */
bool task_need_parse(const char *name, const char *text, uint64_t *out_count);

/* "auto" (-1), or a time. False: neither, and nothing has changed. */
bool task_keep_parse(const char *text, int64_t *out_keep_ms);

/* How long it is from now until an instant (instant.h); 0 when that is over. False: it is none.
 */
bool task_delay_until(const char *text, uint64_t *out_delay_ms);

/* Checks a task's type: CLI_OK, or says what is wrong and returns CLI_USAGE. */
int task_type_check(const char *type);

/* Warns on stderr when the task waits because no worker offers its type. */
void task_warn_unoffered(const struct cli *cli, const drover_id *id, const char *type);

/* How long a submit that nobody streams may wait for a busy broker, without an option. */
#define TASK_BUSY_MS 30000

#endif
