/*
 * group.h: how far a group is, for `group show` and `show --group`.
 */
#ifndef CLI_GROUP_H
#define CLI_GROUP_H

#include "cli.h"

/* Connects, asks and prints. The exit code. */
int group_show(struct cli *cli, const char *group);

/* 1 and a line when something of the group did not succeed, what is forgotten included, or when
 * there is no such group and was none (was_there) either. */
int group_verdict(const struct cli *cli, const char *group, bool was_there);

#endif
