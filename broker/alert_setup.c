/* alert_setup.c: alert rules and actions out of the settings; see server.h. */
#include "server.h"

#include "alert_rule.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The first line of a file that is its owner's alone. */
static drover_status read_authorization(const char *path, char *out_line, size_t size,
                                        struct drv_problem *problem)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return drv_problem_set(problem, DROVER_IO, "--alert-webhook-auth-file %s: %s", path,
                               strerror(errno));
    }
    bool is_file = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
    ssize_t len = is_file ? read(fd, out_line, size - 1) : -1;
    (void)close(fd);
    if (len < 0) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "--alert-webhook-auth-file %s: not a file", path);
    }
    if ((stat.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return drv_problem_set(
            problem, DROVER_REFUSED,
            "--alert-webhook-auth-file %s: others can reach it, chmod 600 it", path);
    }
    out_line[len] = '\0';
    size_t count = strcspn(out_line, "\r\n");
    bool is_plain = count > 0 && count < size - 1;
    for (size_t i = 0; i < count; i++) {
        is_plain = is_plain && out_line[i] >= ' ' && out_line[i] <= '~';
    }
    out_line[count] = '\0';
    return is_plain ? DROVER_OK
                    : drv_problem_set(problem, DROVER_INVALID,
                                      "--alert-webhook-auth-file %s: want a line for the "
                                      "Authorization header, such as Bearer SECRET",
                                      path);
}

/* Each has its thread: a webhook that hangs does not hold up the command. */
static drover_status add_actions(struct server *server, const struct drv_options *options,
                                 struct drv_problem *problem)
{
    char line[ALERT_AUTHORIZATION_MAX + 2];
    char id[DROVER_ID_TEXT_LEN + 1];
    char host[HOST_NAME_MAX + 1] = "";
    const char *file = drv_options_string(options, "alert-webhook-auth-file");
    (void)gethostname(host, sizeof host - 1);
    drover_id_format(&server->settings.core.broker_id, id);
    struct alert_actions_config config = {.broker = id, .host = host, .log = server->log};
    drover_status status = DROVER_OK;
    if (file != NULL && file[0] != '\0') {
        status = read_authorization(file, line, sizeof line, problem);
        config.authorization = line;
    }
    if (status == DROVER_OK) {
        config.webhook = drv_options_string(options, "alert-webhook");
        config.severity = 1 + (uint32_t)drv_options_choice(options, "alert-webhook-severity");
        status = alert_actions_new(&config, &server->webhooks);
    }
    if (status == DROVER_OK) {
        config.webhook = config.authorization = NULL;
        config.command = drv_options_string(options, "alert-command");
        config.severity = 1 + (uint32_t)drv_options_choice(options, "alert-command-severity");
        status = alert_actions_new(&config, &server->commands);
    }
    explicit_bzero(line, sizeof line);
    return status;
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
    status = add_actions(server, options, problem);
    return status == DROVER_OK || problem->text[0] != '\0'
               ? status
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
