/* access.c: see access.h. */
#include "access.h"

#include "check.h"
#include "name.h"
#include "table.h"
#include "text.h"

#include <stdlib.h>

/* ---- the table of rights ----------------------------------------------------------------- */

enum { ROLES = 4 };
static const struct {
    unsigned role;
    const char *name;
} ROLE_NAMES[ROLES] = {
    {ACCESS_SUBMIT, "submit"},
    {ACCESS_WORK, "work"},
    {ACCESS_OBSERVE, "observe"},
    {ACCESS_ADMIN, "admin"},
};

struct right {
    bool is_listed;
    uint8_t scopes[ROLES]; /* enum access_scope, in the order of ROLE_NAMES */
};

#define RIGHT(submit, work, observe, admin)                                  \
    {                                                                        \
        true,                                                                \
        {                                                                    \
            ACCESS_##submit, ACCESS_##work, ACCESS_##observe, ACCESS_##admin \
        }                                                                    \
    }

static const struct right KINDS[] = {
    /*                        submit   work     observe  admin */
    [DRV_HELLO] = RIGHT(ALL, ALL, ALL, ALL),
    [DRV_GOODBYE] = RIGHT(ALL, ALL, ALL, ALL),
    [DRV_ERROR] = RIGHT(ALL, ALL, ALL, ALL),
    [DRV_CREDIT] = RIGHT(ALL, ALL, ALL, ALL),
    [DRV_ACK] = RIGHT(ALL, ALL, ALL, ALL),
    [DRV_HEARTBEAT] = RIGHT(ALL, ALL, ALL, ALL),
    [DRV_TAKEN] = RIGHT(ALL, ALL, ALL, ALL),
    [DRV_UNWATCH] = RIGHT(ALL, ALL, ALL, ALL),
    [DRV_ATTACH] = RIGHT(NOTHING, OWN, NOTHING, NOTHING),
    [DRV_REPORT] = RIGHT(NOTHING, OWN, NOTHING, NOTHING),
    [DRV_LOG] = RIGHT(NOTHING, OWN, NOTHING, NOTHING),
    [DRV_AWAIT] = RIGHT(NOTHING, OWN, NOTHING, NOTHING),
    [DRV_SUBMIT] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_GRAPH] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_ARRAY_OPEN] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_ARRAY_ITEMS] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_ARRAY_SEAL] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_CANCEL] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_RETRY] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_FORGET] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_WATCH] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_FETCH] = RIGHT(OWN, OWN, NOTHING, ALL),
    [DRV_SCHEDULE] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_QUEUE] = RIGHT(NOTHING, NOTHING, NOTHING, ALL),
    [DRV_WORKER] = RIGHT(NOTHING, NOTHING, NOTHING, ALL),
    [DRV_ALERT] = RIGHT(NOTHING, NOTHING, NOTHING, ALL),
};

static const struct right TOPICS[] = {
    /*                        submit   work     observe  admin */
    [DRV_TOPIC_STATUS] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_QUEUES] = RIGHT(ALL, NOTHING, ALL, ALL),
    [DRV_TOPIC_GROUPS] = RIGHT(ALL, NOTHING, ALL, ALL),
    [DRV_TOPIC_TASK] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_WHY] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_TASKS] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_ARRAYS] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_KEY] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_SCHEDULES] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_WORKERS] = RIGHT(NOTHING, NOTHING, ALL, ALL),
    [DRV_TOPIC_WORKER] = RIGHT(NOTHING, NOTHING, ALL, ALL),
    [DRV_TOPIC_STATISTICS] = RIGHT(NOTHING, NOTHING, ALL, ALL),
    [DRV_TOPIC_HISTORY] = RIGHT(NOTHING, NOTHING, ALL, ALL),
    [DRV_TOPIC_QUEUE_HISTORY] = RIGHT(ALL, NOTHING, ALL, ALL),
    [DRV_TOPIC_ALERTS] = RIGHT(NOTHING, NOTHING, ALL, ALL),
    [DRV_TOPIC_ALERT_RULES] = RIGHT(NOTHING, NOTHING, ALL, ALL),
    [DRV_TOPIC_VALUES] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_TOPIC_GRAPHS] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_GRAPH] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_ELEMENTS] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_ACCOUNTS] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_TOPIC_KV] = RIGHT(ALL, ALL, NOTHING, ALL),
};

static const struct right KV_OPS[] = {
    /*                    submit work observe  admin */
    [DRV_KV_GET] = RIGHT(ALL, ALL, NOTHING, ALL),
    [DRV_KV_SET] = RIGHT(ALL, ALL, NOTHING, ALL),
    [DRV_KV_DELETE] = RIGHT(ALL, ALL, NOTHING, ALL),
    [DRV_KV_INCREMENT] = RIGHT(ALL, ALL, NOTHING, ALL),
    [DRV_KV_CAS] = RIGHT(ALL, ALL, NOTHING, ALL),
};

static const struct right STREAMS[] = {
    /*                       submit work     observe  admin */
    [DRV_STREAM_END] = RIGHT(ALL, ALL, ALL, ALL),
    [DRV_STREAM_EVENTS] = RIGHT(OWN, NOTHING, ALL, ALL),
    [DRV_STREAM_LOGS] = RIGHT(OWN, NOTHING, NOTHING, ALL),
    [DRV_STREAM_KV] = RIGHT(ALL, NOTHING, NOTHING, ALL),
};

static const struct right *right_at(const struct right *rights, size_t count, size_t index)
{
    return index < count && rights[index].is_listed ? &rights[index] : NULL;
}

static const struct right *right_of(enum drv_kind kind, uint32_t part)
{
    if (kind == DRV_QUERY) {
        return right_at(TOPICS, DRV_ARRAY_LEN(TOPICS), part);
    }
    if (kind == DRV_KV) {
        return right_at(KV_OPS, DRV_ARRAY_LEN(KV_OPS), part);
    }
    if (kind == DRV_SUBSCRIBE) {
        return right_at(STREAMS, DRV_ARRAY_LEN(STREAMS), part);
    }
    return right_at(KINDS, DRV_ARRAY_LEN(KINDS), (size_t)kind);
}

enum access_scope access_scope(unsigned roles, enum drv_kind kind, uint32_t part)
{
    const struct right *right = right_of(kind, part);
    unsigned scope = ACCESS_NOTHING;
    if (right == NULL) { /* nothing that there is: told so by its handler */
        return ACCESS_OWN;
    }
    for (size_t i = 0; i < ROLES; i++) {
        if (roles & ROLE_NAMES[i].role && right->scopes[i] > scope) {
            scope = right->scopes[i];
        }
    }
    return (enum access_scope)scope;
}

/* ---- words ------------------------------------------------------------------------------- */

unsigned access_role_parse(struct drv_str word)
{
    for (size_t i = 0; i < ROLES; i++) {
        if (str_equals(word, drv_str_of(ROLE_NAMES[i].name))) {
            return ROLE_NAMES[i].role;
        }
    }
    return 0;
}

const char *access_role_name(enum access_role role)
{
    for (size_t i = 0; i < ROLES; i++) {
        if (ROLE_NAMES[i].role == (unsigned)role) {
            return ROLE_NAMES[i].name;
        }
    }
    DRV_UNREACHABLE();
}

static const char *const LIMIT_NAMES[ACCESS_LIMITS] = {
    [ACCESS_LIMIT_TASKS] = "tasks", [ACCESS_LIMIT_BYTES] = "bytes",
    [ACCESS_LIMIT_RATE] = "rate",   [ACCESS_LIMIT_RESULTS] = "results",
    [ACCESS_LIMIT_KEYS] = "keys",   [ACCESS_LIMIT_SESSIONS] = "sessions",
};

const char *access_limit_name(enum access_limit limit)
{
    DRV_ASSERT(limit < ACCESS_LIMITS);
    return LIMIT_NAMES[limit];
}

enum access_limit access_limit_parse(struct drv_str word)
{
    size_t at = 0;
    while (at < ACCESS_LIMITS && !str_equals(word, drv_str_of(LIMIT_NAMES[at]))) {
        at++;
    }
    return (enum access_limit)at;
}

bool access_name_is_fine(struct drv_str name)
{
    return name.len <= ACCESS_NAME_MAX && drv_name_is_valid(drv_view_of(name.ptr, name.len)) &&
           !str_equals(name, drv_str_of(ACCESS_NOBODY));
}

/* ---- patterns ---------------------------------------------------------------------------- */

bool access_pattern_is_fine(struct drv_str pattern)
{
    if (pattern.len == 0 || pattern.len > DRV_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] != '*' && !drv_name_is_valid(drv_view_of(pattern.ptr + i, 1))) {
            return false;
        }
    }
    return true;
}

/* Only the last * that was met is ever tried again: the product of the lengths at most. */
bool access_pattern_matches(struct drv_str pattern, struct drv_str name)
{
    size_t at = 0, star = SIZE_MAX, resume = 0;
    for (size_t i = 0; i < name.len;) {
        if (at < pattern.len && pattern.ptr[at] == '*') {
            star = at++;
            resume = i;
        } else if (at < pattern.len && pattern.ptr[at] == name.ptr[i]) {
            at++;
            i++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            i = ++resume;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.ptr[at] == '*') {
        at++;
    }
    return at == pattern.len;
}

bool access_grants_queue(const struct access_grant *grant, struct drv_str queue)
{
    for (size_t i = 0; i < grant->pattern_count; i++) {
        if (access_pattern_matches(grant->patterns[i], queue)) {
            return true;
        }
    }
    return grant->pattern_count == 0;
}

/* ---- tables ------------------------------------------------------------------------------ */

struct access {
    struct drv_table by_key, by_name;
    struct access_grant **grants; /* owned, in order */
    size_t count, capacity;
};

static bool grant_is(const void *entry, const void *key)
{
    return memcmp(((const struct access_grant *)entry)->key, key, ACCESS_KEY_BYTES) == 0;
}

static struct drv_str name_of(const struct access_account *account)
{
    return str_of(account->name, account->name_len);
}

static bool account_is(const void *entry, const void *key)
{
    return str_equals(name_of(entry), *(const struct drv_str *)key);
}

drover_status access_new(uint64_t seed, struct access **out_access)
{
    struct access *access = calloc(1, sizeof *access);
    if (access == NULL) {
        return DROVER_NOMEM;
    }
    drv_table_init(&access->by_key, seed, grant_is);
    drv_table_init(&access->by_name, seed, account_is);
    *out_access = access;
    return DROVER_OK;
}

void access_destroy(struct access **access)
{
    struct access *gone = *access;
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    void *account;
    *access = NULL;
    if (gone == NULL) {
        return;
    }
    for (size_t i = 0; i < gone->count; i++) {
        free(gone->grants[i]);
    }
    while ((account = drv_table_next(&gone->by_name, &cursor)) != NULL) {
        free(account);
    }
    drv_table_fini(&gone->by_key);
    drv_table_fini(&gone->by_name);
    free(gone->grants);
    free(gone);
}

const struct access_account *access_account(const struct access *access, struct drv_str name)
{
    return drv_table_find(&access->by_name,
                          drv_table_hash(&access->by_name, name.ptr, name.len), &name);
}

const struct access_grant *access_find(const struct access *access,
                                       const uint8_t key[ACCESS_KEY_BYTES])
{
    return drv_table_find(&access->by_key,
                          drv_table_hash(&access->by_key, key, ACCESS_KEY_BYTES), key);
}

size_t access_count(const struct access *access)
{
    return access->count;
}

const struct access_grant *access_at(const struct access *access, size_t index)
{
    DRV_ASSERT(index < access->count);
    return access->grants[index];
}

static drover_status account_ensure(struct access *access, struct drv_str name,
                                    struct access_account **out_account)
{
    uint64_t hash = drv_table_hash(&access->by_name, name.ptr, name.len);
    struct access_account *account = drv_table_find(&access->by_name, hash, &name);
    if (account != NULL) {
        *out_account = account;
        return DROVER_OK;
    }
    if (drv_table_count(&access->by_name) >= ACCESS_GRANTS_MAX) {
        return DROVER_LIMIT;
    }
    account = calloc(1, sizeof *account);
    if (account == NULL) {
        return DROVER_NOMEM;
    }
    account->name_len = (uint8_t)name.len;
    memcpy(account->name, name.ptr, name.len);
    for (size_t i = 0; i < ACCESS_LIMITS; i++) {
        account->limits[i] = ACCESS_UNLIMITED;
    }
    if (drv_table_insert(&access->by_name, hash, account)) {
        free(account);
        return DROVER_NOMEM;
    }
    *out_account = account;
    return DROVER_OK;
}

drover_status access_set_limit(struct access *access, struct drv_str account,
                               enum access_limit limit, uint64_t value)
{
    struct access_account *found = NULL;
    if (!access_name_is_fine(account) || limit >= ACCESS_LIMITS) {
        return DROVER_INVALID;
    }
    drover_status status = account_ensure(access, account, &found);
    if (status == DROVER_OK && found->limits[limit] != ACCESS_UNLIMITED) {
        return DROVER_CONFLICT;
    }
    if (status == DROVER_OK) {
        found->limits[limit] = value;
    }
    return status;
}

/* Grant, patterns and their texts in one block; NULL: out of memory. */
static struct access_grant *grant_new(const struct drv_str *patterns, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += patterns[i].len;
    }
    struct access_grant *grant = calloc(1, sizeof *grant + count * sizeof *grant->patterns +
                                               bytes);
    if (grant == NULL) {
        return NULL;
    }
    grant->patterns = (struct drv_str *)(grant + 1);
    grant->pattern_count = count;
    char *text = (char *)(grant->patterns + count);
    for (size_t i = 0; i < count; i++) {
        memcpy(text, patterns[i].ptr, patterns[i].len);
        grant->patterns[i] = str_of(text, patterns[i].len);
        text += patterns[i].len;
    }
    return grant;
}

static bool grants_grow(struct access *access)
{
    if (access->count < access->capacity) {
        return true;
    }
    size_t capacity = access->capacity == 0 ? 16 : access->capacity * 2;
    struct access_grant **grants = realloc(access->grants, capacity * sizeof(*grants));
    if (grants == NULL) {
        return false;
    }
    access->grants = grants;
    access->capacity = capacity;
    return true;
}

static bool key_is_fine(struct drv_str account, unsigned roles, const struct drv_str *patterns,
                        size_t count)
{
    bool is_fine = access_name_is_fine(account) && roles != 0 &&
                   (roles & ~(unsigned)ACCESS_EVERY_ROLE) == 0 && count <= ACCESS_PATTERNS_MAX;
    for (size_t i = 0; is_fine && i < count; i++) {
        is_fine = access_pattern_is_fine(patterns[i]);
    }
    return is_fine;
}

drover_status access_add_key(struct access *access, struct drv_str account,
                             const uint8_t key[ACCESS_KEY_BYTES], unsigned roles,
                             const struct drv_str *patterns, size_t pattern_count)
{
    struct access_account *found = NULL;
    if (!key_is_fine(account, roles, patterns, pattern_count)) {
        return DROVER_INVALID;
    }
    if (access_find(access, key) != NULL) {
        return DROVER_CONFLICT;
    }
    if (access->count >= ACCESS_GRANTS_MAX) {
        return DROVER_LIMIT;
    }
    drover_status status = account_ensure(access, account, &found);
    if (status) {
        return status;
    }
    struct access_grant *grant = grants_grow(access) ? grant_new(patterns, pattern_count)
                                                     : NULL;
    if (grant == NULL) {
        return DROVER_NOMEM;
    }
    memcpy(grant->key, key, ACCESS_KEY_BYTES);
    grant->account = found;
    grant->roles = roles;
    if (drv_table_insert(&access->by_key,
                         drv_table_hash(&access->by_key, key, ACCESS_KEY_BYTES), grant)) {
        free(grant);
        return DROVER_NOMEM;
    }
    access->grants[access->count++] = grant;
    found->keys++;
    found->roles |= roles;
    return DROVER_OK;
}

const struct access_account *access_next_account(const struct access *access,
                                                 struct drv_table_cursor *cursor)
{
    return drv_table_next(&access->by_name, cursor);
}

const struct access_account *access_keyless(const struct access *access)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct access_account *account;
    while ((account = drv_table_next(&access->by_name, &cursor)) != NULL) {
        if (account->keys == 0) {
            return account;
        }
    }
    return NULL;
}

const struct access_grant *access_inside(void)
{
    static const struct access_grant INSIDE = {.roles = ACCESS_EVERY_ROLE};
    return &INSIDE;
}
