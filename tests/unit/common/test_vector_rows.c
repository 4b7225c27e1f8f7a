/*
 * Rows: what the document calls the same messages is written as rows to whoever reads them, and
 * as entries to all others; and what a link does of itself.
 */
#include "test.h"

#include "link_pair.h"
#include "vectors.h"

static void assert_written_as(struct vector_document *document, const char *alike,
                              const char *rows)
{
    struct coded coded;
    vector_must_decode(vector_find(document, alike), &coded);
    const struct vector *wanted = vector_find(document, rows);
    struct drv_transfers hooks = coded.hooks;
    hooks.takes_rows = true;
    drv_buffer_clear(&coded.head);
    drv_buffer_clear(&coded.blob);
    assert_ok(drv_message_encode(&coded.message, &hooks, &coded.head, &coded.blob));
    assert_int_equal(coded.head.len, wanted->head.len);
    assert_memory_equal(coded.head.bytes, wanted->head.bytes, wanted->head.len);
    assert_int_equal(coded.blob.len, wanted->blob.len);
    assert_memory_equal(coded.blob.bytes, wanted->blob.bytes, wanted->blob.len);
    coded_fini(&coded);
}

static void test_alike_entries_are_written_as_rows(void **state)
{
    assert_written_as(*state, "submit-alike", "submit-rows");
    assert_written_as(*state, "submit-alike-but-one", "submit-rows-and-one");
    assert_written_as(*state, "lease-alike", "lease-rows");
    assert_written_as(*state, "report-alike", "report-rows");
    assert_written_as(*state, "results-alike", "results-rows");
}

/* One alone, and what has more to say, are entries as ever. */
static void test_other_entries_are_written_as_ever(void **state)
{
    static const char *const names[] = {
        "submit-plain", "submit-chunked", "lease",        "lease-parents", "lease-needs",
        "lease-range",  "report",         "report-empty", "report-result", "report-kept",
        "report-range", "results",        "results-range"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(names); i++) {
        assert_written_as(*state, names[i], names[i]);
    }
}

/* How long the head of RESULTS is, for a peer with these capabilities. */
static size_t results_head(const struct drv_str *capabilities, size_t count)
{
    void *state;
    assert_int_equal(link_pair_setup(&state), 0);
    struct link_pair *pair = state;
    struct drv_message hello = {.kind = DRV_HELLO};
    hello.hello = (struct drv_hello){.version_min = 1,
                                     .version_max = 1,
                                     .role = DRV_ROLE_CLIENT,
                                     .session = link_id(1),
                                     .name = drv_str_of("peer"),
                                     .software = drv_str_of("peer 1"),
                                     .capabilities = capabilities,
                                     .capability_count = count,
                                     .credit_bytes = MIB};
    assert_ok(drv_link_send(pair->peer, &hello, 0));
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_HELLO);
    struct drv_outcome entries[3];
    for (unsigned i = 0; i < DRV_ARRAY_LEN(entries); i++) {
        entries[i] = (struct drv_outcome){.id = link_id(10 + i),
                                          .index = DROVER_INDEX_NONE,
                                          .state = DROVER_STATE_SUCCEEDED,
                                          .attempt = 1,
                                          .val = {.is_nil = true}};
    }
    struct drv_message results = {.kind = DRV_RESULTS};
    results.results.entries = entries;
    results.results.entry_count = DRV_ARRAY_LEN(entries);
    assert_ok(drv_link_send(pair->broker, &results, 0));
    struct drv_frames frames = link_next(pair->broker);
    size_t len = frames.head->len;
    assert_ok(link_receive(pair, pair->peer, &frames));
    assert_int_equal(pair->message.results.entry_count, DRV_ARRAY_LEN(entries));
    assert_memory_equal(&pair->message.results.entries[2].id, &entries[2].id,
                        sizeof(drover_id));
    link_drop(&frames);
    link_pair_teardown(&state);
    return len;
}

/* Nobody gets rows who did not say that it reads them; either way the same arrives. */
static void test_link_writes_rows_to_who_reads_them(void **state)
{
    static const struct drv_str RANGES[] = {{"ranges", 6}, {"row", 3}};
    static const struct drv_str ROWS[] = {{"ranges", 6}, {"rows", 4}};
    (void)state;
    size_t entries = results_head(RANGES, DRV_ARRAY_LEN(RANGES));
    assert_int_equal(results_head(NULL, 0), entries);
    assert_int_not_equal(results_head(ROWS, DRV_ARRAY_LEN(ROWS)), entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alike_entries_are_written_as_rows),
        cmocka_unit_test(test_other_entries_are_written_as_ever),
        cmocka_unit_test(test_link_writes_rows_to_who_reads_them),
    };
    return cmocka_run_group_tests(tests, vectors_setup, vectors_teardown);
}
