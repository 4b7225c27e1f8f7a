/* alert_rule.c: see alert_rule.h. */
#include "alert_rule.h"

#include "check.h"
#include "units.h"

#include <drover/drover.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *unit;
    enum drv_scope scope;
} metrics[DRV_METRIC_END] = {
    [DRV_METRIC_WORKER_LOST] = {"worker_lost", "", DRV_SCOPE_WORKER},
    [DRV_METRIC_HOST_CPU] = {"host_cpu", "%", DRV_SCOPE_HOST},
    [DRV_METRIC_HOST_MEMORY] = {"host_memory", "%", DRV_SCOPE_HOST},
    [DRV_METRIC_HOST_DISK] = {"host_disk", "%", DRV_SCOPE_HOST},
    [DRV_METRIC_QUEUE_OLDEST] = {"queue_oldest", "s", DRV_SCOPE_QUEUE},
    [DRV_METRIC_QUEUE_DEPTH] = {"queue_depth", "", DRV_SCOPE_QUEUE},
    [DRV_METRIC_FAILED] = {"failed", "", DRV_SCOPE_BROKER},
    [DRV_METRIC_FAILURE_RATE] = {"failure_rate", "%", DRV_SCOPE_BROKER},
    [DRV_METRIC_JOURNAL] = {"journal", "ms", DRV_SCOPE_BROKER},
    [DRV_METRIC_BROKER_MEMORY] = {"broker_memory", "%", DRV_SCOPE_BROKER},
    [DRV_METRIC_DISK_FULL] = {"disk_full", "", DRV_SCOPE_BROKER},
    [DRV_METRIC_WORKERS] = {"workers", "", DRV_SCOPE_BROKER},
    [DRV_METRIC_TYPE_UNSERVED] = {"type_unserved", "", DRV_SCOPE_TYPE},
    [DRV_METRIC_BROKER_DISK] = {"broker_disk", "%", DRV_SCOPE_BROKER},
    [DRV_METRIC_LOOP] = {"loop", "ms", DRV_SCOPE_BROKER},
};

static const char *const severities[] = {NULL, "info", "warning", "critical"};

static bool is_metric(unsigned metric)
{
    return metric >= 1 && metric < DRV_METRIC_END;
}

const char *drv_metric_name(unsigned metric)
{
    return is_metric(metric) ? metrics[metric].name : NULL;
}

const char *drv_metric_unit(unsigned metric)
{
    return is_metric(metric) ? metrics[metric].unit : NULL;
}

enum drv_scope drv_metric_scope(unsigned metric)
{
    return is_metric(metric) ? metrics[metric].scope : DRV_SCOPE_BROKER;
}

const char *drv_scope_name(enum drv_scope scope)
{
    static const char *const names[DRV_SCOPES] = {"broker", "worker", "host", "queue", "type"};
    return names[scope];
}

const char *drv_severity_name(unsigned severity)
{
    return severity < DRV_ARRAY_LEN(severities) ? severities[severity] : NULL;
}

drover_status drv_alert_rule_check(const struct drv_alert_rule *rule, const char **out_reason)
{
    bool is_above = rule->comparison == DRV_ABOVE;
    *out_reason = NULL;
    if (!is_metric(rule->metric)) {
        *out_reason = "no such metric";
    } else if (!is_above && rule->comparison != DRV_BELOW) {
        *out_reason = "neither > nor <";
    } else if (!isfinite(rule->threshold) || !isfinite(rule->clear)) {
        *out_reason = "a threshold that is no number";
    } else if (is_above ? rule->clear > rule->threshold : rule->clear < rule->threshold) {
        *out_reason = "it would be over before it begins: clear is beyond the threshold";
    } else if (drv_severity_name(rule->severity) == NULL) {
        *out_reason = "a severity that is none of info, warning, critical";
    } else if (rule->for_ms > DRV_ALERT_TIME_MAX_MS || rule->clear_ms > DRV_ALERT_TIME_MAX_MS) {
        *out_reason = "a time of more than a day";
    }
    return *out_reason == NULL ? DROVER_OK : DROVER_INVALID;
}

/* ---- reading ----------------------------------------------------------------------------- */

enum { WORDS_MAX = 16 };

struct words {
    char text[DRV_ALERT_TEXT_MAX]; /* cut into words */
    char *at[WORDS_MAX + 1];       /* the last is NULL */
    size_t count;
};

static bool split(const char *text, struct words *out_words)
{
    size_t len = strlen(text);
    out_words->count = 0;
    if (len >= sizeof out_words->text) {
        return false;
    }
    memcpy(out_words->text, text, len + 1);
    for (char *at = out_words->text;; out_words->count++) {
        at += strspn(at, " \t");
        if (*at == '\0') {
            break;
        }
        if (out_words->count == WORDS_MAX) {
            return false;
        }
        out_words->at[out_words->count] = at;
        at += strcspn(at, " \t");
        if (*at != '\0') {
            *at++ = '\0';
        }
    }
    out_words->at[out_words->count] = NULL;
    return true;
}

static bool read_number(const char *word, double *out_number)
{
    char *end = NULL;
    if (word == NULL || strspn(word, "0123456789.-") != strlen(word) || word[0] == '\0') {
        return false;
    }
    *out_number = strtod(word, &end);
    return *end == '\0' && isfinite(*out_number);
}

static bool read_severity(const char *word, uint32_t *out_severity)
{
    for (uint32_t i = 1; i < DRV_ARRAY_LEN(severities); i++) {
        if (strcmp(word, severities[i]) == 0) {
            *out_severity = i;
            return true;
        }
    }
    return false;
}

static bool read_metric(const char *word, uint32_t *out_metric)
{
    for (uint32_t i = 1; i < DRV_METRIC_END; i++) {
        if (strcmp(word, metrics[i].name) == 0) {
            *out_metric = i;
            return true;
        }
    }
    return false;
}

/* One of the pairs behind the comparison. */
static bool read_clause(const char *key, const char *word, struct drv_alert_rule *rule,
                        char subject[DRV_ALERT_TEXT_MAX])
{
    if (word == NULL) {
        return false;
    }
    if (strcmp(key, "clear") == 0) {
        return read_number(word, &rule->clear);
    }
    if (strcmp(key, "for") == 0) {
        return drv_duration_parse(word, &rule->for_ms) == DROVER_OK;
    }
    if (strcmp(key, "clear-for") == 0) {
        return drv_duration_parse(word, &rule->clear_ms) == DROVER_OK;
    }
    if (strcmp(key, "severity") == 0) {
        return read_severity(word, &rule->severity);
    }
    if (strcmp(key, "only") == 0) {
        memcpy(subject, word, strlen(word) + 1);
        return drover_name_is_valid(word);
    }
    return false;
}

static drover_status read_words(char *const *words, size_t count,
                                struct drv_alert_rule *out_rule,
                                char out_subject[DRV_ALERT_TEXT_MAX],
                                struct drv_problem *problem)
{
    struct drv_alert_rule rule = {.severity = DRV_SEVERITY_WARNING};
    const char *reason = NULL;
    out_subject[0] = '\0';
    if (count < 3 || !read_metric(words[0], &rule.metric)) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "'%s' is no metric (METRIC > NUMBER, such as host_cpu > 90)",
                               count > 0 ? words[0] : "");
    }
    bool is_above = strcmp(words[1], ">") == 0;
    rule.comparison = is_above ? DRV_ABOVE : DRV_BELOW;
    if (!is_above && strcmp(words[1], "<") != 0) {
        return drv_problem_set(problem, DROVER_INVALID, "'%s' is neither > nor <", words[1]);
    }
    if (!read_number(words[2], &rule.threshold)) {
        return drv_problem_set(problem, DROVER_INVALID, "'%s' is no number", words[2]);
    }
    rule.clear = rule.threshold;
    for (size_t i = 3; i < count; i += 2) {
        if (!read_clause(words[i], words[i + 1], &rule, out_subject)) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "'%s %s': neither clear NUMBER, for TIME, clear-for TIME, "
                                   "severity LEVEL nor only SUBJECT",
                                   words[i], words[i + 1] == NULL ? "" : words[i + 1]);
        }
    }
    if (drv_alert_rule_check(&rule, &reason) != DROVER_OK) {
        return drv_problem_set(problem, DROVER_INVALID, "%s", reason);
    }
    *out_rule = rule;
    return DROVER_OK;
}

drover_status drv_alert_condition_parse(const char *text, struct drv_alert_rule *out_rule,
                                        char out_subject[DRV_ALERT_TEXT_MAX],
                                        struct drv_problem *problem)
{
    struct words words;
    if (!split(text, &words)) {
        return drv_problem_set(problem, DROVER_INVALID, "a rule that is too long");
    }
    return read_words(words.at, words.count, out_rule, out_subject, problem);
}

drover_status drv_alert_rule_parse(const char *text, struct drv_alert_rule *out_rule,
                                   char out_name[DRV_ALERT_TEXT_MAX],
                                   char out_subject[DRV_ALERT_TEXT_MAX],
                                   struct drv_problem *problem)
{
    struct words words;
    if (!split(text, &words)) {
        return drv_problem_set(problem, DROVER_INVALID, "a rule that is too long");
    }
    if (words.count == 0 || !drover_name_is_valid(words.at[0])) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "a rule begins with its name (letters, digits and . _ : -)");
    }
    memcpy(out_name, words.at[0], strlen(words.at[0]) + 1);
    return read_words(words.at + 1, words.count - 1, out_rule, out_subject, problem);
}
