#include "session.h"

#include "broker.h"
#include "cancel.h"
#include "check.h"

#include <stdlib.h>

static bool session_is(const void *entry, const void *key)
{
    return drover_id_equal(&((const struct session *)entry)->id, key);
}

void session_table_init(struct core *core)
{
    drv_table_init(&core->sessions_by_id, core->config.seed, session_is);
}

static uint64_t session_hash(const struct core *core, const drover_id *id)
{
    return drv_table_hash(&core->sessions_by_id, id->bytes, sizeof id->bytes);
}

struct session *session_find(const struct core *core, const drover_id *id)
{
    return drv_table_find(&core->sessions_by_id, session_hash(core, id), id);
}

struct session *session_by_handle(const struct core *core, struct handle handle)
{
    if (handle.generation == 0 || handle.slot >= core->sessions.slot_count) {
        return NULL;
    }
    struct session *session = core->sessions.slots[handle.slot];
    return session != NULL && session->handle.generation == handle.generation ? session : NULL;
}

/* --- slots ------------------------------------------------------------------------------- */

static bool sessions_grow(struct sessions *sessions)
{
    uint32_t count = sessions->slot_count == 0 ? 64 : sessions->slot_count * 2;
    struct session **slots = realloc(sessions->slots, count * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    sessions->slots = slots;
    uint32_t *free_slots = realloc(sessions->free_slots, count * sizeof *free_slots);
    if (free_slots == NULL) {
        return false;
    }
    sessions->free_slots = free_slots;
    for (uint32_t slot = count; slot-- > sessions->slot_count;) {
        sessions->slots[slot] = NULL;
        sessions->free_slots[sessions->free_count++] = slot;
    }
    sessions->slot_count = count;
    return true;
}

static bool session_enter(struct sessions *sessions, struct session *session)
{
    if (sessions->free_count == 0 && !sessions_grow(sessions)) {
        return false;
    }
    session->handle.slot = sessions->free_slots[--sessions->free_count];
    session->handle.generation = ++sessions->generation;
    sessions->slots[session->handle.slot] = session;
    return true;
}

static void session_leave(struct sessions *sessions, struct session *session)
{
    sessions->slots[session->handle.slot] = NULL;
    sessions->free_slots[sessions->free_count++] = session->handle.slot;
}

/* --- life -------------------------------------------------------------------------------- */

static void session_init(struct session *session, const drover_id *id, enum drv_role role)
{
    session->id = *id;
    session->role = role;
    struct drv_list *lists[] = {
        &session->replies,         &session->due,           &session->arrays,
        &session->watches,         &session->ready_tasks,   &session->ready_watches,
        &session->ready_losses,    &session->away,          &session->unsaved,
        &session->unsaved_replies, &session->subscriptions, &session->ready_streams,
        &session->in_account,
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(lists); i++) {
        drv_list_init(lists[i]);
    }
}

struct session *session_new(struct core *core, const drover_id *id, enum drv_role role)
{
    struct session *session = core_alloc(core, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    session_init(session, id, role);
    if (!timer_init(core, &session->timer, TIMER_SESSION)) {
        core_free(core, session, sizeof *session);
        return NULL;
    }
    if (!session_enter(&core->sessions, session)) {
        timer_fini(core, &session->timer);
        core_free(core, session, sizeof *session);
        return NULL;
    }
    if (drv_table_insert(&core->sessions_by_id, session_hash(core, id), session)) {
        session_leave(&core->sessions, session);
        timer_fini(core, &session->timer);
        core_free(core, session, sizeof *session);
        return NULL;
    }
    struct core_record record = {.kind = CORE_RECORD_SESSION, .id = *id};
    effects_record(core, &record);
    save_session(core, session);
    return session;
}

bool session_hello_has(const struct drv_hello *hello, const char *capability)
{
    return drv_names_include(hello->capabilities, hello->capability_count, capability);
}

void session_bind(struct core *core, struct session *session, struct peer *peer)
{
    DRV_ASSERT(session->peer == NULL && peer->session == NULL);
    session->peer = peer;
    peer->session = session;
    drv_list_remove(&session->away);
    timer_disarm(core, &session->timer);
}

void session_unbind(struct core *core, struct session *session)
{
    session->peer = NULL;
    session->items_in_flight = 0;
    replies_drop_unkept(core, session);
    drv_list_push_back(&core->sessions.away, &session->away);
    streams_pause(session);
    timer_arm(core, &session->timer, core->now_us + core->config.session_us);
    if (session->worker != NULL) {
        effects_notice(core, "worker away", session->worker);
        if (!session->worker->is_leaving) {
            event_worker(core, DRV_EVENT_WORKER_AWAY, session->worker);
        }
        worker_away(core, session->worker);
    }
}

bool sessions_make_room(struct core *core)
{
    if (drv_table_count(&core->sessions_by_id) < core->config.sessions_max) {
        return true;
    }
    struct drv_list *link = drv_list_first(&core->sessions.away);
    if (link == NULL) {
        return false;
    }
    struct session *session = DRV_LIST_ITEM(link, struct session, away);
    int64_t since_us = timer_at_us(core, &session->timer) - core->config.session_us;
    if (since_us + core->config.lease_us > core->now_us) {
        return false;
    }
    session_end(core, session);
    return true;
}

void session_expect(struct core *core, struct session *session)
{
    if (!timer_is_armed(&session->timer)) {
        timer_arm(core, &session->timer, session->heard_us + core->config.lease_us);
    }
}

void session_due(struct core *core, struct session *session)
{
    if (session->peer == NULL) {
        session_end(core, session);
        return;
    }
    int64_t silent_us = session->heard_us + core->config.lease_us;
    if (session->items_in_flight == 0) {
        return;
    }
    if (silent_us > core->now_us) {
        timer_arm(core, &session->timer, silent_us);
        return;
    }
    peer_refuse(core, session->peer, DROVER_CLOSED,
                "nothing was heard of the client that results were sent to");
}

static void ties_step(struct core *core, struct sweep *sweep, uint32_t budget)
{
    struct ties *ties = DRV_CONTAINER_OF(sweep, struct ties, sweep);
    struct drv_list *link;
    while ((link = drv_list_first(&ties->list)) != NULL) {
        if (budget-- == 0) {
            return;
        }
        struct task *task = DRV_LIST_ITEM(link, struct tie, link)->task;
        struct item item = item_of_task(task);
        unit_untie(core, &task->unit);
        save_item(core, &item);
        cancel_item(core, &item, "its session has ended");
    }
    sweep_done(core, sweep);
    core_free(core, ties, sizeof *ties);
}

void ties_cancel(struct core *core, struct drv_list *list)
{
    struct ties *ties = drv_list_is_empty(list) ? NULL : core_alloc(core, sizeof *ties);
    if (ties != NULL) {
        sweep_init(&ties->sweep, ties_step);
        drv_list_init(&ties->list);
        drv_list_splice_back(&ties->list, list);
        sweep_start(core, &ties->sweep);
    }
}

struct ties *session_ties(struct core *core, struct session *session)
{
    if (session->ties == NULL) {
        session->ties = core_alloc(core, sizeof *session->ties);
        if (session->ties != NULL) {
            sweep_init(&session->ties->sweep, ties_step);
            drv_list_init(&session->ties->list);
        }
    }
    return session->ties;
}

static void session_cancel_ties(struct core *core, struct session *session)
{
    if (session->ties != NULL) {
        sweep_start(core, &session->ties->sweep);
        session->ties = NULL;
    }
}

static void session_cancel_arrays(struct core *core, struct session *session)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&session->arrays)) != NULL) {
        struct array *array = DRV_LIST_ITEM(link, struct array, open_link);
        array_cancel(core, array, "its session has ended before it was sealed");
    }
}

void session_own(struct session *session, struct account *account)
{
    DRV_ASSERT(session->account == NULL);
    session->account = account;
    session->is_unclaimed = false;
    account->session_count++;
    drv_list_push_back(&account->sessions, &session->in_account);
}

static void session_disown(struct core *core, struct session *session)
{
    struct account *account = session->account;
    if (account != NULL) {
        session->account = NULL;
        account->session_count--;
        drv_list_remove(&session->in_account);
        account_release(core, account);
    }
}

void session_end(struct core *core, struct session *session)
{
    DRV_ASSERT(session->peer == NULL);
    if (session->worker != NULL) {
        worker_lose(core, session->worker);
    }
    session_cancel_arrays(core, session);
    session_cancel_ties(core, session);
    watch_end_session(core, session);
    streams_end_session(core, session);
    struct drv_list *link;
    while ((link = drv_list_first(&session->replies)) != NULL) {
        reply_free(core, DRV_LIST_ITEM(link, struct reply, link));
    }
    struct core_record record = {.kind = CORE_RECORD_SESSION_END, .id = session->id};
    effects_record(core, &record);
    drv_list_remove(&session->unsaved);
    save_session_end(core, session);
    drv_table_remove_entry(&core->sessions_by_id, session_hash(core, &session->id), session);
    drv_list_remove(&session->away);
    session_leave(&core->sessions, session);
    timer_fini(core, &session->timer);
    who_release(core, &session->past);
    session_disown(core, session);
    session_set_name(core, session, str_of(NULL, 0));
    core_free(core, session, sizeof *session);
}

void session_goodbye(struct core *core, struct session *session)
{
    if (session->worker != NULL) {
        worker_give_back(core, session->worker);
    }
    session_end(core, session);
}

bool session_set_name(struct core *core, struct session *session, struct drv_str name)
{
    char *copy = NULL;
    if (session->name != NULL && name.ptr != NULL &&
        str_equals(drv_str_of(session->name), name)) {
        return true;
    }
    if (name.ptr != NULL) {
        copy = core_alloc(core, name.len + 1);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, name.ptr, name.len);
    }
    if (session->name != NULL) {
        core_free(core, session->name, strlen(session->name) + 1);
    }
    session->name = copy;
    if (copy != NULL) {
        save_session(core, session);
    }
    return true;
}

void session_touch(struct core *core, struct session *session)
{
    if (session->peer != NULL) {
        peer_touch(core, session->peer);
    }
}

void sessions_fini(struct core *core)
{
    for (uint32_t slot = 0; slot < core->sessions.slot_count; slot++) {
        struct session *session = core->sessions.slots[slot];
        if (session != NULL) {
            DRV_ASSERT(session->peer == NULL);
            session_end(core, session);
        }
    }
    core->sessions.slot_count = 0; /* tasks and keys name them still */
    free(core->sessions.slots);
    free(core->sessions.free_slots);
}
