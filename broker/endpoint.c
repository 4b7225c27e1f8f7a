/* endpoint.c: see endpoint.h. */
#include "endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_loopback(const char *host, size_t len)
{
    static const char *const names[] = {"localhost", "[::1]"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == len && memcmp(names[i], host, len) == 0) {
            return true;
        }
    }
    /* 127.0.0.0/8 written as four numbers: a name such as 127.evil.example must not pass. */
    if (len < 4 || memcmp(host, "127.", 4) != 0) {
        return false;
    }
    return strspn(host, "0123456789.") == len;
}

static drover_status check_port(const char *port, const char *text, struct drv_problem *problem)
{
    if (strcmp(port, "*") == 0) {
        return DROVER_OK;
    }
    size_t digits = strspn(port, "0123456789");
    if (digits == 0 || digits > 5 || port[digits] != '\0' || strtol(port, NULL, 10) > 65535) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "endpoint %s: the port is 1 to 65535, or * for a free one",
                               text);
    }
    return DROVER_OK;
}

static drover_status check_tcp(const char *text, bool insecure, char *out_endpoint,
                               struct drv_problem *problem)
{
    const char *host = text + strlen("tcp://");
    const char *colon = strrchr(host, ':');
    if (colon == NULL || colon == host) {
        return drv_problem_set(problem, DROVER_INVALID, "endpoint %s: want tcp://HOST:PORT",
                               text);
    }
    if (check_port(colon + 1, text, problem) != DROVER_OK) {
        return DROVER_INVALID;
    }
    size_t host_len = (size_t)(colon - host);
    if (!insecure && !is_loopback(host, host_len)) {
        return drv_problem_set(problem, DROVER_REFUSED,
                               "endpoint %s is not loopback, and there are no keys "
                               "(--identity, --accounts): anyone who reaches it could run "
                               "tasks; say --insecure to bind there all the same",
                               text);
    }
    const char *port = strcmp(colon + 1, "0") == 0 ? "*" : colon + 1;
    (void)snprintf(out_endpoint, ENDPOINT_MAX, "tcp://%.*s:%s", (int)host_len, host, port);
    return DROVER_OK;
}

drover_status endpoint_check(const char *text, bool insecure, char out_endpoint[ENDPOINT_MAX],
                             struct drv_problem *problem)
{
    if (strlen(text) >= ENDPOINT_MAX - 8) {
        return drv_problem_set(problem, DROVER_INVALID, "endpoint is too long: %.40s...", text);
    }
    if (strncmp(text, "tcp://", 6) == 0) {
        return check_tcp(text, insecure, out_endpoint, problem);
    }
    if (strncmp(text, "ipc://", 6) == 0 && text[6] != '\0') {
        (void)snprintf(out_endpoint, ENDPOINT_MAX, "%s", text);
        return DROVER_OK;
    }
    return drv_problem_set(problem, DROVER_INVALID,
                           "endpoint %s: want tcp://HOST:PORT or ipc://PATH", text);
}

bool endpoint_is_ipv4(const char *endpoint)
{
    if (strncmp(endpoint, "tcp://", 6) != 0) {
        return false;
    }
    const char *host = endpoint + 6;
    size_t len = strspn(host, "0123456789.");
    return len > 0 && host[len] == ':';
}

bool endpoint_is_taken(const char *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strncmp(endpoint, "ipc://", 6) != 0 ||
        strlen(endpoint + 6) >= sizeof(address.sun_path)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    memcpy(address.sun_path, endpoint + 6, strlen(endpoint + 6) + 1);
    bool is_taken = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    (void)close(fd);
    return is_taken;
}
