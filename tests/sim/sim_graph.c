/*
 * sim_graph.c: what clients ask to wait for what: parents, graphs, and children that handlers
 * await. A task waits only for older ones, so that nothing waits in a circle.
 */
#include "sim_client.h"
#include "sim_plan.h"
#include "sim_world.h"

/* GRAPH_TASKS_MAX: the least that a client may have, where that is bounded (sim_profile.c). */
enum { GRAPH_MAX = 10, GRAPH_TASKS_MAX = 12, GRAPH_ELEMENTS_MAX = 3, PICK_TRIES = 8 };

/* ---- picking
 * ---------------------------------------------------------------------------------- */

/* Probably there, and there for some time to come. */
static bool is_promising(const struct sim_peer *peer, const struct sim_task *task)
{
    return task->owner == peer->number && task->submit == SIM_SUBMIT_ACKED &&
           task->acked_epoch == peer->epoch && !task->forget_asked;
}

/* Something to wait for that is older than `serial`: of those from `first` on, which are in the
 * same message, or any other. */
static uint32_t pick_older(struct sim *sim, const struct sim_peer *peer, uint32_t serial,
                           uint32_t first)
{
    if (first < serial && sim_once_in(sim, 2)) {
        uint32_t older = (uint32_t)sim_between(sim, first, (int64_t)serial - 1);
        const struct sim_task *task = sim_model_task(&sim->model, older);
        return task->array == SIM_NO_TASK ? older : task->array; /* nodes are whole */
    }
    uint32_t limit = first < serial ? first : serial;
    for (unsigned i = 0; i < PICK_TRIES && limit > 0; i++) {
        uint32_t older = (uint32_t)drv_rng_below(&sim->rng, limit);
        if (is_promising(peer, sim_model_task(&sim->model, older))) {
            return older;
        }
    }
    return SIM_NO_TASK;
}

void sim_deed_parents(struct sim *sim, struct sim_peer *peer, uint32_t serial, uint32_t first)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    uint32_t wanted = (uint32_t)sim_between(sim, 1, SIM_AFTER_MAX);
    task->spec.after_count = 0;
    for (uint32_t i = 0; i < wanted; i++) {
        uint32_t parent = pick_older(sim, peer, serial, first);
        if (parent != SIM_NO_TASK) {
            task->spec.after[task->spec.after_count++] = (struct sim_after){
                parent, sim_once_in(sim, 3) ? 2 : 1};
        }
    }
}

void sim_deed_children(struct sim *sim, struct sim_peer *peer, uint32_t serial, uint32_t first)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    uint32_t wanted = (uint32_t)sim_between(sim, 1, SIM_CHILDREN_MAX);
    for (uint32_t i = 0; i < wanted; i++) {
        uint32_t child = pick_older(sim, peer, first, first);
        bool is_whole = child != SIM_NO_TASK &&
                        sim_model_task(&sim->model, child)->index == DROVER_INDEX_NONE;
        if (is_whole) {
            task->children[task->child_count++] = child;
        }
    }
}

/* ---- a graph
 * ---------------------------------------------------------------------------------- */

static uint32_t graph_add(struct sim *sim, struct sim_peer *peer, struct sim_request *request,
                          uint32_t serial, uint32_t first)
{
    sim_model_task(&sim->model, serial)->submit = SIM_SUBMIT_SENT;
    sim_model_task(&sim->model, serial)->graph = first;
    request->targets[request->count++] = serial;
    peer->client->quota--;
    sim->stats.tasks++;
    return serial;
}

/* The node becomes an array: its elements come with it, and it is sealed. */
static void graph_add_elements(struct sim *sim, struct sim_peer *peer,
                               struct sim_request *request, uint32_t array, uint32_t first)
{
    uint32_t count = (uint32_t)sim_between(sim, 1, GRAPH_ELEMENTS_MAX);
    drover_id id = sim_model_task(&sim->model, array)->id;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t serial = sim_model_add(&sim->model, &id, i);
        struct sim_task *element = sim_model_task(&sim->model, serial);
        element->owner = peer->number;
        element->array = array;
        element->spec = sim_model_task(&sim->model, array)->spec; /* waits as it does */
        element->spec.payload_len = (size_t)sim_between(sim, 8, 60);
        element->states_watched = (element->spec.flags & DRV_SPEC_WATCH_STATES) != 0;
        (void)graph_add(sim, peer, request, serial, first);
    }
    sim_model_task(&sim->model, array)->elements = count;
    sim_model_task(&sim->model, array)->seal_asked = true;
    sim_count(sim, SIM_GRAPH_ARRAY_SEEN);
}

void sim_deed_graph(struct sim *sim, struct sim_peer *peer)
{
    struct sim_client *client = peer->client;
    struct sim_request *request = sim_request_new(sim, peer, DRV_GRAPH);
    if (request == NULL) {
        return;
    }
    uint32_t count = (uint32_t)sim_between(sim, 2, GRAPH_MAX);
    uint32_t first = sim->model.count;
    for (uint32_t i = 0; i < count && client->quota > GRAPH_ELEMENTS_MAX &&
                         request->count + GRAPH_ELEMENTS_MAX < GRAPH_TASKS_MAX;
         i++) {
        struct sim_task_spec spec = sim_deed_spec(sim);
        bool is_array = sim_once_in(sim, 5);
        spec.key = 0;
        spec.key_window_ms = 0;
        spec.payload_len = is_array && sim_once_in(sim, 2) ? 0 : spec.payload_len;
        uint32_t serial = graph_add(sim, peer, request, sim_deed_task(sim, peer, &spec), first);
        if (i > 0) {
            sim_deed_parents(sim, peer, serial, first);
        }
        if (is_array) {
            graph_add_elements(sim, peer, request, serial, first);
        } else if (sim_once_in(sim, 4)) {
            sim_deed_children(sim, peer, serial, first);
        } else {
            /* it awaits nothing */
        }
    }
    if (request->count == 0) {
        sim_request_remove(client, request);
        client->next_req--;
        return;
    }
    sim_request_send(sim, peer, request);
}

/* ---- what is cancelled along
 * ------------------------------------------------------------------------------ */

void sim_deed_cascade(struct sim *sim, uint32_t serial)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    for (uint32_t i = 0; i <= task->elements; i++) {
        task[i].cascade_asked = true;
    }
    for (uint32_t at = serial + task->elements + 1; at-- > 0;) { /* children are older */
        const struct sim_task *parent = sim_model_task(&sim->model, at);
        for (uint32_t i = 0; parent->cascade_asked && i < parent->child_count; i++) {
            struct sim_task *child = sim_model_task(&sim->model, parent->children[i]);
            for (uint32_t j = 0; j <= child->elements; j++) {
                child[j].cascade_asked = true;
            }
        }
    }
}
