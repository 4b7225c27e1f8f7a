#include "stat/net.h"

#include "stat/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NET_TEXT_MAX = 256 * 1024 };

/* "eth0: bytes packets errs drop fifo frame compressed multicast bytes packets ..." */
static void add_line(const char *line, struct stat_net *net)
{
    const char *colon = strchr(line, ':');
    if (colon == NULL) {
        return;
    }
    const char *name = line + strspn(line, " ");
    if (colon - name == 2 && memcmp(name, "lo", 2) == 0) {
        return;
    }
    uint64_t in_bytes = 0;
    uint64_t in_packets = 0;
    uint64_t out_bytes = 0;
    uint64_t out_packets = 0;
    int fields = sscanf(colon + 1,
                        "%" SCNu64 " %" SCNu64 " %*u %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                        &in_bytes, &in_packets, &out_bytes, &out_packets);
    if (fields == 4) {
        net->bytes_recv += in_bytes;
        net->packets_recv += in_packets;
        net->bytes_sent += out_bytes;
        net->packets_sent += out_packets;
    }
}

void stat_net_parse(const char *text, struct stat_net *out_net)
{
    struct stat_net net = {0};
    while (*text != '\0') {
        char line[512];
        size_t len = strcspn(text, "\n");
        if (len < sizeof line) {
            memcpy(line, text, len);
            line[len] = '\0';
            add_line(line, &net);
        }
        text += len + (text[len] == '\n' ? 1 : 0);
    }
    *out_net = net;
}

drover_status stat_net_read(const char *root, struct stat_net *out_net)
{
    char text[NET_TEXT_MAX];
    drover_status status = stat_text_read(root, "/proc/net/dev", text, sizeof text);
    if (status == DROVER_OK) {
        stat_net_parse(text, out_net);
    }
    return status;
}
