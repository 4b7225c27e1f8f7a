/* config.c: see config.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 256, PORT_MAX = 65535 };

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 5 && text[digits] == '\0' &&
           strtol(text, NULL, 10) <= PORT_MAX;
}

static bool is_host(const char *text, size_t len)
{
    return len > 0 && len < HTTP_HOST_MAX &&
           strspn(text,
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_%") >= len;
}

drover_status http_config_address(struct http_config *config, const char *text,
                                  struct drv_problem *problem)
{
    config->is_off = strcmp(text, "off") == 0;
    if (config->is_off) {
        return DROVER_OK;
    }
    const char *colon = strrchr(text, ':');
    const char *port = colon == NULL ? "" : strcmp(colon + 1, "*") == 0 ? "0" : colon + 1;
    const char *host = text;
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);
    bool has_brackets = len > 2 && host[0] == '[' && host[len - 1] == ']';
    if (has_brackets) {
        host++;
        len -= 2;
    }
    if (!is_port(port) || !is_host(host, len) ||
        (!has_brackets && memchr(host, ':', len) != NULL)) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "--http %.60s: want HOST:PORT, [ADDRESS]:PORT or off", text);
    }
    memcpy(config->host, host, len);
    config->host[len] = '\0';
    (void)snprintf(config->port, sizeof(config->port), "%s", port);
    return DROVER_OK;
}

bool http_config_is_loopback(const struct http_config *config)
{
    const char *host = config->host;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

drover_status http_config_allow(struct http_config *config, const char *host,
                                struct drv_problem *problem)
{
    if (!is_host(host, strlen(host)) || config->host_count == HTTP_HOSTS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "--http-allow-host %.60s: want a name, and at most %d of them",
                               host, (int)HTTP_HOSTS_MAX);
    }
    (void)snprintf(config->hosts[config->host_count++], HTTP_HOST_MAX, "%s", host);
    return DROVER_OK;
}

/* ---- the token --------------------------------------------------------------------------- */

static drover_status read_token(const char *option, int fd, const char *path,
                                char out_token[HTTP_TOKEN_MAX + 1], size_t *out_len,
                                struct drv_problem *problem)
{
    char text[HTTP_TOKEN_MAX + 2];
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        return drv_problem_set(problem, DROVER_INVALID, "%s %s: not a file", option, path);
    }
    if ((stat.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return drv_problem_set(problem, DROVER_REFUSED,
                               "%s %s: others can reach it, chmod 600 it", option, path);
    }
    ssize_t len = read(fd, text, sizeof(text) - 1);
    if (len < 0) {
        return drv_problem_set(problem, DROVER_IO, "%s %s: %s", option, path, strerror(errno));
    }
    text[len] = '\0';
    size_t token_len = strcspn(text, "\r\n");
    bool is_plain = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789-._~+/=") == token_len;
    if (token_len < HTTP_TOKEN_MIN || token_len > HTTP_TOKEN_MAX || !is_plain) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "%s %s: want a line of %d to %d of the "
                               "characters A-Z a-z 0-9 - . _ ~ + / =",
                               option, path, (int)HTTP_TOKEN_MIN, (int)HTTP_TOKEN_MAX);
    }
    memcpy(out_token, text, token_len);
    out_token[token_len] = '\0';
    *out_len = token_len;
    return DROVER_OK;
}

static drover_status load_token(const char *option, const char *path,
                                char out_token[HTTP_TOKEN_MAX + 1], size_t *out_len,
                                struct drv_problem *problem)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return drv_problem_set(problem, DROVER_IO, "%s %s: %s", option, path, strerror(errno));
    }
    drover_status status = read_token(option, fd, path, out_token, out_len, problem);
    (void)close(fd);
    return status;
}

drover_status http_config_token(struct http_config *config, const char *path,
                                struct drv_problem *problem)
{
    return load_token("--http-token-file", path, config->token, &config->token_len, problem);
}

drover_status http_config_metrics_token(struct http_config *config, const char *path,
                                        struct drv_problem *problem)
{
    return load_token("--http-metrics-token-file", path, config->metrics_token,
                      &config->metrics_token_len, problem);
}

/* ---- listening --------------------------------------------------------------------------- */

static drover_status bind_one(const struct addrinfo *info, int *out_fd)
{
    const int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return DROVER_IO;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return error == EADDRINUSE ? DROVER_BUSY : DROVER_IO;
    }
    *out_fd = fd;
    return DROVER_OK;
}

static void tell_bound(int fd, char out_bound[HTTP_ADDRESS_MAX])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    char host[HTTP_HOST_MAX];
    char port[8];
    out_bound[0] = '\0';
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0 ||
        getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return;
    }
    bool is_v6 = address.ss_family == AF_INET6;
    (void)snprintf(out_bound, HTTP_ADDRESS_MAX, "%s%.120s%s:%.5s", is_v6 ? "[" : "", host,
                   is_v6 ? "]" : "", port);
}

drover_status http_listen(const struct http_config *config, int *out_fd,
                          char out_bound[HTTP_ADDRESS_MAX], struct drv_problem *problem)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int fd = -1;
    int error = getaddrinfo(config->host, config->port, &hints, &found);
    if (error != 0) {
        return drv_problem_set(problem, DROVER_INVALID, "--http %s: %s", config->host,
                               gai_strerror(error));
    }
    drover_status status = bind_one(found, &fd);
    freeaddrinfo(found);
    if (status != DROVER_OK) {
        return drv_problem_set(problem, status, "cannot listen on http %s:%s: %s", config->host,
                               config->port, strerror(errno));
    }
    tell_bound(fd, out_bound);
    *out_fd = fd;
    return DROVER_OK;
}
