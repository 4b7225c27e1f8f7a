#include "own.h"

#include <stdatomic.h>

static atomic_bool is_declared;

void drv_own_declare(void)
{
    atomic_store(&is_declared, true);
}

bool drv_own_is_declared(void)
{
    return atomic_load(&is_declared);
}
