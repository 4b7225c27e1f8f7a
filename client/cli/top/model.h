/*
 * model.h: what top shows and what the keys do to it.
 *
 *     keys ──> model ──want──> what is to be done with the broker
 *                │
 *     answers ──>┴──question──> what is to be asked next
 *
 *            Enter            Esc
 *     LIST ─────────> SHEET ──────> LIST
 *      │ / ^           │ c ^
 *      v   │ Enter     v   │ y, n
 *     FILTER          CONFIRM        (from LIST too)
 *
 * Pure: no terminal, no clock, no broker. layout.h draws it.
 */
#ifndef CLI_TOP_MODEL_H
#define CLI_TOP_MODEL_H

#include "top/listing.h"
#include "top/sheet.h"
#include "top/summary.h"
#include "top/views.h"

#include "doc.h"

enum {
    TOP_FILTER_MAX = 64,
    TOP_KEY_MAX = 2 * DOC_TEXT_MAX,
    TOP_MESSAGE_MAX = 512,
};

/* A key is the code point that it types, or one of these. */
enum top_key {
    TOP_KEY_UP = 0x110000,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
    TOP_KEY_TAB,
    TOP_KEY_BACK_TAB,
};

enum top_act {
    TOP_NOTHING, /* beyond drawing it again */
    TOP_QUIT,
    TOP_ASK, /* another question than before: now */
    TOP_DRAIN,
    TOP_RESUME,
    TOP_QUEUE_PAUSE,
    TOP_QUEUE_RESUME,
    TOP_CANCEL,
};

struct top_want {
    enum top_act act;
    char name[DOC_TEXT_MAX];  /* of the worker (its id) or queue */
    char label[DOC_TEXT_MAX]; /* what people call it */
    drover_task_ref task;     /* of TOP_CANCEL */
};

enum top_about { TOP_ABOUT_VIEW, TOP_ABOUT_TASK, TOP_ABOUT_WORKER, TOP_ABOUT_NOTHING };

/* What is to be asked for the present picture. */
struct top_question {
    enum top_about about;
    enum view_id view;
    enum view_tasks tasks;     /* of VIEW_TASKS */
    char queue[DOC_TEXT_MAX];  /* of VIEW_TASKS; "": all */
    char worker[DOC_TEXT_MAX]; /* of TOP_ABOUT_WORKER: its id */
    drover_task_ref task;      /* of TOP_ABOUT_TASK */
};

enum top_mode { TOP_LIST, TOP_SHEET, TOP_FILTER, TOP_CONFIRM };

/* Where somebody is in a view. */
struct top_place {
    size_t sort;
    bool reverse;
    char filter[TOP_FILTER_MAX];
    char key[TOP_KEY_MAX]; /* of the selected row, which is found again by it */
    size_t selected;       /* its place among the shown ones */
    size_t first;          /* the place at the top of the screen */
};

struct top {
    enum view_id view;
    struct top_place places[VIEW_COUNT];
    struct listing table; /* of the view; empty until there is an answer */
    bool has_table;
    enum view_tasks tasks;
    char queue[DOC_TEXT_MAX];
    struct summary summary;
    enum top_mode mode;
    struct sheet sheet; /* what is open */
    bool has_sheet;
    enum top_about about; /* of the sheet: TOP_ABOUT_NOTHING is the help, _VIEW: none is open */
    drover_task_ref task;
    char worker[DOC_TEXT_MAX];
    char worker_label[DOC_TEXT_MAX];
    size_t sheet_first;
    struct top_want confirm; /* what is done after y */
    char message[TOP_MESSAGE_MAX];
    enum cell_style message_style;
    bool is_silent; /* the broker does not answer */
    int page;       /* rows on the screen, as layout found */
};

void top_init(struct top *top);
void top_fini(struct top *top);

/* A key was pressed. Returns what is to be done with the broker. */
struct top_want top_press(struct top *top, uint32_t key);

struct top_question top_ask(const struct top *top);

/* Whether an answer to this question is still of use. */
bool top_wants(const struct top *top, const struct top_question *question);

/* Take what was answered; table and sheet are taken over and nulled. */
void top_take_table(struct top *top, struct listing *table);
void top_take_sheet(struct top *top, struct sheet *sheet);

/* One line below the rows, until the next key. */
void top_say(struct top *top, enum cell_style style, const char *format, ...)
    DROVER_PRINTF(3, 4);

/* The row that keys are about; NULL: none. */
const struct listing_row *top_selected(const struct top *top);

#endif
