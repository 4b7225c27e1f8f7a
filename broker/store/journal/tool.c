/* tool.c: see tool.h. */
#include "tool.h"

#include "check.h"
#include "inspect.h"
#include "options.h"

#include <drover/drover.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_USAGE_ERROR = 64,
    EXIT_DAMAGED = 65,
    EXIT_SOFTWARE = 70,
    EXIT_IO = 74,
    EXIT_BUSY = 75
};

static const struct drv_option options[] = {
    {.name = "json", .kind = DRV_OPTION_FLAG, .help = "print JSON"},
};

static const struct drv_program program = {
    .name = "drover-broker journal",
    .usage = "verify DIR | dump DIR | repair DIR | backup DIR DEST",
    .about =
        "Looks after the directory in which a broker keeps its journal.\n"
        "\n"
        "  verify DIR        read everything, say what is there and what is damaged\n"
        "  dump DIR          print every record\n"
        "  backup DIR DEST   copy the log, also of a running broker, and check the copy\n"
        "  repair DIR        cut the log before the first damage; deletes nothing, keeps what\n"
        "                    is cut off as NAME.damaged; the broker must not run\n",
    .epilog = "Exit codes: 0; 64 usage; 65 damaged or another format; 74 input or output;\n"
              "75 in use.\n",
    .tables = {{.options = options, .count = DRV_ARRAY_LEN(options)}},
    .table_count = 1,
};

struct tool {
    const struct tool_decoder *decoder;
    bool json;
    FILE *out;
};

static int exit_code(drover_status status)
{
    if (status == DROVER_OK) {
        return EXIT_SUCCESS;
    }
    if (status == DROVER_MALFORMED || status == DROVER_VERSION) {
        return EXIT_DAMAGED;
    }
    if (status == DROVER_BUSY) {
        return EXIT_BUSY;
    }
    if (status == DROVER_INVALID || status == DROVER_CONFLICT) {
        return EXIT_USAGE_ERROR;
    }
    return status == DROVER_IO ? EXIT_IO : EXIT_SOFTWARE;
}

static void print_id(const uint8_t *bytes, size_t len, FILE *out)
{
    for (size_t i = 0; i < len; i++) {
        (void)fprintf(out, "%02x", bytes[i]);
    }
}

static void print_report(const struct tool *tool, const struct inspect_report *report, bool ok)
{
    static const char text[] = "segments %" PRIu64 " to %" PRIu64 ", %" PRIu64
                               " bytes, %" PRIu64 " on the disk\n"
                               "records %" PRIu64 ", LSN %" PRIu64 " to %" PRIu64
                               ", known to be synced to %" PRIu64 "\n"
                               "epoch %" PRIu64 ", ends at offset %" PRIu64
                               " of segment %" PRIu64 "%s\n";
    static const char json[] = "{\"oldest\":%" PRIu64 ",\"newest\":%" PRIu64
                               ",\"bytes\":%" PRIu64 ",\"disk_bytes\":%" PRIu64
                               ",\"records\":%" PRIu64 ",\"first_lsn\":%" PRIu64
                               ",\"last_lsn\":%" PRIu64 ",\"durable_lsn\":%" PRIu64
                               ",\"epoch\":%" PRIu64 ",\"end\":%" PRIu64
                               ",\"end_segment\":%" PRIu64 ",\"torn\":%s,\"ok\":%s}\n";
    if (tool->json) {
        (void)fprintf(tool->out, json, report->oldest, report->newest, report->bytes,
                      report->disk_bytes, report->records, report->first_lsn,
                      report->next_lsn - 1, report->durable, report->epoch, report->end,
                      report->newest, report->torn ? "true" : "false", ok ? "true" : "false");
        return;
    }
    (void)fprintf(tool->out, text, report->oldest, report->newest, report->bytes,
                  report->disk_bytes, report->records, report->first_lsn, report->next_lsn - 1,
                  report->durable, report->epoch, report->end, report->newest,
                  report->torn ? ", behind which something unsynced stands" : "");
}

static drover_status dump_record(void *context, const struct journal_record *record)
{
    const struct tool *tool = context;
    const char *name = tool->decoder != NULL && tool->decoder->kind_name != NULL
                           ? tool->decoder->kind_name(record->kind)
                           : NULL;
    (void)fprintf(tool->out,
                  tool->json ? "{\"lsn\":%" PRIu64 ",\"segment\":%" PRIu64
                               ",\"offset\":%" PRIu64 ",\"kind\":%u"
                             : "lsn=%" PRIu64 " segment=%" PRIu64 " offset=%" PRIu64 " kind=%u",
                  record->lsn, record->segment, record->offset, (unsigned)record->kind);
    if (name != NULL) {
        (void)fprintf(tool->out, tool->json ? ",\"name\":\"%s\"" : " name=%s", name);
    }
    (void)fprintf(tool->out, tool->json ? ",\"id\":\"" : " id=");
    print_id(record->id.bytes, sizeof(record->id.bytes), tool->out);
    (void)fprintf(tool->out,
                  tool->json ? "\",\"index\":%" PRIu32 ",\"len\":%zu"
                             : " index=%" PRIu32 " len=%zu",
                  record->index, record->len);
    if (tool->decoder != NULL && tool->decoder->describe != NULL) {
        tool->decoder->describe(record, tool->json, tool->out);
    }
    (void)fputs(tool->json ? "}\n" : "\n", tool->out);
    return ferror(tool->out) ? DROVER_IO : DROVER_OK;
}

static drover_status verify(struct tool *tool, const char *directory,
                            struct drv_problem *problem)
{
    struct inspect_report report;
    drover_status status = inspect_verify(&files_real, directory, NULL, &report, problem);
    if (report.next_lsn != 0) {
        print_report(tool, &report, status == DROVER_OK);
    }
    return status;
}

static drover_status dump(struct tool *tool, const char *directory, struct drv_problem *problem)
{
    struct inspect_report report;
    const struct inspect_visitor visitor = {.visit = dump_record, .context = tool};
    return inspect_verify(&files_real, directory, &visitor, &report, problem);
}

static drover_status repair(struct tool *tool, const char *directory,
                            struct drv_problem *problem)
{
    struct inspect_repair done;
    drover_status status = inspect_repair(&files_real, directory, &done, problem);
    if (status != DROVER_OK) {
        return status;
    }
    if (tool->json) {
        (void)fprintf(tool->out,
                      "{\"changed\":%s,\"last_lsn\":%" PRIu64 ",\"set_aside\":%" PRIu64 "}\n",
                      done.changed ? "true" : "false", done.last_lsn, done.set_aside);
    } else if (done.changed) {
        (void)fprintf(tool->out,
                      "repaired: the last record is %" PRIu64 "; %" PRIu64
                      " files are kept as NAME.damaged\n",
                      done.last_lsn, done.set_aside);
    } else {
        (void)fprintf(tool->out, "nothing to repair: the last record is %" PRIu64 "\n",
                      done.last_lsn);
    }
    return DROVER_OK;
}

static drover_status backup(struct tool *tool, const char *directory, const char *target,
                            struct drv_problem *problem)
{
    struct inspect_report report;
    drover_status status = inspect_backup(&files_real, directory, &files_real, target, &report,
                                          problem);
    if (status == DROVER_OK) {
        print_report(tool, &report, true);
    }
    return status;
}

static drover_status run(struct tool *tool, const struct drv_options *o,
                         struct drv_problem *problem)
{
    const size_t count = drv_options_operand_count(o);
    const char *verb = count > 0 ? drv_options_operand(o, 0) : "";
    const bool is_backup = strcmp(verb, "backup") == 0;
    if (!is_backup && strcmp(verb, "verify") != 0 && strcmp(verb, "dump") != 0 &&
        strcmp(verb, "repair") != 0) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "verify, dump, repair or backup is wanted%s%s",
                               count > 0 ? ", not " : "", verb);
    }
    if (count != (is_backup ? 3U : 2U)) {
        return drv_problem_set(problem, DROVER_INVALID, "usage: drover-broker journal %s %s",
                               verb, is_backup ? "DIR DEST" : "DIR");
    }
    const char *directory = drv_options_operand(o, 1);
    if (is_backup) {
        return backup(tool, directory, drv_options_operand(o, 2), problem);
    }
    if (strcmp(verb, "verify") == 0) {
        return verify(tool, directory, problem);
    }
    return strcmp(verb, "dump") == 0 ? dump(tool, directory, problem)
                                     : repair(tool, directory, problem);
}

int tool_main(int argc, const char *const *argv, const struct tool_decoder *decoder, FILE *out,
              FILE *err)
{
    struct drv_options *o = NULL;
    struct drv_problem problem = {""};
    if (drv_options_new(&program, &o) != DROVER_OK) {
        (void)fputs("drover-broker journal: out of memory\n", err);
        return EXIT_SOFTWARE;
    }
    drover_status status = drv_options_load(o, argc, argv, NULL, &problem);
    if (status == DROVER_OK && drv_options_flag(o, "help")) {
        drv_options_help(o, out);
    } else if (status == DROVER_OK && drv_options_flag(o, "version")) {
        (void)fprintf(out, "drover-broker %s\n", DROVER_VERSION_STRING);
    } else if (status == DROVER_OK) {
        struct tool tool = {
            .decoder = decoder, .json = drv_options_flag(o, "json"), .out = out};
        status = run(&tool, o, &problem);
    }
    if (status == DROVER_OK && fflush(out) != 0) {
        status = drv_problem_set(&problem, DROVER_IO, "cannot write the output");
    }
    if (status != DROVER_OK) {
        (void)fprintf(err, "drover-broker journal: %s\n",
                      problem.text[0] != '\0' ? problem.text : drover_status_text(status));
    }
    drv_options_destroy(&o);
    return exit_code(status);
}
