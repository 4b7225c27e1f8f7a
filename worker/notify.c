#include "notify.h"

#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NOTIFY_MAX = 512 };

static void send_text(const char *path, const char *text, size_t text_len)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof address.sun_path) {
        return;
    }
    memcpy(address.sun_path, path, len);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* the abstract name space */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    (void)sendto(fd, text, text_len, MSG_NOSIGNAL | MSG_DONTWAIT,
                 (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
}

void worker_notify(const char *fact, const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    char text[NOTIFY_MAX];
    va_list arguments;
    if (path == NULL) {
        return;
    }
    size_t begin = (size_t)snprintf(text, sizeof text, "%s%sSTATUS=", fact,
                                    fact[0] != '\0' ? "\n" : "");
    va_start(arguments, format);
    size_t len = begin +
                 (size_t)vsnprintf(text + begin, sizeof text - begin, format, arguments);
    va_end(arguments);
    len = len < sizeof text ? len : sizeof text - 1;
    for (size_t i = begin; i < len; i++) { /* a line would be another fact */
        text[i] = (char)(iscntrl((unsigned char)text[i]) ? ' ' : text[i]);
    }
    send_text(path, text, len);
}
