/*
 * account.h: in whose name there are sessions, tasks, schedules.
 *
 *     access table ──limits──> account <──── session  (who is connected)
 *                                 ^───────── spec     (whose tasks these are: their owner)
 *
 * An account lives as long as something names it: the access table of the day, or what it has
 * once begun, whether that table knows it or not; records of earlier lives name accounts too.
 * It counts what it has, so that it can be kept within its limits, and what it does, so that
 * this can be shown. A broker without an access table makes none.
 */
#ifndef CORE_ACCOUNT_H
#define CORE_ACCOUNT_H

#include "access.h"
#include "core.h"
#include "list.h"
#include "rate.h"

struct core;
struct task;

#define ACCOUNT_SPAN_US (INT64_C(5) * 1000 * 1000)

struct account {
    uint32_t references;
    uint64_t hash;
    uint64_t limits[ACCESS_LIMITS]; /* of the table of the day; ACCESS_UNLIMITED: none */
    bool is_limited;                /* by any of them */
    bool is_listed;                 /* in that table, which holds a reference */
    uint64_t tasks, bytes;          /* that have not ended, elements included */
    uint64_t keys;                  /* of its tasks */
    struct drv_list sessions;       /* struct session.in_account */
    uint32_t session_count;
    uint64_t unread;      /* of its sessions, when last looked */
    int64_t unread_at_us; /* when that was */
    struct rate_bucket bucket;
    uint64_t denied;         /* messages refused in its name, in this life */
    int64_t denied_told_us;  /* when an operator was told last; 0: never */
    uint64_t submitted;      /* tasks and elements, in this life */
    uint64_t paced;          /* of them, before the present span */
    uint64_t pace;           /* that the span before had */
    int64_t paced_at_us;     /* begin of the present span; 0: none */
    uint64_t busy;           /* times that one of its limits was reached, in this life */
    const char *busy_reason; /* of the last, static; NULL: none */
    int64_t busy_at_us;
    uint8_t name_len;
    char name[];
};

void account_table_init(struct core *core);
void accounts_fini(struct core *core);

/* The account of this name with a reference; NULL when out of memory. */
struct account *account_ensure(struct core *core, struct drv_str name);
struct account *account_ref(struct account *account);
/* NULL: there is none. */
struct account *account_find(const struct core *core, struct drv_str name);
/* NULL is fine. */
void account_release(struct core *core, struct account *account);

/* "none" for NULL. */
struct drv_str account_name(const struct account *account);

/* Takes the present access table over: whom it knows, and the limits of all accounts. What
 * there is no memory for is made when it is needed. */
void accounts_limit(struct core *core);

/* So many tasks or elements begin, or have ended. */
static inline void account_charge(struct account *account, uint64_t count, uint64_t bytes,
                                  bool charge)
{
    account->tasks += charge ? count : 0 - count;
    account->bytes += charge ? bytes : 0 - bytes;
}

/* Whether so many more tasks with so many bytes may come; NULL: yes, else a static text. */
const char *account_against(const struct core *core, struct account *account, uint64_t count,
                            uint64_t bytes);
/* The same for the rate alone. */
const char *account_over_rate(const struct core *core, const struct account *account,
                              uint64_t count);
/* They came: the rate is charged. */
void account_took(struct core *core, struct account *account, uint64_t count);

/* They came, limited or not. */
void account_count(const struct core *core, struct account *account, uint64_t count);
/* One of its limits was reached; reason: static. */
void account_busy(const struct core *core, struct account *account, const char *reason);
/* Tasks a second, over the last ACCOUNT_SPAN_US to twice that. */
double account_rate(const struct core *core, const struct account *account);
/* Results that its sessions have not read: a sum that may be a moment old. */
uint64_t account_unread(const struct core *core, struct account *account);

#endif
