/*
 * graph_file.h: a graph as people write it: JSON.
 */
#ifndef CLI_GRAPH_FILE_H
#define CLI_GRAPH_FILE_H

#include "cli.h"

#include <drover/graph.h>

/* The graph in a file ("-": stdin), checked; name (NULL: as the file says) is its name. CLI_OK,
 * or says what is wrong, naming the node, and returns the exit code. Asks the broker for keys
 * (key:NAME) that nodes wait for. */
int graph_file_read(struct cli *cli, const char *path, const char *name,
                    drover_graph **out_graph);

#endif
