/* core/access.h: roles, patterns, the table of rights; auth/accounts.h: the file. */
#include "test.h"

#include "access.h"
#include "accounts.h"
#include "check.h"
#include "rng.h"
#include "text.h"

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "FF112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF"

static drover_status parse(const char *text, struct access **out_access,
                           struct drv_problem *problem)
{
    return accounts_parse("accounts", text, strlen(text), 1, out_access, problem);
}

static void expect_wrong(const char *text, const char *words)
{
    struct access *access = NULL;
    struct drv_problem problem = {""};
    assert_int_not_equal(parse(text, &access, &problem), DROVER_OK);
    assert_null(access);
    if (strstr(problem.text, words) == NULL) {
        fail_msg("%s: says %s, not %s", text, problem.text, words);
    }
}

/* ---- patterns ---------------------------------------------------------------------------- */

/* A star stands for any characters, none included, anywhere and more than once. */
static void test_pattern_star_matches_any_characters(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } rows[] = {
        {"default", "default", true},
        {"default", "defaults", false},
        {"*", "anything", true},
        {"bulk-*", "bulk-", true},
        {"bulk-*", "bulk-7", true},
        {"bulk-*", "bulk", false},
        {"*-gpu", "a-gpu", true},
        {"*-gpu", "a-gpu-b", false},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "a-c-b", false},
        {"**", "x", true},
        {"a**b", "ab", true},
        {"*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(rows); i++) {
        if (access_pattern_matches(drv_str_of(rows[i].pattern), drv_str_of(rows[i].name)) !=
            rows[i].matches) {
            fail_msg("%s and %s", rows[i].pattern, rows[i].name);
        }
    }
}

/* ---- the table of rights ----------------------------------------------------------------- */

/* Every cell: n nothing, o what is its own, a all; submit, work, observe, admin. */
static void test_rights_are_as_security_md_says(void **state)
{
    static const struct {
        enum drv_kind kind;
        uint32_t part;
        const char *scopes;
    } rows[] = {
        {DRV_HELLO, 0, "aaaa"},       {DRV_GOODBYE, 0, "aaaa"},    {DRV_ERROR, 0, "aaaa"},
        {DRV_CREDIT, 0, "aaaa"},      {DRV_ACK, 0, "aaaa"},        {DRV_HEARTBEAT, 0, "aaaa"},
        {DRV_TAKEN, 0, "aaaa"},       {DRV_UNWATCH, 0, "aaaa"},    {DRV_ATTACH, 0, "nonn"},
        {DRV_REPORT, 0, "nonn"},      {DRV_LOG, 0, "nonn"},        {DRV_AWAIT, 0, "nonn"},
        {DRV_SUBMIT, 0, "onna"},      {DRV_GRAPH, 0, "onna"},      {DRV_ARRAY_OPEN, 0, "onna"},
        {DRV_ARRAY_ITEMS, 0, "onna"}, {DRV_ARRAY_SEAL, 0, "onna"}, {DRV_CANCEL, 0, "onna"},
        {DRV_RETRY, 0, "onna"},       {DRV_FORGET, 0, "onna"},     {DRV_WATCH, 0, "onna"},
        {DRV_FETCH, 0, "oona"},       {DRV_SCHEDULE, 0, "onna"},   {DRV_QUEUE, 0, "nnna"},
        {DRV_WORKER, 0, "nnna"},      {DRV_ALERT, 0, "nnna"},      {DRV_QUERY, 1, "onaa"},
        {DRV_QUERY, 2, "onaa"},       {DRV_QUERY, 3, "onaa"},      {DRV_QUERY, 4, "onaa"},
        {DRV_QUERY, 5, "anaa"},       {DRV_QUERY, 6, "nnaa"},      {DRV_QUERY, 7, "aana"},
        {DRV_QUERY, 8, "nnaa"},       {DRV_QUERY, 9, "nnaa"},      {DRV_QUERY, 10, "onaa"},
        {DRV_QUERY, 11, "anaa"},      {DRV_QUERY, 16, "onaa"},     {DRV_QUERY, 17, "nnaa"},
        {DRV_QUERY, 18, "nnaa"},      {DRV_QUERY, 24, "nnaa"},     {DRV_QUERY, 25, "onaa"},
        {DRV_QUERY, 26, "onna"},      {DRV_QUERY, 27, "onaa"},     {DRV_QUERY, 28, "onaa"},
        {DRV_QUERY, 32, "onaa"},      {DRV_QUERY, 40, "onaa"},     {DRV_KV, 1, "aana"},
        {DRV_KV, 2, "aana"},          {DRV_KV, 3, "aana"},         {DRV_KV, 4, "aana"},
        {DRV_KV, 5, "aana"},          {DRV_SUBSCRIBE, 0, "aaaa"},  {DRV_SUBSCRIBE, 1, "onaa"},
        {DRV_SUBSCRIBE, 2, "onna"},   {DRV_SUBSCRIBE, 3, "anna"},
    };
    static const char letters[] = "noa";
    for (size_t i = 0; i < DRV_ARRAY_LEN(rows); i++) {
        for (unsigned role = 0; role < 4; role++) {
            enum access_scope scope = access_scope(1U << role, rows[i].kind, rows[i].part);
            if (letters[scope] != rows[i].scopes[role]) {
                fail_msg("%s %u role %u: %c", drv_kind_name(rows[i].kind), rows[i].part,
                         1U << role, letters[scope]);
            }
        }
        assert_int_equal(access_scope(0, rows[i].kind, rows[i].part), ACCESS_NOTHING);
    }
}

/* Several roles of a key allow what the widest of them does. */
static void test_rights_of_two_roles_are_the_wider_ones(void **state)
{
    assert_int_equal(access_scope(ACCESS_SUBMIT | ACCESS_OBSERVE, DRV_QUERY, DRV_TOPIC_TASKS),
                     ACCESS_ALL);
    assert_int_equal(access_scope(ACCESS_SUBMIT | ACCESS_WORK, DRV_SUBMIT, 0), ACCESS_OWN);
}

/* ---- the file ---------------------------------------------------------------------------- */

/* Limits of a name that no key has are told: it may be a slip of the pen. */
static void test_limits_without_a_key_are_found(void **state)
{
    struct access *access = NULL;
    struct drv_problem problem = {""};
    (void)state;
    assert_int_equal(
        parse("limit alice tasks=1\nkey alice " KEY_A " submit\n", &access, &problem),
        DROVER_OK);
    assert_null(access_keyless(access));
    access_destroy(&access);
    assert_int_equal(
        parse("limit alcie tasks=1\nkey alice " KEY_A " submit\n", &access, &problem),
        DROVER_OK);
    assert_non_null(access_keyless(access));
    assert_memory_equal(access_keyless(access)->name, "alcie", 5);
    access_destroy(&access);
}

/* Keys, roles, patterns and limits are what the file says; a key's case does not matter. */
static void test_accounts_file_is_read(void **state)
{
    static const char text[] = "# who may come\n\n"
                               "key alice " KEY_A " submit,observe queues=default,bulk-*\n"
                               "key\tfleet  " KEY_B "  work\r\n"
                               "limit alice tasks=10 bytes=1K rate=5 keys=3\n"
                               "limit alice results=7 sessions=2";
    struct access *access = NULL;
    struct drv_problem problem = {""};
    uint8_t key[ACCESS_KEY_BYTES] = {0};
    assert_ok(parse(text, &access, &problem));
    assert_int_equal(access_count(access), 2);
    const struct access_grant *alice = access_at(access, 0), *fleet = access_at(access, 1);
    assert_int_equal(alice->roles, ACCESS_SUBMIT | ACCESS_OBSERVE);
    assert_true(access_grants_queue(alice, drv_str_of("bulk-1")));
    assert_false(access_grants_queue(alice, drv_str_of("other")));
    assert_int_equal(fleet->roles, ACCESS_WORK);
    assert_true(access_grants_queue(fleet, drv_str_of("other")));
    assert_int_equal(fleet->key[0], 0xff);
    assert_ptr_equal(access_find(access, fleet->key), fleet);
    assert_null(access_find(access, key));
    static const uint64_t limits[ACCESS_LIMITS] = {10, 1024, 5, 7, 3, 2};
    for (size_t i = 0; i < ACCESS_LIMITS; i++) {
        assert_int_equal(alice->account->limits[i], limits[i]);
        assert_true(fleet->account->limits[i] == ACCESS_UNLIMITED);
    }
    access_destroy(&access);
}

/* Whatever is wrong is told with its line, and nothing is taken. */
static void test_accounts_mistakes_are_told_with_their_line(void **state)
{
    expect_wrong("\n\nkeys alice", "accounts:3: a line begins with key or limit: keys");
    expect_wrong("key", "accounts:1: no name for an account");
    expect_wrong("key none " KEY_A " submit", "no name for an account: none");
    expect_wrong("key a/b " KEY_A " submit", "no name for an account: a/b");
    expect_wrong("key alice 1234 submit", "64 hexadecimal digits");
    expect_wrong("key alice " KEY_A "0 submit", "64 hexadecimal digits");
    expect_wrong("key alice " KEY_A, "want the roles");
    expect_wrong("key alice " KEY_A " submit,root", "want the roles submit, work, observe, "
                                                    "admin, with commas: root");
    expect_wrong("key alice " KEY_A " submit,,work", "want the roles");
    expect_wrong("key alice " KEY_A " submit queue=a", "want queues=PATTERN");
    expect_wrong("key alice " KEY_A " submit queues=", "no pattern of queues");
    expect_wrong("key alice " KEY_A " submit queues=a/b", "no pattern of queues: a/b");
    expect_wrong("key alice " KEY_A " submit queues=a b", "what is this: b");
    expect_wrong("key alice " KEY_A " submit\nkey bob " KEY_A " work",
                 "accounts:2: this key stands in the file twice");
    expect_wrong("limit alice", "want tasks, bytes");
    expect_wrong("limit alice tasks", "want tasks, bytes");
    expect_wrong("limit alice tasks=", "no number");
    expect_wrong("limit alice tasks=-1", "no number for this: -1");
    expect_wrong("limit alice rate=0", "no number for this: 0");
    expect_wrong("limit alice tasks=0", "no number for this: 0");
    expect_wrong("limit alice bytes=0", "no number for this: 0");
    expect_wrong("limit alice tasks=9\nlimit alice rate=2 tasks=9",
                 "accounts:2: this limit stands in the file twice: tasks=9");
    expect_wrong("limit alice tasks=99999999999999999999", "no number");
    expect_wrong("limit alice speed=1", "want tasks, bytes");
}

/* Random changes of a good file give a table or a problem, never anything else. */
static void test_accounts_random_text_is_refused_or_read(void **state)
{
    static const char good[] = "key alice " KEY_A " submit,observe queues=default,bulk-*\n"
                               "limit alice tasks=10 bytes=1K rate=5\nkey b " KEY_B " work\n";
    struct drv_rng rng;
    unsigned read = 0, refused = 0;
    drv_rng_init(&rng, test_seed());
    for (int round = 0; round < 20000; round++) {
        char text[sizeof good + 8];
        size_t len = sizeof good - 1;
        memcpy(text, good, len);
        for (uint64_t i = drv_rng_below(&rng, 4); i > 0; i--) {
            static const char odd[] = "\0\n =,*#k\xff/0";
            text[drv_rng_below(&rng, len)] = odd[drv_rng_below(&rng, sizeof odd - 1)];
        }
        len = drv_rng_below(&rng, 3) == 0 ? drv_rng_below(&rng, len) : len;
        struct access *access = NULL;
        struct drv_problem problem = {""};
        if (accounts_parse("f", text, len, 1, &access, &problem) == DROVER_OK) {
            read++;
            access_destroy(&access);
        } else {
            refused++;
            assert_non_null(strstr(problem.text, "f:"));
        }
    }
    assert_true(read > 0 && refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pattern_star_matches_any_characters),
        cmocka_unit_test(test_rights_are_as_security_md_says),
        cmocka_unit_test(test_rights_of_two_roles_are_the_wider_ones),
        cmocka_unit_test(test_accounts_file_is_read),
        cmocka_unit_test(test_limits_without_a_key_are_found),
        cmocka_unit_test(test_accounts_mistakes_are_told_with_their_line),
        cmocka_unit_test(test_accounts_random_text_is_refused_or_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
