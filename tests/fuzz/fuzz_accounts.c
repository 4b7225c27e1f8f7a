/*
 * fuzz_accounts.c: the table of keys (broker/auth/accounts.h) and key files (identity.h are
 * read through the same words). Any text gives a table, or a problem that names file and line.
 */
#include "access.h"
#include "accounts.h"
#include "check.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct access *access = NULL;
    struct drv_problem problem = {""};
    drover_status status = accounts_parse("f", (const char *)data, size, 1, &access, &problem);
    DRV_ASSERT((status == DROVER_OK) == (access != NULL));
    DRV_ASSERT((status == DROVER_OK) == (problem.text[0] == '\0'));
    for (size_t i = 0; access != NULL && i < access_count(access); i++) {
        const struct access_grant *grant = access_at(access, i);
        DRV_ASSERT(access_find(access, grant->key) == grant);
        DRV_ASSERT(grant->roles != 0 && grant->account->name_len > 0);
        for (size_t j = 0; j < grant->pattern_count; j++) {
            DRV_ASSERT(access_pattern_is_fine(grant->patterns[j]));
            (void)access_pattern_matches(grant->patterns[j], grant->patterns[0]);
        }
    }
    access_destroy(&access);
    return 0;
}
