/*
 * message_alert.h: the fields of ALERT (PROTOCOL.md section 6); users include message.h.
 */
#ifndef DRV_MESSAGE_ALERT_H
#define DRV_MESSAGE_ALERT_H

#include "alert_rule.h"
#include "message_basic.h"

enum drv_alert_op {
    DRV_ALERT_ADD = 1,
    DRV_ALERT_REMOVE,
    DRV_ALERT_ACK,
    DRV_ALERT_SILENCE,
    DRV_ALERT_TEST,
};
struct drv_alert_request {
    uint32_t op;
    struct drv_str rule;    /* nil: all */
    struct drv_str subject; /* nil: all */
    bool has_what;
    struct drv_alert_rule what; /* ADD */
    uint64_t time_ms;           /* SILENCE; 0: it ends */
};

#endif
