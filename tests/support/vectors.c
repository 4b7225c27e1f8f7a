/*
 * vectors.c: see vectors.h.
 */
#include "test.h"

#include "vectors.h"

/* ---- reading the document ---------------------------------------------------------------- */

static char *read_document(void)
{
    const char *source = getenv("DROVER_SOURCE_DIR");
    char path[4096];
    if (source == NULL) {
        fail_msg("DROVER_SOURCE_DIR names the source tree; ctest sets it");
    }
    (void)snprintf(path, sizeof path, "%s/common/PROTOCOL.md", source);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1024 * 1024);
    assert_non_null(text);
    size_t len = fread(text, 1, 1024 * 1024 - 1, file);
    assert_true(len > 10000 && len < 1024 * 1024 - 1);
    assert_int_equal(fclose(file), 0);
    return text;
}

/* 16: no digit. */
static unsigned nibble(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = strchr(digits, digit);
    return at == NULL || digit == '\0' ? 16 : (unsigned)(at - digits);
}

static void append_hex(struct drv_buffer *buffer, const char *text, const char *name)
{
    for (; text[0] != '\0'; text += 2) {
        unsigned high = nibble(text[0]);
        unsigned low = nibble(text[1]);
        if (high > 15 || low > 15) {
            fail_msg("%s: not hexadecimal: %s", name, text);
        }
        assert_ok(drv_buffer_append_byte(buffer, (uint8_t)(high << 4 | low)));
    }
}

static void add_vector(struct vector_document *document, const char *line)
{
    struct vector *vector = &document->vectors[document->count];
    assert_true(document->count < sizeof document->vectors / sizeof document->vectors[0]);
    *vector = (struct vector){0};
    if (sscanf(line, "vector %63[a-z0-9-]", vector->name) == 1) {
        vector->sort = SORT_VECTOR;
    } else if (sscanf(line, "also %63[a-z0-9-] = %63[a-z0-9-]", vector->name,
                      vector->argument) == 2) {
        vector->sort = SORT_ALSO;
    } else if (sscanf(line, "refuse %63[a-z0-9-] %63[a-z_]", vector->name, vector->argument) ==
               2) {
        vector->sort = SORT_REFUSE;
    } else {
        fail_msg("not the beginning of a vector: %s", line);
    }
    document->count++;
}

/* Returns the buffer that the next continuation line belongs to. */
static struct drv_buffer *add_line(struct vector_document *document, char *line,
                                   struct drv_buffer *current)
{
    if (line[0] != ' ') {
        add_vector(document, line);
        return NULL;
    }
    assert_true(document->count > 0);
    struct vector *vector = &document->vectors[document->count - 1];
    if (strncmp(line, "  head ", 7) == 0) {
        current = &vector->head;
    } else if (strncmp(line, "  blob ", 7) == 0) {
        current = &vector->blob;
    } else if (strncmp(line, "       ", 7) != 0 || current == NULL) {
        fail_msg("%s: stray line: %s", vector->name, line);
    }
    if (strcmp(line + 7, "-") != 0) {
        append_hex(current, line + 7, vector->name);
    }
    return current;
}

static struct vector_document *document_read(void)
{
    struct vector_document *document = calloc(1, sizeof *document);
    assert_non_null(document);
    document->text = read_document();
    char *copy = strdup(document->text);
    assert_non_null(copy);
    char *section = strstr(copy, "## 9. Test vectors");
    assert_non_null(section);
    bool is_inside = false;
    struct drv_buffer *current = NULL;
    char *rest = NULL;
    for (char *line = strtok_r(section, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strcmp(line, "```") == 0) {
            is_inside = !is_inside;
        } else if (is_inside) {
            current = add_line(document, line, current);
        }
    }
    free(copy);
    assert_true(document->count > 100);
    return document;
}

static void document_free(struct vector_document *document)
{
    for (size_t i = 0; i < document->count; i++) {
        drv_buffer_fini(&document->vectors[i].head);
        drv_buffer_fini(&document->vectors[i].blob);
    }
    free(document->text);
    free(document);
}

const struct vector *vector_find(const struct vector_document *document, const char *name)
{
    for (size_t i = 0; i < document->count; i++) {
        if (strcmp(document->vectors[i].name, name) == 0) {
            return &document->vectors[i];
        }
    }
    fail_msg("no vector %s", name);
    return NULL;
}

int vectors_setup(void **state)
{
    *state = document_read();
    return 0;
}

int vectors_teardown(void **state)
{
    document_free(*state);
    return 0;
}

/* ---- coding ------------------------------------------------------------------------------ */

static drover_status take(void *context, uint64_t transfer, uint64_t total,
                          struct drv_data **out_data)
{
    struct vector_transfers *transfers = context;
    assert_true(transfer != 0);
    assert_true(transfers->count < DRV_TRANSFERS_MAX);
    assert_ok(drv_data_new((size_t)total, &transfers->taken[transfers->count]));
    *out_data = transfers->taken[transfers->count++];
    return DROVER_OK;
}

static drover_status put(void *context, const struct drv_val *val, uint64_t *out_transfer)
{
    struct vector_transfers *transfers = context;
    assert_true(val->len > DRV_INLINE_MAX);
    *out_transfer = ++transfers->put;
    return DROVER_OK;
}

static void coded_init(struct coded *coded)
{
    *coded = (struct coded){.hooks = {.take = take, .put = put}};
    coded->hooks.context = &coded->transfers;
    drv_arena_init(&coded->arena, 0);
}

void coded_fini(struct coded *coded)
{
    for (size_t i = 0; i < coded->transfers.count; i++) {
        drv_data_unref(&coded->transfers.taken[i]);
    }
    drv_arena_fini(&coded->arena);
    drv_buffer_fini(&coded->head);
    drv_buffer_fini(&coded->blob);
}

drover_status vector_decode(const struct vector *vector, struct coded *coded,
                            const char **out_reason)
{
    coded_init(coded);
    return drv_message_decode(vector->head.bytes, vector->head.len, vector->blob.bytes,
                              vector->blob.len, &coded->hooks, &coded->arena, &coded->message,
                              out_reason);
}

void vector_must_decode(const struct vector *vector, struct coded *coded)
{
    const char *reason = "";
    drover_status status = vector_decode(vector, coded, &reason);
    if (status) {
        fail_msg("%s: %s: %s", vector->name, drover_status_name(status), reason);
    }
}
