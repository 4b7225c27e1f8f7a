/*
 * access.h: who may do what: keys, their accounts, roles and queues, and the table of rights.
 *
 *     key (32 bytes) ──> grant: account, roles, queue patterns
 *     (kind of message, role) ──> scope: nothing, what is the account's own, everything
 *
 * An access table is made whole, never changed afterwards, and replaced by another one while
 * the broker runs (CORE_EVENT_ACCESS). What a key with several roles may do is the most that
 * one of them may. A broker without a table asks nobody: everything is allowed.
 */
#ifndef CORE_ACCESS_H
#define CORE_ACCESS_H

#include "message.h"
#include "table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ACCESS_KEY_BYTES = 32,
    ACCESS_NAME_MAX = 64,      /* bytes of an account's name, a name otherwise */
    ACCESS_GRANTS_MAX = 65536, /* keys of a table; as many accounts */
    ACCESS_PATTERNS_MAX = 64,  /* queue patterns of a key */
};

/* Shown where there is no account; no account can be called so. */
#define ACCESS_NOBODY "none"

enum access_role {
    ACCESS_SUBMIT = 1,
    ACCESS_WORK = 2,
    ACCESS_OBSERVE = 4,
    ACCESS_ADMIN = 8,
    ACCESS_EVERY_ROLE = 15
};

/* Growing: what a wider one allows contains what a narrower one does. */
enum access_scope { ACCESS_NOTHING, ACCESS_OWN, ACCESS_ALL };

/* What an account may have at a time, or do. */
enum access_limit {
    ACCESS_LIMIT_TASKS,   /* that have not ended */
    ACCESS_LIMIT_BYTES,   /* of their payloads */
    ACCESS_LIMIT_RATE,    /* tasks a second; as many may come at once */
    ACCESS_LIMIT_RESULTS, /* finished and not read */
    ACCESS_LIMIT_KEYS,    /* of tasks, those whose window is not over included */
    ACCESS_LIMIT_SESSIONS,
    ACCESS_LIMITS
};
#define ACCESS_UNLIMITED UINT64_MAX
#define ACCESS_NUMBER_MAX ((uint64_t)1000000000000) /* of a limit that is not of bytes */

struct access_account {
    uint64_t limits[ACCESS_LIMITS];
    size_t keys;    /* grants of it */
    unsigned roles; /* of all of them together */
    uint8_t name_len;
    char name[ACCESS_NAME_MAX];
};

struct access_grant {
    uint8_t key[ACCESS_KEY_BYTES];
    const struct access_account *account; /* of the same table */
    unsigned roles;                       /* enum access_role */
    struct drv_str *patterns;             /* of queues; none: every queue */
    size_t pattern_count;
};

struct access;

/* The first account that has limits but no key, by name perhaps a slip of the pen; NULL: none.
 */
const struct access_account *access_keyless(const struct access *access);

/* An empty table: nobody may do anything. seed: random, keys come from peers. OK or NOMEM. */
DROVER_MUST_USE drover_status access_new(uint64_t seed, struct access **out_access);
void access_destroy(struct access **access);

/* One key more. OK; CONFLICT: the key is there already; INVALID: no account's name, no role, no
 * pattern; LIMIT; NOMEM. Texts are copied. */
DROVER_MUST_USE drover_status access_add_key(struct access *access, struct drv_str account,
                                             const uint8_t key[ACCESS_KEY_BYTES],
                                             unsigned roles, const struct drv_str *patterns,
                                             size_t pattern_count);
/* A limit of an account. OK, INVALID (name), LIMIT, NOMEM. */
DROVER_MUST_USE drover_status access_set_limit(struct access *access, struct drv_str account,
                                               enum access_limit limit, uint64_t value);

/* NULL: the key is not there. */
const struct access_grant *access_find(const struct access *access,
                                       const uint8_t key[ACCESS_KEY_BYTES]);
const struct access_account *access_account(const struct access *access, struct drv_str name);
/* All accounts, those that have limits but no key included; NULL: no more. */
const struct access_account *access_next_account(const struct access *access,
                                                 struct drv_table_cursor *cursor);
size_t access_count(const struct access *access);
/* Grants in the order in which they were added. */
const struct access_grant *access_at(const struct access *access, size_t index);

/* What the broker's own HTTP thread may: everything; it belongs to no account. */
const struct access_grant *access_inside(void);

/* Whether a name can be an account's: a name of at most ACCESS_NAME_MAX bytes but "none". */
bool access_name_is_fine(struct drv_str name);
/* "submit", "work", "observe", "admin"; 0 for anything else. */
unsigned access_role_parse(struct drv_str word);
/* "tasks", "bytes", "rate", "results", "keys", "sessions"; ACCESS_LIMITS for anything else. */
enum access_limit access_limit_parse(struct drv_str word);
/* The words for these. role: one. */
const char *access_role_name(enum access_role role);
const char *access_limit_name(enum access_limit limit);

/* A pattern is what a name may be made of, and *, which stands for any number of characters. */
bool access_pattern_is_fine(struct drv_str pattern);
bool access_pattern_matches(struct drv_str pattern, struct drv_str name);
bool access_grants_queue(const struct access_grant *grant, struct drv_str queue);

/*
 * The table of rights. `topic` counts for QUERY, `op` for KV, the stream for SUBSCRIBE; they
 * are given as `part`, 0 for all other kinds. A kind or part that is not in the table is left
 * to its handler, which refuses what it does not know.
 */
enum access_scope access_scope(unsigned roles, enum drv_kind kind, uint32_t part);

#endif
