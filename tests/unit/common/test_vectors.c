/*
 * The test vectors of common/PROTOCOL.md, and the tables of the document that repeat what
 * headers say.
 */
#include "test.h"

#include "vectors.h"

static void assert_bytes(const char *name, const struct drv_buffer *found,
                         const struct drv_buffer *expected)
{
    if (found->len != expected->len ||
        (found->len > 0 && memcmp(found->bytes, expected->bytes, found->len) != 0)) {
        fail_msg("%s: encoded other bytes", name);
    }
}

/* ---- the vectors ------------------------------------------------------------------------- */

/* Every vector is read, and written again as the same bytes; others for the same message, too.
 */
static void test_vectors_decode_and_encode_to_the_same_bytes(void **state)
{
    const struct vector_document *document = *state;
    for (size_t i = 0; i < document->count; i++) {
        const struct vector *vector = &document->vectors[i];
        if (vector->sort == SORT_REFUSE) {
            continue;
        }
        struct coded coded;
        vector_must_decode(vector, &coded);
        if (drv_message_encode(&coded.message, &coded.hooks, &coded.head, &coded.blob)) {
            fail_msg("%s: cannot be encoded", vector->name);
        }
        const struct vector *same = vector->sort == SORT_ALSO
                                        ? vector_find(document, vector->argument)
                                        : vector;
        assert_bytes(vector->name, &coded.head, &same->head);
        assert_bytes(vector->name, &coded.blob, &same->blob);
        coded_fini(&coded);
    }
}

/* What must be refused is refused, with the code that the document says and with a reason. */
static void test_vectors_that_must_be_refused_are(void **state)
{
    const struct vector_document *document = *state;
    size_t count = 0;
    for (size_t i = 0; i < document->count; i++) {
        const struct vector *vector = &document->vectors[i];
        if (vector->sort != SORT_REFUSE) {
            continue;
        }
        struct coded coded;
        const char *reason = NULL;
        drover_status status = vector_decode(vector, &coded, &reason);
        if (strcmp(drover_status_name(status), vector->argument) != 0) {
            fail_msg("%s: %s instead of %s", vector->name, drover_status_name(status),
                     vector->argument);
        }
        assert_non_null(reason);
        coded_fini(&coded);
        count++;
    }
    assert_true(count > 30);
}

/* The kind of a head whose array is shorter than 65,536; 0: none. */
static unsigned kind_of(const struct drv_buffer *head)
{
    size_t at = head->len > 0 && head->bytes[0] == 0xdc ? 3 : 1;
    return head->len > at ? head->bytes[at] : 0;
}

/* Every kind of the protocol has a vector. */
static void test_vectors_exist_for_every_kind(void **state)
{
    const struct vector_document *document = *state;
    for (unsigned kind = 0; kind < 256; kind++) {
        if (strcmp(drv_kind_name(kind), "?") == 0) {
            continue;
        }
        bool is_found = false;
        for (size_t i = 0; !is_found && i < document->count; i++) {
            is_found = kind_of(&document->vectors[i].head) == kind &&
                       document->vectors[i].sort != SORT_ALSO;
        }
        if (!is_found) {
            fail_msg("no vector for %s", drv_kind_name(kind));
        }
    }
}

/* ---- the tables -------------------------------------------------------------------------- */

struct code {
    unsigned number;
    const char *name;
    bool is_retryable;
};

/* The codes of section 7 are the numbers, names and marks of drover_status, all of them. */
static void test_document_lists_the_statuses(void **state)
{
    static const struct code codes[] = {
#define CODE(number, NAME, name, text, retryable) {number, name, retryable},
        DROVER_STATUS_MAP(CODE)
#undef CODE
    };
    const struct vector_document *document = *state;
    const char *line = strstr(document->text, "| code | name | retryable |");
    assert_non_null(line);
    line = strchr(strchr(line, '\n') + 1, '\n') + 1;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char *rest = NULL;
        char name[32] = "";
        char mark[8] = "";
        assert_int_equal(strncmp(line, "| ", 2), 0);
        assert_int_equal(strtoul(line + 2, &rest, 10), codes[i].number);
        assert_true(sscanf(rest, " | %31[a-z_] | %7[a-z]", name, mark) >= 1);
        assert_string_equal(name, codes[i].name);
        assert_int_equal(strcmp(mark, "yes") == 0, codes[i].is_retryable);
        line = strchr(line, '\n') + 1;
    }
    assert_int_not_equal(line[0], '|');
}

/* The limits of section 3 are the constants of the header. */
static void test_document_lists_the_limits(void **state)
{
    static const struct {
        const char *row;
    } rows[] = {
        {"| 0 | head_max | 131,072 |"},       {"| 1 | blob_max | 262,144 |"},
        {"| 2 | batch_max | 1,024 |"},        {"| 3 | inline_max | 65,536 |"},
        {"| 4 | payload_max | 67,108,864 |"}, {"| 5 | requests_max | 1,024 |"},
        {"| 6 | array_max | 10,000,000 |"},   {"| 7 | meta_max | 1,024 |"},
    };
    const struct vector_document *document = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_non_null(strstr(document->text, rows[i].row));
    }
}

#define TEST(function) cmocka_unit_test(function)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_vectors_decode_and_encode_to_the_same_bytes),
        TEST(test_vectors_that_must_be_refused_are),
        TEST(test_vectors_exist_for_every_kind),
        TEST(test_document_lists_the_statuses),
        TEST(test_document_lists_the_limits),
    };
    return cmocka_run_group_tests(tests, vectors_setup, vectors_teardown);
}
