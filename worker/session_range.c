/*
 * Ranges: leases of several elements, which are split where their parts differ.
 *
 *   LEASE [0..n)  ──> one lease, QUEUED ──> GIVEN ─ part ─> [0..k) FINISHED   (task_part)
 *                                             │ ── rest ──> [m..n) QUEUED     (task_rest)
 *                                             └─ started ─> [k]    RUNNING
 *
 * While the pool has a range it alone knows how far that is. What the broker says meanwhile of
 * single elements is marked, they are asked back, and the marks take effect when the pool has
 * said which of them had started.
 *
 * Every element that ends a range costs more than one that came alone. So it is counted by type
 * how many do: where they are more than one in ODD_COST, elements run one by one until as many
 * as that cost have done so.
 */
#include "check.h"
#include "lengths.h"
#include "pieces.h"
#include "session_state.h"

#include <stdlib.h>

enum {
    STREAMS_MASK = 0xff << WORKER_MARK_STREAMS & 0xff,
    ODD_COST = 5,       /* elements that must succeed together for one that ends a range */
    ODD_MANY = 100,     /* from here on a type is odd */
    ODD_MAX = 20 * 1000 /* and no more than this */
};

/* ---- types whose elements do not go well together -------------------------------------------
 */

static bool is_odd(const struct worker_session *session, uint32_t type)
{
    return session->oddness[type] >= ODD_MANY;
}

static void note_odd(struct worker_session *session, uint32_t type)
{
    uint32_t oddness = session->oddness[type] + ODD_COST;
    /* Once it is odd, it is so for a while. */
    session->oddness[type] = oddness < ODD_MANY ? oddness : ODD_MAX;
}

static void note_even(struct worker_session *session, uint32_t type, uint32_t count)
{
    uint32_t *oddness = &session->oddness[type];
    *oddness -= count < *oddness ? count : *oddness;
}

/* Each of its elements becomes a lease of its own. */
static void scatter(struct worker_session *session, struct worker_lease *lease)
{
    note_even(session, lease->type, lease->count);
    while (lease->count > 1) {
        struct worker_lease *front = NULL;
        if (worker_book_split_front(&session->book, lease, 1, &front) != DROVER_OK) {
            worker_session_go_broke(session);
            return;
        }
    }
}

/* ---- coming ---------------------------------------------------------------------------------
 */

static drover_status take(struct worker_session *session, const struct drv_lease_group *group,
                          const struct drv_lease_entry *entry, uint32_t type,
                          struct worker_shared *shared, int64_t now_us)
{
    struct worker_lease *lease = NULL;
    drover_status status = worker_book_add(&session->book, group, entry, type, &lease);
    if (status == DROVER_OK) {
        lease->shared = worker_shared_ref(shared);
        lease->received_at_us = now_us;
    } else if (status != DROVER_CONFLICT) {
        worker_session_go_broke(session);
    } else {
        /* That very attempt is here already; it was sent twice. */
    }
    return status;
}

/* As if each of its elements had come alone. */
static void take_each(struct worker_session *session, const struct drv_lease_group *group,
                      const struct drv_lease_entry *entry, uint32_t type,
                      struct worker_shared *shared, int64_t now_us)
{
    struct drv_lengths walk = drv_lengths_of(entry->range.lengths, entry->val.bytes,
                                             entry->val.len);
    struct drv_lease_entry one = {
        .ref = entry->ref, .parents = entry->parents, .parent_count = entry->parent_count};
    while (drv_lengths_next(&walk, &one.val)) {
        one.val.data = one.val.is_nil ? NULL : entry->val.data;
        (void)!take(session, group, &one, type, shared, now_us);
        one.ref.index++;
    }
}

/* Whether the pool runs the range as one: one with parents it does not. By the protocol no
 * range has a time limit, limits, or is to be confirmed. */
static bool may_stay(const struct worker_session *session, const struct drv_lease_group *group,
                     const struct drv_lease_entry *entry, uint32_t type)
{
    const bool *takes_ranges = session->config.takes_ranges;
    return takes_ranges != NULL && takes_ranges[type] && !is_odd(session, type) &&
           entry->parent_count == 0 && group->timeout_ms == 0 &&
           drv_bounds_are_none(&group->limits) && (group->flags & DRV_LEASE_CONFIRM) == 0;
}

static void take_entry(struct worker_session *session, const struct drv_lease_group *group,
                       const struct drv_lease_entry *entry, uint32_t type,
                       struct worker_shared *shared, int64_t now_us)
{
    bool is_kept = entry->range.count == 0 || may_stay(session, group, entry, type);
    if (!is_kept && is_odd(session, type)) {
        note_even(session, type, entry->range.count);
    }
    if (!is_kept || (take(session, group, entry, type, shared, now_us) == DROVER_CONFLICT &&
                     entry->range.count > 0)) {
        take_each(session, group, entry, type, shared, now_us);
    }
}

/* The payloads of a range lie one behind the other; a single one may stay in pieces. */
void worker_session_take(struct worker_session *session, const struct drv_lease_group *group,
                         const struct drv_lease_entry *entry, uint32_t type,
                         struct worker_shared *shared, int64_t now_us)
{
    if (entry->range.count == 0 || !drv_data_is_pieces(entry->val.data)) {
        take_entry(session, group, entry, type, shared, now_us);
        return;
    }
    struct drv_lease_entry joined = *entry;
    struct drv_data *data = drv_data_ref(entry->val.data);
    if (drv_pieces_join(&data) != DROVER_OK) {
        worker_session_go_broke(session);
    } else {
        joined.val.data = data;
        joined.val.bytes = data->bytes;
        take_entry(session, group, &joined, type, shared, now_us);
    }
    drv_data_unref(&data);
}

/* ---- what the broker says -------------------------------------------------------------------
 */

/* The part of a range that has these elements alone; NULL: no memory. */
static struct worker_lease *cut_out(struct worker_session *session, struct worker_lease *lease,
                                    uint32_t index, uint32_t count)
{
    struct worker_lease *other = NULL;
    drover_status status = DROVER_OK;
    if (index > lease->ref.index) {
        status = worker_book_split_front(&session->book, lease, index - lease->ref.index,
                                         &other);
    }
    if (!status && count < lease->count) {
        status = worker_book_split_back(&session->book, lease, count, &other);
    }
    if (status) {
        worker_session_go_broke(session);
        return NULL;
    }
    return lease;
}

/* The pool has the range. */
static void say_in_pool(struct worker_session *session, struct worker_lease *lease,
                        const struct worker_saying *saying, uint32_t index, uint32_t count)
{
    for (uint32_t i = 0; (saying->mark | saying->unmark) != 0 && i < count; i++) {
        if (worker_lease_mark(lease, index + i, saying->unmark, saying->mark) != DROVER_OK) {
            worker_session_go_broke(session);
        }
    }
    if (saying->revoke != WORKER_REVOKE_NONE) {
        worker_session_revoke(session, lease, index, saying->revoke);
    }
}

static void say_to(struct worker_session *session, struct worker_lease *lease,
                   const struct worker_saying *saying, uint32_t index, uint32_t count)
{
    if (lease->count > 1 && lease->state == WORKER_LEASE_GIVEN) {
        say_in_pool(session, lease, saying, index, count);
        return;
    }
    if (lease->count != count) {
        /* Of results that are on their way the broker takes what it can use. */
        lease = lease->state < WORKER_LEASE_GIVEN ? cut_out(session, lease, index, count)
                                                  : NULL;
    }
    if (lease != NULL) {
        saying->on_part(session, lease, saying);
    }
}

static void say_none(struct worker_session *session, const struct worker_saying *saying,
                     uint32_t index, uint32_t count)
{
    struct drv_ref ref = saying->ref;
    ref.index = index;
    if (count > 0 && saying->on_none != NULL) {
        saying->on_none(session, &ref, count);
    }
}

void worker_session_say(struct worker_session *session, const struct worker_saying *saying)
{
    struct drv_ref ref = saying->ref;
    uint32_t left = saying->count;
    uint32_t none = 0;
    while (left > 0) {
        struct worker_lease *lease = worker_book_find(&session->book, &ref);
        uint32_t count = 1;
        if (lease == NULL || lease->is_void) {
            none++;
        } else {
            uint32_t behind = lease->count - (ref.index - lease->ref.index);
            say_none(session, saying, ref.index - none, none);
            none = 0;
            count = behind < left ? behind : left;
            say_to(session, lease, saying, ref.index, count);
        }
        ref.index += count;
        left -= count;
    }
    say_none(session, saying, ref.index - none, none);
}

/* ---- marks ----------------------------------------------------------------------------------
 */

static void follow_part(struct worker_session *session, struct worker_lease *lease,
                        const struct worker_saying *saying)
{
    while (lease->count > 1) { /* each on its own: that is what is followed */
        struct worker_lease *front = NULL;
        if (worker_book_split_front(&session->book, lease, 1, &front) != DROVER_OK) {
            worker_session_go_broke(session);
            return;
        }
        worker_session_follow(session, front, saying->streams);
    }
    worker_session_follow(session, lease, saying->streams);
}

static void return_part(struct worker_session *session, struct worker_lease *lease,
                        const struct worker_saying *saying)
{
    worker_session_return(session, lease, saying->reason);
}

/* What becomes of elements that the pool has given back, with these marks. */
static void settle_marked(struct worker_session *session, struct worker_saying *saying,
                          uint8_t marks, enum worker_revoke revoke)
{
    saying->on_part = NULL;
    if ((marks & WORKER_MARK_VOID) != 0) {
        saying->on_part = worker_session_abort_stale;
    } else if ((marks & WORKER_MARK_ABORTED) != 0) {
        saying->on_part = worker_session_abort;
    } else if (revoke != WORKER_REVOKE_NONE && revoke != WORKER_REVOKE_HOLD) {
        saying->on_part = return_part;
        saying->reason = (enum drv_return_reason)revoke;
    } else if (marks != 0) {
        saying->on_part = follow_part;
        saying->streams = marks >> WORKER_MARK_STREAMS;
    } else {
        return; /* it waits here */
    }
    worker_session_say(session, saying);
}

/* The lease is QUEUED again; `marks` are those of its elements. */
static void settle_marks(struct worker_session *session, const struct worker_lease *lease,
                         const uint8_t *marks, enum worker_revoke revoke)
{
    struct worker_saying saying = {.ref = lease->ref};
    uint32_t count = lease->count;
    uint32_t first = lease->ref.index;
    for (uint32_t at = 0; at < count; at += saying.count) {
        saying.ref.index = first + at;
        saying.count = 1;
        while (at + saying.count < count && marks[at + saying.count] == marks[at]) {
            saying.count++;
        }
        settle_marked(session, &saying, marks[at], revoke);
    }
}

void worker_session_apply_marks(struct worker_session *session, struct worker_lease *lease)
{
    uint8_t marks = worker_lease_marks(lease, lease->ref.index);
    const struct worker_saying saying = {.ref = lease->ref, .count = 1};
    free(lease->marks);
    lease->marks = NULL;
    if ((marks & STREAMS_MASK) != 0) {
        worker_session_follow(session, lease, marks >> WORKER_MARK_STREAMS);
    }
    if ((marks & WORKER_MARK_VOID) != 0) {
        worker_session_abort_stale(session, lease, &saying);
    } else if ((marks & WORKER_MARK_ABORTED) != 0) {
        worker_session_abort(session, lease, &saying);
    } else {
        /* nothing was said of it */
    }
}

/* ---- what the pool says ---------------------------------------------------------------------
 */

void worker_session_task_rest(struct worker_session *session, uint64_t key, uint32_t index,
                              int64_t now_us)
{
    struct worker_lease *lease = worker_book_find_key(&session->book, key);
    (void)now_us;
    if (lease == NULL || lease->state != WORKER_LEASE_GIVEN) {
        return;
    }
    enum worker_revoke revoke = lease->revoke;
    struct worker_lease *rest = lease;
    uint32_t type = lease->type;
    uint8_t *marks = lease->marks; /* of all its elements */
    uint32_t from = lease->marks_from;
    if (index > lease->ref.index) {
        DRV_ASSERT(index - lease->ref.index < lease->count);
        if (worker_book_split_back(&session->book, lease, index - lease->ref.index, &rest) !=
            DROVER_OK) {
            worker_session_go_broke(session);
            return;
        }
        if (index <= lease->revoke_from) { /* all that was asked back */
            lease->revoke = WORKER_REVOKE_NONE;
        }
    }
    bool has_ended = revoke == WORKER_REVOKE_NONE && rest != lease; /* by an element */
    if (has_ended) {
        note_odd(session, type);
    }
    if (marks == NULL) {
        worker_session_give_up(session, rest, revoke);
        if (has_ended && is_odd(session, type)) {
            scatter(session, rest); /* it waits here */
        }
        return;
    }
    if (rest == lease) {
        lease->marks = NULL;
    }
    bool is_all = rest == lease;
    rest->revoke = WORKER_REVOKE_NONE;
    worker_book_move_back(&session->book, rest, WORKER_LEASE_QUEUED);
    settle_marks(session, rest, marks + (rest->ref.index - from), revoke);
    if (is_all) {
        free(marks);
    }
}

/* The next `count` results, of those that begin at the walk. */
static struct drv_result next_results(const struct drv_result *all, struct drv_lengths *walk,
                                      uint32_t count)
{
    struct drv_result result = *all;
    struct drv_lengths begin = *walk;
    struct drv_val val = {.is_nil = true};
    for (uint32_t i = 0; i < count && drv_lengths_next(walk, &val); i++) {
    }
    result.val.bytes = begin.bytes;
    result.val.len = begin.left - walk->left;
    result.val.is_nil = count == 1 ? val.is_nil : result.val.len == 0;
    result.range = (struct drv_range){0};
    if (count > 1) {
        result.range = (struct drv_range){
            count, {(const char *)begin.at, (size_t)(walk->at - begin.at)}};
    }
    if (result.val.is_nil) {
        result.val = (struct drv_val){.is_nil = true};
    }
    result.run_us = all->run_us * count / all->range.count;
    return result;
}

/* How many elements from the first on are alike in whether anybody wants their results. */
static uint32_t alike(const struct worker_lease *lease, uint32_t index, uint32_t count)
{
    uint8_t first = worker_lease_marks(lease, index) & WORKER_MARK_VOID;
    uint32_t i = 1;
    while (lease->marks != NULL && i < count &&
           (worker_lease_marks(lease, index + i) & WORKER_MARK_VOID) == first) {
        i++;
    }
    return lease->marks == NULL ? count : i;
}

void worker_session_task_part(struct worker_session *session, uint64_t key,
                              const struct drv_result *result, int64_t now_us)
{
    struct worker_lease *lease = worker_session_find_in_pool(session, key);
    uint32_t left = result->range.count;
    if (lease == NULL) {
        return;
    }
    DRV_ASSERT(left > 0 && left <= lease->count);
    struct drv_lengths walk = drv_lengths_of(result->range.lengths, result->val.bytes,
                                             result->val.len);
    note_even(session, lease->type, left);
    while (left > 0) {
        struct worker_lease *part = lease;
        uint32_t count = alike(lease, lease->ref.index, left);
        bool is_void = (worker_lease_marks(lease, lease->ref.index) & WORKER_MARK_VOID) != 0;
        struct drv_result some = next_results(result, &walk, count);
        if (count < lease->count &&
            worker_book_split_front(&session->book, lease, count, &part) != DROVER_OK) {
            worker_session_go_broke(session);
            return;
        }
        part->is_void |= is_void;
        session->stale_total += is_void ? count : 0;
        worker_session_keep(session, part, &some, now_us);
        left -= count;
    }
}
