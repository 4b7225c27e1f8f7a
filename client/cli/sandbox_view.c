/* sandbox_view.c: see sandbox_view.h. */
#include "sandbox_view.h"

#include "check.h"
#include "doc.h"
#include "grid.h"
#include "human.h"

#include <inttypes.h>
#include <string.h>

enum { KEPT_MAX = 1024 };

/* Adds "NAME VALUE", as far as there is room. */
static void add(char text[KEPT_MAX], const char *name, const char *value)
{
    size_t len = strlen(text);
    (void)snprintf(text + len, KEPT_MAX - len, "%s%s %s", len > 0 ? "; " : "", name, value);
}

static void add_paths(const drover_value *type, const char *key, char text[KEPT_MAX])
{
    char paths[KEPT_MAX / 2];
    if (doc_has(type, key)) {
        add(text, key, doc_join(type, key, paths, sizeof(paths)));
    }
}

static void add_limits(const drover_value *type, char text[KEPT_MAX])
{
    static const struct {
        const char *key, *name;
        bool is_bytes;
    } limits[] = {{"limit_memory", "memory", true},
                  {"limit_cpu_s", "cpu seconds", false},
                  {"limit_files", "files", false},
                  {"limit_file_size", "file size", true}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(limits); i++) {
        char number[HUMAN_TEXT_MAX];
        int64_t limit = doc_int(type, limits[i].key);
        if (!doc_has(type, limits[i].key)) {
            continue;
        }
        if (limits[i].is_bytes) {
            (void)human_bytes(limit, number);
        } else {
            (void)snprintf(number, sizeof(number), "%" PRId64, limit);
        }
        add(text, limits[i].name, number);
    }
}

static const char *text_or(const drover_value *map, const char *key, const char *other,
                           char text[DOC_TEXT_MAX])
{
    return doc_has(map, key) ? doc_text(map, key, text, DOC_TEXT_MAX) : other;
}

static void put_type(struct grid *grid, const drover_value *type)
{
    char text[DOC_TEXT_MAX];
    char kept[KEPT_MAX] = "";
    add_paths(type, "read", kept);
    add_paths(type, "write", kept);
    add_limits(type, kept);
    grid_row(grid);
    grid_text(grid, doc_text(type, "type", text, sizeof(text)));
    grid_text(grid, text_or(type, "seccomp", "none", text));
    grid_text(grid, text_or(type, "user", "-", text));
    grid_text(grid, kept);
}

static int print_types(const drover_value *types)
{
    static const struct grid_column columns[] = {{.name = "TYPE"},
                                                 {.name = "SECCOMP"},
                                                 {.name = "USER"},
                                                 {.name = "KEPT TO", .cut = true}};
    struct grid grid;
    drover_value *type = NULL;
    drover_value_iter iter;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    drover_value_iter_init(&iter, types);
    while (drover_value_iter_next(&iter, NULL, &type) == DROVER_OK) {
        put_type(&grid, type);
        drover_value_destroy(&type);
    }
    return grid_print(&grid);
}

/* A worker that says nothing of it is older. */
static void print_limits(const drover_value *sandbox)
{
    char how[DOC_TEXT_MAX];
    char why[DOC_TEXT_MAX];
    if (doc_has(sandbox, "limits")) {
        bool has_why = doc_has(sandbox, "limits_why");
        (void)printf("%-14s %s%s%s%s\n", "limits", doc_text(sandbox, "limits", how, sizeof how),
                     has_why ? " (" : "",
                     has_why ? doc_text(sandbox, "limits_why", why, sizeof why) : "",
                     has_why ? ")" : "");
    }
}

/* A worker that says nothing of it is older; one without a key has none to hide. */
static void print_key(const drover_value *sandbox)
{
    char how[DOC_TEXT_MAX];
    char why[DOC_TEXT_MAX];
    if (!doc_has(sandbox, "key")) {
        return;
    }
    (void)doc_text(sandbox, "key", how, sizeof how);
    if (strcmp(how, "readable") == 0) {
        (void)printf("%-14s handlers can read it (%s)\n", "key",
                     doc_text(sandbox, "key_why", why, sizeof why));
    } else if (strcmp(how, "none") != 0) {
        (void)printf("%-14s hidden from handlers (%s)\n", "key", how);
    }
}

int sandbox_view_print(const drover_value *sandbox)
{
    int code = CLI_OK;
    size_t count = 0;
    drover_value *types = doc_get(sandbox, "types");
    (void)printf("%-14s %s, %s; kernel has %s, %s; uid %" PRId64 "\n", "sandbox",
                 doc_bool(sandbox, "no_new_privs") ? "no new privileges" : "new privileges",
                 doc_bool(sandbox, "process_groups") ? "process groups" : "no process groups",
                 doc_bool(sandbox, "landlock") ? "Landlock" : "no Landlock",
                 doc_bool(sandbox, "seccomp") ? "seccomp" : "no seccomp",
                 doc_int(sandbox, "uid"));
    print_limits(sandbox);
    print_key(sandbox);
    if (types != NULL && drover_value_array_len(types, &count) == DROVER_OK && count > 0) {
        (void)putchar('\n');
        code = print_types(types);
    }
    if (doc_bool(sandbox, "truncated")) {
        (void)puts("the list is cut: there are more");
    }
    drover_value_destroy(&types);
    return code;
}
