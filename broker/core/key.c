/* key.c: see key.h. */
#include "key.h"

#include "broker.h"
#include "check.h"

#include <stddef.h>

/* --- the registry ------------------------------------------------------------------------ */

struct key_name {
    struct drv_str queue, text;
    const uint64_t *check; /* NULL: by its name; else by a second hash of it */
};

static uint64_t name_check(const struct key *key)
{
    const struct drv_table other = {.seed = 0};
    return drv_table_hash(&other, key->name, (size_t)key->queue_len + 1 + key->text_len);
}

static bool key_is(const void *entry, const void *name)
{
    const struct key *key = entry;
    const struct key_name *wanted = name;
    if (wanted->check != NULL) {
        return name_check(key) == *wanted->check;
    }
    return str_equals(key_queue(key), wanted->queue) && str_equals(key_word(key), wanted->text);
}

void key_table_init(struct core *core)
{
    drv_table_init(&core->keys, core->config.seed, key_is);
}

/* The same in every life of the store: records name keys by it. */
static uint64_t name_hash(const struct core *core, struct drv_str queue, struct drv_str text)
{
    return core_stable_hash(core, queue.ptr, queue.len) ^
           core_stable_hash(core, text.ptr, text.len) * 3;
}

struct key *key_find(const struct core *core, struct drv_str queue, struct drv_str text)
{
    if (drv_table_count(&core->keys) == 0) {
        return NULL;
    }
    struct key_name wanted = {.queue = queue, .text = text};
    return drv_table_find(&core->keys, name_hash(core, queue, text), &wanted);
}

static uint64_t key_hash_of(const struct core *core, const struct key *key)
{
    return name_hash(core, key_queue(key), key_word(key));
}

drover_id key_saved_id(const struct core *core, const struct key *key)
{
    uint64_t halves[2] = {key_hash_of(core, key), name_check(key)};
    drover_id id;
    memcpy(id.bytes, halves, sizeof id.bytes);
    return id;
}

struct key *key_find_saved(const struct core *core, const drover_id *id)
{
    uint64_t halves[2];
    memcpy(halves, id->bytes, sizeof halves);
    struct key_name wanted = {.check = &halves[1]};
    return drv_table_find(&core->keys, halves[0], &wanted);
}

static size_t key_size(const struct key *key)
{
    return sizeof *key + key->queue_len + 1 + key->text_len;
}

static void key_charge_session(struct core *core, struct key *key, struct handle owner)
{
    struct session *before = session_by_handle(core, key->owner);
    struct session *session = session_by_handle(core, owner);
    if (before != NULL) {
        before->keys--;
    }
    if (session != NULL) {
        session->keys++;
    }
    key->owner = owner;
}

static void key_charge_account(struct core *core, struct key *key, struct account *account)
{
    if (key->account == account) {
        return;
    }
    if (account != NULL) {
        account_ref(account)->keys++;
    }
    if (key->account != NULL) {
        key->account->keys--;
        account_release(core, key->account);
    }
    key->account = account;
}

/* It counts for whose task this is; NULL: for nobody. */
static void key_charge(struct core *core, struct key *key, const struct task *task)
{
    key_charge_session(core, key, task == NULL ? (struct handle){0} : task->owner);
    key_charge_account(core, key, task == NULL ? NULL : task->spec->account);
}

static void key_unref(struct core *core, struct key *key)
{
    if (--key->references > 0) {
        return;
    }
    key_charge(core, key, NULL);
    drv_table_remove_entry(&core->keys, key_hash_of(core, key), key);
    timer_fini(core, &key->timer);
    core_free(core, key, key_size(key));
}

/* With a reference; NULL when out of memory. */
static struct key *key_ensure(struct core *core, struct drv_str queue, struct drv_str text)
{
    struct key *key = key_find(core, queue, text);
    if (key != NULL) {
        key->references++;
        return key;
    }
    key = core_alloc(core, sizeof *key + queue.len + 1 + text.len);
    if (key == NULL) {
        return NULL;
    }
    key->references = 1;
    key->queue_len = (uint16_t)queue.len;
    key->text_len = (uint16_t)text.len;
    memcpy(key->name, queue.ptr, queue.len);
    memcpy(key->name + queue.len + 1, text.ptr, text.len);
    if (!timer_init(core, &key->timer, TIMER_KEY)) {
        core_free(core, key, key_size(key));
        return NULL;
    }
    if (drv_table_insert(&core->keys, name_hash(core, queue, text), key)) {
        timer_fini(core, &key->timer);
        core_free(core, key, key_size(key));
        return NULL;
    }
    return key;
}

/* --- who has it -------------------------------------------------------------------------- */

bool key_is_taken(const struct core *core, const struct key *key)
{
    if (core->config.defects.share_key) {
        return false; /* defect: as if there were no keys */
    }
    bool is_active = key->task != NULL && !unit_is_terminal(&key->task->unit);
    return is_active || core->now_us < key->until_us;
}

const struct claim *task_claim(const struct task *task)
{
    return task->unit.more == NULL ? NULL : task->unit.more->claim;
}

bool task_has_key(const struct task *task, struct drv_str text)
{
    const struct claim *claim = task_claim(task);
    if (claim == NULL || text.ptr == NULL) {
        return claim == NULL && text.ptr == NULL;
    }
    return str_equals(key_word(claim->key), text);
}

/* It is not remembered any more; may free it. */
static void key_drop_memory(struct core *core, struct key *key)
{
    if (!key->is_remembered) {
        return;
    }
    if (key->is_saved) {
        save_key_end(core, key);
    }
    key->is_remembered = false;
    key->is_saved = false;
    timer_disarm(core, &key->timer);
    key_unref(core, key);
}

static int64_t window_end(int64_t from_us, int64_t window_us)
{
    int64_t until_us;
    return __builtin_add_overflow(from_us, window_us, &until_us) ? INT64_MAX : until_us;
}

/* The task has it, and is the last one. */
static void key_give(struct core *core, struct task *task, const struct claim *claim)
{
    struct key *key = claim->key;
    key->task = task;
    key_charge(core, key, task);
    key->id = task->id;
    key->serial = claim->serial;
    key->until_us = window_end(task->submitted_us, claim->window_us);
    key_drop_memory(core, key);
}

/* A claim on the key of this name, with nobody's serial yet; NULL when out of memory. */
static struct claim *claim_new(struct core *core, struct task *task, struct drv_str text)
{
    struct more *more = unit_more(core, &task->unit);
    struct claim *claim = more == NULL ? NULL : core_alloc(core, sizeof *claim);
    if (claim == NULL) {
        return NULL;
    }
    claim->key = key_ensure(core, queue_name(task->spec->line->queue), text);
    if (claim->key == NULL) {
        core_free(core, claim, sizeof *claim);
        return NULL;
    }
    more->claim = claim;
    return claim;
}

drover_status key_claim(struct core *core, struct task *task, struct drv_str text,
                        int64_t window_us)
{
    struct claim *claim = claim_new(core, task, text);
    if (claim == NULL) {
        return DROVER_NOMEM;
    }
    claim->serial = ++core->key_serial;
    claim->window_us = window_us;
    key_give(core, task, claim);
    return DROVER_OK;
}

void key_owned(struct core *core, struct task *task)
{
    const struct claim *claim = task_claim(task);
    if (claim != NULL && claim->key->task == task) {
        key_charge(core, claim->key, task);
    }
}

void key_leave(struct core *core, struct task *task)
{
    struct more *more = task->unit.more;
    if (more == NULL || more->claim == NULL) {
        return;
    }
    struct claim *claim = more->claim;
    struct key *key = claim->key;
    more->claim = NULL;
    core_free(core, claim, sizeof *claim);
    if (key->task == task) {
        key->task = NULL;
        key->until_us = 0; /* what is remembered has left it before */
    }
    key_unref(core, key);
}

void key_remember(struct core *core, struct task *task)
{
    const struct claim *claim = task_claim(task);
    struct key *key = claim == NULL ? NULL : claim->key;
    if (key == NULL || key->task != task || core->now_us >= key->until_us) {
        return;
    }
    key->task = NULL;
    key->is_remembered = true;
    key->references++;
    timer_arm(core, &key->timer, key->until_us);
    if (save_wants(core, task)) {
        save_key(core, key);
    }
}

void key_due(struct core *core, struct key *key)
{
    key_drop_memory(core, key);
}

void keys_fini(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct key *key;
    while ((key = drv_table_next(&core->keys, &cursor)) != NULL) {
        key->is_saved = false; /* the store keeps it */
        key_drop_memory(core, key);
    }
}

/* --- an earlier life --------------------------------------------------------------------- */

bool key_restore_claim(struct core *core, struct task *task, struct drv_str text,
                       const struct claim *said)
{
    key_leave(core, task);
    struct claim *claim = claim_new(core, task, text);
    if (claim == NULL) {
        return false;
    }
    claim->serial = said->serial;
    claim->window_us = said->window_us;
    core->key_serial = claim->serial > core->key_serial ? claim->serial : core->key_serial;
    if (claim->serial >= claim->key->serial) {
        key_give(core, task, claim);
    }
    return true;
}

bool key_restore(struct core *core, struct drv_str queue, struct drv_str text,
                 const drover_id *id, uint64_t serial, int64_t until_us, uint16_t mark)
{
    struct key *key = key_ensure(core, queue, text);
    if (key == NULL) {
        return false;
    }
    core->key_serial = serial > core->key_serial ? serial : core->key_serial;
    if (serial < key->serial) {
        key_unref(core, key);
        return true;
    }
    if (key->is_remembered) {
        key_unref(core, key); /* it has that reference already */
    }
    key->is_remembered = true;
    key->is_saved = true;
    key->mark = mark;
    key->task = NULL;
    key->id = *id;
    key->serial = serial;
    key->until_us = until_us;
    timer_arm(core, &key->timer, until_us);
    return true;
}

void key_restore_end(struct core *core, struct drv_str queue, struct drv_str text,
                     uint64_t serial)
{
    struct key *key = key_find(core, queue, text);
    if (key != NULL && key->serial <= serial) {
        key_drop_memory(core, key);
    }
}
