#include "stat/net.h"

#include "stat/text.h"

#include <string.h>

enum { NET_TEXT_MAX = 256 * 1024 };

/* Columns of /proc/net/dev that are read: bytes and packets of either direction. */
enum { RECEIVED = 0, SENT = 8, FIELDS = 10 };

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
    uint64_t fields[FIELDS];
    const char *at = colon + 1;
    for (size_t i = 0; i < FIELDS; i++) {
        if (!stat_text_number(&at, &fields[i])) {
            return;
        }
    }
    net->bytes_recv += fields[RECEIVED];
    net->packets_recv += fields[RECEIVED + 1];
    net->bytes_sent += fields[SENT];
    net->packets_sent += fields[SENT + 1];
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
