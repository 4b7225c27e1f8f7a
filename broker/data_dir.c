#include "data_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static drover_status put(char out_path[DATA_DIR_MAX], const char *head, size_t head_len,
                         const char *tail, struct drv_problem *problem)
{
    int len = snprintf(out_path, DATA_DIR_MAX, "%.*s%s", (int)head_len, head, tail);
    if (len < 0 || len >= DATA_DIR_MAX) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "the path of the data directory is too long");
    }
    return DROVER_OK;
}

/* Everything above the last component. */
static drover_status make_parents(char *path, struct drv_problem *problem)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        bool is_made = mkdir(path, 0700) == 0 || errno == EEXIST;
        int error = errno;
        if (!is_made) {
            drover_status status = drv_problem_set(problem, DROVER_IO, "cannot make %s: %s",
                                                   path, strerror(error));
            *at = '/';
            return status;
        }
        *at = '/';
    }
    return DROVER_OK;
}

drover_status data_dir_choose(const char *asked, char out_path[DATA_DIR_MAX],
                              struct drv_problem *problem)
{
    const char *state = getenv("STATE_DIRECTORY");
    const char *home = getenv("HOME");
    if (asked != NULL && asked[0] != '\0') {
        return put(out_path, asked, strlen(asked), "", problem);
    }
    if (state != NULL && state[0] != '\0') {
        return put(out_path, state, strcspn(state, ":"), "", problem);
    }
    if (geteuid() == 0) {
        return put(out_path, "", 0, "/var/lib/drover", problem);
    }
    if (home == NULL || home[0] != '/') {
        return drv_problem_set(problem, DROVER_INVALID,
                               "no home directory for the data; say --data DIR or --memory");
    }
    drover_status status = put(out_path, home, strlen(home), "/.local/state/drover", problem);
    return status ? status : make_parents(out_path, problem);
}
