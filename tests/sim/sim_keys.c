/* sim_keys.c: see sim_keys.h. */
#include "sim_keys.h"

#include <stdio.h>

#include "access.h"
#include "check.h"
#include "sim_world.h"

enum {
    LIMIT_TASKS = 1000
}; /* more than there ever are: the books are kept, nobody is refused */

/* Byte 0 tells the peers apart; nobody has the key of zeroes. */
static const uint8_t *key_of(struct sim *sim, uint32_t peer)
{
    uint8_t *key = sim->keys[peer];
    key[0] = (uint8_t)(peer + 1);
    return key;
}

void sim_keys_hand_out(struct sim *sim)
{
    struct access *access = NULL;
    if (!sim->profile.has_keys || sim->broker.core == NULL) {
        return;
    }
    drover_status status = access_new(1, &access);
    DRV_ASSERT(status == DROVER_OK);
    /* Clients, then workers; the stranger comes behind them. */
    for (uint32_t i = 0; i < sim->profile.clients + sim->profile.workers; i++) {
        char name[ACCESS_NAME_MAX];
        int len = snprintf(name, sizeof name, "peer-%u", i % 3); /* some share one */
        struct drv_str account = {name, (size_t)len};
        status = access_add_key(access, account, key_of(sim, i), ACCESS_EVERY_ROLE, NULL, 0);
        DRV_ASSERT(status == DROVER_OK);
        if (i < 3) { /* the first of an account; a second limit would be refused */
            status = access_set_limit(access, account, ACCESS_LIMIT_TASKS, LIMIT_TASKS);
            DRV_ASSERT(status == DROVER_OK);
        }
    }
    sim_broker_take_keys(sim, &access);
}

void sim_keys_show(struct sim *sim, uint32_t peer, struct core_event *event)
{
    if (sim->profile.has_keys) {
        event->key = key_of(sim, peer);
    }
}
