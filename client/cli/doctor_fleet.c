/* doctor_fleet.c: the broker and its workers, see doctor.h. */
#include "doctor.h"

#include "clock.h"
#include "doc.h"
#include "endpoint.h"
#include "human.h"

#include <drover/drover.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOW_MS 200 /* a round trip that people notice */
#define SILENT_MS                                                                              \
    8000 /* a worker that was not heard for so long: idle ones of a large fleet beat every 5 s \
          */
#define CONNECT_MS 3000 /* for a bare connection */
#define HOST_MAX 256

/* ---- a bare connection: what is there if no broker answers ------------------------------- */

enum reach {
    REACH_OK,
    REACH_NO_NAME,
    REACH_REFUSED,
    REACH_SILENT,
    REACH_NO_SOCKET,
    REACH_DENIED
};

static enum reach reach_of(int error)
{
    switch (error) {
    case 0:
        return REACH_OK;
    case EACCES:
    case EPERM:
        return REACH_DENIED;
    case ENOENT:
        return REACH_NO_SOCKET;
    case ECONNREFUSED:
        return REACH_REFUSED;
    default:
        return REACH_SILENT;
    }
}

static enum reach try_address(int family, const struct sockaddr *address, socklen_t len)
{
    int error = 0;
    socklen_t size = sizeof(error);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return reach_of(errno);
    }
    if (connect(fd, address, len) != 0) {
        error = errno;
        struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
        if (error == EINPROGRESS) {
            error = poll(&pollfd, 1, CONNECT_MS) > 0 &&
                            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0
                        ? error
                        : ETIMEDOUT;
        }
    }
    (void)close(fd);
    return reach_of(error);
}

static enum reach try_tcp(const char *endpoint)
{
    char host[HOST_MAX];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *begin = endpoint + strlen("tcp://");
    const char *colon = strrchr(begin, ':');
    if (colon == NULL || (size_t)(colon - begin) >= sizeof(host)) {
        return REACH_NO_NAME;
    }
    bool is_bracketed = begin[0] == '[' && colon > begin + 1 && colon[-1] == ']';
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - begin) - (is_bracketed ? 2 : 0),
                   begin + (is_bracketed ? 1 : 0));
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return REACH_NO_NAME;
    }
    enum reach reach = REACH_SILENT;
    for (struct addrinfo *at = found; at != NULL && reach != REACH_OK; at = at->ai_next) {
        reach = try_address(at->ai_family, at->ai_addr, at->ai_addrlen);
    }
    freeaddrinfo(found);
    return reach;
}

static enum reach try_endpoint(const char *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = endpoint + strlen("ipc://");
    if (strncmp(endpoint, "ipc://", strlen("ipc://")) != 0) {
        return try_tcp(endpoint);
    }
    if (strlen(path) >= sizeof(address.sun_path)) {
        return REACH_NO_NAME;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    return try_address(AF_UNIX, (const struct sockaddr *)&address, sizeof(address));
}

static const char *reach_text(enum reach reach)
{
    switch (reach) {
    case REACH_OK:
        return "something listens there, but does not answer as a broker does";
    case REACH_NO_NAME:
        return "the name of the host is not known";
    case REACH_REFUSED:
        return "nothing listens there";
    case REACH_SILENT:
        return "the host does not answer";
    case REACH_NO_SOCKET:
        return "there is no such socket";
    case REACH_DENIED:
        return "this user may not connect there";
    }
    return "";
}

static const char *reach_advice(enum reach reach)
{
    switch (reach) {
    case REACH_OK:
        return "is it another program's port, or the broker's port for workers?";
    case REACH_NO_NAME:
        return "check the name, or give an address";
    case REACH_REFUSED:
    case REACH_NO_SOCKET:
        return "start drover-broker there, or say where it is with --broker or DROVER_BROKER";
    case REACH_SILENT:
        return "check the address, the network, and firewalls in between";
    case REACH_DENIED:
        return "check the permissions of the socket and its directory, or the firewall";
    }
    return "";
}

/* ---- what the broker says ---------------------------------------------------------------- */

void judge_broker(struct diagnosis *diagnosis, const drover_value *document)
{
    char version[DOC_TEXT_MAX];
    drover_value *broker = doc_get(document, "broker");
    (void)doc_text(broker, "version", version, sizeof(version));
    bool is_same = strcmp(version, "drover " DROVER_VERSION_STRING) == 0;
    struct finding *finding = diagnosis_add(
        diagnosis, "version", is_same ? FINDING_OK : FINDING_WARN,
        "the broker is %s, this command drover %s", version, DROVER_VERSION_STRING);
    if (!is_same) {
        diagnosis_advise(finding, "they understand each other; install the same version on "
                                  "both sides when you can");
    }
    if (doc_bool(broker, "draining")) {
        finding = diagnosis_add(diagnosis, "draining", FINDING_WARN,
                                "the broker is going down and takes no more tasks");
        diagnosis_advise(finding, "wait until it is back");
    }
    drover_value_destroy(&broker);
}

struct roll {
    int64_t connected, away, silent;
    int64_t slots;
};

static struct roll call_roll(const drover_value *document)
{
    char state[DOC_TEXT_MAX];
    struct roll roll = {0};
    drover_value *workers = doc_get(document, "workers");
    drover_value *worker = NULL;
    drover_value_iter iter;
    if (workers == NULL) {
        return roll;
    }
    drover_value_iter_init(&iter, workers);
    while (drover_value_iter_next(&iter, NULL, &worker) == DROVER_OK) {
        bool is_connected = strcmp(doc_text(worker, "state", state, sizeof(state)),
                                   "connected") == 0;
        roll.connected += is_connected ? 1 : 0;
        roll.away += is_connected ? 0 : 1;
        roll.silent += is_connected && doc_int(worker, "heartbeat_age_ms") > SILENT_MS ? 1 : 0;
        roll.slots += is_connected ? doc_int(worker, "slots") : 0;
        drover_value_destroy(&worker);
    }
    drover_value_destroy(&workers);
    return roll;
}

void judge_workers(struct diagnosis *diagnosis, const drover_value *document)
{
    struct roll roll = call_roll(document);
    bool is_well = roll.connected > 0 && roll.silent == 0;
    struct finding *finding = diagnosis_add(
        diagnosis, "workers", is_well ? FINDING_OK : FINDING_WARN,
        "%" PRId64 " connected with %" PRId64 " slots, %" PRId64 " away or draining%s",
        roll.connected, roll.slots, roll.away,
        roll.silent > 0 ? ", some of them not heard for seconds" : "");
    if (roll.connected == 0) {
        diagnosis_advise(finding, "tasks wait until one comes: drover-worker --broker "
                                  "WORKER-ENDPOINT --load MODULE");
    } else if (roll.silent > 0) {
        diagnosis_advise(finding, "see `drover worker ls`: their hosts are overloaded, or cut "
                                  "off");
    } else {
        /* nothing to do */
    }
}

struct hiding {
    size_t keys, readable;
    char name[DOC_TEXT_MAX]; /* one whose key can be read */
    char why[DOC_TEXT_MAX];
};

static void count_key(struct hiding *hiding, const drover_value *worker)
{
    char how[DOC_TEXT_MAX] = "";
    drover_value *details = doc_get(worker, "details");
    drover_value *sandbox = details != NULL ? doc_get(details, "sandbox") : NULL;
    if (sandbox != NULL && doc_has(sandbox, "key")) {
        (void)doc_text(sandbox, "key", how, sizeof how);
        hiding->keys += strcmp(how, "none") != 0 ? 1 : 0;
    }
    if (strcmp(how, "readable") == 0) {
        hiding->readable++;
        (void)doc_text(worker, "name", hiding->name, sizeof hiding->name);
        (void)doc_text(sandbox, "key_why", hiding->why, sizeof hiding->why);
    }
    drover_value_destroy(&sandbox);
    drover_value_destroy(&details);
}

void judge_worker_keys(struct diagnosis *diagnosis, const drover_value *document)
{
    struct hiding hiding = {.keys = 0};
    drover_value *workers = doc_get(document, "workers");
    drover_value *worker = NULL;
    drover_value_iter iter;
    if (workers != NULL) {
        drover_value_iter_init(&iter, workers);
        while (drover_value_iter_next(&iter, NULL, &worker) == DROVER_OK) {
            count_key(&hiding, worker);
            drover_value_destroy(&worker);
        }
    }
    drover_value_destroy(&workers);
    if (hiding.readable > 0) {
        struct finding *finding = diagnosis_add(
            diagnosis, "worker keys", FINDING_WARN,
            "handlers of %zu of %zu workers can read the keys of these: %s (%s)",
            hiding.readable, hiding.keys, hiding.name, hiding.why);
        diagnosis_advise(finding, "pass the key as a descriptor (--identity fd:0), or have "
                                  "Linux 5.19 and Landlock: `drover worker show NAME`");
    } else if (hiding.keys > 0) {
        (void)diagnosis_add(diagnosis, "worker keys", FINDING_OK,
                            "of %zu workers, hidden from their handlers", hiding.keys);
    } else {
        /* there are none */
    }
}

/* Not for who may submit only; what cannot be asked for is no finding. */
static void look_at_worker_keys(struct diagnosis *diagnosis, struct cli *cli)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    drover_value *document = NULL;
    if (drover_worker_statistics(cli->client, 0, &cursor, CLI_ASK_MS, &document) == DROVER_OK) {
        judge_worker_keys(diagnosis, document);
    }
    drover_value_destroy(&document);
}

/* Whether workers on this machine could connect. A broker that listens on all addresses does
 * not know under which one it is reached. */
static void look_at_worker_port(struct diagnosis *diagnosis, const drover_value *document)
{
    char endpoint[DOC_TEXT_MAX];
    drover_value *broker = doc_get(document, "broker");
    (void)doc_text(broker, "worker_endpoint", endpoint, sizeof(endpoint));
    drover_value_destroy(&broker);
    if (endpoint[0] == '\0' || strstr(endpoint, "://0.0.0.0:") != NULL ||
        strstr(endpoint, "://[::]:") != NULL) {
        return;
    }
    enum reach reach = try_endpoint(endpoint);
    struct finding *finding = diagnosis_add(
        diagnosis, "worker port", reach == REACH_OK ? FINDING_OK : FINDING_WARN, "%s%s%s",
        endpoint, reach == REACH_OK ? " can be reached from here" : ": ",
        reach == REACH_OK ? "" : reach_text(reach));
    if (reach != REACH_OK) {
        diagnosis_advise(finding, "matters if workers are to run on this machine: %s",
                         reach_advice(reach));
    }
}

static void look_at_broker(struct diagnosis *diagnosis, struct cli *cli, const char *endpoint)
{
    drover_value *document = NULL;
    uint64_t begin_us = drv_clock_now_us();
    drover_status status = drover_status_get(cli->client, CLI_ASK_MS, &document);
    uint64_t took_us = drv_clock_now_us() - begin_us;
    if (status != DROVER_OK) {
        struct finding *finding = diagnosis_add(diagnosis, "broker", FINDING_FAIL,
                                                "%s has welcomed this command, then: %s",
                                                endpoint, drover_status_text(status));
        diagnosis_advise(finding, "look at the log of the broker");
        return;
    }
    bool is_slow = took_us > SLOW_MS * 1000;
    struct finding *finding = diagnosis_add(diagnosis, "broker",
                                            is_slow ? FINDING_WARN : FINDING_OK,
                                            "%s answers within %" PRIu64 ".%" PRIu64 " ms",
                                            endpoint, took_us / 1000, took_us % 1000 / 100);
    if (is_slow) {
        diagnosis_advise(finding, "a slow network, or a broker that is overloaded: see `drover "
                                  "status`");
    }
    judge_broker(diagnosis, document);
    look_at_worker_port(diagnosis, document);
    judge_workers(diagnosis, document);
    look_at_worker_keys(diagnosis, cli);
    drover_value_destroy(&document);
}

static void explain_failure(struct diagnosis *diagnosis, const char *endpoint,
                            drover_status status, const char *text)
{
    if (status != DROVER_UNAVAILABLE || endpoint_is_local(endpoint)) {
        struct finding *finding = diagnosis_add(diagnosis, "broker", FINDING_FAIL, "%s", text);
        diagnosis_advise(
            finding, "%s",
            status == DROVER_VERSION ? "install versions that understand each other"
            : status == DROVER_DENIED
                ? "the broker's operator adds the line that `drover keygen` printed "
                  "to the table of --accounts, and reloads it (SIGHUP)"
                : "correct what --broker, --local or DROVER_BROKER says");
        return;
    }
    enum reach reach = try_endpoint(endpoint);
    struct finding *finding = diagnosis_add(diagnosis, "broker", FINDING_FAIL,
                                            "no broker at %s: %s", endpoint, reach_text(reach));
    diagnosis_advise(finding, "%s", reach_advice(reach));
}

void doctor_fleet(struct diagnosis *diagnosis, struct cli *cli)
{
    char text[512] = "";
    struct drv_buffer endpoint;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    options.connect_timeout_ms = (uint64_t)drv_options_int(cli->options, "connect-timeout");
    options.error_text = text;
    cli_keys(cli, &options);
    options.error_size = sizeof(text);
    drv_buffer_init(&endpoint);
    if (endpoint_pick(cli, &endpoint) == CLI_OK) {
        const char *place = (const char *)endpoint.bytes;
        drover_status status = drover_client_open(place, &options, &cli->client);
        if (status == DROVER_OK) {
            look_at_broker(diagnosis, cli, place);
        } else {
            explain_failure(diagnosis, place, status,
                            text[0] != '\0' ? text : drover_status_text(status));
        }
    }
    drv_buffer_fini(&endpoint);
}
