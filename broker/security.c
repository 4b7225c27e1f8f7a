/* security.c: see security.h. */
#include "security.h"

#include "accounts.h"
#include "clock.h"
#include "identity.h"
#include "selftest.h"
#include "zap.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <zmq.h>

static drover_status read_table(const struct server *server, struct access **out_access,
                                struct drv_problem *problem)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        return drv_problem_set(problem, DROVER_IO, "no random bytes: %s", strerror(errno));
    }
    return accounts_read(server->settings.accounts, seed, out_access, problem);
}

drover_status security_begin(struct server *server, struct drv_problem *problem)
{
    if (server->settings.accounts == NULL) {
        return DROVER_OK;
    }
    drover_status status = drv_identity_read(&server->identity, "--identity",
                                             server->settings.identity, problem);
    if (status == DROVER_OK) {
        status = read_table(server, &server->access, problem);
    }
    if (status == DROVER_OK) {
        status = zap_start(server->context, &server->zap, problem);
    }
    if (status == DROVER_OK && zap_set(server->zap, server->access) != DROVER_OK) {
        status = drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    return status;
}

drover_status security_guard(const struct server *server, void *socket,
                             struct drv_problem *problem)
{
    return server->zap == NULL ? DROVER_OK
                               : zap_guard(socket, server->identity.secret_key.bytes, problem);
}

drover_status security_prove(const struct server *server, struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    for (size_t port = CORE_PORT_CLIENT;
         server->zap != NULL && status == DROVER_OK && port <= CORE_PORT_WORKER; port++) {
        status = selftest_refuses(server->endpoints[port], server->identity.public_key.bytes,
                                  problem);
    }
    if (server->zap != NULL) {
        (void)zap_take_refused(server->zap); /* that was us */
    }
    return status;
}

/* No reason to refuse the table: who takes a key back may leave its limits. */
static void warn_of_keyless(const struct server *server)
{
    const struct access_account *account = access_keyless(server->access);
    if (account != NULL) {
        char name[ACCESS_NAME_MAX + 1];
        memcpy(name, account->name, account->name_len);
        name[account->name_len] = '\0';
        drv_log_warn(server->log, "limits of an account that has no key",
                     drv_log_str("account", name));
    }
}

void security_tell(struct server *server, int64_t now_us)
{
    if (server->access != NULL) {
        size_t count = access_count(server->access);
        warn_of_keyless(server);
        struct core_event event = {.kind = CORE_EVENT_ACCESS, .access = &server->access};
        core_step(server->core, &event, now_us);
        drv_log_info(server->log, "keys are asked for", drv_log_uint("keys", count));
    }
}

void security_reload(struct server *server, int64_t now_us)
{
    struct drv_problem problem = {""};
    if (server->zap == NULL) {
        return;
    }
    drover_status status = read_table(server, &server->access, &problem);
    if (status == DROVER_OK && zap_set(server->zap, server->access) != DROVER_OK) {
        access_destroy(&server->access);
        status = drv_problem_set(&problem, DROVER_NOMEM, "out of memory");
    }
    if (status != DROVER_OK) {
        drv_log_error(server->log, "the table of keys stays as it was",
                      drv_log_str("why", problem.text));
        return;
    }
    security_tell(server, now_us);
}

void security_count(struct server *server)
{
    uint64_t refused = server->zap == NULL ? 0 : zap_take_refused(server->zap);
    if (refused > 0) {
        core_count_denied(server->core, refused);
        drv_log_warn(server->log, "connections with unknown keys were refused",
                     drv_log_uint("count", refused));
    }
}

void security_end(struct server *server)
{
    zap_stop(&server->zap);
    access_destroy(&server->access);
}
