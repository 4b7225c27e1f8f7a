/*
 * module.h: the handlers that this worker has: functions of loaded modules, configured
 * commands, commands that tasks may name.
 *
 * Loading happens in the zygote (and in the one process of pool_call), never in the agent: what
 * a module does while it is loaded cannot hurt the network side. Handlers are numbered; the
 * number means the same in the zygote, in the executors forked from it, and in the agent, to
 * whom the names are sent.
 */
#ifndef MODULE_H
#define MODULE_H

#include "pool.h"
#include "problem.h"

#include <drover/worker.h>

enum {
    MODULE_HANDLERS_MAX = 16384, /* what a worker may offer on the wire */
};

enum module_kind {
    MODULE_FUNCTION, /* of a module */
    MODULE_COMMAND,  /* configured, started for each attempt */
    MODULE_PERSIST,  /* configured, stays */
    MODULE_EXEC,     /* named by the task, one of --allow-exec */
};

struct module_handler {
    char *type; /* owned */
    enum module_kind kind;
    enum pool_model model;      /* by its kind and the rules of the config */
    uint32_t concurrency;       /* attempts at once; 0: as many as slots */
    unsigned flags;             /* enum drover_handler_flags */
    drover_handler_fn function; /* MODULE_FUNCTION */
    const struct pool_command
        *command;                  /* MODULE_COMMAND, MODULE_PERSIST; borrowed from config */
    const char *program;           /* MODULE_EXEC: argv[0] that is allowed; borrowed */
    const struct confine *confine; /* what it is kept to, borrowed; NULL: nothing */
};

struct module_set {
    struct module_handler *handlers; /* owned */
    size_t count;
    size_t capacity;
};

/*
 * Loads the modules, gathers all handlers, and settles how each is run; the config must outlive
 * the set. Modules stay
 * loaded for the life of the process. On failure *problem has one line and the set is empty.
 * Returns OK, INVALID, IO (dlopen), VERSION, CONFLICT, LIMIT, NOMEM.
 */
DROVER_MUST_USE drover_status module_set_load(struct module_set *set,
                                              const struct pool_config *config,
                                              struct drv_problem *problem);
void module_set_fini(struct module_set *set);

/* The handler of a type or NULL. */
const struct module_handler *module_set_find(const struct module_set *set, const char *type);

#endif
