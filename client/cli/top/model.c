/* model.c: see model.h. */
#include "top/model.h"

#include "check.h"
#include "target.h"
#include "utf8.h"

#include <stdarg.h>
#include <string.h>

static void arrange(struct top *top);

void top_init(struct top *top)
{
    memset(top, 0, sizeof(*top));
    for (int i = 0; i < VIEW_COUNT; i++) {
        top->places[i].sort = views[i].sort;
        top->places[i].reverse = views[i].reverse;
    }
    top->view = VIEW_WORKERS;
    top->about = TOP_ABOUT_VIEW;
    top->page = 1;
    listing_init(&top->table, views[top->view].columns, views[top->view].column_count);
    arrange(top);
    sheet_init(&top->sheet);
}

void top_fini(struct top *top)
{
    listing_fini(&top->table);
    sheet_fini(&top->sheet);
}

void top_say(struct top *top, enum cell_style style, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(top->message, sizeof(top->message), format, arguments);
    va_end(arguments);
    top->message_style = style;
}

/* ---- rows and places --------------------------------------------------------------------- */

static struct top_place *place(struct top *top)
{
    return &top->places[top->view];
}

const struct listing_row *top_selected(const struct top *top)
{
    return listing_shown(&top->table, top->places[top->view].selected);
}

static void select_row(struct top *top, size_t number)
{
    struct top_place *here = place(top);
    size_t count = top->table.shown_count;
    here->selected = count == 0 ? 0 : number < count ? number : count - 1;
    const struct listing_row *row = top_selected(top);
    if (row != NULL) {
        (void)snprintf(here->key, sizeof(here->key), "%s", row->key);
    }
}

/* Sorts and filters; whoever was selected is afterwards, unless it is gone. */
static void arrange(struct top *top)
{
    struct top_place *here = place(top);
    listing_arrange(&top->table, here->sort, here->reverse, here->filter);
    size_t found = here->key[0] != '\0' ? listing_place(&top->table, here->key) : SIZE_MAX;
    select_row(top, found != SIZE_MAX ? found : here->selected);
}

void top_take_table(struct top *top, struct listing *table)
{
    listing_fini(&top->table);
    top->table = *table;
    listing_init(table, views[top->view].columns, views[top->view].column_count);
    top->has_table = true;
    arrange(top);
}

void top_take_sheet(struct top *top, struct sheet *sheet)
{
    sheet_fini(&top->sheet);
    top->sheet = *sheet;
    sheet_init(sheet);
    top->has_sheet = true;
}

static struct top_want go_to(struct top *top, enum view_id view)
{
    top->mode = TOP_LIST;
    top->about = TOP_ABOUT_VIEW;
    top->view = view;
    top->has_table = false;
    listing_fini(&top->table);
    listing_init(&top->table, views[view].columns, views[view].column_count);
    arrange(top);
    return (struct top_want){.act = TOP_ASK};
}

/* ---- questions --------------------------------------------------------------------------- */

struct top_question top_ask(const struct top *top)
{
    struct top_question question = {
        .about = top->about, .view = top->view, .tasks = top->tasks, .task = top->task};
    (void)snprintf(question.queue, sizeof(question.queue), "%s", top->queue);
    (void)snprintf(question.worker, sizeof(question.worker), "%s", top->worker);
    return question;
}

static bool same_task(const drover_task_ref *a, const drover_task_ref *b)
{
    return memcmp(&a->id, &b->id, sizeof(a->id)) == 0 && a->index == b->index;
}

bool top_wants(const struct top *top, const struct top_question *question)
{
    if (question->about != top->about) {
        return false;
    }
    switch (question->about) {
    case TOP_ABOUT_VIEW:
        return question->view == top->view &&
               (top->view != VIEW_TASKS ||
                (question->tasks == top->tasks && strcmp(question->queue, top->queue) == 0));
    case TOP_ABOUT_TASK:
        return same_task(&question->task, &top->task);
    case TOP_ABOUT_WORKER:
        return strcmp(question->worker, top->worker) == 0;
    case TOP_ABOUT_NOTHING:
        break;
    }
    return false;
}

/* ---- opening ----------------------------------------------------------------------------- */

static struct top_want open_sheet(struct top *top, enum top_about about)
{
    sheet_fini(&top->sheet);
    sheet_init(&top->sheet);
    top->mode = TOP_SHEET;
    top->about = about;
    top->has_sheet = false;
    top->sheet_first = 0;
    if (about == TOP_ABOUT_NOTHING) {
        sheet_help(&top->sheet);
        top->has_sheet = true;
        return (struct top_want){.act = TOP_NOTHING};
    }
    return (struct top_want){.act = TOP_ASK};
}

static struct top_want open_row(struct top *top)
{
    const struct listing_row *row = top_selected(top);
    if (row == NULL) {
        return (struct top_want){.act = TOP_NOTHING};
    }
    switch (top->view) {
    case VIEW_HOSTS:
        (void)snprintf(top->places[VIEW_WORKERS].filter, TOP_FILTER_MAX, "%s", row->name);
        return go_to(top, VIEW_WORKERS);
    case VIEW_WORKERS:
        (void)snprintf(top->worker, sizeof(top->worker), "%s", row->name);
        (void)snprintf(top->worker_label, sizeof(top->worker_label), "%s", row->cells[0].text);
        return open_sheet(top, TOP_ABOUT_WORKER);
    case VIEW_QUEUES:
        (void)snprintf(top->queue, sizeof(top->queue), "%s", row->name);
        return go_to(top, VIEW_TASKS);
    case VIEW_EXECUTORS:
    case VIEW_TASKS:
        break;
    case VIEW_COUNT:
        return (struct top_want){.act = TOP_NOTHING};
    }
    if (!row->has_task) {
        top_say(top, CELL_PLAIN, "it runs nothing");
        return (struct top_want){.act = TOP_NOTHING};
    }
    top->task = row->task;
    return open_sheet(top, TOP_ABOUT_TASK);
}

/* One step back: out of the sheet, the filter, the queue. */
static struct top_want go_back(struct top *top)
{
    if (top->mode == TOP_SHEET) {
        top->mode = TOP_LIST;
        top->about = TOP_ABOUT_VIEW;
        return (struct top_want){.act = TOP_ASK};
    }
    if (place(top)->filter[0] != '\0') {
        place(top)->filter[0] = '\0';
        arrange(top);
    } else if (top->view == VIEW_TASKS && top->queue[0] != '\0') {
        top->queue[0] = '\0';
        return go_to(top, VIEW_TASKS);
    } else {
        /* there is nothing before it */
    }
    return (struct top_want){.act = TOP_NOTHING};
}

/* ---- what changes something -------------------------------------------------------------- */

static struct top_want want_worker(struct top *top, enum top_act act)
{
    struct top_want want = {.act = TOP_NOTHING};
    const struct listing_row *row = top_selected(top);
    if (top->mode == TOP_SHEET && top->about == TOP_ABOUT_WORKER) {
        want.act = act;
        (void)snprintf(want.name, sizeof(want.name), "%s", top->worker);
        (void)snprintf(want.label, sizeof(want.label), "%s", top->worker_label);
    } else if (top->mode == TOP_LIST && top->view == VIEW_WORKERS && row != NULL) {
        want.act = act;
        (void)snprintf(want.name, sizeof(want.name), "%s", row->name);
        (void)snprintf(want.label, sizeof(want.label), "%s", row->cells[0].text);
    } else {
        top_say(top, CELL_PLAIN, "select a worker (2) for that");
    }
    return want;
}

static struct top_want want_queue(struct top *top, enum top_act act)
{
    struct top_want want = {.act = TOP_NOTHING};
    const struct listing_row *row = top_selected(top);
    if (top->mode == TOP_LIST && top->view == VIEW_QUEUES && row != NULL) {
        want.act = act;
        (void)snprintf(want.name, sizeof(want.name), "%s", row->name);
        (void)snprintf(want.label, sizeof(want.label), "%s", row->name);
    } else {
        top_say(top, CELL_PLAIN, "select a queue (4) for that");
    }
    return want;
}

/* Asks first. */
static void confirm_cancel(struct top *top)
{
    const struct listing_row *row = top_selected(top);
    struct top_want want = {.act = TOP_CANCEL};
    if (top->mode == TOP_SHEET && top->about == TOP_ABOUT_TASK) {
        want.task = top->task;
    } else if (top->mode == TOP_LIST && row != NULL && row->has_task) {
        want.task = row->task;
    } else {
        top_say(top, CELL_PLAIN, "select a task (5) for that");
        return;
    }
    target_format(&want.task.id, want.task.index, want.label);
    top->confirm = want;
    top->mode = TOP_CONFIRM;
}

static struct top_want press_confirm(struct top *top, uint32_t key)
{
    top->mode = top->about == TOP_ABOUT_TASK ? TOP_SHEET : TOP_LIST;
    if (key == 'y' || key == 'Y') {
        return top->confirm;
    }
    top_say(top, CELL_PLAIN, "not cancelled");
    return (struct top_want){.act = TOP_NOTHING};
}

/* ---- filter ------------------------------------------------------------------------------ */

static void filter_append(char *filter, uint32_t code)
{
    uint8_t bytes[DRV_UTF8_LEN_MAX];
    size_t len = strlen(filter);
    size_t count = drv_utf8_encode(code, bytes);
    if (len + count < TOP_FILTER_MAX) {
        memcpy(filter + len, bytes, count);
        filter[len + count] = '\0';
    }
}

static void filter_shorten(char *filter)
{
    size_t len = strlen(filter);
    while (len > 0 && ((unsigned char)filter[len - 1] & 0xc0) == 0x80) {
        len--;
    }
    filter[len > 0 ? len - 1 : 0] = '\0';
}

static void press_filter(struct top *top, uint32_t key)
{
    char *filter = place(top)->filter;
    if (key == TOP_KEY_ENTER) {
        top->mode = TOP_LIST;
    } else if (key == TOP_KEY_ESCAPE) {
        filter[0] = '\0';
        top->mode = TOP_LIST;
    } else if (key == TOP_KEY_BACKSPACE) {
        filter_shorten(filter);
    } else if (key < TOP_KEY_UP && key >= 0x20 && key != 0x7f &&
               !(key >= 0xd800 && key <= 0xdfff)) {
        filter_append(filter, key);
    } else {
        /* nothing that could be searched for */
    }
    arrange(top);
}

/* ---- moving ------------------------------------------------------------------------------ */

static void move_by(struct top *top, int by)
{
    size_t at = place(top)->selected;
    size_t step = (size_t)(by < 0 ? -by : by);
    select_row(top, by < 0 ? (at > step ? at - step : 0) : at + step);
}

/* How many lines there are is up to the width, so layout bounds it. */
static void scroll_by(struct top *top, int by)
{
    size_t step = (size_t)(by < 0 ? -by : by);
    size_t at = top->sheet_first;
    top->sheet_first = by < 0 ? (at > step ? at - step : 0) : at + step;
}

/* How far a key moves; 0: it does not. Far beyond any end stands for the end. */
static int movement(const struct top *top, uint32_t key)
{
    const int far = 1 << 20;
    int page = top->page > 1 ? top->page - 1 : 1;
    switch (key) {
    case TOP_KEY_UP:
    case 'k':
        return -1;
    case TOP_KEY_DOWN:
    case 'j':
        return 1;
    case TOP_KEY_PAGE_UP:
        return -page;
    case TOP_KEY_PAGE_DOWN:
        return page;
    case TOP_KEY_HOME:
    case 'g':
        return -far;
    case TOP_KEY_END:
    case 'G':
        return far;
    default:
        return 0;
    }
}

static void sort_by_next(struct top *top, bool forwards)
{
    size_t count = views[top->view].column_count;
    struct top_place *here = place(top);
    here->sort = (here->sort + (forwards ? 1 : count - 1)) % count;
    arrange(top);
}

/* ---- keys -------------------------------------------------------------------------------- */

static struct top_want press_view(struct top *top, uint32_t key)
{
    switch (key) {
    case TOP_KEY_TAB:
        return go_to(top, (enum view_id)((top->view + 1) % VIEW_COUNT));
    case TOP_KEY_BACK_TAB:
        return go_to(top, (enum view_id)((top->view + VIEW_COUNT - 1) % VIEW_COUNT));
    default:
        return go_to(top, (enum view_id)(key - '1'));
    }
}

static struct top_want press_list(struct top *top, uint32_t key)
{
    switch (key) {
    case TOP_KEY_ENTER:
        return open_row(top);
    case '/':
        top->mode = TOP_FILTER;
        break;
    case 's':
    case 'S':
        sort_by_next(top, key == 's');
        break;
    case 'R':
        place(top)->reverse = !place(top)->reverse;
        arrange(top);
        break;
    case 't':
        top->tasks = (enum view_tasks)((top->tasks + 1) % VIEW_TASKS_SORTS);
        return go_to(top, VIEW_TASKS);
    case 'p':
        return want_queue(top, TOP_QUEUE_PAUSE);
    default:
        move_by(top, movement(top, key));
        break;
    }
    return (struct top_want){.act = TOP_NOTHING};
}

struct top_want top_press(struct top *top, uint32_t key)
{
    struct top_want want = {.act = TOP_NOTHING};
    top->message[0] = '\0';
    if (top->mode == TOP_FILTER) {
        press_filter(top, key);
        return want;
    }
    if (top->mode == TOP_CONFIRM) {
        return press_confirm(top, key);
    }
    if ((key >= '1' && key < '1' + VIEW_COUNT) || key == TOP_KEY_TAB ||
        key == TOP_KEY_BACK_TAB) {
        return press_view(top, key);
    }
    switch (key) {
    case 'q':
    case 'Q':
        return (struct top_want){.act = TOP_QUIT};
    case '?':
    case 'h':
        return open_sheet(top, TOP_ABOUT_NOTHING);
    case TOP_KEY_ESCAPE:
        return go_back(top);
    case ' ':
        return (struct top_want){.act = TOP_ASK};
    case 'd':
        return want_worker(top, TOP_DRAIN);
    case 'r':
        return top->mode == TOP_LIST && top->view == VIEW_QUEUES
                   ? want_queue(top, TOP_QUEUE_RESUME)
                   : want_worker(top, TOP_RESUME);
    case 'c':
        confirm_cancel(top);
        return want;
    default:
        break;
    }
    if (top->mode == TOP_SHEET) {
        scroll_by(top, movement(top, key));
        return want;
    }
    return press_list(top, key);
}
