/*
 * ask.h: one request or question and its answer, for calls that block.
 *
 * Lives on the caller's stack: when the caller gives up, the request is withdrawn.
 */
#ifndef DRV_CLIENT_ASK_H
#define DRV_CLIENT_ASK_H

#include "handle.h"

struct drv_ask {
    struct drv_pending pending; /* pending.message is filled by the caller */
    drover_client *client;
    bool is_done;
    drover_status status; /* of the answer, or of its first note */
    bool has_id;          /* ATTACHED: the task that has the key */
    drover_id id;
    int64_t number;
    bool has_note; /* the answer has notes, the first of which is about `position` */
    uint32_t position;
    uint64_t retry_after_ms;
    bool wants_value;        /* the reply's val or the document becomes `value` */
    drover_value *value;     /* owned; NULL when there is none */
    drover_cursor *cursor;   /* borrowed; receives the document's cursor; NULL: not wanted */
    char text[DRV_TEXT_MAX]; /* the broker's words */
};

void drv_ask_init(struct drv_ask *ask, drover_client *client, enum drv_kind kind);
void drv_ask_fini(struct drv_ask *ask);

/* Asks and waits. The lock is held. The broker's answer, or TIMEOUT, CLOSED. */
DROVER_MUST_USE drover_status drv_ask_run(struct drv_ask *ask, int64_t deadline_us);

/* Enters, asks, waits for at most timeout_ms, leaves. */
DROVER_MUST_USE drover_status drv_ask_call(struct drv_ask *ask, int64_t timeout_ms);

/* A value that is borrowed for as long as the call lasts; NULL: nil. */
struct drv_val drv_ask_val(const drover_value *value);

/* One page of a document with rows; name NULL: all. As drover_task_list. */
DROVER_MUST_USE drover_status drv_ask_rows(drover_client *client, enum drv_topic topic,
                                           const char *name, uint32_t limit,
                                           drover_cursor *cursor, int64_t timeout_ms,
                                           drover_value **out_document);

/* Sends a CANCEL whose answer nobody waits for. The lock is held. Out of memory is ignored: a
 * cancel that nobody waits for promises nothing. */
void drv_ask_cancel_unattended(drover_client *client, const drover_id *id, uint32_t index,
                               const char *reason);

#endif
