/*
 * alert_look.c: once a second: what the rules say of the fleet; see alert.h.
 */
#include "alert.h"

#include "broker.h"

/* --- the state machine ------------------------------------------------------------------- */

enum alert_state alert_next(enum alert_state state, enum alert_verdict verdict, bool waited,
                            bool cleared, bool *out_lives)
{
    *out_lives = true;
    switch (state) {
    case ALERT_PENDING:
        *out_lives = verdict == ALERT_BAD;
        return verdict == ALERT_BAD && waited ? ALERT_FIRING : ALERT_PENDING;
    case ALERT_FIRING:
        return verdict == ALERT_GOOD ? ALERT_CLEARING : ALERT_FIRING;
    case ALERT_CLEARING:
        if (verdict != ALERT_GOOD) {
            return ALERT_FIRING;
        }
        return cleared ? ALERT_RESOLVED : ALERT_CLEARING;
    case ALERT_RESOLVED:
        return verdict == ALERT_BAD ? ALERT_PENDING : ALERT_RESOLVED;
    case ALERT_STATES:
        break;
    }
    return ALERT_RESOLVED;
}

enum alert_verdict alert_judge(const struct drv_alert_rule *rule, double value)
{
    bool is_above = rule->comparison == DRV_ABOVE;
    if (is_above ? value > rule->threshold : value < rule->threshold) {
        return ALERT_BAD;
    }
    return (is_above ? value <= rule->clear : value >= rule->clear) ? ALERT_GOOD
                                                                    : ALERT_BETWEEN;
}

/* --- telling ----------------------------------------------------------------------------- */

void alert_tell(struct core *core, const struct alert_rule *rule, const struct alert *alert,
                bool is_test)
{
    char line[ALERT_LINE_MAX];
    struct alert_rule const *of = alert == NULL ? rule : alert->rule;
    struct core_alert told = {
        .rule = effects_text(core, alert_rule_name(of)),
        .severity = drv_severity_name(of->what.severity),
        .metric = drv_metric_name(of->what.metric),
        .state = alert == NULL ? "firing" : alert_state_name(alert->state),
        .threshold = of->what.threshold,
        .is_test = is_test,
    };
    if (alert != NULL) {
        alert_line(alert, line);
        told.subject = effects_text(core, alert_subject(alert));
        told.value = alert->value;
        told.text = effects_text(core, drv_str_of(line));
    } else {
        told.subject = drv_str_of("test");
        told.text = drv_str_of("a test of this rule, nothing is wrong");
    }
    effects_alert(core, &told);
}

/* What has changed: kept, and told. */
static void alert_changed(struct core *core, struct alert *alert, enum alert_state before)
{
    bool did_fire = before == ALERT_FIRING || before == ALERT_CLEARING;
    if (alert_fires(alert) && !did_fire) {
        save_alert(core, alert, false);
        event_alert(core, DRV_EVENT_ALERT_FIRING, alert);
    } else if (alert->state == ALERT_RESOLVED && did_fire) {
        save_alert(core, alert, true);
        event_alert(core, DRV_EVENT_ALERT_RESOLVED, alert);
        if (alert->is_told) {
            alert_tell(core, NULL, alert, false);
        }
        alert->is_told = false;
        alert->is_acknowledged = false;
    }
}

/* Actions that a silence or an acknowledgement has held back, or that are due now. */
static void alert_act(struct core *core, struct alert *alert)
{
    if (alert_fires(alert) && !alert->is_told && !alert->is_acknowledged &&
        !alert_is_silenced(core, alert)) {
        alert->is_told = true;
        save_alert(core, alert, false); /* so that no later life tells it again */
        alert_tell(core, NULL, alert, false);
    }
}

/* False: nothing is left of it. */
static bool alert_move(struct core *core, struct alert *alert, enum alert_verdict verdict)
{
    const struct drv_alert_rule *what = &alert->rule->what;
    enum alert_state before = alert->state;
    bool lives = true;
    if (before == ALERT_FIRING && verdict == ALERT_GOOD) {
        alert->good_us = core->now_us;
    }
    bool waited = core->now_us - alert->since_us >= us_of_ms(what->for_ms);
    bool cleared = core->now_us - alert->good_us >= us_of_ms(what->clear_ms);
    alert_set_state(alert, alert_next(before, verdict, waited, cleared, &lives));
    if (alert->state == ALERT_CLEARING && before == ALERT_FIRING && what->clear_ms == 0) {
        alert_set_state(alert, ALERT_RESOLVED);
    }
    bool is_same_fire = alert_fires(alert) &&
                        (before == ALERT_FIRING || before == ALERT_CLEARING);
    if (alert->state != before && !is_same_fire) {
        alert->since_us = core->now_us;
    }
    if (alert->state == ALERT_PENDING && before == ALERT_RESOLVED && what->for_ms == 0) {
        alert_set_state(alert, ALERT_FIRING);
    }
    alert_changed(core, alert, before);
    alert_act(core, alert);
    if (!lives || (alert->state == ALERT_RESOLVED &&
                   core->now_us - alert->since_us >= ALERT_RESOLVED_US)) {
        alert_free(core, alert);
        return false;
    }
    return true;
}

/* --- values ------------------------------------------------------------------------------ */

/* Whether the rule looks at this subject. */
static bool rule_wants(const struct alert_rule *rule, struct drv_str subject)
{
    return rule->subject_len == 0 || str_equals(alert_rule_subject(rule), subject);
}

static void observe(struct core *core, struct alert_rule *rule, struct drv_str subject,
                    double value)
{
    enum alert_verdict verdict = alert_judge(&rule->what, value);
    uint64_t round = core->alerts.rounds[drv_metric_scope(rule->what.metric)];
    if ((rule->count == 0 && verdict != ALERT_BAD) || !rule_wants(rule, subject)) {
        return;
    }
    struct alert *alert = alert_find(core, rule, subject);
    bool is_new = alert == NULL;
    if (is_new && verdict == ALERT_BAD) {
        alert = alert_new(core, rule, subject);
    }
    if (alert == NULL || alert->round == round) {
        return; /* well, or no room; or another worker of the host has told it */
    }
    alert->round = round;
    alert->value = value;
    (void)alert_move(core, alert, verdict);
}

/* --- the broker -------------------------------------------------------------------------- */

static void take_sample(struct core *core)
{
    struct alerts *alerts = &core->alerts;
    alerts->samples[alerts->sample_at] = (struct alert_sample){core->counters.failed,
                                                               core->counters.succeeded};
    alerts->sample_at = (alerts->sample_at + 1) % ALERT_SAMPLES;
    alerts->sample_count += alerts->sample_count < ALERT_SAMPLES;
}

/* What has ended since the oldest sample. */
static struct alert_sample ended_lately(const struct core *core)
{
    const struct alerts *alerts = &core->alerts;
    size_t oldest = alerts->sample_count < ALERT_SAMPLES ? 0 : alerts->sample_at;
    const struct alert_sample *then = &alerts->samples[oldest];
    if (alerts->sample_count == 0) {
        return (struct alert_sample){0, 0};
    }
    return (struct alert_sample){core->counters.failed - then->failed,
                                 core->counters.succeeded - then->succeeded};
}

static double broker_value(const struct core *core, enum drv_metric metric)
{
    struct alert_sample lately = ended_lately(core);
    uint64_t ended = lately.failed + lately.succeeded;
    uint64_t bytes = core->memory_bytes > core->self.rss_bytes ? core->memory_bytes
                                                               : core->self.rss_bytes;
    switch (metric) {
    case DRV_METRIC_FAILED:
        return (double)lately.failed;
    case DRV_METRIC_FAILURE_RATE:
        return ended < ALERT_ENDED_MIN ? 0 : 100.0 * (double)lately.failed / (double)ended;
    case DRV_METRIC_JOURNAL:
        return (double)core->self.journal_us / 1000.0;
    case DRV_METRIC_BROKER_MEMORY:
        return 100.0 * (double)bytes / (double)core->config.memory_max;
    case DRV_METRIC_DISK_FULL:
        return core->is_full ? 1 : 0;
    case DRV_METRIC_WORKERS:
        return (double)drv_table_count(&core->workers_by_name);
    case DRV_METRIC_BROKER_DISK:
        return core->self.disk_percent;
    case DRV_METRIC_LOOP:
        return (double)core->self.loop_us / 1000.0;
    case DRV_METRIC_WORKER_LOST:
    case DRV_METRIC_HOST_CPU:
    case DRV_METRIC_HOST_MEMORY:
    case DRV_METRIC_HOST_DISK:
    case DRV_METRIC_QUEUE_OLDEST:
    case DRV_METRIC_QUEUE_DEPTH:
    case DRV_METRIC_TYPE_UNSERVED:
    case DRV_METRIC_END:
        break;
    }
    return 0;
}

/* --- workers and hosts ------------------------------------------------------------------- */

static struct alert_lost *lost_find(const struct core *core, struct drv_str name)
{
    DRV_LIST_EACH(link, &core->alerts.lost)
    {
        struct alert_lost *lost = DRV_LIST_ITEM(link, struct alert_lost, link);
        if (str_equals(str_of(lost->name, lost->name_len), name)) {
            return lost;
        }
    }
    return NULL;
}

static void lost_free(struct core *core, struct alert_lost *lost)
{
    drv_list_remove(&lost->link);
    core->alerts.lost_count--;
    core_free(core, lost, sizeof *lost + lost->name_len);
}

static void lost_add(struct core *core, struct drv_str name)
{
    struct alerts *alerts = &core->alerts;
    if (alerts->lost_count == ALERT_LOST_MAX) {
        lost_free(core, DRV_LIST_ITEM(drv_list_first(&alerts->lost), struct alert_lost, link));
    }
    struct alert_lost *lost = core_alloc(core, sizeof *lost + name.len);
    if (lost == NULL) {
        return; /* an alert less; the event was told */
    }
    lost->at_us = core->now_us;
    lost->name_len = (uint16_t)name.len;
    memcpy(lost->name, name.ptr, name.len);
    drv_list_push_back(&alerts->lost, &lost->link);
    alerts->lost_count++;
}

void alerts_worker(struct core *core, enum drv_event kind, const struct worker *worker)
{
    bool is_lost = kind == DRV_EVENT_WORKER_LOST;
    core->workers_lost += is_lost;
    if (!core->config.alerts) {
        return;
    }
    struct alert_lost *known = is_lost || kind == DRV_EVENT_WORKER_CONNECTED ||
                                       kind == DRV_EVENT_WORKER_BACK
                                   ? lost_find(core, worker_name(worker))
                                   : NULL;
    if (known != NULL) {
        lost_free(core, known);
    }
    if (is_lost) {
        lost_add(core, worker_name(worker));
    }
}

static void look_at_lost(struct core *core, struct alert_rule *rule)
{
    DRV_LIST_EACH_SAFE(link, &core->alerts.lost)
    {
        struct alert_lost *lost = DRV_LIST_ITEM(link, struct alert_lost, link);
        if (core->now_us - lost->at_us >= ALERT_LOST_US) {
            lost_free(core, lost);
        } else {
            observe(core, rule, str_of(lost->name, lost->name_len), 1);
        }
    }
}

static double host_value(const struct drv_host *host, uint32_t metric)
{
    if (metric == DRV_METRIC_HOST_CPU) {
        return host->cpu_percent;
    }
    return metric == DRV_METRIC_HOST_MEMORY ? host->memory_percent : host->disk_percent;
}

static double queue_value(const struct core *core, const struct queue *queue, uint32_t metric)
{
    int64_t oldest_us = metric == DRV_METRIC_QUEUE_DEPTH ? 0 : queue_oldest_us(queue);
    if (metric == DRV_METRIC_QUEUE_DEPTH) {
        return (double)queue->queued;
    }
    return oldest_us == 0 ? 0 : (double)(core->now_us - oldest_us) / 1e6;
}

/* --- all --------------------------------------------------------------------------------- */

/* A round is over: those whose subject was not seen are well. */
static void end_round(struct core *core, enum drv_scope scope)
{
    bool may_come_back = core->is_reattach_open && scope == DRV_SCOPE_HOST;
    DRV_LIST_EACH_SAFE(link, &core->alerts.list)
    {
        struct alert *alert = DRV_LIST_ITEM(link, struct alert, link);
        if (drv_metric_scope(alert->rule->what.metric) == scope && !may_come_back &&
            alert->round != core->alerts.rounds[scope]) {
            (void)alert_move(core, alert, ALERT_GOOD);
        }
    }
    core->alerts.rounds[scope]++;
}

void alerts_pass(struct core *core, const struct worker *worker)
{
    if (core->alerts.worker == &worker->link) {
        core->alerts.worker = worker->link.next;
    }
}

static void look_at_host(struct core *core, const struct worker *worker)
{
    DRV_LIST_EACH(link, &core->alerts.rules)
    {
        struct alert_rule *rule = DRV_LIST_ITEM(link, struct alert_rule, link);
        if (drv_metric_scope(rule->what.metric) == DRV_SCOPE_HOST) {
            observe(core, rule, worker_host(worker),
                    host_value(&worker->host, rule->what.metric));
        }
    }
}

/* In the order in which they came: a walk of their table costs more than the look. */
static void look_at_hosts(struct core *core)
{
    struct drv_list *link = core->alerts.worker != NULL ? core->alerts.worker
                                                        : core->workers.next;
    for (int i = 0; i < ALERT_SCAN && link != &core->workers; i++) {
        const struct worker *worker = DRV_LIST_ITEM(link, struct worker, link);
        link = link->next;
        if (worker->has_host) {
            look_at_host(core, worker);
        }
    }
    core->alerts.worker = link;
    if (link == &core->workers) {
        core->alerts.worker = NULL;
        end_round(core, DRV_SCOPE_HOST);
    }
}

static void look_at_queues(struct core *core)
{
    for (int i = 0; i < ALERT_SCAN; i++) {
        const struct queue *queue = drv_table_next(&core->queues, &core->alerts.queues);
        if (queue == NULL) {
            core->alerts.queues = DRV_TABLE_CURSOR_INIT;
            end_round(core, DRV_SCOPE_QUEUE);
            return;
        }
        DRV_LIST_EACH(link, &core->alerts.rules)
        {
            struct alert_rule *rule = DRV_LIST_ITEM(link, struct alert_rule, link);
            if (drv_metric_scope(rule->what.metric) == DRV_SCOPE_QUEUE) {
                observe(core, rule, queue_name(queue),
                        queue_value(core, queue, rule->what.metric));
            }
        }
    }
}

/* A type that is offered is well. After a start nothing is said until the workers had their
 * time to come back. */
static void look_at_types(struct core *core)
{
    if (core->is_reattach_open) {
        return;
    }
    for (int i = 0; i < ALERT_SCAN; i++) {
        const struct type *type = drv_table_next(&core->types, &core->alerts.types);
        if (type == NULL) {
            core->alerts.types = DRV_TABLE_CURSOR_INIT;
            end_round(core, DRV_SCOPE_TYPE);
            return;
        }
        DRV_LIST_EACH(link, &core->alerts.rules)
        {
            struct alert_rule *rule = DRV_LIST_ITEM(link, struct alert_rule, link);
            if (drv_metric_scope(rule->what.metric) == DRV_SCOPE_TYPE) {
                observe(core, rule, type_name(type),
                        drv_list_is_empty(&type->offers) ? (double)type->queued : 0);
            }
        }
    }
}

static void forget_silences(struct core *core)
{
    DRV_LIST_EACH_SAFE(link, &core->alerts.silences)
    {
        struct alert_silence *silence = DRV_LIST_ITEM(link, struct alert_silence, link);
        if (silence->until_us <= core->now_us) {
            save_alert_silence(core, silence, true);
            alert_silence_free(core, silence);
        }
    }
}

void alerts_due(struct core *core)
{
    timer_arm(core, &core->alerts.timer, core->now_us + ALERT_TICK_US);
    forget_silences(core);
    take_sample(core);
    DRV_LIST_EACH(link, &core->alerts.rules)
    {
        struct alert_rule *rule = DRV_LIST_ITEM(link, struct alert_rule, link);
        enum drv_scope scope = drv_metric_scope(rule->what.metric);
        if (scope == DRV_SCOPE_BROKER) {
            observe(core, rule, drv_str_of("broker"),
                    broker_value(core, (enum drv_metric)rule->what.metric));
        } else if (scope == DRV_SCOPE_WORKER) {
            look_at_lost(core, rule);
        }
    }
    end_round(core, DRV_SCOPE_BROKER);
    end_round(core, DRV_SCOPE_WORKER);
    look_at_hosts(core);
    look_at_queues(core);
    look_at_types(core);
}
