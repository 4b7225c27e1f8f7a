/* account.c: see account.h. */
#include "account.h"

#include "broker.h"
#include "check.h"

enum { UNREAD_US = 100 * 1000 }; /* unread results are counted this often at most */

static bool account_is(const void *entry, const void *key)
{
    return str_equals(account_name(entry), *(const struct drv_str *)key);
}

void account_table_init(struct core *core)
{
    drv_table_init(&core->accounts, core->config.seed, account_is);
}

/* Whom the table has known, so far as another one does not know him. */
static void unlist(struct core *core, const struct access *access)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct account *account;
    while ((account = drv_table_next(&core->accounts, &cursor)) != NULL) {
        if (account->is_listed &&
            (access == NULL || access_account(access, account_name(account)) == NULL)) {
            account->is_listed = false;
            account_release(core, account);
        }
    }
}

static void list(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct access_account *known;
    while (core->access != NULL &&
           (known = access_next_account(core->access, &cursor)) != NULL) {
        struct account *account = account_ensure(core, str_of(known->name, known->name_len));
        if (account == NULL) {
            return;
        }
        if (account->is_listed) {
            account_release(core, account);
        }
        account->is_listed = true;
    }
}

void accounts_fini(struct core *core)
{
    access_destroy(&core->access);
    unlist(core, NULL);
    DRV_ASSERT(drv_table_count(&core->accounts) == 0);
    drv_table_fini(&core->accounts);
}

static void take_limits(const struct core *core, struct account *account)
{
    const struct access_account *known = core->access == NULL
                                             ? NULL
                                             : access_account(core->access,
                                                              account_name(account));
    account->is_limited = false;
    for (size_t i = 0; i < ACCESS_LIMITS; i++) {
        account->limits[i] = known == NULL ? ACCESS_UNLIMITED : known->limits[i];
        account->is_limited |= account->limits[i] != ACCESS_UNLIMITED;
    }
}

struct account *account_find(const struct core *core, struct drv_str name)
{
    return drv_table_find(&core->accounts, drv_table_hash(&core->accounts, name.ptr, name.len),
                          &name);
}

struct account *account_ensure(struct core *core, struct drv_str name)
{
    uint64_t hash = drv_table_hash(&core->accounts, name.ptr, name.len);
    struct account *account = account_find(core, name);
    if (account != NULL) {
        return account_ref(account);
    }
    account = core_alloc(core, sizeof *account + name.len);
    if (account == NULL) {
        return NULL;
    }
    account->references = 1;
    account->hash = hash;
    account->name_len = (uint8_t)name.len;
    memcpy(account->name, name.ptr, name.len);
    drv_list_init(&account->sessions);
    take_limits(core, account);
    if (drv_table_insert(&core->accounts, hash, account)) {
        core_free(core, account, sizeof *account + name.len);
        return NULL;
    }
    return account;
}

struct account *account_ref(struct account *account)
{
    account->references++;
    return account;
}

void account_release(struct core *core, struct account *account)
{
    if (account == NULL || --account->references > 0) {
        return;
    }
    DRV_ASSERT(account->keys == 0 && account->session_count == 0);
    drv_table_remove_entry(&core->accounts, account->hash, account);
    core_free(core, account, sizeof *account + account->name_len);
}

struct drv_str account_name(const struct account *account)
{
    return account == NULL ? drv_str_of(ACCESS_NOBODY)
                           : str_of(account->name, account->name_len);
}

void accounts_limit(struct core *core)
{
    unlist(core, core->access);
    list(core);
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct account *account;
    while ((account = drv_table_next(&core->accounts, &cursor)) != NULL) {
        take_limits(core, account);
    }
}

/* ---- limits ------------------------------------------------------------------------------ */

uint64_t account_unread(const struct core *core, struct account *account)
{
    if (account->unread_at_us == 0 || core->now_us >= account->unread_at_us + UNREAD_US) {
        account->unread_at_us = core->now_us;
        account->unread = 0;
        DRV_LIST_EACH(link, &account->sessions)
        {
            account->unread += DRV_LIST_ITEM(link, struct session, in_account)->unread;
        }
    }
    return account->unread;
}

const char *account_against(const struct core *core, struct account *account, uint64_t count,
                            uint64_t bytes)
{
    const uint64_t *limits = account->limits;
    if (account->tasks >= limits[ACCESS_LIMIT_TASKS] ||
        count > limits[ACCESS_LIMIT_TASKS] - account->tasks) {
        return "this account has as many unfinished tasks as it may (limit tasks)";
    }
    if (account->bytes > 0 && (account->bytes >= limits[ACCESS_LIMIT_BYTES] ||
                               bytes > limits[ACCESS_LIMIT_BYTES] - account->bytes)) {
        return "too many bytes of this account are unfinished (limit bytes)";
    }
    if (limits[ACCESS_LIMIT_RESULTS] != ACCESS_UNLIMITED &&
        account_unread(core, account) > limits[ACCESS_LIMIT_RESULTS]) {
        return "too many results of this account are unread (limit results)";
    }
    return NULL;
}

const char *account_over_rate(const struct core *core, const struct account *account,
                              uint64_t count)
{
    uint64_t rate = account->limits[ACCESS_LIMIT_RATE];
    return rate != ACCESS_UNLIMITED && rate_is_over(&account->bucket, core->now_us, rate, count)
               ? "this account submits faster than it may (limit rate)"
               : NULL;
}

void account_took(struct core *core, struct account *account, uint64_t count)
{
    uint64_t rate = account->limits[ACCESS_LIMIT_RATE];
    if (rate != ACCESS_UNLIMITED) {
        rate_take(&account->bucket, core->now_us, rate, count);
    }
}

/* ---- what it does ------------------------------------------------------------------------ */

void account_count(const struct core *core, struct account *account, uint64_t count)
{
    int64_t passed_us = core->now_us - account->paced_at_us;
    if (account->paced_at_us == 0 || passed_us >= ACCOUNT_SPAN_US) {
        bool is_next = account->paced_at_us != 0 && passed_us < 2 * ACCOUNT_SPAN_US;
        account->pace = is_next ? account->submitted - account->paced : 0;
        account->paced = account->submitted;
        account->paced_at_us = is_next ? account->paced_at_us + ACCOUNT_SPAN_US : core->now_us;
    }
    account->submitted += count;
}

double account_rate(const struct core *core, const struct account *account)
{
    int64_t passed_us = core->now_us - account->paced_at_us;
    if (account->paced_at_us == 0 || passed_us >= 2 * ACCOUNT_SPAN_US) {
        return 0;
    }
    return (double)(account->submitted - account->paced + account->pace) * 1e6 /
           (double)(ACCOUNT_SPAN_US + passed_us);
}

void account_busy(const struct core *core, struct account *account, const char *reason)
{
    account->busy++;
    account->busy_reason = reason;
    account->busy_at_us = core->now_us;
}
