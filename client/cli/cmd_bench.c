/* cmd_bench.c: bench: how fast tasks go through a broker, for anyone to run again. */
#include "bench.h"

#include "check.h"
#include "doc.h"
#include "endpoint.h"
#include "fleet_cpu.h"
#include "handle.h"
#include "human.h"
#include "json_out.h"
#include "tmpdir.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TASKS_DEFAULT 100000
#define TASKS_ALONE 10000 /* with one task in flight */
#define TASKS_MAX 1000000000
#define WINDOW_DEFAULT 1000
#define WINDOW_MAX 1000000
#define PAYLOAD_DEFAULT 32
#define PAYLOAD_MAX (60LL * 1024 * 1024)

static const char *const durability_names[] = {"memory", "written", "synced", NULL};
static const char *const model_names[] = {"prefork", "thread", "fork", NULL};

static const struct drv_option options[] = {
    {.name = "tasks",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "how many (100000; 10000 with --window 1)",
     .min = 1,
     .max = TASKS_MAX},
    {.name = "window",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "tasks in flight (1000); 1 measures the round trip",
     .min = 1,
     .max = WINDOW_MAX},
    {.name = "payload",
     .kind = DRV_OPTION_SIZE,
     .argument = "BYTES",
     .help = "size of payload and result (32)",
     .min = BENCH_PAYLOAD_MIN,
     .max = PAYLOAD_MAX},
    {.name = "durability",
     .kind = DRV_OPTION_CHOICE,
     .argument = "LEVEL",
     .help = "what the tasks survive (memory)",
     .choices = durability_names},
    {.name = "rate",
     .kind = DRV_OPTION_INT,
     .argument = "PER_S",
     .help = "submit at this fixed rate and show how long tasks took",
     .min = 1,
     .max = TASKS_MAX},
    {.name = "depth",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "gather N tasks in a queue, then drain it: rates and memory",
     .min = 1,
     .max = TASKS_MAX},
    {.name = "model",
     .kind = DRV_OPTION_CHOICE,
     .argument = "MODEL",
     .help = "of the private worker (prefork)",
     .choices = model_names},
    {.name = "slots",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "of the private worker (2)",
     .min = 1,
     .max = 1024},
    {.name = "data",
     .kind = DRV_OPTION_STRING,
     .argument = "DIR",
     .help = "where durable tasks of the private broker are kept (.)"},
};

struct plan {
    struct bench_load load;
    drover_submit_options submit;
    const char *durability;
    const char *model; /* NULL: the broker is not ours */
    int64_t slots;
    uint64_t depth;
    char data[DRV_TMPDIR_PATH_MAX]; /* of the private broker; "": in memory */
};

static int64_t number_or(const struct cli *cli, const char *name, int64_t fallback)
{
    return drv_options_is_set(cli->options, name) ? drv_options_int(cli->options, name)
                                                  : fallback;
}

static const char *text_or(const struct cli *cli, const char *name, const char *fallback)
{
    const char *text = drv_options_string(cli->options, name);
    return text != NULL ? text : fallback;
}

static drover_durability durability_of(const char *name)
{
    for (int i = 0; durability_names[i] != NULL; i++) {
        if (strcmp(durability_names[i], name) == 0) {
            return (drover_durability)(DROVER_DURABILITY_MEMORY + i);
        }
    }
    return DROVER_DURABILITY_DEFAULT;
}

/* Whether the broker is to be one of our own. */
static bool is_private(const struct cli *cli)
{
    return !drv_options_is_set(cli->options, "broker") &&
           !drv_options_is_set(cli->options, "local");
}

static int read_plan(const struct cli *cli, struct plan *plan)
{
    int64_t window = number_or(cli, "window", WINDOW_DEFAULT);
    *plan = (struct plan){
        .submit = DROVER_SUBMIT_OPTIONS_INIT,
        .durability = text_or(cli, "durability", "memory"),
        .slots = number_or(cli, "slots", 2),
        .depth = (uint64_t)number_or(cli, "depth", 0),
        .load = {.type = "echo",
                 .window = (uint64_t)window,
                 .payload = (size_t)number_or(cli, "payload", PAYLOAD_DEFAULT),
                 .rate_per_s = (uint64_t)number_or(cli, "rate", 0),
                 .tasks = (uint64_t)number_or(cli, "tasks",
                                              window == 1 ? TASKS_ALONE : TASKS_DEFAULT)}};
    plan->submit.durability = durability_of(plan->durability);
    plan->load.submit = &plan->submit;
    if (is_private(cli)) {
        plan->model = text_or(cli, "model", "prefork");
    } else if (drv_options_is_set(cli->options, "model") ||
               drv_options_is_set(cli->options, "slots") ||
               drv_options_is_set(cli->options, "data")) {
        return cli_say(CLI_USAGE,
                       "bench: --model, --slots and --data are for the private fleet that is "
                       "used when no broker is named");
    }
    if (plan->load.rate_per_s > 0 && !drv_options_is_set(cli->options, "window")) {
        plan->load.window = WINDOW_MAX;
    }
    if (plan->depth > 0) {
        plan->load.type = "noop";
        plan->load.tasks = plan->depth;
    }
    return CLI_OK;
}

/* ---- the private fleet ------------------------------------------------------------------- */

/* The demo module as it was built or installed beside this program. */
static int find_module(char *out_path, size_t size)
{
    static const char *const places[] = {"../modules/demo.so",
                                         DROVER_BIN_TO_MODULES "/demo.so"};
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    for (size_t i = 0; i < DRV_ARRAY_LEN(places); i++) {
        int written = snprintf(out_path, size, "%s/%s", self, places[i]);
        if (written > 0 && (size_t)written < size && access(out_path, R_OK) == 0) {
            return CLI_OK;
        }
    }
    return cli_say(CLI_UNAVAILABLE,
                   "bench: no demo.so beside %s: name a broker whose workers "
                   "load it",
                   self);
}

/* A directory for the journal, if there is to be one. */
static int make_data(const struct cli *cli, struct plan *plan)
{
    const char *parent = text_or(cli, "data", ".");
    char path[PATH_MAX];
    if (plan->submit.durability == DROVER_DURABILITY_MEMORY) {
        return CLI_OK;
    }
    if (realpath(parent, path) == NULL ||
        drv_tmpdir_new(path, "drover-bench-", plan->data) != DROVER_OK) {
        plan->data[0] = '\0';
        return cli_say(CLI_IO, "bench: cannot make a directory in %s: %s", parent,
                       strerror(errno));
    }
    return CLI_OK;
}

static int connect_private(struct cli *cli, struct plan *plan)
{
    char module[PATH_MAX + 64];
    int code = find_module(module, sizeof module);
    code = code == CLI_OK ? make_data(cli, plan) : code;
    if (code != CLI_OK) {
        return code;
    }
    struct drv_buffer endpoint;
    drv_buffer_init(&endpoint);
    drover_status status = drv_buffer_printf(
        &endpoint, "local://%" PRId64 "?transport=tcp&model=%s", plan->slots, plan->model);
    if (status == DROVER_OK) {
        status = endpoint_add_key(&endpoint, "load", module);
    }
    if (status == DROVER_OK && plan->data[0] != '\0') {
        status = endpoint_add_key(&endpoint, "data", plan->data);
    }
    cli->endpoint = (const char *)endpoint.bytes;
    code = status == DROVER_OK ? cli_connect(cli) : cli_no_memory();
    cli->endpoint = NULL;
    drv_buffer_fini(&endpoint);
    return code;
}

/* ---- what came of it --------------------------------------------------------------------- */

struct report {
    const struct plan *plan;
    struct bench_outcome *outcome;
    struct bench_depth_outcome depth;
    struct fleet_cpu cpu; /* used meanwhile */
    bool has_cpu;         /* of broker and worker too */
    int64_t rss_bytes;    /* of the broker */
    char store[DOC_TEXT_MAX];
    char machine[256];
    char disk[64]; /* file system of the journal; "": none of ours */
};

static void name_machine(char *out_text, size_t size)
{
    struct utsname system;
    char model[128] = "";
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file != NULL && model[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "model name : %127[^\n]", model);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    (void)uname(&system);
    (void)snprintf(out_text, size, "%ld x %s, %s %s", sysconf(_SC_NPROCESSORS_ONLN),
                   model[0] != '\0' ? model : system.machine, system.sysname, system.release);
}

/* The file systems that people measure on, by the magic numbers of statfs(2). */
static const char *file_system_name(unsigned long magic)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = {
        {0xef53, "ext4"},      {0x58465342, "xfs"},     {0x9123683e, "btrfs"},
        {0x01021994, "tmpfs"}, {0x794c7630, "overlay"}, {0x6969, "nfs"},
        {0x2fc12fc1, "zfs"},   {0xf2f52010, "f2fs"},    {0x858458f6, "ramfs"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(known); i++) {
        if (known[i].magic == magic) {
            return known[i].name;
        }
    }
    return "another file system";
}

static void name_disk(const struct plan *plan, char *out_text, size_t size)
{
    struct statfs info;
    if (plan->data[0] != '\0' && statfs(plan->data, &info) == 0) {
        (void)snprintf(out_text, size, "%s", file_system_name((unsigned long)info.f_type));
    }
}

static double per_task(const struct report *report, uint64_t us)
{
    uint64_t tasks = report->plan->depth > 0 ? report->plan->depth : report->outcome->done;
    return tasks == 0 ? 0 : (double)us / (double)tasks;
}

static void key_number(struct json_out *json, const char *key, double number, bool is_known)
{
    drover_value *value = NULL;
    drover_status status = is_known ? drover_value_new_double(number, &value)
                                    : drover_value_new_nil(&value);
    if (status == DROVER_OK) {
        json_key_value(json, key, value);
    } else {
        json->failed = true;
    }
    drover_value_destroy(&value);
}

static void put_machine(struct json_out *json, const struct report *report)
{
    key_number(json, "broker_cpu_us_per_task", per_task(report, report->cpu.broker_us),
               report->has_cpu);
    key_number(json, "worker_cpu_us_per_task", per_task(report, report->cpu.worker_us),
               report->has_cpu);
    key_number(json, "client_cpu_us_per_task", per_task(report, report->cpu.client_us), true);
    json_key_int(json, "broker_rss_bytes", report->rss_bytes);
    json_key_text(json, "store", report->store);
    json_key_text(json, "machine", report->machine);
    json_key_text(json, "disk", report->disk);
}

static int print_run_json(const struct report *report)
{
    const struct plan *plan = report->plan;
    struct bench_outcome *outcome = report->outcome;
    struct json_out json;
    json_begin(&json);
    json_key_uint(&json, "tasks", outcome->done);
    json_key_uint(&json, "failed", outcome->failed);
    key_number(&json, "seconds", outcome->seconds, true);
    key_number(&json, "tasks_per_s", (double)outcome->done / outcome->seconds, true);
    json_key_uint(&json, "window", plan->load.window);
    json_key_uint(&json, "rate_per_s", plan->load.rate_per_s);
    json_key_uint(&json, "payload_bytes", plan->load.payload);
    json_key_text(&json, "durability", plan->durability);
    json_key_text(&json, "model", plan->model != NULL ? plan->model : "");
    json_key_int(&json, "slots", plan->model != NULL ? plan->slots : 0);
    json_key_uint(&json, "p50_us", drv_histogram_permille(&outcome->times_us, 500));
    json_key_uint(&json, "p90_us", drv_histogram_permille(&outcome->times_us, 900));
    json_key_uint(&json, "p99_us", drv_histogram_permille(&outcome->times_us, 990));
    json_key_uint(&json, "p999_us", drv_histogram_permille(&outcome->times_us, 999));
    json_key_uint(&json, "max_us", outcome->times_us.max);
    put_machine(&json, report);
    return json_print(&json);
}

static int print_depth_json(const struct report *report)
{
    const struct bench_depth_outcome *depth = &report->depth;
    double tasks = (double)report->plan->depth;
    struct json_out json;
    json_begin(&json);
    json_key_uint(&json, "tasks", report->plan->depth);
    key_number(&json, "seconds", depth->submit_seconds + depth->drain_seconds, true);
    key_number(&json, "submit_per_s", tasks / depth->submit_seconds, true);
    key_number(&json, "drain_per_s", tasks / depth->drain_seconds, true);
    json_key_uint(&json, "payload_bytes", report->plan->load.payload);
    json_key_text(&json, "durability", report->plan->durability);
    json_key_int(&json, "broker_rss_before_bytes", depth->rss_before_bytes);
    json_key_int(&json, "broker_rss_full_bytes", depth->rss_full_bytes);
    json_key_int(&json, "broker_rss_after_bytes", depth->rss_after_bytes);
    key_number(&json, "broker_bytes_per_task",
               (double)(depth->rss_full_bytes - depth->rss_before_bytes) / tasks, true);
    put_machine(&json, report);
    return json_print(&json);
}

/* ---- for people -------------------------------------------------------------------------- */

enum { BAR_MAX = 50, ROWS_MAX = 24 };

/* One row per power of two of the round trips. */
static void draw_times(const struct drv_histogram *times)
{
    uint64_t rows[64] = {0};
    uint64_t most = 0;
    for (size_t i = 0; i < DRV_HISTOGRAM_BUCKETS; i++) {
        uint64_t upto;
        uint64_t count = drv_histogram_bucket(times, i, &upto);
        unsigned row = upto == 0 ? 0 : 63U - (unsigned)__builtin_clzll(upto);
        rows[row] += count;
        most = rows[row] > most ? rows[row] : most;
    }
    (void)printf("\n%12s  %10s\n", "us", "tasks");
    for (unsigned row = 0; row < 64 && most > 0; row++) {
        static const char bar[] = "##################################################";
        if (rows[row] > 0) {
            int width = (int)((rows[row] * BAR_MAX + most - 1) / most);
            (void)printf("< %10" PRIu64 "  %10" PRIu64 "  %.*s\n", (uint64_t)2 << row,
                         rows[row], width, bar);
        }
    }
}

static void print_machine(const struct report *report)
{
    char rss[HUMAN_TEXT_MAX];
    if (report->has_cpu) {
        (void)printf("cpu per task       broker %.2f us  worker %.2f us  client %.2f us\n",
                     per_task(report, report->cpu.broker_us),
                     per_task(report, report->cpu.worker_us),
                     per_task(report, report->cpu.client_us));
    } else {
        (void)printf("cpu per task       client %.2f us\n",
                     per_task(report, report->cpu.client_us));
    }
    (void)printf("broker             store %s, memory %s\n", report->store,
                 human_bytes(report->rss_bytes, rss));
    (void)printf("machine            %s\n", report->machine);
    if (report->disk[0] != '\0') {
        (void)printf("journal            on %s\n", report->disk);
    }
}

static int print_run(const struct report *report)
{
    const struct plan *plan = report->plan;
    const struct bench_outcome *outcome = report->outcome;
    (void)printf("tasks              %" PRIu64 " of %zu bytes, %" PRIu64
                 " in flight, durability %s\n",
                 outcome->done, plan->load.payload, plan->load.window, plan->durability);
    if (outcome->failed > 0) {
        (void)printf("failed             %" PRIu64 "\n", outcome->failed);
    }
    (void)printf("rate               %.0f per s (%.3f s)\n",
                 (double)outcome->done / outcome->seconds, outcome->seconds);
    (void)printf("round trip         p50 %" PRIu64 " us  p90 %" PRIu64 " us  p99 %" PRIu64
                 " us  p99.9 %" PRIu64 " us  max %" PRIu64 " us\n",
                 drv_histogram_permille(&outcome->times_us, 500),
                 drv_histogram_permille(&outcome->times_us, 900),
                 drv_histogram_permille(&outcome->times_us, 990),
                 drv_histogram_permille(&outcome->times_us, 999), outcome->times_us.max);
    print_machine(report);
    draw_times(&outcome->times_us);
    return CLI_OK;
}

static int print_depth(const struct report *report)
{
    const struct bench_depth_outcome *depth = &report->depth;
    double tasks = (double)report->plan->depth;
    char before[HUMAN_TEXT_MAX];
    char full[HUMAN_TEXT_MAX];
    char after[HUMAN_TEXT_MAX];
    (void)printf("tasks              %" PRIu64 " of %zu bytes, durability %s\n",
                 report->plan->depth, report->plan->load.payload, report->plan->durability);
    (void)printf("submitted          %.0f per s (%.3f s)\n", tasks / depth->submit_seconds,
                 depth->submit_seconds);
    (void)printf("drained            %.0f per s (%.3f s)\n", tasks / depth->drain_seconds,
                 depth->drain_seconds);
    (void)printf("broker memory      %s before, %s full (%.0f bytes a task), %s after\n",
                 human_bytes(depth->rss_before_bytes, before),
                 human_bytes(depth->rss_full_bytes, full),
                 (double)(depth->rss_full_bytes - depth->rss_before_bytes) / tasks,
                 human_bytes(depth->rss_after_bytes, after));
    print_machine(report);
    return CLI_OK;
}

/* ---- the command ------------------------------------------------------------------------- */

static int ask_broker(struct cli *cli, struct report *report)
{
    drover_value *document = NULL;
    drover_status status = drover_status_get(cli->client, CLI_ASK_MS, &document);
    if (status != DROVER_OK) {
        return cli_failed(cli, status, "bench");
    }
    drover_value *broker = doc_get(document, "broker");
    report->rss_bytes = broker == NULL ? 0 : doc_int(broker, "rss_bytes");
    if (broker != NULL) {
        (void)doc_text(broker, "store", report->store, sizeof report->store);
    }
    drover_value_destroy(&broker);
    drover_value_destroy(&document);
    return CLI_OK;
}

static int measure(struct cli *cli, struct report *report)
{
    const struct plan *plan = report->plan;
    struct fleet_cpu before;
    pid_t keeper = drv_client_keeper(cli->client);
    report->has_cpu = keeper > 0;
    fleet_cpu_read(keeper, &before);
    int code = plan->depth > 0 ? bench_depth(cli, &plan->load, &report->depth)
                               : bench_run(cli, &plan->load, report->outcome);
    fleet_cpu_read(keeper, &report->cpu);
    report->cpu.broker_us -= before.broker_us;
    report->cpu.worker_us -= before.worker_us;
    report->cpu.client_us -= before.client_us;
    name_machine(report->machine, sizeof report->machine);
    name_disk(plan, report->disk, sizeof report->disk);
    return cli_worse(code, ask_broker(cli, report));
}

static int print_report(const struct cli *cli, const struct report *report)
{
    if (report->plan->depth > 0) {
        return cli->json ? print_depth_json(report) : print_depth(report);
    }
    return cli->json ? print_run_json(report) : print_run(report);
}

/* The private broker ends first: its journal is there as long as it runs. */
static int remove_data(struct cli *cli, const struct plan *plan)
{
    if (plan->data[0] == '\0') {
        return CLI_OK;
    }
    drover_client_close(&cli->client);
    if (drv_tmpdir_remove(plan->data) != DROVER_OK) {
        return cli_say(CLI_IO, "bench: cannot remove %s", plan->data);
    }
    return CLI_OK;
}

static int run_plan(struct cli *cli, struct plan *plan)
{
    struct report report = {.plan = plan};
    int code = plan->model != NULL ? connect_private(cli, plan) : cli_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    report.outcome = calloc(1, sizeof *report.outcome);
    if (report.outcome == NULL) {
        return cli_no_memory();
    }
    code = measure(cli, &report);
    if (plan->depth > 0 ? code == CLI_OK : report.outcome->done > 0) {
        code = cli_worse(code, print_report(cli, &report));
    }
    if (code == CLI_OK && report.outcome->failed > 0) {
        code = CLI_FAILED;
    }
    free(report.outcome);
    return code;
}

static int run(struct cli *cli)
{
    struct plan plan;
    int code = read_plan(cli, &plan);
    if (code == CLI_OK) {
        code = run_plan(cli, &plan);
        code = cli_worse(code, remove_data(cli, &plan));
    }
    return code;
}

const struct cli_command cmd_bench = {
    .name = "bench",
    .summary = "how fast tasks go through a broker",
    .usage = "[OPTION...]",
    .about =
        "Sends `echo` tasks, as many at a time as --window says, and shows their rate and\n"
        "round trips; with --rate, how long tasks take that come at a fixed rate; with\n"
        "--depth, what a deep queue costs. Without a broker named by --broker or\n"
        "DROVER_BROKER a private broker and worker are measured, over loopback TCP. Where\n"
        "one is named, its workers must have loaded demo.so.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .run = run,
};
