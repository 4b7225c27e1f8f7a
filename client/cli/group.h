/*
 * group.h: how far a group is, for `group show` and `show --group`.
 */
#ifndef CLI_GROUP_H
#define CLI_GROUP_H

#include "cli.h"

/* Connects, asks and prints. The exit code. */
int group_show(struct cli *cli, const char *group);

#endif
