#include "restore.h"

#include "broker.h"
#include "check.h"
#include "hand.h"

#include <stdlib.h>

bool restore_wrong(struct restore *restore, const char *why)
{
    restore->why = why;
    return false;
}

/* --- time -------------------------------------------------------------------------------- */

int64_t restore_instant(const struct restore *restore, int64_t wall_us)
{
    const struct core *core = restore->core;
    int64_t at_us;
    if (__builtin_sub_overflow(wall_us, core->wall_offset_us, &at_us)) {
        return core->now_us;
    }
    /* An age of more than a century is one of a century. */
    int64_t oldest_us = core->now_us - us_of_ms(UINT64_MAX);
    at_us = at_us < oldest_us ? oldest_us : at_us;
    return at_us < core->now_us ? at_us : core->now_us;
}

int64_t restore_due(const struct restore *restore, int64_t wall_us, uint64_t left_us)
{
    const struct core *core = restore->core;
    int64_t most_us = us_of_ms(left_us / 1000 + 1);
    int64_t due_us;
    most_us = left_us < (uint64_t)most_us ? (int64_t)left_us : most_us;
    if (__builtin_sub_overflow(wall_us, save_wall(core, core->now_us), &due_us) || due_us < 0) {
        return core->now_us;
    }
    return core->now_us + (due_us < most_us ? due_us : most_us);
}

/* --- life -------------------------------------------------------------------------------- */

/* What an array has as long as its own record has not come. */
static struct spec *nobody_new(struct core *core)
{
    struct spec_numbers numbers = {.type_len = 1, .queue_len = 1};
    struct spec *spec = NULL;
    return spec_intern(core, &numbers, "--", 2, &spec) ? NULL : spec;
}

static struct restore *restore_begin(struct core *core)
{
    struct restore *restore = calloc(1, sizeof *restore);
    if (restore == NULL) {
        return NULL;
    }
    restore->core = core;
    drv_list_init(&restore->order);
    drv_list_init(&restore->arrays);
    drv_list_init(&restore->orphans);
    drv_buffer_init(&restore->pending);
    drv_buffer_init(&restore->scratch);
    restore_deps_init(restore);
    core->restore = restore;
    core->save.is_on = false; /* what is read is not written again */
    restore->nobody = nobody_new(core);
    return restore->nobody == NULL ? NULL : restore;
}

void restore_free(struct core *core)
{
    struct restore *restore = core->restore;
    if (restore == NULL) {
        return;
    }
    core->restore = NULL;
    core->save.is_on = core->config.durability_max > DROVER_DURABILITY_MEMORY;
    spec_release(core, &restore->nobody);
    who_release(core, &restore->who);
    drv_buffer_fini(&restore->pending);
    drv_buffer_fini(&restore->scratch);
    restore_deps_fini(restore);
    free(restore->numbers);
    free(restore);
}

/* --- records ----------------------------------------------------------------------------- */

static bool restore_broker(struct restore *restore, const struct core_saved *saved,
                           struct record_reader *reader)
{
    struct core *core = restore->core;
    struct core_counters *counters = &core->counters;
    uint64_t *others[SAVE_OTHERS] = {&counters->retried,
                                     &counters->stale_results,
                                     &counters->duplicate_results,
                                     &counters->unknown_results,
                                     &counters->malformed,
                                     &counters->refused,
                                     &counters->charged,
                                     &counters->requeued_free,
                                     &counters->stale_writes,
                                     &counters->stale_progress,
                                     &counters->stale_heartbeats,
                                     &counters->attached,
                                     &counters->late};
    (void)saved;
    for (unsigned state = DROVER_STATE_SUCCEEDED; state <= DROVER_STATE_LOST; state++) {
        core->gone[state] = record_uint(reader);
    }
    uint64_t version = record_uint(reader);
    uint64_t arrival = record_uint(reader);
    uint32_t generation = record_u32(reader);
    (void)record_uint(reader); /* epoch: for who reads the dump */
    core->kv_version = version > core->kv_version ? version : core->kv_version;
    core->arrival = arrival > core->arrival ? arrival : core->arrival;
    if (generation > core->sessions.generation) {
        core->sessions.generation = generation;
    }
    for (size_t i = 0; i < SAVE_OTHERS; i++) {
        /* `late` came last: older records end before it. */
        *others[i] = i < SAVE_OTHERS - 1 || record_left(reader) > 0 ? record_uint(reader) : 0;
    }
    return true;
}

static bool restore_body(struct restore *restore, const struct core_saved *saved)
{
    static const restore_fn readers[CORE_SAVE_KINDS] = {
        [CORE_SAVE_BROKER] = restore_broker,
        [CORE_SAVE_TASK] = restore_task,
        [CORE_SAVE_UNIT] = restore_unit,
        [CORE_SAVE_RUN] = restore_run,
        [CORE_SAVE_RUN_DUE] = restore_run_due,
        [CORE_SAVE_RETRIED] = restore_retried,
        [CORE_SAVE_FORGET] = restore_forget,
        [CORE_SAVE_SESSION] = restore_session_whole,
        [CORE_SAVE_REPLIES] = restore_replies,
        [CORE_SAVE_SESSION_END] = restore_session_end,
        [CORE_SAVE_KV] = restore_kv,
        [CORE_SAVE_KV_DELETE] = restore_kv_delete,
        [CORE_SAVE_QUEUE] = restore_queue,
        [CORE_SAVE_SCHEDULE] = restore_schedule,
        [CORE_SAVE_SCHEDULE_RUN] = restore_schedule_run,
        [CORE_SAVE_SCHEDULE_END] = restore_schedule_end,
        [CORE_SAVE_AFTER] = restore_after,
        [CORE_SAVE_KEY] = restore_key,
        [CORE_SAVE_KEY_END] = restore_key_end,
        [CORE_SAVE_GROUP] = restore_group,
        [CORE_SAVE_ALERT_RULE] = restore_alert_rule,
        [CORE_SAVE_ALERT_SILENCE] = restore_alert_silence,
        [CORE_SAVE_ALERT] = restore_alert,
        [CORE_SAVE_RUN_END] = restore_run_end,
    };
    struct record_reader reader;
    if (saved->kind >= CORE_SAVE_KINDS || readers[saved->kind] == NULL) {
        return restore_wrong(restore, "a record of unknown kind");
    }
    record_read(&reader, saved->body + 1, saved->len - 1);
    restore->mark = (uint16_t)(saved->lsn >> SAVE_MARK_BITS);
    if (!readers[saved->kind](restore, saved, &reader)) {
        return false;
    }
    return !reader.failed || restore_wrong(restore, "a record that is cut short");
}

/* --- turns ------------------------------------------------------------------------------- */

/* A record that waits for the rest of its turn. */
struct waiting {
    struct core_saved saved;
    uint8_t body[];
};

static size_t waiting_size(size_t len)
{
    return (sizeof(struct waiting) + len + 15) / 16 * 16;
}

static bool restore_wait(struct restore *restore, const struct core_saved *saved)
{
    struct drv_buffer *pending = &restore->pending;
    size_t size = waiting_size(saved->len);
    if (drv_buffer_reserve(pending, size)) {
        return false;
    }
    struct waiting waiting = {.saved = *saved};
    memcpy(pending->bytes + pending->len, &waiting, sizeof waiting);
    memcpy(pending->bytes + pending->len + sizeof waiting, saved->body, saved->len);
    pending->len += size;
    return true;
}

static bool restore_turn(struct restore *restore, const struct core_saved *last)
{
    struct drv_buffer *pending = &restore->pending;
    bool is_fine = true;
    for (size_t at = 0; is_fine && at < pending->len;) {
        struct waiting waiting;
        memcpy(&waiting, pending->bytes + at, sizeof waiting);
        waiting.saved.body = pending->bytes + at + sizeof waiting;
        at += waiting_size(waiting.saved.len);
        is_fine = restore_body(restore, &waiting.saved);
    }
    drv_buffer_clear(pending);
    return is_fine && restore_body(restore, last);
}

static drover_status restore_verdict(const struct restore *restore, bool is_fine,
                                     const char **out_text)
{
    if (is_fine) {
        return DROVER_OK;
    }
    *out_text = restore->why == NULL ? "out of memory" : restore->why;
    return restore->why == NULL ? DROVER_NOMEM : DROVER_MALFORMED;
}

drover_status core_restore(struct core *core, const struct core_saved *saved,
                           const char **out_text)
{
    *out_text = "out of memory";
    if (core->restore == NULL && restore_begin(core) == NULL) {
        return DROVER_NOMEM;
    }
    struct restore *restore = core->restore;
    uint8_t first = saved->len == 0 ? 0 : saved->body[0];
    core->save.lsn = saved->lsn;
    if ((first & RECORD_VERSION_MASK) > RECORD_VERSION) {
        *out_text = "a newer broker has written this";
        return DROVER_VERSION;
    }
    if ((first & RECORD_VERSION_MASK) == 0) {
        *out_text = "a record without a version";
        return DROVER_MALFORMED;
    }
    if (first & RECORD_FIRST) {
        drv_buffer_clear(&restore->pending); /* a turn that the last life did not finish */
    }
    bool is_fine = first & RECORD_MORE ? restore_wait(restore, saved)
                                       : restore_turn(restore, saved);
    return restore_verdict(restore, is_fine, out_text);
}

drover_status core_restore_end(struct core *core, int64_t now_us, const char **out_text)
{
    *out_text = "out of memory";
    core->now_us = now_us > core->now_us ? now_us : core->now_us;
    if (core->restore == NULL && restore_begin(core) == NULL) {
        return DROVER_NOMEM;
    }
    drover_status status = restore_verdict(core->restore, restore_finish(core->restore),
                                           out_text);
    hand_put_down(core);
    if (status == DROVER_OK) {
        core->effects.count = 0;
        restore_free(core);
    }
    return status;
}
