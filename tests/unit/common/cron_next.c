/*
 * cron_next.c: cron expressions and zones of drover, for tests in other languages.
 *
 * Reads lines of four fields with tabs between them: zone ("": UTC), instant, count,
 * expression. Prints the next instants with blanks between them; "never", or "error" and what
 * is wrong. An empty expression: the offset of the zone at that instant.
 */
#include "cron.h"
#include "zone_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_LEN = 1024 };

/* The same zone again is read once. */
struct known {
    char name[DRV_ZONE_NAME_MAX + 1];
    struct drv_zone *zone;
};

static const struct drv_zone *zone_of(struct known *known, const char *name)
{
    struct drv_buffer bytes;
    if (name[0] == '\0') {
        return NULL;
    }
    if (strcmp(known->name, name) == 0) {
        return known->zone;
    }
    if (strlen(name) >= sizeof known->name) {
        (void)fprintf(stderr, "no zone has such a long name\n");
        exit(1);
    }
    drv_zone_destroy(&known->zone);
    drv_buffer_init(&bytes);
    drover_status status = drv_zone_file_read(name, &bytes);
    if (status == DROVER_OK) {
        status = drv_zone_new(bytes.bytes, bytes.len, &known->zone);
    }
    drv_buffer_fini(&bytes);
    if (status != DROVER_OK) {
        (void)fprintf(stderr, "%s: %s\n", name, drover_status_text(status));
        exit(1);
    }
    memcpy(known->name, name, strlen(name) + 1);
    return known->zone;
}

static void answer(const struct drv_zone *zone, int64_t at, long count, const char *text)
{
    struct drv_problem problem = {""};
    struct drv_cron cron;
    if (text[0] == '\0') {
        (void)printf("%" PRId32 "\n", drv_zone_at(zone, at).offset);
        return;
    }
    if (drv_cron_parse(text, strlen(text), &cron, &problem) != DROVER_OK) {
        (void)printf("error %s\n", problem.text);
        return;
    }
    for (long i = 0; i < count; i++) {
        at = drv_cron_next(&cron, zone, at);
        if (at == INT64_MAX) {
            (void)printf("never");
            break;
        }
        (void)printf("%s%" PRId64, i > 0 ? " " : "", at);
    }
    (void)putchar('\n');
}

int main(void)
{
    struct known known = {.name = ""};
    char line[LINE_MAX_LEN];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *fields[4] = {line};
        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 1; i < 4; i++) {
            char *tab = strchr(fields[i - 1], '\t');
            if (tab == NULL) {
                return 1;
            }
            *tab = '\0';
            fields[i] = tab + 1;
        }
        answer(zone_of(&known, fields[0]), strtoll(fields[1], NULL, 10),
               strtol(fields[2], NULL, 10), fields[3]);
    }
    drv_zone_destroy(&known.zone);
    return 0;
}
