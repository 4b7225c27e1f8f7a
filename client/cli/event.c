/* event.c: see event.h. */
#include "event.h"

#include "doc.h"
#include "json_out.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { TIME_TEXT_MAX = 64, FIELD_MAX = 512 };

/* When it happened, by this machine's clock. */
static struct timespec instant_of(const drover_stream_item *item)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    int64_t ms = (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000 - (int64_t)item->age_ms;
    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (ms % 1000) * 1000000};
}

static void format_time(const drover_stream_item *item, bool is_utc, char *out_text)
{
    struct timespec at = instant_of(item);
    struct tm parts;
    char text[32] = "";
    if (is_utc ? gmtime_r(&at.tv_sec, &parts) != NULL
               : localtime_r(&at.tv_sec, &parts) != NULL) {
        (void)strftime(text, sizeof text, is_utc ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &parts);
    }
    (void)snprintf(out_text, TIME_TEXT_MAX, "%s.%03ld%s", text, at.tv_nsec / 1000000,
                   is_utc ? "Z" : "");
}

/* ---- JSON -------------------------------------------------------------------------------- */

static int print_gap_json(const drover_stream_item *item)
{
    struct json_out json;
    json_begin(&json);
    json_key_text(&json, "event", "gap");
    if (item->missed == DROVER_MISSED_UNKNOWN) {
        json_key_value(&json, "missed", NULL);
    } else {
        json_key_uint(&json, "missed", item->missed);
    }
    return json_print(&json);
}

static int print_event_json(const drover_stream_item *item)
{
    struct json_out json;
    char text[TIME_TEXT_MAX];
    drover_value_iter iter;
    drover_value *key = NULL, *value = NULL;
    format_time(item, true, text);
    json_begin(&json);
    json_key_text(&json, "time", text);
    drover_value_iter_init(&iter, item->event);
    while (drover_value_iter_next(&iter, &key, &value) == DROVER_OK) {
        const char *name;
        size_t len;
        char copy[FIELD_MAX];
        if (drover_value_get_string(key, &name, &len) == DROVER_OK && len < sizeof copy) {
            memcpy(copy, name, len);
            copy[len] = '\0';
            json_key_value(&json, copy, value);
        }
        drover_value_destroy(&key);
        drover_value_destroy(&value);
    }
    return json_print(&json);
}

/* ---- lines ------------------------------------------------------------------------------- */

static void print_gap_line(const drover_stream_item *item)
{
    if (item->missed == DROVER_MISSED_UNKNOWN) {
        (void)cli_say(CLI_OK,
                      "the broker has started anew: what happened meanwhile is unknown");
    } else {
        (void)cli_say(CLI_OK, "%" PRIu64 " were missed here", item->missed);
    }
}

static void print_task(const drover_value *event)
{
    char id[FIELD_MAX];
    char index[FIELD_MAX];
    (void)doc_text(event, "id", id, sizeof id);
    (void)doc_text(event, "index", index, sizeof index);
    if (id[0] != '\0') {
        (void)printf(" %s%s%s", id, index[0] != '\0' ? "." : "", index);
    }
}

/* key=value for all but what was printed before. */
static void print_fields(const drover_value *event)
{
    drover_value_iter iter;
    drover_value *key = NULL, *value = NULL;
    drover_value_iter_init(&iter, event);
    while (drover_value_iter_next(&iter, &key, &value) == DROVER_OK) {
        static const char *const printed[] = {"event", "id", "index", "worker_id"};
        const char *name;
        size_t len;
        char copy[64] = "";
        char text[FIELD_MAX];
        if (drover_value_get_string(key, &name, &len) == DROVER_OK && len < sizeof copy) {
            memcpy(copy, name, len);
        }
        bool is_known = copy[0] == '\0';
        for (size_t i = 0; i < sizeof printed / sizeof *printed; i++) {
            is_known = is_known || strcmp(copy, printed[i]) == 0;
        }
        if (!is_known) {
            (void)printf(" %s=%s", copy, doc_text(event, copy, text, sizeof text));
        }
        drover_value_destroy(&key);
        drover_value_destroy(&value);
    }
}

static int print_event_line(const drover_stream_item *item)
{
    char text[TIME_TEXT_MAX];
    char name[FIELD_MAX];
    format_time(item, false, text);
    (void)printf("%s %-15s", text, doc_text(item->event, "event", name, sizeof name));
    print_task(item->event);
    print_fields(item->event);
    return putchar('\n') == EOF ? cli_write_failed() : CLI_OK;
}

int event_print(const struct cli *cli, const drover_stream_item *item)
{
    int code = CLI_OK;
    if (item->kind == DROVER_ITEM_GAP && !cli->json) {
        print_gap_line(item);
    } else if (item->kind == DROVER_ITEM_GAP) {
        code = print_gap_json(item);
    } else if (item->kind == DROVER_ITEM_EVENT) {
        code = cli->json ? print_event_json(item) : print_event_line(item);
    }
    return fflush(stdout) == 0 || code != CLI_OK ? code : cli_write_failed();
}

int event_print_all(const struct cli *cli, drover_stream *stream, uint64_t count,
                    struct deadline deadline, const char *what)
{
    for (uint64_t printed = 0; count == 0 || printed < count;) {
        drover_stream_item item;
        drover_status status = drover_stream_next(stream, deadline_left(deadline), &item);
        if (status == DROVER_TIMEOUT) {
            return count == 0 ? CLI_OK : CLI_TIMEOUT;
        }
        if (status != DROVER_OK) {
            return cli_failed(cli, status, what);
        }
        int code = event_print(cli, &item);
        if (code != CLI_OK) {
            return code;
        }
        printed += item.kind == DROVER_ITEM_EVENT;
    }
    return CLI_OK;
}
