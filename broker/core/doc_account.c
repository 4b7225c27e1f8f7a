/* doc_account.c: topic accounts: what each may have, has, and does. */
#include "document.h"

#include "account.h"
#include "broker.h"
#include "guard.h"

static void put_roles(struct document *document, const struct access_account *known)
{
    document_array(document, "roles");
    for (unsigned role = 1; known != NULL && role < ACCESS_EVERY_ROLE; role *= 2) {
        if ((known->roles & role) != 0) {
            document_text(document, NULL, access_role_name((enum access_role)role));
        }
    }
    document_end(document);
}

static void put_limits(struct document *document, const struct account *account)
{
    document_map(document, "limits");
    for (size_t i = 0; i < ACCESS_LIMITS; i++) {
        if (account->limits[i] != ACCESS_UNLIMITED) {
            document_uint(document, access_limit_name((enum access_limit)i),
                          account->limits[i]);
        }
    }
    document_end(document);
}

void document_account(struct document *document, struct account *account)
{
    const struct core *core = document->core;
    const struct access_account *known = core->access == NULL
                                             ? NULL
                                             : access_account(core->access,
                                                              account_name(account));
    document_map(document, NULL);
    document_str(document, "name", account_name(account));
    document_bool(document, "listed", known != NULL);
    put_roles(document, known);
    document_uint(document, "public_keys", known == NULL ? 0 : known->keys);
    document_uint(document, "sessions", account->session_count);
    document_uint(document, "tasks", account->tasks);
    document_uint(document, "bytes", account->bytes);
    document_uint(document, "results", account_unread(core, account));
    document_uint(document, "keys", account->keys);
    document_uint(document, "submitted", account->submitted);
    document_double(document, "rate", account_rate(core, account));
    document_uint(document, "denied", account->denied);
    document_uint(document, "busy", account->busy);
    if (account->busy_reason != NULL) {
        document_text(document, "busy_reason", account->busy_reason);
        document_age(document, "busy_age_ms", account->busy_at_us);
    }
    put_limits(document, account);
    document_end(document);
}

bool document_accounts(struct document *document, struct drv_table_cursor *cursor,
                       uint32_t rows)
{
    const struct core *core = document->core;
    for (int scanned = 0; scanned < DOCUMENT_SCAN; scanned++) {
        if (rows == 0 || document_is_full(document)) {
            return true;
        }
        struct account *account = drv_table_next(&core->accounts, cursor);
        if (account == NULL) {
            return false;
        }
        if (guard_only(core) == NULL || guard_only(core) == account) {
            document_account(document, account);
            rows--;
        }
    }
    return true;
}
