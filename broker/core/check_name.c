/*
 * check_name.c: keys and groups: who has a key is the only one, and groups count what is there.
 */
#include "check_core.h"

void check_claim(struct check *check, const struct task *task)
{
    const struct claim *claim = task_claim(task);
    if (claim == NULL) {
        return;
    }
    const struct key *key = claim->key;
    tally_of(check, &check->keys, key)->references++;
    expect(check, str_equals(key_queue(key), queue_name(task->spec->line->queue)),
           "a key is of another queue than its task");
    expect(check, claim->serial != 0 && claim->serial <= check->core->key_serial,
           "a key was claimed with a number that was never given");
    expect(check, claim->serial <= key->serial, "a later task with a key does not have it");
    expect(check, key->task != task || claim->serial == key->serial,
           "a task has a key by a claim that is not the last");
    expect(check, unit_is_terminal(&task->unit) || key->task == task,
           "two tasks at a time have the same key");
}

static void check_key(struct check *check, const struct tally *tally)
{
    const struct key *key = tally->owner;
    check_timer(check, &key->timer, TIMER_KEY);
    expect(check, key->task == NULL || key->account == key->task->spec->account,
           "a key counts for another account than its task's");
    expect(check,
           key->task == NULL || (key->owner.slot == key->task->owner.slot &&
                                 key->owner.generation == key->task->owner.generation),
           "a key counts for another session than its task's");
    expect(check, key->references == tally->references + (key->is_remembered ? 1 : 0),
           "a key is referenced by others than its tasks");
    expect(check, key->is_remembered == timer_is_armed(&key->timer),
           "a key is remembered for ever");
    expect(check, !(key->is_remembered && key->task != NULL),
           "a key is remembered although its task is there");
    expect(check, key->task == NULL || drover_id_equal(&key->task->id, &key->id),
           "a key names another task than the one that has it");
    expect(check, key->task == NULL || task_peek(check->core, &key->id) == key->task,
           "a key is of a task that is not there");
    expect(check, key_find(check->core, key_queue(key), key_word(key)) == key,
           "a key is not found by its name");
}

void check_member(struct check *check, const struct task *task)
{
    const struct group *group = task->spec->group;
    if (group == NULL) {
        return;
    }
    const struct tally *tally = tally_of(check, &check->groups, group);
    struct census *census = &check->groups_found[tally - check->groups.items];
    census->tasks++;
    if (!task_is_array(task)) {
        census->states[task->unit.state]++;
        return;
    }
    for (unsigned state = DROVER_STATE_WAITING; state <= DROVER_STATE_LOST; state++) {
        census->states[state] += task->array->states[state];
    }
}

static void check_group(struct check *check, const struct tally *tally,
                        const struct census *census)
{
    const struct group *group = tally->owner;
    expect(check, census->tasks == drv_table_count(&group->tasks),
           "a group miscounts its tasks");
    for (unsigned state = DROVER_STATE_WAITING; state <= DROVER_STATE_LOST; state++) {
        expect(check, group->states[state] == census->states[state] + group->gone[state],
               "a group miscounts what it has in a state");
    }
    expect(check, group->references == tally->references + check_list_count(&group->sweeps),
           "a group is referenced by others than options and cancels");
    expect(check, group_find(check->core, group_name(group)) == group,
           "a group is not found by its name");
}

static void check_specs(struct check *check)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct spec *spec;
    while ((spec = drv_table_next(&check->core->specs, &cursor)) != NULL) {
        if (spec->group != NULL) {
            tally_of(check, &check->groups, spec->group)->references++;
        }
        if (spec->account != NULL) {
            tally_of(check, &check->accounts, spec->account)->references++;
        }
    }
}

static void count_keys(struct check *check)
{
    for (size_t i = 0; i < check->keys.count; i++) {
        const struct key *key = check->keys.items[i].owner;
        const struct session *session = session_by_handle(check->core, key->owner);
        if (session != NULL) {
            tally_of(check, &check->sessions, session)->held++;
        }
        if (key->account != NULL) {
            tally_of(check, &check->accounts, key->account)->held++;
        }
    }
}

static void check_account(struct check *check, const struct tally *tally)
{
    const struct account *account = tally->owner;
    size_t sessions = check_list_count(&account->sessions);
    uint64_t named = tally->references + tally->held + sessions + (account->is_listed ? 1 : 0);
    expect(check, account->session_count == sessions, "an account miscounts its sessions");
    expect(check, account->references >= named,
           "an account is given up although something names it");
    expect(check, !check->is_exact || account->references == named,
           "an account is kept for nobody");
    expect(check, account->tasks == tally->queued && account->bytes == tally->bytes,
           "an account miscounts what has not ended");
    expect(check, account->keys == tally->held, "an account miscounts its keys");
    DRV_LIST_EACH(link, &account->sessions)
    {
        expect(check, DRV_LIST_ITEM(link, struct session, in_account)->account == account,
               "a session is of another account");
    }
}

void check_names(struct check *check)
{
    check_specs(check);
    count_keys(check);
    for (size_t i = 0; i < check->accounts.count; i++) {
        check_account(check, &check->accounts.items[i]);
    }
    for (size_t i = 0; i < check->keys.count; i++) {
        check_key(check, &check->keys.items[i]);
    }
    for (size_t i = 0; i < check->groups.count; i++) {
        check_group(check, &check->groups.items[i], &check->groups_found[i]);
    }
}
