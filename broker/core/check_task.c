/*
 * check_task.c: tasks, elements and arrays: each in exactly one place, with what its state
 * needs.
 */
#include "check_core.h"

/* A unit with what stands for it. */
struct subject {
    const struct task *task;
    const struct unit *unit;
    uint32_t index;
    const struct run *run; /* of the element; NULL: the task itself */
    bool waits_in_run;     /* it was never dispatched, and has not ended */
    uint32_t payload_len;
};

static const struct lease *subject_lease(const struct subject *subject)
{
    return unit_lease(subject->unit);
}

/* Where it stands in line, NULL: nowhere of its own. */
static const struct place *subject_place(const struct subject *subject)
{
    if (subject->run == NULL) {
        return &subject->task->place;
    }
    const struct lease *lease = subject_lease(subject);
    return lease == NULL ? NULL : &lease->place;
}

static const struct timer *subject_timer(const struct subject *subject)
{
    if (subject->run == NULL) {
        return &subject->task->timer;
    }
    const struct lease *lease = subject_lease(subject);
    return lease == NULL ? &subject->run->timer : &lease->timer;
}

static bool stands_in_line(const struct subject *subject)
{
    const struct place *place = subject_place(subject);
    if (subject->waits_in_run) {
        return place_is_in(&subject->run->place) || subject->task->array->is_cancelled;
    }
    return place != NULL && place_is_in(place);
}

/* --- by state ---------------------------------------------------------------------------- */

static void check_delayed(struct check *check, const struct subject *subject)
{
    const struct lease *lease = subject_lease(subject);
    expect(check, lease == NULL || lease->worker == NULL, "a delayed task is held");
    expect(check, !stands_in_line(subject) || subject->task->flags & TASK_IS_ARRAY,
           "a delayed task stands in line");
    expect(check, timer_is_armed(subject_timer(subject)), "a delayed task is never due");
}

/* Something that has not ended knows that it is waited for, or the sweep will look at it. */
static void check_waiting(struct check *check, const struct subject *subject)
{
    const struct lease *lease = subject_lease(subject);
    const struct more *more = subject->unit->more;
    const struct deps *deps = more == NULL ? NULL : more->deps;
    if (subject->waits_in_run) {
        const struct array *array = subject->task->array;
        expect(check, !stands_in_line(subject) || array->is_cancelled,
               "a waiting element stands in line");
        expect(check,
               subject->run->is_held &&
                   (array_holds_back(array) || sweep_is_running(&array->sweep)),
               "an element waits for nothing");
        return;
    }
    expect(check, lease == NULL || lease->worker == NULL, "a waiting task is held");
    expect(check, !stands_in_line(subject), "a waiting task stands in line");
    expect(check, deps != NULL && deps->edges != NULL && deps->edge_count > 0,
           "a task waits for nothing");
    if (deps == NULL) {
        return;
    }
    expect(check,
           (deps->left > 0 && !deps->has_failed) ||
               (drv_list_is_linked(&deps->due) && sweep_is_running(&check->core->deps_sweep)),
           "a waiting task has nothing left to wait for");
}

static void check_queued(struct check *check, const struct subject *subject)
{
    const struct lease *lease = subject_lease(subject);
    bool is_held = lease != NULL && lease->worker != NULL;
    expect(check, !(is_held && stands_in_line(subject)),
           "a task is held and stands in line at the same time");
    expect(check, is_held || stands_in_line(subject), "a queued task is in no line");
    expect(check, !is_held || !(lease->flags & LEASE_STARTED),
           "a task that was started counts as queued");
}

static void check_running(struct check *check, const struct subject *subject)
{
    const struct lease *lease = subject_lease(subject);
    expect(check, !stands_in_line(subject), "a running task stands in line");
    expect(check, lease != NULL && lease->worker != NULL, "a running task is held by nobody");
    expect(check, lease == NULL || lease->flags & LEASE_STARTED,
           "a running task was not started");
}

/* Something ends its retention: its timer, or that of the shelf it stands on, in time. */
static bool check_will_end(const struct core *core, const struct task *task)
{
    const struct more *more = task->unit.more;
    if (timer_is_armed(&task->timer)) {
        return true;
    }
    bool is_failed = task->unit.state == DROVER_STATE_FAILED;
    const struct shelf *shelf = &core->shelves[is_failed ? SHELF_FAILED : SHELF_ENDED];
    return more != NULL && drv_list_is_linked(&more->kept) && timer_is_armed(&shelf->timer) &&
           timer_at_us(core, &shelf->timer) <= more->ended_us + shelf->keep_us;
}

static void check_ended(struct check *check, const struct subject *subject)
{
    const struct more *more = subject->unit->more;
    expect(check, !(subject->unit->flags & UNIT_CANCELLING), "an ended task is cancelling");
    expect(check, more == NULL || more->tie == NULL, "an ended task is tied to a session");
    if (subject->run == NULL) {
        bool is_ready = (subject->task->flags & TASK_READY) != 0;
        expect(check, !place_is_in(&subject->task->place), "an ended task stands in line");
        expect(check, check_will_end(check->core, subject->task),
               "an ended task is kept for ever");
        expect(check, !is_ready || drv_list_is_linked(&subject->task->place.link),
               "a result that is to be handed out is in no list");
    } else {
        expect(check, !subject->waits_in_run, "an ended element waits in its run");
    }
}

/* --- units ------------------------------------------------------------------------------- */

static void check_lease_link(struct check *check, const struct subject *subject)
{
    const struct lease *lease = subject_lease(subject);
    if (lease == NULL) {
        return;
    }
    check->leases++;
    expect(check,
           lease->unit == subject->unit && lease->task == subject->task &&
               lease->index == subject->index,
           "a lease is about another task");
    expect(check, lease_by_handle(check->core, lease_handle(lease)) == lease,
           "a lease is not found by its handle");
    bool has_own_place = subject->run != NULL;
    if (has_own_place) {
        check_timer(check, &lease->timer, TIMER_LEASE);
    }
    expect(check,
           has_own_place || (!place_is_in(&lease->place) && !timer_is_armed(&lease->timer)),
           "the lease of a task uses the place or timer of an element");
}

static void check_more(struct check *check, const struct subject *subject)
{
    const struct more *more = subject->unit->more;
    if (more == NULL) {
        return;
    }
    DRV_LIST_EACH(link, &more->watches)
    {
        const struct watch *watch = DRV_LIST_ITEM(link, struct watch, in_unit);
        expect(check, watch->task == subject->task && watch->index == subject->index,
               "a watch is on another task");
        expect(check, watch->is_ready == unit_is_terminal(subject->unit),
               "a watch does not know whether the task has ended");
    }
    check_deps(check, subject->task, subject->unit, subject->index);
    expect(check, more->history_count <= HISTORY_MAX, "a history is too long");
    expect(check, more->tie == NULL || more->tie->task == subject->task,
           "a tie is to another task");
}

static void check_budgets(struct check *check, const struct subject *subject)
{
    const struct unit *unit = subject->unit;
    const struct spec_numbers *numbers = &subject->task->spec->numbers;
    expect(check, unit->failures <= numbers->retries, "a task was retried too often");
    expect(check, (int64_t)unit->losses <= (int64_t)numbers->loss_budget + 1,
           "a task was lost too often and goes on");
    const struct lease *lease = subject_lease(subject);
    bool is_held = lease != NULL && lease->worker != NULL;
    expect(check, !is_held || unit->attempt >= 1, "a task is held without an attempt");
}

/* What queue, type and submitter count. */
static void count_unit(struct check *check, const struct subject *subject)
{
    const struct line *line = subject->task->spec->line;
    struct tally *queue = tally_of(check, &check->queues, line->queue);
    struct tally *type = tally_of(check, &check->types, line->type);
    uint8_t state = subject->unit->state;
    check->states[state]++;
    if (unit_is_terminal(subject->unit)) {
        return;
    }
    queue->waiting += state == DROVER_STATE_WAITING;
    queue->delayed += state == DROVER_STATE_DELAYED;
    queue->queued += state == DROVER_STATE_QUEUED;
    queue->running += state == DROVER_STATE_RUNNING;
    type->queued += state == DROVER_STATE_QUEUED;
    type->running += state == DROVER_STATE_RUNNING;
    uint32_t bytes = subject->payload_len;
    queue->bytes += bytes;
    const struct session *owner = session_by_handle(check->core, subject->task->owner);
    if (owner != NULL) {
        struct tally *session = tally_of(check, &check->sessions, owner);
        session->queued++;
        session->bytes += bytes;
    }
    if (subject->task->spec->account != NULL) {
        struct tally *account = tally_of(check, &check->accounts, subject->task->spec->account);
        account->queued++;
        account->bytes += bytes;
    }
}

static void check_unit(struct check *check, const struct subject *subject)
{
    uint8_t state = subject->unit->state;
    expect(check, state >= DROVER_STATE_WAITING && state <= DROVER_STATE_EXPIRED,
           "a task is in no state");
    if (check->broken != NULL) {
        return;
    }
    count_unit(check, subject);
    check_lease_link(check, subject);
    check_more(check, subject);
    check_budgets(check, subject);
    const struct place *place = subject_place(subject);
    if (place != NULL && place_is_in(place)) {
        tally_of(check, &check->lines, subject->task->spec->line)->places++;
    }
    if (state == DROVER_STATE_WAITING) {
        check_waiting(check, subject);
    } else if (state == DROVER_STATE_DELAYED) {
        check_delayed(check, subject);
    } else if (state == DROVER_STATE_QUEUED) {
        check_queued(check, subject);
    } else if (state == DROVER_STATE_RUNNING) {
        check_running(check, subject);
    } else {
        check_ended(check, subject);
    }
}

/* --- arrays ------------------------------------------------------------------------------ */

/* What the elements of an array add up to. */
struct array_sum {
    uint32_t states[DROVER_STATE_LOST + 1];
    uint32_t count, ended;
    uint32_t records; /* how many have one */
    uint32_t claimed; /* how many ended without one */
    uint32_t retried; /* how many by themselves */
    uint64_t result_bytes;
    uint64_t ended_indexes;
};

static void check_element(struct check *check, const struct array *array, uint32_t index,
                          struct array_sum *sum)
{
    const struct element *element = array_element(array, index);
    struct run *run = array_run(array, index);
    expect(check, element == NULL || run != NULL, "an element is in no run");
    if (run == NULL) {
        return;
    }
    expect(check, element == NULL || element->run == run->number,
           "an element is in another run");
    const struct unit *unit = element != NULL ? &element->unit : &run->unit;
    bool is_taken = element != NULL ? (element->flags & ELEMENT_TAKEN) != 0
                                    : unit_is_terminal(unit);
    struct subject subject = {
        array->task, unit,      index,
        run,         !is_taken, element != NULL ? element->len : run_element(run, index).len};
    check_unit(check, &subject);
    expect(check, !subject.waits_in_run || unit->lease == NULL,
           "an element that was never dispatched has a lease");
    sum->count++;
    sum->records += element != NULL;
    sum->retried += unit->more != NULL && unit->more->has_retried_as;
    sum->states[unit->state]++;
    if (unit_is_terminal(unit)) {
        sum->claimed += element == NULL;
        sum->ended++;
        sum->ended_indexes += index;
        sum->result_bytes += body_len(unit->result);
    }
}

static void check_run(struct check *check, const struct array *array, struct run *run)
{
    uint32_t waiting = 0, live = 0, shared = 0, next = run->first + run->count;
    bool are_over = unit_is_terminal(&run->unit);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct element *element = array_element(array, run->first + i);
        bool is_waiting = element != NULL ? !(element->flags & ELEMENT_TAKEN) : !are_over;
        next = is_waiting && waiting == 0 ? run->first + i : next;
        waiting += is_waiting;
        live += element == NULL || !(element->flags & ELEMENT_FREED);
        expect(check,
               element == NULL || !array->keeps_payloads || !(element->flags & ELEMENT_FREED),
               "an array of a graph has given up a payload");
        shared += element == NULL;
        bytes += element == NULL ? run_element(run, run->first + i).len : 0;
    }
    expect(check, run->shared == shared && run->shared_bytes == bytes,
           "a run miscounts its elements without a record");
    expect(check,
           unit_is_shared(&run->unit) && run->unit.attempt == 0 &&
               (are_over ? run->unit.more != NULL && run->unit.more->error != NULL
                         : run->unit.more == NULL),
           "what stands for many elements has done something");
    expect(check, run->task == array->task, "a run is of another array");
    expect(check, run->waiting == waiting, "a run miscounts its waiting elements");
    expect(check, run->live == live, "a run miscounts its payloads");
    expect(check, waiting == 0 || run->next == next, "a run is not at its first element");
    bool may_stand = waiting > 0 && !run->is_delayed && !run->is_held;
    expect(check, may_stand || !place_is_in(&run->place), "a run stands in line for nothing");
    expect(check, !may_stand || place_is_in(&run->place) || array->is_cancelled,
           "a run with waiting elements is in no line");
    check_timer(check, &run->timer, TIMER_RUN);
    if (place_is_in(&run->place)) {
        tally_of(check, &check->lines, array->task->spec->line)->places++;
    }
}

static const struct unit *unit_of(const struct array *array, uint32_t index)
{
    const struct element *element = array_element(array, index);
    return element != NULL ? &element->unit : &array_run(array, index)->unit;
}

static void check_order(struct check *check, const struct array *array,
                        const struct array_sum *sum)
{
    uint64_t indexes = 0;
    for (uint32_t i = 0; i < array->ended; i++) {
        uint32_t index = array_ended_at(array, i);
        expect(check, array_has(array, index) && unit_is_terminal(unit_of(array, index)),
               "the order of ends names an element that has not ended");
        indexes += index;
    }
    expect(check, indexes == sum->ended_indexes, "the order of ends names an element twice");
}

static void check_array_watches(struct check *check, const struct array *array)
{
    DRV_LIST_EACH(link, &array->watches)
    {
        const struct watch *watch = DRV_LIST_ITEM(link, struct watch, in_unit);
        expect(check, watch->task == array->task && watch->index == DROVER_INDEX_NONE,
               "a watch is on another array");
        expect(check, watch->settled <= watch->sent && watch->sent <= array->ended,
               "more of an array was sent than has ended");
    }
}

static void check_array(struct check *check, const struct array *array)
{
    struct array_sum sum = {0};
    bool has_ended = unit_is_terminal(&array->task->unit);
    for (uint32_t index = 0; index < array->index_end; index++) {
        check_element(check, array, index, &sum);
    }
    for (uint32_t i = 0; i < array->run_count; i++) {
        expect(check, array->runs[i]->number == i, "a run has the number of another");
        check_run(check, array, array->runs[i]);
    }
    expect(check, memcmp(sum.states, array->states, sizeof sum.states) == 0,
           "an array miscounts the states of its elements");
    expect(check, sum.count == array->count && sum.ended == array->ended,
           "an array miscounts its elements");
    expect(check, array->claimed == sum.records + sum.claimed,
           "an array has not made sure of the room for all ends");
    expect(check, sum.retried == array->retried, "an array miscounts what was retried of it");
    expect(check, sum.result_bytes == array->result_bytes, "an array miscounts its results");
    check_order(check, array, &sum);
    check_array_watches(check, array);
    expect(check, !array->is_sealed || !drv_list_is_linked(&array->open_link),
           "a sealed array counts as open");
    expect(check, !array->is_sealed || array->index_end <= array->seal || array->is_cancelled,
           "a sealed array has more elements than it was sealed with");
    bool is_over = array->is_sealed && array->ended >= array->seal;
    expect(check,
           has_ended == is_over || (is_over && array_holds_back(array) && !array->is_cancelled),
           "an array and its elements do not end together");
    expect(check,
           drv_list_is_empty(&array->sweep.waiters) ||
               (array->is_cancelled && !array_is_still(array)),
           "a request waits for a cancel that is done");
    expect(check, !has_ended || drv_list_is_empty(&array->shares),
           "workers keep the value of an array that has ended");
}

/* --- tasks ------------------------------------------------------------------------------- */

static void check_whole_array(struct check *check, const struct task *task)
{
    struct subject subject = {.task = task,
                              .unit = &task->unit,
                              .index = DROVER_INDEX_NONE,
                              .payload_len = task->payload_len};
    expect(check, task->array->task == task, "an array is of another task");
    expect(check, !task->array->is_dismantled, "an array that is taken apart can be found");
    expect(check, !place_is_in(&task->place), "an array stands in line itself");
    check_more(check, &subject);
    if (array_holds_back(task->array) && !task->array->is_cancelled &&
        task->array->failure == NULL) {
        check_waiting(check, &subject);
    }
    if (unit_is_terminal(&task->unit)) {
        check_ended(check, &subject);
    }
    check_array(check, task->array);
}

static void check_task(struct check *check, const struct task *task)
{
    tally_of(check, &check->specs, task->spec)->references++;
    check->scheduled += task->spec->schedule != NULL && !unit_is_terminal(&task->unit);
    check_timer(check, &task->timer, TIMER_TASK);
    check_claim(check, task);
    check_member(check, task);
    expect(check, task_peek(check->core, &task->id) == task, "a task is not found by its id");
    if (task_is_array(task)) {
        check_whole_array(check, task);
        return;
    }
    struct subject subject = {.task = task,
                              .unit = &task->unit,
                              .index = DROVER_INDEX_NONE,
                              .payload_len = task->payload_len};
    check_unit(check, &subject);
}

void check_tasks(struct check *check)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct task *task;
    size_t count = 0;
    while (check->broken == NULL &&
           (task = drv_table_next(&check->core->tasks, &cursor)) != NULL) {
        count++;
        check_task(check, task);
        if (unit_is_terminal(&task->unit) && task->unit.more != NULL &&
            drv_list_is_linked(&task->unit.more->kept)) {
            check->kept_count++;
            check->kept_bytes += task_kept_bytes(task);
        }
    }
    expect(check, check->broken != NULL || count == drv_table_count(&check->core->tasks),
           "tasks are miscounted");
}

static size_t check_kept_list(struct check *check, const struct drv_list *list)
{
    DRV_LIST_EACH(link, list)
    {
        const struct more *more = DRV_LIST_ITEM(link, struct more, kept);
        expect(check, more->task != NULL && more->task->unit.more == more,
               "a kept result is of another task");
        expect(check, more->task == NULL || unit_is_terminal(&more->task->unit),
               "a task that has not ended counts as kept");
    }
    return check_list_count(list);
}

static size_t check_shelf(struct check *check, const struct shelf *shelf)
{
    int64_t ended_us = INT64_MIN;
    check_timer(check, &shelf->timer, TIMER_SHELF);
    DRV_LIST_EACH(link, &shelf->list)
    {
        const struct more *more = DRV_LIST_ITEM(link, struct more, kept);
        expect(check, more->ended_us >= ended_us, "a shelf is out of order");
        expect(check, !timer_is_armed(&more->task->timer),
               "a task on a shelf has a timer, too");
        ended_us = more->ended_us;
    }
    return check_kept_list(check, &shelf->list);
}

void check_kept(struct check *check)
{
    const struct core *core = check->core;
    size_t count = check_kept_list(check, &core->kept);
    for (size_t i = 0; i < SHELVES; i++) {
        count += check_shelf(check, &core->shelves[i]);
    }
    expect(check, count == core->kept_count && check->kept_count == core->kept_count,
           "kept results are miscounted");
    expect(check, check->kept_bytes == core->kept_bytes,
           "the bytes of kept results are miscounted");
}
