/* bindir.c: see bindir.h. */
#include "bindir.h"

#include "check.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLACES_MAX = 4 };

struct places {
    char paths[PLACES_MAX][BINDIR_MAX];
    const char *about[PLACES_MAX];
    size_t count;
};

static bool has_all(const char *directory, const char *const *names, size_t count)
{
    char path[BINDIR_MAX + 64];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        if (access(path, X_OK) != 0) {
            return false;
        }
    }
    return true;
}

/* path may be relative, with .. in it, or not there at all: then it is no place. */
static void add_place(struct places *places, const char *path, const char *about)
{
    char real[PATH_MAX];
    if (places->count == PLACES_MAX || realpath(path, real) == NULL ||
        strlen(real) >= BINDIR_MAX) {
        return;
    }
    for (size_t i = 0; i < places->count; i++) {
        if (strcmp(places->paths[i], real) == 0) {
            return;
        }
    }
    (void)snprintf(places->paths[places->count], BINDIR_MAX, "%s", real);
    places->about[places->count++] = about;
}

/* Cuts the last part of a path off. */
static void to_directory(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        slash[slash == path ? 1 : 0] = '\0';
    }
}

static void add_beside(struct places *places)
{
    char path[BINDIR_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (len > 0) {
        path[len] = '\0';
        to_directory(path);
        add_place(places, path, "beside the program");
    }
}

/* Seen from the file that holds this very code, when that is a shared library. */
static void add_installed(struct places *places)
{
    static const char anchor = 0;
    static const char *const ways[] = {DROVER_LIB_TO_BIN, "../bin"};
    Dl_info info;
    if (dladdr(&anchor, &info) != 0 && info.dli_fname != NULL && info.dli_fname[0] == '/') {
        char path[BINDIR_MAX];
        for (size_t i = 0; i < DRV_ARRAY_LEN(ways); i++) {
            char library[BINDIR_MAX / 2];
            if (strlen(info.dli_fname) >= sizeof(library)) {
                break;
            }
            (void)snprintf(library, sizeof(library), "%s", info.dli_fname);
            to_directory(library);
            (void)snprintf(path, sizeof(path), "%s/%s", library, ways[i]);
            add_place(places, path, "installed with the library");
        }
    }
    add_place(places, DROVER_INSTALLED_BIN, "installed");
}

static drover_status not_found(const struct places *places, const char *const *names,
                               size_t count, struct drv_problem *problem)
{
    char text[DRV_PROBLEM_TEXT_MAX] = "";
    size_t len = 0;
    for (size_t i = 0; i < count && len < sizeof(text); i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
                                i == 0           ? ""
                                : i + 1 == count ? " and "
                                                 : ", ",
                                names[i]);
    }
    for (size_t i = 0; i < places->count && len < sizeof(text); i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s %s (%s)",
                                i == 0 ? " are not in" : ",", places->paths[i],
                                places->about[i]);
    }
    return drv_problem_set(problem, DROVER_UNAVAILABLE,
                           "%s; set DROVER_BIN_DIR to the directory that has them", text);
}

drover_status bindir_find(const char *const *names, size_t count,
                          char out_directory[BINDIR_MAX], struct drv_problem *problem)
{
    struct places places = {.count = 0};
    const char *said = secure_getenv("DROVER_BIN_DIR");
    if (said != NULL && said[0] != '\0') {
        add_place(&places, said, "DROVER_BIN_DIR");
        if (places.count == 0) {
            return drv_problem_set(problem, DROVER_UNAVAILABLE,
                                   "DROVER_BIN_DIR: there is no directory %s", said);
        }
    } else {
        add_beside(&places);
        add_installed(&places);
    }
    for (size_t i = 0; i < places.count; i++) {
        if (has_all(places.paths[i], names, count)) {
            (void)snprintf(out_directory, BINDIR_MAX, "%s", places.paths[i]);
            return DROVER_OK;
        }
    }
    return not_found(&places, names, count, problem);
}
