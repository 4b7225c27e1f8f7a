#include "lease_index.h"

#include "check.h"
#include "data.h"
#include "lengths.h"
#include "need.h"
#include "shared.h"

#include <stdlib.h>
#include <string.h>

enum { BOOK_SLOTS_FIRST = 64 };

static bool ref_equal(const void *entry, const void *key)
{
    const struct worker_lease *lease = entry;
    const struct drv_ref *ref = key;
    return lease->ref.attempt == ref->attempt && lease->ref.index == ref->index &&
           drover_id_equal(&lease->ref.id, &ref->id);
}

static uint64_t ref_hash(const struct worker_book *book, const struct drv_ref *ref)
{
    uint8_t token[sizeof ref->id.bytes + sizeof ref->index + sizeof ref->attempt];
    memcpy(token, ref->id.bytes, sizeof ref->id.bytes);
    memcpy(token + sizeof ref->id.bytes, &ref->index, sizeof ref->index);
    memcpy(token + sizeof ref->id.bytes + sizeof ref->index, &ref->attempt,
           sizeof ref->attempt);
    return drv_table_hash(&book->table, token, sizeof token);
}

void worker_book_init(struct worker_book *book, uint64_t seed)
{
    memset(book, 0, sizeof *book);
    drv_pages_init(&book->pages);
    drv_slab_init(&book->slab, &book->pages, sizeof(struct worker_lease));
    for (size_t i = 0; i < WORKER_LEASE_STATES; i++) {
        drv_list_init(&book->lists[i]);
    }
    drv_list_init(&book->notices);
    drv_table_init(&book->table, seed, ref_equal);
}

void worker_book_fini(struct worker_book *book)
{
    for (size_t i = 0; i < book->slot_count; i++) {
        struct worker_lease *lease = book->slots[i].lease;
        if (lease != NULL) {
            worker_book_remove(book, &lease);
        }
    }
    free(book->slots);
    free(book->ranges);
    drv_slab_fini(&book->slab);
    drv_pages_fini(&book->pages);
    drv_table_fini(&book->table);
    memset(book, 0, sizeof *book);
}

/* ---- slots: keys ----------------------------------------------------------------------------
 */

static drover_status grow_slots(struct worker_book *book)
{
    size_t count = book->slot_count == 0 ? BOOK_SLOTS_FIRST : book->slot_count * 2;
    struct worker_lease_slot *slots = realloc(book->slots, count * sizeof *slots);
    if (slots == NULL) {
        return DROVER_NOMEM;
    }
    for (size_t i = count; i-- > book->slot_count;) {
        slots[i] = (struct worker_lease_slot){.next_free = book->free_slot};
        book->free_slot = (uint32_t)i + 1;
    }
    book->slots = slots;
    book->slot_count = count;
    return DROVER_OK;
}

static uint64_t slot_take(struct worker_book *book, struct worker_lease *lease)
{
    uint32_t number = book->free_slot - 1;
    struct worker_lease_slot *slot = &book->slots[number];
    book->free_slot = slot->next_free;
    slot->lease = lease;
    slot->generation++;
    return (uint64_t)slot->generation << 32 | number;
}

static void slot_free(struct worker_book *book, uint64_t key)
{
    uint32_t number = (uint32_t)key;
    book->slots[number].lease = NULL;
    book->slots[number].next_free = book->free_slot;
    book->free_slot = number + 1;
}

struct worker_lease *worker_book_find_key(const struct worker_book *book, uint64_t key)
{
    uint32_t number = (uint32_t)key;
    if (number >= book->slot_count || book->slots[number].generation != key >> 32) {
        return NULL;
    }
    return book->slots[number].lease;
}

struct worker_lease *worker_book_find(const struct worker_book *book, const struct drv_ref *ref)
{
    struct worker_lease *lease = drv_table_find(&book->table, ref_hash(book, ref), ref);
    return lease != NULL || book->range_count == 0 ? lease : worker_index_find(book, ref);
}

size_t worker_book_count(const struct worker_book *book)
{
    return drv_table_count(&book->table) + book->range_count;
}

/* ---- the index: how an element finds its lease
 * ------------------------------------------------
 */

static drover_status index_add(struct worker_book *book, struct worker_lease *lease)
{
    drover_status status;
    if (lease->count > 1) {
        status = worker_index_add(book, lease);
    } else {
        lease->hash = ref_hash(book, &lease->ref);
        status = drv_table_insert(&book->table, lease->hash, lease);
        book->elements += status == DROVER_OK && lease->ref.index != DROVER_INDEX_NONE ? 1 : 0;
    }
    lease->is_indexed = status == DROVER_OK;
    return status;
}

static void index_remove(struct worker_book *book, struct worker_lease *lease)
{
    if (!lease->is_indexed) {
        return; /* there was no memory when it was split */
    }
    lease->is_indexed = false;
    if (lease->count > 1) {
        worker_index_remove(book, lease);
        return;
    }
    book->elements -= lease->ref.index != DROVER_INDEX_NONE ? 1 : 0;
    drv_table_remove_entry(&book->table, lease->hash, lease);
}

/* Whether one of its elements is here. */
static bool is_here(const struct worker_book *book, const struct drv_lease_entry *entry)
{
    if (entry->range.count == 0) {
        return worker_book_find(book, &entry->ref) != NULL;
    }
    if (worker_index_overlaps(book, &entry->ref, entry->range.count)) {
        return true;
    }
    struct drv_ref ref = entry->ref;
    for (uint32_t i = 0; book->elements > 0 && i < entry->range.count; i++, ref.index++) {
        if (drv_table_find(&book->table, ref_hash(book, &ref), &ref) != NULL) {
            return true;
        }
    }
    return false;
}

struct worker_lease *worker_book_first(const struct worker_book *book,
                                       enum worker_lease_state state)
{
    struct drv_list *link = drv_list_first(&book->lists[state]);
    return link == NULL ? NULL : DRV_LIST_ITEM(link, struct worker_lease, link);
}

/* ---- coming and going -----------------------------------------------------------------------
 */

static void append(uint8_t *bytes, size_t *at, struct drv_str text)
{
    if (text.len > 0) {
        memcpy(bytes + *at, text.ptr, text.len);
    }
    *at += text.len;
}

/* A view of the same length in the copy at `bytes`, nil if it was nil. */
static struct drv_str moved(struct drv_str text, const uint8_t *bytes, size_t at)
{
    if (text.ptr == NULL) {
        return text;
    }
    return (struct drv_str){(const char *)bytes + at, text.len};
}

static drover_status copy_payload(struct worker_lease *lease,
                                  const struct drv_lease_entry *entry)
{
    const struct drv_val *val = &entry->val;
    size_t at = 0;
    lease->val = val->is_nil ? (struct drv_val){.is_nil = true} : *val;
    if (!val->is_nil) {
        if (val->data != NULL) { /* it may be in pieces; that of a range is not */
            lease->payload = drv_data_ref(val->data);
        } else if (drv_data_copy(val->bytes, val->len, &lease->payload) != DROVER_OK) {
            return DROVER_NOMEM;
        } else {
            lease->val.bytes = lease->payload->bytes;
        }
    }
    lease->val.data = lease->payload;
    if (entry->parent_count > 0 && drv_data_copy((const uint8_t *)entry->parents,
                                                 entry->parent_count * sizeof *entry->parents,
                                                 &lease->parents) != DROVER_OK) {
        return DROVER_NOMEM;
    }
    size_t len = val->content_type.len + entry->meta.len + entry->range.lengths.len;
    if (len > 0) {
        if (drv_data_new(len, &lease->words) != DROVER_OK) {
            return DROVER_NOMEM;
        }
        append(lease->words->bytes, &at, val->content_type);
        append(lease->words->bytes, &at, entry->meta);
        lease->val.content_type = moved(val->content_type, lease->words->bytes, 0);
        append(lease->words->bytes, &at, entry->range.lengths);
        lease->meta = moved(entry->meta, lease->words->bytes, val->content_type.len);
        lease->lengths = moved(entry->range.lengths, lease->words->bytes,
                               len - entry->range.lengths.len);
    }
    return DROVER_OK;
}

static void spool_free(struct worker_book *book, struct worker_lease *lease)
{
    if (lease->spool != NULL) {
        book->output_bytes -= worker_spool_size(lease->spool);
        worker_spool_fini(lease->spool);
        free(lease->spool);
        lease->spool = NULL;
    }
}

static void lease_free(struct worker_book *book, struct worker_lease *lease)
{
    spool_free(book, lease);
    drv_data_unref(&lease->tail);
    drv_data_unref(&lease->payload);
    drv_data_unref(&lease->parents);
    drv_data_unref(&lease->needs);
    drv_data_unref(&lease->words);
    drv_data_unref(&lease->progress_text);
    drv_data_unref(&lease->result_data);
    worker_shared_unref(&lease->shared);
    free(lease->marks);
    drv_slab_free(&book->slab, lease);
}

drover_status worker_book_add(struct worker_book *book, const struct drv_lease_group *group,
                              const struct drv_lease_entry *entry, uint32_t type,
                              struct worker_lease **out_lease)
{
    if (is_here(book, entry)) {
        return DROVER_CONFLICT;
    }
    if (book->free_slot == 0 && grow_slots(book) != DROVER_OK) {
        return DROVER_NOMEM;
    }
    struct worker_lease *lease = drv_slab_alloc(&book->slab);
    if (lease == NULL) {
        return DROVER_NOMEM;
    }
    lease->ref = entry->ref;
    lease->count = entry->range.count == 0 ? 1 : entry->range.count;
    lease->end = entry->ref.index + lease->count;
    lease->type = type;
    lease->flags = group->flags;
    lease->timeout_ms = group->timeout_ms;
    lease->term_ms = group->term_ms;
    lease->kill_ms = group->kill_ms;
    lease->limits = group->limits;
    lease->state = WORKER_LEASE_QUEUED;
    drv_list_init(&lease->link);
    drv_list_init(&lease->notice);
    drv_list_init(&lease->unsent);
    if (copy_payload(lease, entry) != DROVER_OK ||
        need_pack(group->needs, group->need_count, &lease->needs) != DROVER_OK ||
        index_add(book, lease) != DROVER_OK) {
        lease_free(book, lease);
        return DROVER_NOMEM;
    }
    lease->key = slot_take(book, lease);
    drv_list_push_back(&book->lists[WORKER_LEASE_QUEUED], &lease->link);
    book->counts[WORKER_LEASE_QUEUED]++;
    book->payload_bytes += lease->val.len;
    *out_lease = lease;
    return DROVER_OK;
}

/* Another lease like this one, without elements of its own yet. */
static struct worker_lease *new_part(struct worker_book *book, struct worker_lease *lease)
{
    if (book->free_slot == 0 && grow_slots(book) != DROVER_OK) {
        return NULL;
    }
    struct worker_lease *part = drv_slab_alloc(&book->slab);
    if (part == NULL) {
        return NULL;
    }
    part->ref = lease->ref;
    part->end = lease->end;
    part->type = lease->type;
    part->flags = lease->flags;
    part->state = lease->state;
    part->is_void = lease->is_void;
    part->received_at_us = lease->received_at_us;
    part->term_ms = lease->term_ms;
    part->kill_ms = lease->kill_ms;
    part->payload = drv_data_ref(lease->payload);
    part->words = drv_data_ref(lease->words);
    part->needs = drv_data_ref(lease->needs);
    part->shared = worker_shared_ref(lease->shared);
    part->key = slot_take(book, part);
    drv_list_init(&part->link);
    drv_list_init(&part->notice);
    drv_list_init(&part->unsent);
    book->counts[part->state]++;
    return part;
}

/* A range of one element is none: its payload is nil or not. */
static void simplify(struct worker_lease *lease)
{
    struct drv_lengths walk = drv_lengths_of(lease->lengths, lease->val.bytes, lease->val.len);
    struct drv_val val;
    if (lease->count == 1) {
        lease->val.is_nil = !drv_lengths_next(&walk, &val) || val.is_nil;
        lease->lengths = (struct drv_str){NULL, 0};
    }
}

/* Distributes the elements: `count` of them to `front`, the others to `back`, one of which has
 * all. */
static drover_status divide(struct worker_book *book, struct worker_lease *lease,
                            uint32_t count, struct worker_lease *front,
                            struct worker_lease *back)
{
    struct drv_lengths walk = drv_lengths_of(lease->lengths, lease->val.bytes, lease->val.len);
    struct drv_lengths begin = walk;
    struct drv_val val = lease->val;
    uint32_t index = lease->ref.index;
    uint32_t rest = lease->count - count;
    DRV_ASSERT(count > 0 && rest > 0 && lease->state < WORKER_LEASE_RUNNING);
    for (uint32_t i = 0; i < count && drv_lengths_next(&walk, &val); i++) {
    }
    index_remove(book, lease);
    val = lease->val;
    front->lengths = (struct drv_str){(const char *)begin.at, (size_t)(walk.at - begin.at)};
    back->lengths = (struct drv_str){(const char *)walk.at, (size_t)(walk.end - walk.at)};
    front->val = back->val = val;
    front->val.len = begin.left - walk.left;
    back->val.len = walk.left;
    if (back->val.bytes != NULL) {
        back->val.bytes += front->val.len;
    }
    front->ref.index = index;
    front->count = count;
    back->ref.index = index + count;
    back->count = rest;
    simplify(front);
    simplify(back);
    return index_add(book, front) == DROVER_OK && index_add(book, back) == DROVER_OK
               ? DROVER_OK
               : DROVER_NOMEM;
}

drover_status worker_book_split_front(struct worker_book *book, struct worker_lease *lease,
                                      uint32_t count, struct worker_lease **out_front)
{
    struct worker_lease *part = new_part(book, lease);
    if (part == NULL) {
        return DROVER_NOMEM;
    }
    drv_list_push_back(&lease->link, &part->link);
    *out_front = part;
    return divide(book, lease, count, part, lease);
}

drover_status worker_book_split_back(struct worker_book *book, struct worker_lease *lease,
                                     uint32_t count, struct worker_lease **out_back)
{
    struct worker_lease *part = new_part(book, lease);
    if (part == NULL) {
        return DROVER_NOMEM;
    }
    drv_list_push_front(&lease->link, &part->link);
    *out_back = part;
    return divide(book, lease, count, lease, part);
}

void worker_book_drop_payload(struct worker_book *book, struct worker_lease *lease)
{
    book->payload_bytes -= lease->val.len;
    drv_data_unref(&lease->payload);
    drv_data_unref(&lease->parents);
    drv_data_unref(&lease->needs);
    drv_data_unref(&lease->words);
    worker_shared_unref(&lease->shared);
    lease->val = (struct drv_val){.is_nil = true};
    lease->meta = (struct drv_str){NULL, 0};
    lease->lengths = (struct drv_str){NULL, 0};
}

void worker_book_remove(struct worker_book *book, struct worker_lease **lease)
{
    struct worker_lease *gone = *lease;
    drv_list_remove(&gone->link);
    drv_list_remove(&gone->notice);
    drv_list_remove(&gone->unsent);
    book->counts[gone->state]--;
    book->payload_bytes -= gone->val.len;
    book->held_bytes -= gone->held_bytes;
    index_remove(book, gone);
    slot_free(book, gone->key);
    lease_free(book, gone);
    *lease = NULL;
}

/* ---- changes --------------------------------------------------------------------------------
 */

static void take_out(struct worker_book *book, struct worker_lease *lease,
                     enum worker_lease_state state)
{
    drv_list_remove(&lease->link);
    book->counts[lease->state]--;
    book->counts[state]++;
    lease->state = state;
}

void worker_book_move(struct worker_book *book, struct worker_lease *lease,
                      enum worker_lease_state state)
{
    take_out(book, lease, state);
    drv_list_push_back(&book->lists[state], &lease->link);
}

void worker_book_move_back(struct worker_book *book, struct worker_lease *lease,
                           enum worker_lease_state state)
{
    take_out(book, lease, state);
    drv_list_push_front(&book->lists[state], &lease->link);
}

void worker_book_unreport(struct worker_book *book)
{
    struct drv_list *reported = &book->lists[WORKER_LEASE_REPORTED];
    struct drv_list *finished = &book->lists[WORKER_LEASE_FINISHED];
    DRV_LIST_EACH(link, reported)
    {
        DRV_LIST_ITEM(link, struct worker_lease, link)->state = WORKER_LEASE_FINISHED;
    }
    drv_list_splice_back(reported, finished);
    drv_list_splice_back(finished, reported);
    book->counts[WORKER_LEASE_FINISHED] += book->counts[WORKER_LEASE_REPORTED];
    book->counts[WORKER_LEASE_REPORTED] = 0;
}

static drover_status copy_words(const struct drv_result *from, struct drv_result *to,
                                struct drv_data **out_words)
{
    const struct drv_error *error = &from->error;
    size_t at = 0;
    size_t len = from->val.content_type.len + error->code.len + error->text.len +
                 error->stderr_tail.len + from->range.lengths.len;
    if (len == 0) {
        return DROVER_OK;
    }
    drover_status status = drv_data_new(len, out_words);
    if (status != DROVER_OK) {
        return status;
    }
    uint8_t *bytes = (*out_words)->bytes;
    to->val.content_type = moved(from->val.content_type, bytes, at);
    append(bytes, &at, from->val.content_type);
    to->error.code = moved(error->code, bytes, at);
    append(bytes, &at, error->code);
    to->error.text = moved(error->text, bytes, at);
    append(bytes, &at, error->text);
    to->error.stderr_tail = moved(error->stderr_tail, bytes, at);
    append(bytes, &at, error->stderr_tail);
    to->range.lengths = moved(from->range.lengths, bytes, at);
    append(bytes, &at, from->range.lengths);
    return DROVER_OK;
}

static drover_status copy_value(const struct drv_val *from, struct drv_val *to,
                                struct drv_data **out_data)
{
    if (from->is_nil) {
        return DROVER_OK;
    }
    if (from->data != NULL) {
        *out_data = drv_data_ref(from->data);
    } else {
        drover_status status = drv_data_copy(from->bytes, from->len, out_data);
        if (status != DROVER_OK) {
            return status;
        }
        to->bytes = (*out_data)->bytes;
    }
    to->data = *out_data;
    return DROVER_OK;
}

void worker_book_add_output(struct worker_book *book, struct worker_lease *lease,
                            enum drv_output stream, uint64_t missed, struct drv_str bytes,
                            size_t keep)
{
    if (lease->spool == NULL) {
        lease->spool = calloc(1, sizeof *lease->spool);
        if (lease->spool == NULL) {
            return;
        }
    }
    book->output_bytes -= worker_spool_size(lease->spool);
    (void)!worker_spool_add(lease->spool, stream, missed, bytes, keep);
    book->output_bytes += worker_spool_size(lease->spool);
}

void worker_book_trim_output(struct worker_book *book, struct worker_lease *lease, size_t keep)
{
    if (lease->spool != NULL) {
        book->output_bytes -= worker_spool_size(lease->spool);
        worker_spool_trim(lease->spool, keep);
        book->output_bytes += worker_spool_size(lease->spool);
    }
}

/* The end of the spool: its last goes with the result. */
static drover_status keep_tail(struct worker_book *book, struct worker_lease *lease)
{
    drover_status status = DROVER_OK;
    if (lease->spool != NULL) {
        status = worker_spool_tail(lease->spool, &lease->tail, &lease->result.tail);
        spool_free(book, lease);
    }
    return status;
}

drover_status worker_book_keep_result(struct worker_book *book, struct worker_lease *lease,
                                      const struct drv_result *result)
{
    worker_book_drop_payload(book, lease);
    lease->result = *result;
    lease->result.ref = lease->ref;
    drover_status status = copy_words(result, &lease->result, &lease->words);
    if (status == DROVER_OK) {
        status = copy_value(&result->val, &lease->result.val, &lease->result_data);
    }
    if (status == DROVER_OK) {
        status = keep_tail(book, lease);
    }
    if (status != DROVER_OK) {
        return status;
    }
    lease->held_bytes = sizeof *lease + result->val.len +
                        (lease->words == NULL ? 0 : lease->words->len) +
                        (lease->tail == NULL ? 0 : lease->tail->len);
    book->held_bytes += lease->held_bytes;
    lease->start_due = false;
    lease->progress_due = false;
    free(lease->marks);
    lease->marks = NULL;
    drv_list_remove(&lease->notice);
    drv_data_unref(&lease->progress_text);
    worker_book_move(book, lease, WORKER_LEASE_FINISHED);
    return DROVER_OK;
}

drover_status worker_lease_set_progress(struct worker_book *book, struct worker_lease *lease,
                                        uint32_t permille, struct drv_str text)
{
    struct drv_data *copy = NULL;
    if (text.len > 0) {
        drover_status status = drv_data_copy(text.ptr, text.len, &copy);
        if (status != DROVER_OK) {
            return status;
        }
    }
    drv_data_unref(&lease->progress_text);
    lease->progress_text = copy;
    lease->progress_permille = permille;
    lease->progress_due = true;
    if (!drv_list_is_linked(&lease->notice)) {
        drv_list_push_back(&book->notices, &lease->notice);
    }
    return DROVER_OK;
}

/* ---- invariants -----------------------------------------------------------------------------
 */

static const char *check_lease(const struct worker_book *book, const struct worker_lease *lease)
{
    struct drv_ref last = lease->ref;
    last.index += lease->count - 1;
    if (worker_book_find(book, &lease->ref) != lease ||
        worker_book_find(book, &last) != lease) {
        return "a lease is not found by its token";
    }
    if (lease->count > 1 &&
        (lease->state == WORKER_LEASE_RUNNING || lease->followed != 0 ||
         (lease->state < WORKER_LEASE_RUNNING &&
          drv_lengths_count(lease->lengths, lease->val.len) != lease->count))) {
        return "a range is none";
    }
    if (worker_book_find_key(book, lease->key) != lease) {
        return "a lease is not found by its key";
    }
    if (lease->revoke != WORKER_REVOKE_NONE && lease->state != WORKER_LEASE_GIVEN) {
        return "a lease that the pool does not have is asked back";
    }
    if ((lease->start_due || lease->progress_due) != drv_list_is_linked(&lease->notice)) {
        return "a notice is lost";
    }
    if (lease->state >= WORKER_LEASE_FINISHED &&
        (lease->start_due || lease->is_void || lease->spool != NULL ||
         drv_list_is_linked(&lease->unsent))) {
        return "an ended lease still has something to say";
    }
    return NULL;
}

const char *worker_book_check(const struct worker_book *book)
{
    size_t count = 0;
    uint64_t payload_bytes = 0;
    uint64_t held_bytes = 0;
    uint64_t output_bytes = 0;
    for (int state = 0; state < WORKER_LEASE_STATES; state++) {
        size_t in_state = 0;
        DRV_LIST_EACH(link, &book->lists[state])
        {
            const struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, link);
            const char *broken = (int)lease->state == state ? check_lease(book, lease)
                                                            : "a lease is in a foreign list";
            if (broken != NULL) {
                return broken;
            }
            in_state++;
            payload_bytes += lease->val.len;
            held_bytes += lease->held_bytes;
            output_bytes += lease->spool == NULL ? 0 : worker_spool_size(lease->spool);
        }
        if (in_state != book->counts[state]) {
            return "a state is miscounted";
        }
        count += in_state;
    }
    if (count != worker_book_count(book)) {
        return "the table and the lists disagree";
    }
    if (payload_bytes != book->payload_bytes || held_bytes != book->held_bytes ||
        output_bytes != book->output_bytes) {
        return "bytes are miscounted";
    }
    return NULL;
}
