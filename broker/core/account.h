/*
 * account.h: in whose name there are sessions, tasks, schedules.
 *
 *     access table ──limits──> account <──── session  (who is connected)
 *                                 ^───────── spec     (whose tasks these are: their owner)
 *
 * An account lives as long as something names it, whether the access table of the day knows it
 * or not: records of earlier lives name accounts too. It counts what it has, so that it can be
 * kept within its limits. A broker without an access table makes none.
 */
#ifndef CORE_ACCOUNT_H
#define CORE_ACCOUNT_H

#include "access.h"
#include "core.h"
#include "list.h"
#include "rate.h"

struct core;
struct task;

struct account {
    uint32_t references;
    uint64_t hash;
    uint64_t limits[ACCESS_LIMITS]; /* of the table of the day; ACCESS_UNLIMITED: none */
    bool is_limited;                /* by any of them */
    uint64_t tasks, bytes;          /* that have not ended, elements included */
    uint64_t keys;                  /* of its tasks */
    struct drv_list sessions;       /* struct session.in_account */
    uint32_t session_count;
    uint64_t unread;      /* of its sessions, when last looked */
    int64_t unread_at_us; /* when that was */
    struct rate_bucket bucket;
    uint64_t denied;        /* messages refused in its name, in this life */
    int64_t denied_told_us; /* when an operator was told last; 0: never */
    uint8_t name_len;
    char name[];
};

void account_table_init(struct core *core);
void accounts_fini(struct core *core);

/* The account of this name with a reference; NULL when out of memory. */
struct account *account_ensure(struct core *core, struct drv_str name);
struct account *account_ref(struct account *account);
/* NULL is fine. */
void account_release(struct core *core, struct account *account);

/* "none" for NULL. */
struct drv_str account_name(const struct account *account);

/* Limits as the present access table has them, for all accounts. */
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

#endif
