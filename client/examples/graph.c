/*
 * graph.c: three tasks in one call: two squares, and what waits for both.
 *
 *     graph [A B]
 *
 * Wants a broker (DROVER_BROKER, default tcp://127.0.0.1:7710) and a worker that has the module
 * demo.
 */
#include <drover/graph.h>

#include <stdio.h>
#include <stdlib.h>

static drover_status add(drover_graph *graph, const char *node, const char *number)
{
    drover_value *in = NULL;
    drover_status status = drover_value_new_int(strtoll(number, NULL, 10), &in);
    if (status == DROVER_OK) {
        status = drover_graph_add(graph, node, "square", in, NULL, NULL, 0);
    }
    drover_value_destroy(&in);
    return status;
}

int main(int argc, char **argv)
{
    const char *endpoint = getenv("DROVER_BROKER");
    const drover_graph_edge after[] = {{"left", false}, {"right", true}};
    drover_state states[3];
    drover_client *client = NULL;
    drover_graph *graph = NULL;

    drover_status status = drover_graph_new(NULL, &graph);
    if (status == DROVER_OK) {
        status = drover_graph_add(graph, "last", "noop", NULL, NULL, after, 2);
    }
    if (status == DROVER_OK) {
        status = add(graph, "left", argc > 2 ? argv[1] : "3");
    }
    if (status == DROVER_OK) {
        status = add(graph, "right", argc > 2 ? argv[2] : "4");
    }
    if (status == DROVER_OK) {
        status = drover_client_open(endpoint == NULL ? "tcp://127.0.0.1:7710" : endpoint, NULL,
                                    &client);
    }
    if (status == DROVER_OK) {
        status = drover_graph_submit(client, graph, 5000);
    }
    if (status == DROVER_OK) {
        status = drover_graph_wait(client, graph, 30000, states);
    }
    drover_graph_node node;
    for (size_t i = 0; status == DROVER_OK && drover_graph_node_at(graph, i, &node); i++) {
        (void)printf("%s %s\n", node.name, drover_state_name(states[i]));
    }
    if (status != DROVER_OK) {
        (void)fprintf(stderr, "graph: %s %s\n", drover_status_name(status),
                      graph == NULL ? "" : drover_graph_problem(graph));
    }
    drover_graph_destroy(&graph);
    drover_client_close(&client);
    return status == DROVER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
