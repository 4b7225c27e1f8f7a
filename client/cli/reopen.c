/* reopen.c: see reopen.h. */
#include "reopen.h"

#include "endpoint.h"

bool reopen_is_needed(drover_status status)
{
    return status != DROVER_TIMEOUT && status != DROVER_BUSY && status != DROVER_DRAINING;
}

bool reopen_client(struct cli *cli, uint64_t connect_ms)
{
    struct drv_buffer endpoint;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    cli_keys(cli, &options);
    options.connect_timeout_ms = connect_ms;
    drv_buffer_init(&endpoint);
    bool ok = endpoint_pick(cli, &endpoint) == CLI_OK &&
              drover_client_open((const char *)endpoint.bytes, &options, &cli->client) ==
                  DROVER_OK;
    drv_buffer_fini(&endpoint);
    return ok;
}
