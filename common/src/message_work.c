/*
 * message_work.c: the codec of the kinds between broker and worker (PROTOCOL.md section 6,
 * "Work").
 */
#include "message_rows.h"

/* ---- LEASE ------------------------------------------------------------------------------- */

static void get_parents(struct drv_decode *decode, struct drv_lease_entry *entry)
{
    struct drv_items items;
    struct drv_parent *parents = drv_get_items(decode, DRV_AFTER_MAX + DRV_BATCH_MAX,
                                               sizeof *parents, &items);
    for (size_t i = 0; !decode->cursor.failed && i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_id(decode, &parents[i].id);
        parents[i].index = drv_get_index(decode);
        parents[i].when = drv_get_enum(decode, 1, 3, "a parent's when is 1 to 3");
        parents[i].state = drv_get_enum(decode, DROVER_STATE_SUCCEEDED, DROVER_STATE_LOST,
                                        "a parent has not ended");
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    entry->parents = parents;
    entry->parent_count = items.count;
}

enum { LEASE_ROW = 32 }; /* handle, id, attempt, length + 1: tasks without anything special */

/* The first fields of a row of LEASE and REPORT. */
static void get_row_ref(const uint8_t *at, struct drv_ref *out_ref)
{
    out_ref->handle = drv_be64(at);
    memcpy(out_ref->id.bytes, at + 8, sizeof out_ref->id.bytes);
    out_ref->index = DROVER_INDEX_NONE;
    out_ref->attempt = drv_be32(at + 24);
}

static uint8_t *put_row_ref(uint8_t *at, const struct drv_ref *ref)
{
    return drv_put_be32(drv_put_row_id(drv_put_be64(at, ref->handle), &ref->id), ref->attempt);
}

static void get_lease_row(struct drv_decode *decode, struct drv_rows *rows,
                          struct drv_lease_entry *entry)
{
    get_row_ref(rows->at, &entry->ref);
    entry->val = drv_rows_val(decode, rows, drv_be32(rows->at + 28));
    entry->meta = (struct drv_str){NULL, 0};
    entry->parents = NULL;
    entry->parent_count = 0;
    entry->range = (struct drv_range){0};
    rows->at += LEASE_ROW;
}

static void get_lease_entry(struct drv_decode *decode, struct drv_lease_entry *entry)
{
    uint32_t outer = drv_get_open(decode);
    drv_get_ref(decode, &entry->ref);
    entry->val = drv_get_val(decode);
    entry->meta = drv_get_binary_optional(decode, DRV_META_MAX);
    entry->parents = NULL;
    entry->parent_count = 0;
    if (decode->left > 0) {
        get_parents(decode, entry);
    }
    drv_get_range(decode, entry->ref.index, &entry->val, &entry->range);
    drv_get_close(decode, outer);
}

static void get_lease_entries(struct drv_decode *decode, struct drv_lease_group *group)
{
    struct drv_items items;
    struct drv_rows rows;
    struct drv_lease_entry *entries = drv_get_rows_and_batch(decode, sizeof *entries, LEASE_ROW,
                                                             &rows, NULL, &items);
    for (size_t i = 0; i < rows.count && !decode->cursor.failed; i++) {
        get_lease_row(decode, &rows, &entries[i]);
    }
    for (size_t i = rows.count; !decode->cursor.failed && i < items.count; i++) {
        get_lease_entry(decode, &entries[i]);
    }
    drv_get_close(decode, items.outer);
    if (items.count == 0) {
        drv_decode_fail(decode, DROVER_MALFORMED, "group without entries");
    }
    group->entries = entries;
    group->entry_count = items.count;
}

void drv_decode_lease(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    struct drv_lease_group *groups = drv_get_items(decode, DRV_BATCH_MAX, sizeof *groups,
                                                   &items);
    for (size_t i = 0; !decode->cursor.failed && i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        groups[i].type = drv_get_name(decode);
        groups[i].queue = drv_get_name(decode);
        groups[i].timeout_ms = drv_get_u64(decode);
        groups[i].term_ms = drv_get_u64(decode);
        groups[i].kill_ms = drv_get_u64(decode);
        groups[i].flags = drv_get_u32(decode);
        get_lease_entries(decode, &groups[i]);
        groups[i].limits = drv_get_bounds(decode);
        groups[i].needs = drv_get_counts(decode, &groups[i].need_count);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    out_message->lease.groups = groups;
    out_message->lease.group_count = items.count;
}

static void put_parents(struct drv_encode *encode, const struct drv_lease_entry *entry)
{
    drv_put_items(encode, entry->parent_count, DRV_AFTER_MAX + DRV_BATCH_MAX);
    for (size_t i = 0; encode->status == DROVER_OK && i < entry->parent_count; i++) {
        const struct drv_parent *parent = &entry->parents[i];
        drv_put_array(encode, 4);
        drv_put_id(encode, &parent->id);
        drv_put_index(encode, parent->index);
        drv_put_enum(encode, parent->when, 1, 3);
        drv_put_enum(encode, parent->state, DROVER_STATE_SUCCEEDED, DROVER_STATE_LOST);
    }
}

static bool lease_is_plain(const struct drv_lease_entry *entry)
{
    return entry->ref.index == DROVER_INDEX_NONE && entry->meta.ptr == NULL &&
           entry->parent_count == 0 && entry->range.count == 0 && drv_val_is_plain(&entry->val);
}

static size_t lease_rows(const struct drv_encode *encode, const struct drv_lease_group *group,
                         size_t *out_bytes)
{
    size_t count = 0;
    *out_bytes = 0;
    while (drv_rows_are_read(encode) && count < group->entry_count &&
           lease_is_plain(&group->entries[count])) {
        *out_bytes += group->entries[count].val.len;
        count++;
    }
    return drv_rows_of(count);
}

static void put_lease_entry(struct drv_encode *encode, const struct drv_lease_entry *entry)
{
    bool is_range = entry->range.count > 0;
    drv_put_array(encode, is_range ? 8 : entry->parent_count > 0 ? 7 : 6);
    drv_put_ref(encode, &entry->ref);
    drv_put_val(encode, &entry->val);
    drv_put_binary_optional(encode, entry->meta, DRV_META_MAX);
    if (entry->parent_count > 0 || is_range) {
        put_parents(encode, entry);
    }
    drv_put_range(encode, entry->ref.index, &entry->val, &entry->range);
}

static void put_lease_entries(struct drv_encode *encode, const struct drv_lease_group *group)
{
    size_t bytes = 0, rows = lease_rows(encode, group, &bytes);
    uint8_t *row = drv_put_rows_and_batch(encode, group->entry_count, rows, LEASE_ROW, bytes,
                                          false);
    for (size_t i = 0; row != NULL && i < rows; i++) {
        const struct drv_lease_entry *entry = &group->entries[i];
        row = drv_put_be32(put_row_ref(row, &entry->ref), drv_rows_number(&entry->val));
        drv_put_row_val(encode, &entry->val);
    }
    for (size_t i = rows; encode->status == DROVER_OK && i < group->entry_count; i++) {
        put_lease_entry(encode, &group->entries[i]);
    }
}

static void put_lease_group(struct drv_encode *encode, const struct drv_lease_group *group)
{
    if (group->entry_count == 0) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
    drv_put_array(encode, group->need_count > 0 ? 9 : 8);
    drv_put_name(encode, group->type);
    drv_put_name(encode, group->queue);
    drv_put_uint(encode, group->timeout_ms);
    drv_put_uint(encode, group->term_ms);
    drv_put_uint(encode, group->kill_ms);
    drv_put_uint(encode, group->flags);
    put_lease_entries(encode, group);
    drv_put_bounds(encode, &group->limits);
    if (group->need_count > 0) {
        drv_put_counts(encode, group->needs, group->need_count);
    }
}

void drv_encode_lease(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_lease *lease = &message->lease;
    drv_put_items(encode, lease->group_count, DRV_BATCH_MAX);
    for (size_t i = 0; encode->status == DROVER_OK && i < lease->group_count; i++) {
        put_lease_group(encode, &lease->groups[i]);
    }
}

/* ---- REPORT ------------------------------------------------------------------------------ */

static void get_usage(struct drv_decode *decode, struct drv_result *result)
{
    uint32_t outer;
    result->usage = (struct drv_usage){0};
    result->has_usage = drv_get_open_optional(decode, &outer);
    if (!result->has_usage) {
        return;
    }
    result->usage.user_us = drv_get_u64(decode);
    result->usage.system_us = drv_get_u64(decode);
    result->usage.peak_rss_bytes = drv_get_u64(decode);
    result->usage.pid = drv_get_u32(decode);
    result->usage.kept = drv_get_enum(decode, DRV_KEPT_NOTHING, DRV_KEPT_CGROUP,
                                      "unknown keeper of limits");
    drv_get_close(decode, outer);
}

/* handle, id, attempt, length + 1, run_us, wait_us, hold_us, user_us, system_us, pid,
 * peak_rss_bytes: tasks that just succeeded. */
enum { RESULT_ROW = 64 };

static void get_result_row(struct drv_decode *decode, struct drv_rows *rows,
                           struct drv_result *result)
{
    const uint8_t *at = rows->at;
    *result = (struct drv_result){.outcome = DRV_OUTCOME_SUCCEEDED, .error = {.exit_code = -1}};
    get_row_ref(at, &result->ref);
    result->val = drv_rows_val(decode, rows, drv_be32(at + 28));
    result->run_us = drv_be32(at + 32);
    result->wait_us = drv_be32(at + 36);
    result->hold_us = drv_be32(at + 40);
    result->usage.user_us = drv_be32(at + 44);
    result->usage.system_us = drv_be32(at + 48);
    result->usage.pid = drv_be32(at + 52);
    result->usage.peak_rss_bytes = drv_be64(at + 56);
    result->has_usage = true;
    rows->at += RESULT_ROW;
}

static void get_result(struct drv_decode *decode, struct drv_result *result)
{
    uint32_t outer = drv_get_open(decode);
    drv_get_ref(decode, &result->ref);
    result->outcome = drv_get_enum(decode, DRV_OUTCOME_SUCCEEDED, DRV_OUTCOME_CANCELLED,
                                   "unknown outcome");
    result->val = drv_get_val(decode);
    drv_get_error(decode, &result->error);
    result->run_us = drv_get_u64(decode);
    get_usage(decode, result);
    drv_get_tail(decode, &result->tail);
    result->wait_us = drv_get_u64(decode);
    result->hold_us = drv_get_u64(decode);
    drv_get_range(decode, result->ref.index, &result->val, &result->range);
    if (result->range.count > 0 && (result->outcome != DRV_OUTCOME_SUCCEEDED ||
                                    result->error.kind != 0 || result->tail.piece_count > 0)) {
        drv_decode_fail(decode, DROVER_MALFORMED, "a range that did not just succeed");
    }
    drv_get_close(decode, outer);
}

static void get_results(struct drv_decode *decode, struct drv_report *report)
{
    struct drv_items items;
    struct drv_rows rows;
    struct drv_result *results = drv_get_rows_and_batch(decode, sizeof *results, RESULT_ROW,
                                                        &rows, NULL, &items);
    for (size_t i = 0; i < rows.count && !decode->cursor.failed; i++) {
        get_result_row(decode, &rows, &results[i]);
    }
    for (size_t i = rows.count; !decode->cursor.failed && i < items.count; i++) {
        get_result(decode, &results[i]);
    }
    drv_get_close(decode, items.outer);
    report->results = results;
    report->result_count = items.count;
}

static void get_returned(struct drv_decode *decode, struct drv_report *report)
{
    struct drv_items items;
    struct drv_returned *returned = drv_get_batch(decode, sizeof *returned, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_ref(decode, &returned[i].ref);
        returned[i].reason = drv_get_enum(decode, DRV_RETURN_RECALLED, DRV_RETURN_LOST,
                                          "unknown reason of a return");
        returned[i].more = drv_get_further(decode, returned[i].ref.index);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    report->returned = returned;
    report->returned_count = items.count;
}

static void get_progress(struct drv_decode *decode, struct drv_report *report)
{
    struct drv_items items;
    struct drv_progress *progress = drv_get_batch(decode, sizeof *progress, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_ref(decode, &progress[i].ref);
        progress[i].permille = drv_get_enum(decode, 0, 1000, "progress beyond 1000");
        progress[i].text = drv_get_text(decode, DRV_TEXT_MAX);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    report->progress = progress;
    report->progress_count = items.count;
}

void drv_decode_report(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_report *report = &out_message->report;
    report->started = drv_get_refs(decode, &report->started_count);
    get_results(decode, report);
    get_returned(decode, report);
    get_progress(decode, report);
}

static void put_usage(struct drv_encode *encode, const struct drv_result *result)
{
    if (!result->has_usage) {
        drv_put_nil(encode);
        return;
    }
    drv_put_array(encode, result->usage.kept != DRV_KEPT_NOTHING ? 5 : 4);
    drv_put_uint(encode, result->usage.user_us);
    drv_put_uint(encode, result->usage.system_us);
    drv_put_uint(encode, result->usage.peak_rss_bytes);
    drv_put_uint(encode, result->usage.pid);
    if (result->usage.kept != DRV_KEPT_NOTHING) {
        drv_put_enum(encode, result->usage.kept, DRV_KEPT_RLIMIT, DRV_KEPT_CGROUP);
    }
}

static void put_result(struct drv_encode *encode, const struct drv_result *result)
{
    drv_put_array(encode, result->range.count > 0 ? 13 : 12);
    drv_put_ref(encode, &result->ref);
    drv_put_enum(encode, result->outcome, DRV_OUTCOME_SUCCEEDED, DRV_OUTCOME_CANCELLED);
    drv_put_val(encode, &result->val);
    drv_put_error(encode, &result->error);
    drv_put_uint(encode, result->run_us);
    put_usage(encode, result);
    drv_put_tail(encode, &result->tail);
    drv_put_uint(encode, result->wait_us);
    drv_put_uint(encode, result->hold_us);
    drv_put_range(encode, result->ref.index, &result->val, &result->range);
}

static bool result_is_plain(const struct drv_result *result)
{
    const struct drv_usage *usage = &result->usage;
    uint64_t times = result->run_us | result->wait_us | result->hold_us | usage->user_us |
                     usage->system_us;
    return result->ref.index == DROVER_INDEX_NONE && result->outcome == DRV_OUTCOME_SUCCEEDED &&
           result->error.kind == DROVER_ERROR_NONE && result->has_usage &&
           usage->kept == DRV_KEPT_NOTHING && times <= UINT32_MAX &&
           result->tail.piece_count == 0 && result->range.count == 0 &&
           drv_val_is_plain(&result->val);
}

static size_t result_rows(const struct drv_encode *encode, const struct drv_report *report,
                          size_t *out_bytes)
{
    size_t count = 0;
    *out_bytes = 0;
    while (drv_rows_are_read(encode) && count < report->result_count &&
           result_is_plain(&report->results[count])) {
        *out_bytes += report->results[count].val.len;
        count++;
    }
    return drv_rows_of(count);
}

static uint8_t *put_result_row(uint8_t *row, const struct drv_result *result)
{
    row = put_row_ref(row, &result->ref);
    row = drv_put_be32(row, drv_rows_number(&result->val));
    row = drv_put_be32(row, (uint32_t)result->run_us);
    row = drv_put_be32(row, (uint32_t)result->wait_us);
    row = drv_put_be32(row, (uint32_t)result->hold_us);
    row = drv_put_be32(row, (uint32_t)result->usage.user_us);
    row = drv_put_be32(row, (uint32_t)result->usage.system_us);
    row = drv_put_be32(row, result->usage.pid);
    return drv_put_be64(row, result->usage.peak_rss_bytes);
}

static void put_results(struct drv_encode *encode, const struct drv_report *report)
{
    size_t bytes = 0, rows = result_rows(encode, report, &bytes);
    uint8_t *row = drv_put_rows_and_batch(encode, report->result_count, rows, RESULT_ROW, bytes,
                                          false);
    for (size_t i = 0; row != NULL && i < rows; i++) {
        row = put_result_row(row, &report->results[i]);
        drv_put_row_val(encode, &report->results[i].val);
    }
    for (size_t i = rows; encode->status == DROVER_OK && i < report->result_count; i++) {
        put_result(encode, &report->results[i]);
    }
}

static void put_returned(struct drv_encode *encode, const struct drv_returned *returned)
{
    drv_put_array(encode, returned->more > 0 ? 6 : 5);
    drv_put_ref(encode, &returned->ref);
    drv_put_enum(encode, returned->reason, DRV_RETURN_RECALLED, DRV_RETURN_LOST);
    drv_put_further(encode, returned->ref.index, returned->more);
}

static void put_progress(struct drv_encode *encode, const struct drv_progress *progress)
{
    drv_put_array(encode, 6);
    drv_put_ref(encode, &progress->ref);
    drv_put_enum(encode, progress->permille, 0, 1000);
    drv_put_text(encode, progress->text, DRV_TEXT_MAX);
}

void drv_encode_report(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_report *report = &message->report;
    drv_put_refs(encode, report->started, report->started_count);
    put_results(encode, report);
    drv_put_batch(encode, report->returned_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < report->returned_count; i++) {
        put_returned(encode, &report->returned[i]);
    }
    drv_put_batch(encode, report->progress_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < report->progress_count; i++) {
        put_progress(encode, &report->progress[i]);
    }
}

/* ---- RECALL, GO, ABORT ------------------------------------------------------------------- */

void drv_decode_refs(struct drv_decode *decode, struct drv_message *out_message)
{
    out_message->leases.leases = drv_get_refs(decode, &out_message->leases.lease_count);
}

void drv_encode_refs(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_refs(encode, message->leases.leases, message->leases.lease_count);
}

void drv_decode_abort(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    struct drv_abort_entry *leases = drv_get_batch(decode, sizeof *leases, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_ref(decode, &leases[i].ref);
        leases[i].code = drv_get_u32(decode);
        leases[i].more = drv_get_further(decode, leases[i].ref.index);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    out_message->abort.leases = leases;
    out_message->abort.lease_count = items.count;
}

void drv_encode_abort(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_batch(encode, message->abort.lease_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < message->abort.lease_count; i++) {
        const struct drv_abort_entry *entry = &message->abort.leases[i];
        drv_put_array(encode, entry->more > 0 ? 6 : 5);
        drv_put_ref(encode, &entry->ref);
        drv_put_uint(encode, entry->code);
        drv_put_further(encode, entry->ref.index, entry->more);
    }
}

/* ---- AWAIT, SHARED, DRAIN ---------------------------------------------------------------- */

void drv_decode_await(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    drv_get_ref(decode, &out_message->await.ref);
    drover_id *children = drv_get_batch(decode, sizeof *children, &items);
    for (size_t i = 0; i < items.count; i++) {
        drv_get_id(decode, &children[i]);
    }
    drv_get_close(decode, items.outer);
    out_message->await.children = children;
    out_message->await.child_count = items.count;
    out_message->await.flags = drv_get_u32(decode);
}

void drv_encode_await(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_ref(encode, &message->await.ref);
    drv_put_batch(encode, message->await.child_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < message->await.child_count; i++) {
        drv_put_id(encode, &message->await.children[i]);
    }
    drv_put_uint(encode, message->await.flags);
}

void drv_decode_shared(struct drv_decode *decode, struct drv_message *out_message)
{
    drv_get_id(decode, &out_message->shared.id);
    out_message->shared.val = drv_get_val(decode);
}

void drv_encode_shared(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_id(encode, &message->shared.id);
    drv_put_val(encode, &message->shared.val);
}

void drv_decode_drain(struct drv_decode *decode, struct drv_message *out_message)
{
    out_message->drain.on = drv_get_bool(decode);
    out_message->drain.text = drv_get_text(decode, DRV_TEXT_MAX);
}

void drv_encode_drain(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_bool(encode, message->drain.on);
    drv_put_text(encode, message->drain.text, DRV_TEXT_MAX);
}
