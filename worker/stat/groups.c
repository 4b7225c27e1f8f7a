#include "stat/groups.h"

#include "check.h"
#include "stat/process.h"
#include "units.h"

#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 32 };

static drover_status bad_count(struct drv_problem *problem, const char *count)
{
    return drv_problem_set(problem, DROVER_INVALID,
                           "--stats processes:%s: expected a number from 1 to %d, or all",
                           count, STAT_GROUPS_TOP_MAX);
}

/* What stands behind "processes"; NULL: nothing. */
static drover_status take_processes(const char *count, struct stat_groups *groups,
                                    struct drv_problem *problem)
{
    uint64_t number = STAT_PROCESSES_TOP;
    if (count != NULL && strcmp(count, "all") == 0) {
        groups->processes = SIZE_MAX;
        return DROVER_OK;
    }
    if (count != NULL && (drv_uint_parse(count, &number) != DROVER_OK || number < 1 ||
                          number > STAT_GROUPS_TOP_MAX)) {
        return bad_count(problem, count);
    }
    groups->processes = (size_t)number;
    return DROVER_OK;
}

static drover_status take_word(char *word, struct stat_groups *groups,
                               struct drv_problem *problem)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"host", &groups->host},
                 {"net", &groups->net},
                 {"disk", &groups->disk},
                 {"cgroup", &groups->cgroup},
                 {"executors", &groups->executors}};
    bool is_all = strcmp(word, "all") == 0;
    bool is_known = is_all;
    for (size_t i = 0; i < DRV_ARRAY_LEN(flags); i++) {
        bool is_meant = is_all || strcmp(word, flags[i].name) == 0;
        *flags[i].flag = *flags[i].flag || is_meant;
        is_known = is_known || is_meant;
    }
    size_t len = strcspn(word, ":");
    if (is_all || (len == strlen("processes") && strncmp(word, "processes", len) == 0)) {
        return take_processes(word[len] == ':' ? word + len + 1 : NULL, groups, problem);
    }
    return is_known ? DROVER_OK
                    : drv_problem_set(problem, DROVER_INVALID,
                                      "--stats %s: expected host, net, disk, cgroup, "
                                      "processes[:N|:all], executors, all or none",
                                      word);
}

drover_status stat_groups_parse(const char *text, struct stat_groups *out_groups,
                                struct drv_problem *problem)
{
    struct stat_groups groups = {0};
    const char *at = text;
    drover_status status = DROVER_OK;
    if (strcmp(text, "none") == 0) {
        *out_groups = groups;
        return DROVER_OK;
    }
    while (status == DROVER_OK) {
        char word[WORD_MAX];
        size_t len = strcspn(at, ",");
        size_t kept = len < sizeof word ? len : sizeof word - 1;
        memcpy(word, at, kept);
        word[kept] = '\0';
        if (strcmp(word, "none") == 0) {
            return drv_problem_set(problem, DROVER_INVALID, "--stats %s: none stands alone",
                                   text);
        }
        status = take_word(word, &groups, problem);
        if (at[len] == '\0') {
            break;
        }
        at += len + 1;
    }
    if (status == DROVER_OK) {
        *out_groups = groups;
    }
    return status;
}

bool stat_groups_is_none(const struct stat_groups *groups)
{
    return !groups->host && !groups->net && !groups->disk && !groups->cgroup &&
           !groups->executors && groups->processes == 0;
}
