/*
 * The fields of the test vectors of ranges: that each position of the document is the member of
 * the message that the header says; and how lengths are written and read.
 */
#include "test.h"

#include "lengths.h"
#include "vectors.h"

static void assert_three(const struct drv_range *range, const struct drv_val *val)
{
    struct drv_val item;
    assert_int_equal(range->count, 3);
    struct drv_lengths walk = drv_lengths_of(range->lengths, val->bytes, val->len);
    assert_true(drv_lengths_next(&walk, &item) && !item.is_nil && item.len == 1);
    assert_memory_equal(item.bytes, "\x05", 1);
    assert_true(drv_lengths_next(&walk, &item) && item.is_nil && item.len == 0);
    assert_true(drv_lengths_next(&walk, &item) && item.len == 3);
    assert_memory_equal(item.bytes, "\xcd\x01\x02", 3);
    assert_false(drv_lengths_next(&walk, &item));
}

static void test_fields_of_lease(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "lease-range"), &coded);
    const struct drv_lease_entry *entry = &coded.message.lease.groups[0].entries[0];
    assert_int_equal(entry->ref.handle, 77);
    assert_int_equal(entry->ref.index, 4096);
    assert_three(&entry->range, &entry->val);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "lease"), &coded);
    assert_int_equal(coded.message.lease.groups[0].entries[0].range.count, 0);
    coded_fini(&coded);
}

static void test_fields_of_report(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "report-range"), &coded);
    const struct drv_report *report = &coded.message.report;
    assert_int_equal(report->started[0].index, 4099);
    assert_int_equal(report->results[0].ref.index, 4096);
    assert_int_equal(report->results[0].run_us, 5);
    assert_three(&report->results[0].range, &report->results[0].val);
    assert_int_equal(report->returned[0].ref.index, 4100);
    assert_int_equal(report->returned[0].reason, DRV_RETURN_RECALLED);
    assert_int_equal(report->returned[0].more, 59);
    coded_fini(&coded);
}

static void test_fields_of_the_others(void **state)
{
    struct coded coded;
    vector_must_decode(vector_find(*state, "abort-range"), &coded);
    assert_int_equal(coded.message.abort.leases[0].ref.index, 4097);
    assert_int_equal(coded.message.abort.leases[0].more, 62);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "attach-range"), &coded);
    assert_int_equal(coded.message.attach.leases[0].more, 62);
    assert_int_equal(coded.message.attach.leases[1].more, 9);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "attach"), &coded);
    assert_int_equal(coded.message.attach.leases[1].more, 0);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "results-range"), &coded);
    assert_int_equal(coded.message.results.entries[0].index, 4096);
    assert_three(&coded.message.results.entries[0].range,
                 &coded.message.results.entries[0].val);
    coded_fini(&coded);
}

static void test_lengths(void **state)
{
    (void)state;
    static const size_t LENGTHS[] = {0,     1,     126,     127,           128,
                                     16382, 16383, 2097151, UINT32_MAX - 1};
    for (size_t i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++) {
        uint8_t bytes[DRV_LENGTH_BYTES_MAX];
        struct drv_str text = {(const char *)bytes, drv_lengths_put(bytes, false, LENGTHS[i])};
        struct drv_lengths walk = drv_lengths_of(text, NULL, LENGTHS[i]);
        uint64_t number;
        assert_true(drv_lengths_number(&walk, &number));
        assert_int_equal(number, (uint64_t)LENGTHS[i] + 1);
        assert_int_equal(drv_lengths_count(text, LENGTHS[i]), 1);
        assert_int_equal(drv_lengths_count(text, LENGTHS[i] + 1), 0);
        assert_int_equal(
            drv_lengths_count((struct drv_str){text.ptr, text.len - 1}, LENGTHS[i]), 0);
    }
    static const char ENDLESS[] = "\x80\x80\x80\x80\x80\x01";
    assert_int_equal(drv_lengths_count((struct drv_str){ENDLESS, 6}, 0), 0);
}

/* A message names no more elements than it may, however short it is. */
static void test_elements_of_a_message_are_bounded(void **state)
{
    (void)state;
    enum { COUNT = DRV_FURTHER_MAX / (DRV_RANGE_MAX - 1) + 1 };
    struct drv_abort_entry entries[COUNT];
    struct drv_message message = {.kind = DRV_ABORT, .epoch = 1, .seq = 1};
    message.abort = (struct drv_abort){entries, COUNT - 1};
    for (size_t i = 0; i < COUNT; i++) {
        entries[i] = (struct drv_abort_entry){
            .ref = {.attempt = 1}, .code = DROVER_STALE, .more = DRV_RANGE_MAX - 1};
    }
    struct drv_buffer head, blob;
    drv_buffer_init(&head);
    drv_buffer_init(&blob);
    assert_int_equal(drv_message_encode(&message, NULL, &head, &blob), DROVER_OK);
    message.abort.lease_count = COUNT;
    drv_buffer_clear(&head);
    assert_int_equal(drv_message_encode(&message, NULL, &head, &blob), DROVER_LIMIT);
    drv_buffer_fini(&head);
    drv_buffer_fini(&blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_of_lease),
        cmocka_unit_test(test_fields_of_report),
        cmocka_unit_test(test_fields_of_the_others),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_elements_of_a_message_are_bounded),
    };
    return cmocka_run_group_tests(tests, vectors_setup, vectors_teardown);
}
