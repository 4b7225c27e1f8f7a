/* alert_setup.c: alert rules and actions out of the settings; see server.h. */
#include "server.h"

#include "alert_rule.h"

static drover_status add_rule(struct core *core, const char *text, struct drv_problem *problem)
{
    char name[DRV_ALERT_TEXT_MAX], subject[DRV_ALERT_TEXT_MAX];
    struct drv_alert_rule rule;
    drover_status status = drv_alert_rule_parse(text, &rule, name, subject, problem);
    if (status != DROVER_OK) {
        return status;
    }
    status = core_add_alert_rule(core, name, subject, &rule);
    return status == DROVER_OK ? DROVER_OK
                               : drv_problem_set(problem, status, "alert rule %s: %s", name,
                                                 drover_status_text(status));
}

drover_status alert_setup(struct server *server, struct drv_problem *problem)
{
    const struct drv_options *options = server->settings.options;
    drover_status status = DROVER_OK;
    if (options == NULL) {
        return DROVER_OK;
    }
    size_t count = drv_options_count(options, "alert-rule");
    for (size_t i = 0; status == DROVER_OK && i < count; i++) {
        status = add_rule(server->core, drv_options_at(options, "alert-rule", i), problem);
    }
    if (status == DROVER_OK && !drv_options_flag(options, "no-default-alerts")) {
        status = core_add_default_alerts(server->core);
    }
    if (status != DROVER_OK) {
        return problem->text[0] != '\0' ? status
                                        : drv_problem_set(problem, status, "alert rules: %s",
                                                          drover_status_text(status));
    }
    /* Each has its thread: a webhook that hangs does not hold up the command. */
    status = alert_actions_new(drv_options_string(options, "alert-command"), NULL, server->log,
                               &server->commands);
    if (status == DROVER_OK) {
        status = alert_actions_new(NULL, drv_options_string(options, "alert-webhook"),
                                   server->log, &server->webhooks);
    }
    return status == DROVER_OK ? DROVER_OK
                               : drv_problem_set(problem, status, "actions of alerts: %s",
                                                 drover_status_text(status));
}

void alert_count(const struct server *server, struct core_self *self)
{
    const struct alert_actions *all[] = {server->commands, server->webhooks};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct alert_action_counts counts = alert_actions_counts(all[i]);
        self->alerts_done += counts.done;
        self->alerts_failed += counts.failed;
        self->alerts_dropped += counts.dropped;
        self->alerts_waiting += counts.waiting;
    }
}
