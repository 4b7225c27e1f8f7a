/* asker.c: see asker.h. */
#include "top/asker.h"

#include "check.h"
#include "reopen.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    ASK_MS = 3000,        /* a broker that takes longer is told as silent */
    ASK_SILENT_MS = 1000, /* patience with one that was */
    TASKS_MAX = 2000,     /* rows that are shown of them... */
    TASK_PAGES_MAX = 50,  /* ...and pages that are looked through for them */
};

struct asker {
    struct cli *cli; /* borrowed; its client is used in the thread alone */
    pthread_t thread;
    pthread_mutex_t lock; /* of the four that follow */
    pthread_cond_t given;
    bool has_task, has_answer, is_ending;
    struct asker_task task;
    struct asker_answer answer; /* the thread's, until has_answer */
    int fd;
    bool is_busy;    /* main thread's: given and not taken */
    bool was_silent; /* the thread's */
};

/* ---- questions --------------------------------------------------------------------------- */

static int64_t patience(const struct asker *asker)
{
    return asker->was_silent ? ASK_SILENT_MS : ASK_MS;
}

static drover_status ask_page(struct asker *asker, const struct top_question *question,
                              drover_cursor *cursor, drover_value **out_page)
{
    drover_client *client = asker->cli->client;
    drover_task_filter filter = DROVER_TASK_FILTER_INIT;
    switch (question->view) {
    case VIEW_HOSTS:
    case VIEW_WORKERS:
        return drover_worker_list(client, 0, cursor, ASK_MS, out_page);
    case VIEW_EXECUTORS:
        return drover_worker_statistics(client, 0, cursor, ASK_MS, out_page);
    case VIEW_QUEUES:
        return drover_queue_list(client, ASK_MS, out_page);
    case VIEW_TASKS:
        filter.states = view_tasks_states(question->tasks);
        filter.queue = question->queue[0] != '\0' ? question->queue : NULL;
        return drover_task_list(client, &filter, cursor, ASK_MS, out_page);
    case VIEW_COUNT:
        break;
    }
    return DROVER_INVALID;
}

static bool has_enough(const struct view_builder *builder, int pages)
{
    return builder->view == VIEW_TASKS
               ? builder->table.count >= TASKS_MAX || pages >= TASK_PAGES_MAX
               : builder->table.left_out > 0;
}

/* The pages of a view, until it has enough. */
static drover_status ask_pages(struct asker *asker, const struct top_question *question,
                               struct view_builder *builder)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    drover_status status = DROVER_OK;
    int pages = 0;
    do {
        drover_value *page = NULL;
        status = ask_page(asker, question, &cursor, &page);
        if (status == DROVER_OK) {
            view_add(builder, page);
        }
        drover_value_destroy(&page);
        pages++;
    } while (status == DROVER_OK && cursor.len > 0 && !has_enough(builder, pages));
    builder->table.has_more = cursor.len > 0;
    return status;
}

/* Few workers stand in the status itself. */
static bool is_in_status(enum view_id view, const drover_value *status)
{
    return (view == VIEW_HOSTS || view == VIEW_WORKERS) && !doc_bool(status, "truncated");
}

static drover_status ask_view(struct asker *asker, const struct top_question *question,
                              const drover_value *document, struct asker_answer *answer)
{
    struct view_builder builder;
    drover_status status = DROVER_OK;
    view_begin(&builder, question->view);
    if (is_in_status(question->view, document)) {
        view_add(&builder, document);
    } else {
        status = ask_pages(asker, question, &builder);
    }
    view_end(&builder);
    answer->table = builder.table;
    listing_init(&builder.table, builder.table.columns, builder.table.column_count);
    view_fini(&builder);
    return status;
}

/* A task or worker that is gone is an answer too. */
static drover_status ask_sheet(struct asker *asker, const struct top_question *question,
                               struct asker_answer *answer)
{
    drover_client *client = asker->cli->client;
    drover_value *document = NULL;
    drover_value *why = NULL;
    int64_t ms = patience(asker);
    bool is_task = question->about == TOP_ABOUT_TASK;
    const drover_task_ref *task = &question->task;
    drover_status status = is_task
                               ? drover_task_show(client, &task->id, task->index, ms, &document)
                               : drover_worker_show(client, question->worker, ms, &document);
    if (status == DROVER_OK && is_task) {
        drover_status also = drover_task_why(client, &task->id, task->index, ms, &why);
        status = also == DROVER_UNKNOWN ? DROVER_OK : also;
    }
    if (status == DROVER_OK && is_task) {
        sheet_task(&answer->sheet, document, why);
    } else if (status == DROVER_OK) {
        sheet_worker(&answer->sheet, document);
    } else if (status == DROVER_UNKNOWN) {
        sheet_problem(&answer->sheet, is_task ? "this task is not there any more"
                                              : "this worker is not there any more");
        status = DROVER_OK;
    } else {
        /* no answer */
    }
    drover_value_destroy(&document);
    drover_value_destroy(&why);
    return status;
}

/* ---- deeds ------------------------------------------------------------------------------- */

static drover_status act(struct asker *asker, const struct top_want *want)
{
    drover_client *client = asker->cli->client;
    switch (want->act) {
    case TOP_DRAIN:
        return drover_worker_drain(client, want->name, ASK_MS);
    case TOP_RESUME:
        return drover_worker_resume(client, want->name, ASK_MS);
    case TOP_QUEUE_PAUSE:
        return drover_queue_pause(client, want->name, ASK_MS);
    case TOP_QUEUE_RESUME:
        return drover_queue_resume(client, want->name, ASK_MS);
    case TOP_CANCEL:
        return drover_cancel_request(client, &want->task.id, want->task.index, NULL, ASK_MS);
    case TOP_NOTHING:
    case TOP_QUIT:
    case TOP_ASK:
        break;
    }
    return DROVER_OK;
}

/* The summary is part of every picture. */
static drover_status ask(struct asker *asker, const struct top_question *question,
                         struct asker_answer *answer)
{
    drover_value *document = NULL;
    drover_status status = drover_status_get(asker->cli->client, patience(asker), &document);
    if (status != DROVER_OK) {
        return status;
    }
    summary_read(&answer->summary, document);
    status = question->about == TOP_ABOUT_VIEW ? ask_view(asker, question, document, answer)
                                               : ask_sheet(asker, question, answer);
    drover_value_destroy(&document);
    return status;
}

static drover_status work(struct asker *asker, struct asker_answer *answer)
{
    const struct asker_task *task = &answer->task;
    if (asker->cli->client == NULL && !reopen_client(asker->cli, ASK_SILENT_MS)) {
        return DROVER_UNAVAILABLE;
    }
    return task->want.act != TOP_ASK ? act(asker, &task->want)
                                     : ask(asker, &task->question, answer);
}

static void do_task(struct asker *asker, struct asker_answer *answer)
{
    struct cli *cli = asker->cli;
    answer->status = work(asker, answer);
    answer->is_silent = answer->status != DROVER_OK && cli_is_silence(answer->status);
    if (answer->status != DROVER_OK && cli->client != NULL) {
        drover_client_error_text(cli->client, answer->problem, sizeof(answer->problem));
    }
    if (answer->status != DROVER_OK && answer->problem[0] == '\0') {
        (void)snprintf(answer->problem, sizeof(answer->problem), "%s",
                       drover_status_text(answer->status));
    }
    asker->was_silent = answer->is_silent;
    if (answer->is_silent && reopen_is_needed(answer->status)) {
        drover_client_close(&cli->client);
    }
}

/* ---- the thread -------------------------------------------------------------------------- */

static void answer_init(struct asker_answer *answer, const struct asker_task *task)
{
    enum view_id view = task->question.view;
    memset(answer, 0, sizeof(*answer));
    answer->task = *task;
    listing_init(&answer->table, views[view].columns, views[view].column_count);
    sheet_init(&answer->sheet);
}

static void *run(void *context)
{
    struct asker *asker = context;
    uint64_t one = 1;
    (void)pthread_mutex_lock(&asker->lock);
    while (!asker->is_ending) {
        if (!asker->has_task) {
            (void)pthread_cond_wait(&asker->given, &asker->lock);
            continue;
        }
        asker->has_task = false;
        answer_init(&asker->answer, &asker->task);
        (void)pthread_mutex_unlock(&asker->lock);
        do_task(asker, &asker->answer);
        (void)pthread_mutex_lock(&asker->lock);
        asker->has_answer = true;
        ssize_t written = write(asker->fd, &one, sizeof(one));
        DRV_ASSERT(written == (ssize_t)sizeof(one)); /* it is far from its bound */
    }
    (void)pthread_mutex_unlock(&asker->lock);
    return NULL;
}

struct asker *asker_open(struct cli *cli)
{
    struct asker *asker = calloc(1, sizeof(*asker));
    if (asker == NULL) {
        return NULL;
    }
    asker->cli = cli;
    asker->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    (void)pthread_mutex_init(&asker->lock, NULL);
    (void)pthread_cond_init(&asker->given, NULL);
    if (asker->fd < 0 || pthread_create(&asker->thread, NULL, run, asker) != 0) {
        if (asker->fd >= 0) {
            (void)close(asker->fd);
        }
        (void)pthread_cond_destroy(&asker->given);
        (void)pthread_mutex_destroy(&asker->lock);
        free(asker);
        return NULL;
    }
    return asker;
}

void asker_close(struct asker **asker)
{
    struct asker *self = *asker;
    *asker = NULL;
    if (self == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&self->lock);
    self->is_ending = true;
    (void)pthread_cond_signal(&self->given);
    (void)pthread_mutex_unlock(&self->lock);
    (void)pthread_join(self->thread, NULL);
    if (self->has_answer) {
        asker_answer_fini(&self->answer);
    }
    (void)close(self->fd);
    (void)pthread_cond_destroy(&self->given);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

int asker_fd(const struct asker *asker)
{
    return asker->fd;
}

bool asker_is_busy(const struct asker *asker)
{
    return asker->is_busy;
}

void asker_give(struct asker *asker, const struct asker_task *task)
{
    DRV_ASSERT(!asker->is_busy);
    asker->is_busy = true;
    (void)pthread_mutex_lock(&asker->lock);
    asker->task = *task;
    asker->has_task = true;
    (void)pthread_cond_signal(&asker->given);
    (void)pthread_mutex_unlock(&asker->lock);
}

bool asker_take(struct asker *asker, struct asker_answer *out_answer)
{
    uint64_t count = 0;
    if (read(asker->fd, &count, sizeof(count)) != (ssize_t)sizeof(count)) {
        return false;
    }
    (void)pthread_mutex_lock(&asker->lock);
    DRV_ASSERT(asker->has_answer);
    *out_answer = asker->answer;
    asker->has_answer = false;
    (void)pthread_mutex_unlock(&asker->lock);
    asker->is_busy = false;
    return true;
}

void asker_answer_fini(struct asker_answer *answer)
{
    listing_fini(&answer->table);
    sheet_fini(&answer->sheet);
}
