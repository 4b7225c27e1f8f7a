/*
 * own.c: programs that are their own workers, see drover_worker_main in worker.h.
 */
#include "own.h"

#include "program.h"

#include <stdlib.h>
#include <sys/auxv.h>

/* The mark of a second start. It is gone from the environment when this returns. */
static bool take_mark(void)
{
    bool is_marked = getenv(DRV_OWN_MARK) != NULL;
    (void)unsetenv(DRV_OWN_MARK);
    return is_marked;
}

void drover_worker_main(const int *argc, char **argv, const drover_module *module)
{
    if (getauxval(AT_SECURE) != 0) {
        return; /* whoever starts it must not choose what it is; nor may it be started again */
    }
    if (take_mark()) {
        exit(worker_program(*argc, argv, module));
    }
    drv_own_declare();
}
