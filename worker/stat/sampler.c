#include "stat/sampler.h"

#include "clock.h"
#include "stat/bell.h"
#include "stat/cgroup.h"
#include "stat/diskwatch.h"
#include "stat/host.h"
#include "stat/mailbox.h"
#include "stat/net.h"
#include "stat/process.h"
#include "stat/rate.h"
#include "stat/text.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    STACK_BYTES = 512 * 1024,
    EXECUTORS_SHARE = 50, /* percent of the room for rows that executors may take */
    SPACE_MAX = 128,
};

struct stat_sampler {
    struct stat_groups groups;
    int64_t interval_us;
    stat_disk_ask_fn ask;
    stat_more_fn more; /* NULL: nothing */
    const void *context;
    char *root; /* owned */
    char space[SPACE_MAX];

    /* between the threads */
    int asked_fd, answered_fd;
    struct stat_mailbox rolls;   /* struct stat_roll *, owned */
    struct stat_mailbox samples; /* struct stat_sample *, owned */
    _Atomic(bool) is_ending;
    pthread_t thread;
    bool has_thread;

    /* of the thread alone once it runs */
    struct stat_diskwatch *diskwatch; /* owned */
    const struct stat_disk *disk;     /* borrowed from it; NULL: no answer yet */
    bool is_disk_stale;
    struct stat_roll *roll; /* owned; the last one that came */
    struct stat_host host;
    struct stat_net net;
    struct stat_cgroup cgroup;
    struct stat_processes processes;
    struct stat_executors executors;
    struct stat_details details;
    uint64_t process_count;
    bool is_begun;   /* there was a round of details */
    int64_t due_us;  /* of the next one */
    int64_t wait_us; /* from the last one */
};

static int64_t thread_cpu_us(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0
               ? (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000
               : 0;
}

/* ---- one sample -----------------------------------------------------------------------------
 */

static void fill_host(const struct stat_sampler *sampler, struct drv_host *out_host)
{
    const struct stat_host *host = &sampler->host;
    double memory_percent = stat_percent(host->memory_used, host->memory_total);
    *out_host = (struct drv_host){
        .cpu_percent = host->cpu_percent,
        .memory_percent = stat_is_known(memory_percent) ? memory_percent : 0,
        .disk_percent = sampler->disk == NULL ? 0 : stat_disk_root_percent(sampler->disk),
        .process_count = sampler->process_count,
        .load1 = host->load1,
        .bytes_sent = sampler->net.total.bytes_sent,
        .bytes_recv = sampler->net.total.bytes_recv,
        .packets_sent = sampler->net.total.packets_sent,
        .packets_recv = sampler->net.total.packets_recv,
        .memory_total = host->memory_total,
        .memory_used = host->memory_used,
        .cpu_count = host->cpu_count,
        .uptime_ms = host->uptime_ms,
    };
}

static void write_executors(struct stat_sampler *sampler, int64_t now_us)
{
    size_t row_max = stat_details_narrow(&sampler->details, EXECUTORS_SHARE);
    stat_executors_write(&sampler->executors, sampler->roll, now_us, &sampler->details);
    stat_details_widen(&sampler->details, row_max);
}

/* Processes come last: their list takes what room there is. */
static void write_groups(struct stat_sampler *sampler, int64_t now_us)
{
    const struct stat_groups *groups = &sampler->groups;
    struct stat_details *details = &sampler->details;
    if (groups->host) {
        stat_host_write(&sampler->host, details);
    }
    if (groups->net) {
        stat_net_write(&sampler->net, details);
    }
    if (groups->disk) {
        stat_disk_write(sampler->disk, sampler->is_disk_stale, details);
    }
    if (groups->cgroup) {
        stat_cgroup_read(&sampler->cgroup, now_us);
        stat_cgroup_write(&sampler->cgroup, details);
    }
    if (groups->executors) {
        write_executors(sampler, now_us);
    }
    if (groups->processes > 0) {
        stat_processes_write(&sampler->processes, groups->processes, sampler->host.memory_total,
                             details);
    }
}

static void count_processes(struct stat_sampler *sampler, int64_t now_us)
{
    if (sampler->groups.processes > 0 &&
        stat_processes_scan(&sampler->processes, now_us) == DROVER_OK) {
        sampler->process_count = sampler->processes.total;
    } else if (sampler->groups.host) {
        sampler->process_count = stat_processes_count(sampler->root);
    } else {
        /* nobody asks */
    }
}

static struct drv_view sample_details(struct stat_sampler *sampler, int64_t now_us)
{
    int64_t begun_us = thread_cpu_us();
    if (sampler->diskwatch != NULL) {
        sampler->disk = stat_diskwatch_ask(sampler->diskwatch, &sampler->is_disk_stale);
    }
    count_processes(sampler, now_us);
    stat_details_begin(&sampler->details, DRV_HEARTBEAT_BLOB_MAX);
    stat_details_text(&sampler->details, "pid_space", sampler->space);
    stat_details_uint(&sampler->details, "interval_ms", (uint64_t)sampler->wait_us / 1000);
    if (sampler->more != NULL) {
        sampler->more(sampler->context, &sampler->details);
    }
    write_groups(sampler, now_us);
    struct drv_view bytes = stat_details_finish(&sampler->details);
    int64_t wait_us = (thread_cpu_us() - begun_us) * STAT_COST_SHARE;
    wait_us = wait_us > sampler->interval_us ? wait_us : sampler->interval_us;
    sampler->wait_us = wait_us < STAT_INTERVAL_MAX_US || wait_us == sampler->interval_us
                           ? wait_us
                           : STAT_INTERVAL_MAX_US;
    /* Questions do not come to the millisecond. The second round comes with the next one: only
     * then can be told what is the difference of two samples. */
    sampler->due_us = sampler->is_begun ? now_us + sampler->wait_us - sampler->wait_us / 16 : 0;
    sampler->is_begun = true;
    return bytes;
}

static struct stat_sample *sample(struct stat_sampler *sampler, int64_t now_us)
{
    struct drv_view details = drv_view_of(NULL, 0);
    if (sampler->groups.host || sampler->groups.processes > 0) {
        stat_host_read(&sampler->host); /* processes want to know how much memory there is */
    }
    if (sampler->groups.host || sampler->groups.net) {
        stat_net_read(&sampler->net, now_us);
    }
    if (now_us >= sampler->due_us) {
        details = sample_details(sampler, now_us);
    }
    struct stat_sample *sample = calloc(1, sizeof *sample + details.len);
    if (sample != NULL) {
        sample->has_host = sampler->groups.host;
        fill_host(sampler, &sample->host);
        sample->details_len = details.len;
        if (details.len > 0) {
            memcpy(sample->details, details.bytes, details.len);
        }
    }
    return sample;
}

/* Gives it to the agent. One that the agent did not take leaves its details to this one. */
static void publish(struct stat_sampler *sampler, struct stat_sample *sample)
{
    struct stat_sample *missed = stat_mailbox_take(&sampler->samples);
    if (missed != NULL && missed->details_len > 0 && sample->details_len == 0) {
        missed->has_host = sample->has_host;
        missed->host = sample->host;
        free(sample);
        sample = missed;
        missed = NULL;
    }
    free(missed);
    free(stat_mailbox_put(&sampler->samples, sample));
}

/* ---- the thread -----------------------------------------------------------------------------
 */

static void *work(void *context)
{
    struct stat_sampler *sampler = context;
    while (!atomic_load(&sampler->is_ending)) {
        if (!stat_bell_wait(sampler->asked_fd, -1) || atomic_load(&sampler->is_ending)) {
            continue;
        }
        struct stat_roll *roll = stat_mailbox_take(&sampler->rolls);
        if (roll != NULL) {
            free(sampler->roll);
            sampler->roll = roll;
        }
        struct stat_sample *one = sample(sampler, (int64_t)drv_clock_now_us());
        if (one != NULL) {
            publish(sampler, one);
        }
        stat_bell_ring(sampler->answered_fd);
    }
    return NULL;
}

/* No signal is for it. */
static drover_status start_thread(struct stat_sampler *sampler)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    if (pthread_attr_init(&attributes) != 0) {
        return DROVER_NOMEM;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    drover_status status = DROVER_OK;
    if (sampler->groups.host || sampler->groups.disk) {
        status = stat_diskwatch_new(sampler->root, sampler->ask, &sampler->diskwatch);
    }
    if (status == DROVER_OK) {
        sampler->has_thread = pthread_create(&sampler->thread, &attributes, work, sampler) == 0;
        status = sampler->has_thread ? DROVER_OK : DROVER_IO;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return status;
}

/* ---- life -----------------------------------------------------------------------------------
 */

static int ask_statvfs(const char *path, struct statvfs *out_numbers)
{
    return statvfs(path, out_numbers);
}

/* Process ids mean the same within one machine's boot and one name space. */
static void read_space(struct stat_sampler *sampler)
{
    char boot[64] = "";
    char path[PATH_MAX];
    char space[48] = "";
    if (stat_text_read(sampler->root, "/proc/sys/kernel/random/boot_id", boot, sizeof boot) !=
        DROVER_OK) {
        boot[0] = '\0';
    }
    boot[strcspn(boot, "\n")] = '\0';
    (void)snprintf(path, sizeof path, "%s/proc/self/ns/pid", sampler->root);
    ssize_t len = readlink(path, space, sizeof space - 1);
    space[len < 0 ? 0 : len] = '\0';
    (void)snprintf(sampler->space, sizeof sampler->space, "%s/%s", boot, space);
    char raw[SPACE_MAX];
    memcpy(raw, sampler->space, sizeof raw);
    (void)stat_text_utf8(raw, sizeof raw, sampler->space, sizeof sampler->space);
}

drover_status stat_sampler_new(const struct stat_sampler_config *config,
                               struct stat_sampler **out_sampler)
{
    struct stat_sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL) {
        return DROVER_NOMEM;
    }
    sampler->root = strdup(config->root);
    if (sampler->root == NULL) {
        free(sampler);
        return DROVER_NOMEM;
    }
    sampler->groups = config->groups;
    sampler->interval_us = sampler->wait_us = config->interval_us;
    sampler->ask = config->ask != NULL ? config->ask : ask_statvfs;
    sampler->more = config->more;
    sampler->context = config->context;
    sampler->asked_fd = sampler->answered_fd = -1;
    read_space(sampler);
    stat_host_init(&sampler->host, sampler->root);
    stat_net_init(&sampler->net, sampler->root);
    stat_cgroup_init(&sampler->cgroup, sampler->root);
    stat_processes_init(&sampler->processes, sampler->root);
    stat_executors_init(&sampler->executors, sampler->root);
    stat_details_init(&sampler->details);
    *out_sampler = sampler;
    return DROVER_OK;
}

drover_status stat_sampler_start(struct stat_sampler *sampler)
{
    drover_status status = stat_bell_open(&sampler->asked_fd);
    if (status == DROVER_OK) {
        status = stat_bell_open(&sampler->answered_fd);
    }
    return status == DROVER_OK ? start_thread(sampler) : status;
}

void stat_sampler_destroy(struct stat_sampler **sampler)
{
    struct stat_sampler *gone = *sampler;
    *sampler = NULL;
    if (gone == NULL) {
        return;
    }
    if (gone->has_thread) {
        atomic_store(&gone->is_ending, true);
        stat_bell_ring(gone->asked_fd);
        (void)pthread_join(gone->thread, NULL);
    }
    stat_diskwatch_destroy(&gone->diskwatch);
    stat_bell_close(&gone->asked_fd);
    stat_bell_close(&gone->answered_fd);
    free(stat_mailbox_take(&gone->rolls));
    free(stat_mailbox_take(&gone->samples));
    free(gone->roll);
    stat_host_fini(&gone->host);
    stat_net_fini(&gone->net);
    stat_processes_fini(&gone->processes);
    stat_details_fini(&gone->details);
    free(gone->root);
    free(gone);
}

/* ---- the agent's side -----------------------------------------------------------------------
 */

void stat_sampler_ask(struct stat_sampler *sampler, struct stat_roll **roll)
{
    if (*roll != NULL) {
        free(stat_mailbox_put(&sampler->rolls, *roll));
        *roll = NULL;
    }
    stat_bell_ring(sampler->asked_fd);
}

struct stat_sample *stat_sampler_take(struct stat_sampler *sampler)
{
    return stat_mailbox_take(&sampler->samples);
}

bool stat_sampler_wait(struct stat_sampler *sampler, int timeout_ms)
{
    return stat_bell_wait(sampler->answered_fd, timeout_ms);
}
