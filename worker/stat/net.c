#include "stat/net.h"

#include "stat/rate.h"
#include "stat/text.h"

#include <string.h>

/* Columns of /proc/net/dev that are read: bytes and packets of either direction. */
enum { RECEIVED = 0, SENT = 8, FIELDS = 10 };

static const struct stat_rates NO_RATES = {STAT_UNKNOWN, STAT_UNKNOWN, STAT_UNKNOWN,
                                           STAT_UNKNOWN};

/* "eth0: bytes packets errs drop fifo frame compressed multicast bytes packets ..." */
static bool parse_line(const char *line, struct stat_interface *out_interface)
{
    uint64_t fields[FIELDS];
    const char *name = line + strspn(line, " ");
    const char *at = name + strcspn(name, ":\n");
    size_t len = (size_t)(at - name);
    if (*at++ != ':' || len == 0 || len >= IF_NAMESIZE) {
        return false;
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (!stat_text_number(&at, &fields[i])) {
            return false;
        }
    }
    (void)stat_text_utf8(name, len, out_interface->name, sizeof out_interface->name);
    out_interface->counters = (struct stat_counters){.bytes_recv = fields[RECEIVED],
                                                     .packets_recv = fields[RECEIVED + 1],
                                                     .bytes_sent = fields[SENT],
                                                     .packets_sent = fields[SENT + 1]};
    return true;
}

static struct stat_rates rates_of(const struct stat_counters *before,
                                  const struct stat_counters *now, int64_t elapsed_us)
{
    return (struct stat_rates){
        .bytes_sent = stat_rate(before->bytes_sent, now->bytes_sent, elapsed_us),
        .bytes_recv = stat_rate(before->bytes_recv, now->bytes_recv, elapsed_us),
        .packets_sent = stat_rate(before->packets_sent, now->packets_sent, elapsed_us),
        .packets_recv = stat_rate(before->packets_recv, now->packets_recv, elapsed_us),
    };
}

/* The sample before of the same name; interfaces seldom change places. */
static const struct stat_interface *find_before(const struct stat_net *net, const char *name)
{
    size_t guess = net->count < net->before_count ? net->count : 0;
    for (size_t i = 0; i < net->before_count; i++) {
        const struct stat_interface *one = &net->before[(guess + i) % net->before_count];
        if (strcmp(one->name, name) == 0) {
            return one;
        }
    }
    return NULL;
}

static void take(struct stat_net *net, struct stat_interface *interface, int64_t elapsed_us)
{
    const struct stat_counters *counters = &interface->counters;
    if (strcmp(interface->name, "lo") != 0) {
        net->total.bytes_sent += counters->bytes_sent;
        net->total.bytes_recv += counters->bytes_recv;
        net->total.packets_sent += counters->packets_sent;
        net->total.packets_recv += counters->packets_recv;
    }
    if (net->count == STAT_INTERFACES_MAX) {
        net->more++;
        return;
    }
    const struct stat_interface *before = find_before(net, interface->name);
    interface->rates = before == NULL ? NO_RATES
                                      : rates_of(&before->counters, counters, elapsed_us);
    net->interfaces[net->count++] = *interface;
}

void stat_net_init(struct stat_net *net, const char *root)
{
    memset(net, 0, sizeof *net);
    net->root = root;
    net->rates = NO_RATES;
    drv_buffer_init(&net->text);
}

void stat_net_fini(struct stat_net *net)
{
    drv_buffer_fini(&net->text);
}

void stat_net_read(struct stat_net *net, int64_t now_us)
{
    struct stat_counters total_before = net->total;
    int64_t elapsed_us = net->has_sample ? now_us - net->at_us : 0;
    memcpy(net->before, net->interfaces, net->count * sizeof net->before[0]);
    net->before_count = net->count;
    net->count = net->more = 0;
    net->total = (struct stat_counters){0};
    bool is_read = stat_text_load(net->root, "/proc/net/dev", &net->text) == DROVER_OK;
    for (const char *line = is_read ? (const char *)net->text.bytes : NULL; line != NULL;
         line = stat_text_next_line(line)) {
        struct stat_interface interface;
        if (parse_line(line, &interface)) {
            take(net, &interface, elapsed_us);
        }
    }
    net->rates = rates_of(&total_before, &net->total, elapsed_us);
    net->has_sample = is_read;
    net->at_us = now_us;
}

/* ---- writing --------------------------------------------------------------------------------
 */

static void write_numbers(struct stat_details *details, const struct stat_counters *counters,
                          const struct stat_rates *rates)
{
    stat_details_uint(details, "bytes_sent", counters->bytes_sent);
    stat_details_uint(details, "bytes_recv", counters->bytes_recv);
    stat_details_uint(details, "packets_sent", counters->packets_sent);
    stat_details_uint(details, "packets_recv", counters->packets_recv);
    stat_details_real(details, "bytes_sent_per_s", rates->bytes_sent);
    stat_details_real(details, "bytes_recv_per_s", rates->bytes_recv);
    stat_details_real(details, "packets_sent_per_s", rates->packets_sent);
    stat_details_real(details, "packets_recv_per_s", rates->packets_recv);
}

void stat_net_write(const struct stat_net *net, struct stat_details *details)
{
    bool fits = true;
    stat_details_map(details, "net");
    write_numbers(details, &net->total, &net->rates);
    stat_details_list(details, "interfaces");
    for (size_t i = 0; fits && i < net->count; i++) {
        stat_details_row(details);
        stat_details_text(details, "name", net->interfaces[i].name);
        write_numbers(details, &net->interfaces[i].counters, &net->interfaces[i].rates);
        fits = stat_details_keep(details);
    }
    stat_details_end(details);
    stat_details_bool(details, "truncated", !fits || net->more > 0);
    stat_details_end(details);
}
