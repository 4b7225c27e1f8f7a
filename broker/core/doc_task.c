/* doc_task.c: topic task: one task, element or array, with its death certificate. */
#include "document.h"

#include "broker.h"
#include "copy.h"
#include "utf8.h"
#include "why.h"

/* Parents that are listed; parent_count says how many there are. */
enum { DOCUMENT_PARENTS_MAX = 256 };

static const char *outcome_name(uint8_t outcome)
{
    static const char *const names[] = {"",     "succeeded",   "failed", "cancelled",
                                        "lost", "interrupted", "awaited"};
    return outcome < sizeof(names) / sizeof(names[0]) ? names[outcome] : "";
}

static void put_attempts(struct document *document, const struct more *more)
{
    document_array(document, "attempts");
    for (unsigned i = 0; i < more->history_count; i++) {
        const struct attempt *attempt = &more->history[i];
        const struct who *who = attempt->who;
        document_map(document, NULL);
        document_uint(document, "attempt", attempt->attempt);
        if (who != NULL) {
            document_str(document, "worker", str_of(who->text, who->name_len));
            document_str(document, "host", str_of(who->text + who->name_len, who->host_len));
        }
        document_text(document, "outcome", outcome_name(attempt->outcome));
        document_bool(document, "started", attempt->was_started);
        document_uint(document, "queued_us", attempt->queued_us);
        document_uint(document, "transfer_us", attempt->transfer_us);
        document_uint(document, "run_us", attempt->run_us);
        document_uint(document, "return_us", attempt->return_us);
        if (attempt->exit_code >= 0) {
            document_int(document, "exit_code", attempt->exit_code);
        }
        if (attempt->signal != 0) {
            document_uint(document, "signal", attempt->signal);
        }
        if (attempt->has_usage) {
            document_uint(document, "user_us", attempt->user_us);
            document_uint(document, "system_us", attempt->system_us);
            document_uint(document, "peak_rss_bytes", attempt->peak_rss_bytes);
        }
        if (attempt->kept != DRV_KEPT_NOTHING) {
            document_text(document, "limits_kept_by",
                          attempt->kept == DRV_KEPT_CGROUP ? "cgroup" : "rlimit");
        }
        document_age(document, "age_ms", attempt->ended_us);
        document_end(document);
    }
    document_end(document);
}

/* As text where that is what it is; the cut at its front may have gone through a character. */
static void put_last_words(struct document *document, struct drv_str printed)
{
    const uint8_t *bytes = (const uint8_t *)printed.ptr;
    size_t cut = 0;
    while (cut < DRV_UTF8_LEN_MAX && cut < printed.len && (bytes[cut] & 0xc0) == 0x80) {
        cut++;
    }
    if (drv_utf8_is_valid(bytes + cut, printed.len - cut)) {
        document_str(document, "stderr", str_of(printed.ptr + cut, printed.len - cut));
    } else {
        document_bin(document, "stderr_bytes", printed);
    }
}

static void put_error(struct document *document, const struct failure *failure)
{
    struct drv_error error = failure_view(failure);
    document_map(document, "error");
    document_text(document, "kind", drover_error_kind_name((enum drover_error_kind)error.kind));
    document_str(document, "code", error.code);
    document_str(document, "text", error.text);
    if (error.exit_code >= 0) {
        document_int(document, "exit_code", error.exit_code);
    }
    if (error.signal != 0) {
        document_uint(document, "signal", error.signal);
    }
    if ((error.flags & DRV_ERROR_UNCONFIRMED) != 0) {
        document_bool(document, "unconfirmed", true);
    }
    if ((error.flags & DRV_ERROR_PERMANENT) != 0) {
        document_bool(document, "permanent", true);
    }
    if (error.stderr_tail.len > 0) {
        put_last_words(document, error.stderr_tail);
    }
    document_end(document);
}

/* Whether it was retried by itself before its array was retried, without it. */
static bool is_left_out(const struct item *item)
{
    const struct more *more = item->unit->more, *whole = item->task->unit.more;
    return item->index != DROVER_INDEX_NONE && more->has_retried_as && whole != NULL &&
           more->rounds < whole->rounds && !item->task->array->keeps_payloads;
}

static void put_more(struct document *document, const struct item *item)
{
    const struct more *more = item->unit->more;
    if (more->ended_us != 0) {
        document_age(document, "ended_age_ms", more->ended_us);
    }
    if (more->has_retry_of) {
        document_id(document, "retry_of", &more->retry_of);
    }
    if (more->has_retried_as) {
        document_id(document, "retried_as", &more->retried_as);
    }
    if (is_left_out(item)) {
        document_bool(document, "left_out", true);
    }
    if (more->progress != NULL) {
        document_map(document, "progress");
        document_uint(document, "permille", more->progress->permille);
        document_str(document, "text", str_of(more->progress->text, more->progress->len));
        document_end(document);
    }
    if (more->error != NULL) {
        put_error(document, more->error);
    }
    put_attempts(document, more);
}

/* The attempt that is held now, as far as it has come; or the last one. */
static void put_timeline(struct document *document, const struct item *item)
{
    const struct lease *lease = unit_lease(item->unit);
    const struct more *more = item->unit->more;
    bool is_held = lease != NULL && lease->worker != NULL;
    if (!is_held && (more == NULL || more->history_count == 0)) {
        return;
    }
    document_map(document, "timeline");
    if (is_held) {
        int64_t now_us = document->core->now_us;
        int64_t start_us = lease->started_us != 0 ? lease->started_us : now_us;
        int64_t ready_us = item_ready_us(item);
        document_uint(document, "attempt", item->unit->attempt);
        document_uint(document, "queued_us",
                      lease->since_us > ready_us ? (uint64_t)(lease->since_us - ready_us) : 0);
        document_uint(document, "transfer_us", (uint64_t)(start_us - lease->since_us));
        if (lease->started_us != 0) {
            document_uint(document, "run_us", (uint64_t)(now_us - start_us));
        }
    } else {
        const struct attempt *last = &more->history[more->history_count - 1];
        document_uint(document, "attempt", last->attempt);
        document_uint(document, "queued_us", last->queued_us);
        document_uint(document, "transfer_us", last->transfer_us);
        document_uint(document, "run_us", last->run_us);
        document_uint(document, "return_us", last->return_us);
    }
    document_end(document);
}

static void put_lease(struct document *document, const struct lease *lease)
{
    if (lease == NULL || lease->worker == NULL) {
        return;
    }
    document_str(document, "worker", worker_name(lease->worker));
    document_str(document, "host", worker_host(lease->worker));
    if (lease->started_us != 0) {
        document_age(document, "started_age_ms", lease->started_us);
    }
}

void document_retry_left(struct document *document, const struct array *array)
{
    if (array->retried > 0) {
        document_uint(document, "retry_left", copy_count(array));
    }
}

void document_array_counts(struct document *document, const struct array *array)
{
    document_uint(document, "count", array->count);
    document_bool(document, "sealed", array->is_sealed);
    document_uint(document, "ended", array->ended);
    document_map(document, "states");
    for (int state = DROVER_STATE_WAITING; state <= DROVER_STATE_EXPIRED; state++) {
        document_uint(document, drover_state_name((enum drover_state)state),
                      array->states[state]);
    }
    document_end(document);
}

static int64_t left_of(uint32_t budget, uint16_t used)
{
    return used >= budget ? 0 : (int64_t)budget - used;
}

/* What is kept as name\0value\0... */
static void put_pairs(struct document *document, const char *key, struct drv_str pairs)
{
    document_map(document, key);
    const char *at = pairs.ptr;
    const char *end = pairs.ptr + pairs.len;
    while (pairs.len > 0 && at < end) {
        size_t name_len = strnlen(at, (size_t)(end - at));
        const char *value = at + name_len + 1;
        size_t value_len = value < end ? strnlen(value, (size_t)(end - value)) : 0;
        document_entry(document, str_of(at, name_len), str_of(value, value_len));
        at = value + value_len + 1;
    }
    document_end(document);
}

static void put_needs(struct document *document, struct drv_str needs)
{
    document_map(document, "needs");
    for (const char *at = needs.ptr, *end = needs.ptr + needs.len; at < end;) {
        struct drv_str name;
        uint64_t count;
        at = needs_next(at, &name, &count);
        document_uint(document, name.ptr, count);
    }
    document_end(document);
}

static void put_limits(struct document *document, const uint64_t limits[SPEC_LIMITS])
{
    static const char *const names[SPEC_LIMITS] = {[SPEC_LIMIT_MEMORY] = "memory_bytes",
                                                   [SPEC_LIMIT_CPU] = "cpu_ms",
                                                   [SPEC_LIMIT_OUTPUT] = "output_bytes",
                                                   [SPEC_LIMIT_PROCESSES] = "processes",
                                                   [SPEC_LIMIT_FILES] = "files"};
    bool is_open = false;
    for (size_t i = 0; i < SPEC_LIMITS; i++) {
        if (limits[i] > 0 && !is_open) {
            document_map(document, "limits");
            is_open = true;
        }
        if (limits[i] > 0) {
            document_uint(document, names[i], limits[i]);
        }
    }
    if (is_open) {
        document_end(document);
    }
}

/* By when it must have started. Elements have that each for itself. */
static void put_expiry(struct document *document, const struct item *item)
{
    bool is_whole_array = task_is_array(item->task) && item->index == DROVER_INDEX_NONE;
    int64_t at_us;
    if (item->task->spec->numbers.expire_us == 0) {
        return;
    }
    document_uint(document, "expire_ms", ms_of_us(item->task->spec->numbers.expire_us));
    if (!is_whole_array && !unit_is_terminal(item->unit) && item_expires(item, &at_us)) {
        int64_t left_us = at_us - document->core->now_us;
        document_uint(document, "expires_in_ms", left_us > 0 ? ms_of_us(left_us) : 0);
    }
}

/* What was said about it beyond what is usual. */
static void put_options(struct document *document, const struct item *item)
{
    const struct spec *spec = item->task->spec;
    const struct spec_numbers *numbers = &spec->numbers;
    struct drv_spec usual;
    drv_spec_init(&usual, type_name(spec->line->type));
    if (numbers->fairness_len > 0) {
        document_str(document, "fairness", spec_fairness(spec));
    }
    if (numbers->needs_len > 0) {
        put_needs(document, spec_needs(spec));
    }
    if (numbers->require_len > 0) {
        put_pairs(document, "require", line_require(spec->line));
    }
    put_limits(document, numbers->limits);
    if (numbers->backoff_ms != usual.backoff_ms) {
        document_uint(document, "backoff_ms", numbers->backoff_ms);
    }
    if (numbers->backoff_max_ms != usual.backoff_max_ms) {
        document_uint(document, "backoff_max_ms", numbers->backoff_max_ms);
    }
    if (numbers->keep_us >= 0) {
        document_uint(document, "keep_ms", ms_of_us(numbers->keep_us));
    }
    put_expiry(document, item);
}

static void put_spec(struct document *document, const struct item *item)
{
    const struct spec *spec = item->task->spec;
    document_str(document, "type", type_name(spec->line->type));
    document_str(document, "queue", queue_name(spec->line->queue));
    document_int(document, "priority", spec->numbers.priority);
    document_uint(document, "timeout_ms", spec->numbers.timeout_ms);
    document_uint(document, "retries", spec->numbers.retries);
    document_int(document, "retries_left",
                 left_of(spec->numbers.retries, item->unit->failures));
    document_int(document, "losses_left",
                 spec->numbers.loss_budget < 0
                     ? 0
                     : left_of((uint32_t)spec->numbers.loss_budget, item->unit->losses));
    document_text(document, "level",
                  drover_durability_name((enum drover_durability)spec->numbers.level));
    if (spec->group != NULL) {
        document_str(document, "group", group_name(spec->group));
    }
    document_str(document, "account", account_name(spec->account));
    const struct claim *claim = task_claim(item->task);
    if (claim != NULL) {
        document_str(document, "key", key_word(claim->key));
    }
    struct drv_str meta = spec_meta(spec);
    if (meta.len > 0) {
        document_bin(document, "meta", meta);
    }
}

/* What one that has ended, and did not succeed, was submitted with: a retry waits for these. */
static void put_past(struct document *document, const struct item *item)
{
    struct drv_after after;
    for (size_t i = 0; i < DOCUMENT_PARENTS_MAX && deps_origin(item->unit, i, &after); i++) {
        document_map(document, NULL);
        document_id(document, "id", &after.id);
        document_int(document, "index",
                     after.index == DROVER_INDEX_NONE ? -1 : (int64_t)after.index);
        document_text(document, "when", after.when == DEPS_SUCCEEDED ? "succeeded" : "ended");
        document_end(document);
    }
}

/* What it waits or has waited for, while that is known, and how much waits for it. */
static void put_deps(struct document *document, const struct item *item)
{
    static const char *const whens[] = {"", "succeeded", "ended", "awaited"};
    const struct edge *edges = NULL;
    size_t count = deps_edges(item->unit, &edges);
    size_t children = deps_child_count(item->unit);
    struct drv_after past;
    bool is_past = count == 0 && deps_origin(item->unit, 0, &past);
    if (count > 0) {
        document_uint(document, "parent_count", count);
        document_array(document, "parents");
    }
    if (is_past) {
        document_array(document, "parents");
        put_past(document, item);
        document_end(document);
    }
    for (size_t i = 0; i < count && i < DOCUMENT_PARENTS_MAX; i++) {
        struct item parent = edge_parent(&edges[i]);
        bool is_array = task_is_array(parent.task) && parent.index == DROVER_INDEX_NONE;
        enum drover_state state = is_array ? array_state(parent.task->array)
                                           : (enum drover_state)parent.unit->state;
        document_map(document, NULL);
        document_id(document, "id", &parent.task->id);
        document_int(document, "index",
                     parent.index == DROVER_INDEX_NONE ? -1 : (int64_t)parent.index);
        document_text(document, "state", drover_state_name(state));
        document_text(document, "when", whens[edges[i].when]);
        document_end(document);
    }
    if (count > 0) {
        document_end(document);
    }
    if (children > 0) {
        document_uint(document, "children", children);
    }
}

static void put_why(struct document *document, const struct item *item)
{
    struct why why;
    why_item(document->core, item, &why);
    document_text(document, "reason", why.reason);
    document_text(document, "why", why.text);
}

void document_task(struct document *document, const struct item *item)
{
    const struct unit *unit = item->unit;
    bool is_whole_array = task_is_array(item->task) && item->index == DROVER_INDEX_NONE;
    enum drover_state state = is_whole_array ? array_state(item->task->array)
                                             : (enum drover_state)unit->state;
    document_map(document, NULL);
    document_id(document, "id", &item->task->id);
    document_int(document, "index",
                 item->index == DROVER_INDEX_NONE ? -1 : (int64_t)item->index);
    document_text(document, "state", drover_state_name(state));
    put_spec(document, item);
    put_options(document, item);
    document_uint(document, "attempt", unit->attempt);
    document_age(document, "submitted_age_ms", item->task->submitted_us);
    document_uint(document, "payload_bytes", is_whole_array ? 0 : item_payload_len(item));
    if (unit_is_terminal(unit)) {
        document_double(document, "run_ms", (double)unit->run_us / 1000.0);
        document_uint(document, "result_bytes",
                      is_whole_array ? item->task->array->result_bytes
                                     : body_len(unit->result));
    }
    put_lease(document, unit_lease(unit));
    put_timeline(document, item);
    if (is_whole_array) {
        document_array_counts(document, item->task->array);
        document_retry_left(document, item->task->array);
    }
    if (unit->more != NULL) {
        put_more(document, item);
    }
    if (item->task->spec->schedule != NULL) {
        document_str(document, "schedule", schedule_name(item->task->spec->schedule));
    }
    put_deps(document, item);
    put_pairs(document, "tags", spec_tags(item->task->spec));
    put_why(document, item);
    document_end(document);
}
