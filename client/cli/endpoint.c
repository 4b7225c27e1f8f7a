/* endpoint.c: see endpoint.h. */
#include "endpoint.h"

#include "local_spec.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

bool endpoint_is_local(const char *endpoint)
{
    return local_spec_is_meant(endpoint);
}

bool endpoint_ends_with_command(const struct cli *cli)
{
    return drv_options_is_set(cli->options, "local") ||
           endpoint_is_local(drv_options_string(cli->options, "broker"));
}

/* Whether the pool is told this already: "--allow-exec=CMD", or with value NULL the key alone.
 */
static bool has(const struct local_spec *spec, const char *key, const char *value)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < spec->count; i++) {
        const char *argument = spec->arguments[i] + strlen("--");
        if (strncmp(argument, key, len) == 0 && argument[len] == '=' &&
            (value == NULL || strcmp(argument + len + 1, value) == 0)) {
            return true;
        }
    }
    return false;
}

drover_status endpoint_add_key(struct drv_buffer *endpoint, const char *key, const char *value)
{
    char mark = memchr(endpoint->bytes, '?', endpoint->len) != NULL ? '&' : '?';
    drover_status status = drv_buffer_printf(endpoint, "%c%s=", mark, key);
    for (const char *at = value; status == DROVER_OK && *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        status = isalnum(byte) != 0 || strchr("/._:-", byte) != NULL
                     ? drv_buffer_append_byte(endpoint, byte)
                     : drv_buffer_printf(endpoint, "%%%02X", byte);
    }
    return status;
}

static int allow_program(const char *program, struct drv_buffer *text)
{
    struct local_spec spec;
    struct drv_problem problem = {""};
    char here[PATH_MAX];
    drover_status status = local_spec_parse((const char *)text->bytes, &spec, &problem);
    if (status != DROVER_OK) {
        return cli_say_status(cli_exit_code(status), status, "%s", problem.text);
    }
    if (getcwd(here, sizeof(here)) == NULL) {
        local_spec_fini(&spec);
        return cli_say(CLI_IO, "current directory: %s", strerror(errno));
    }
    if (!has(&spec, "allow-exec", program)) {
        status = endpoint_add_key(text, "allow-exec", program);
    }
    if (status == DROVER_OK && !has(&spec, "exec-dir", NULL)) {
        status = endpoint_add_key(text, "exec-dir", here);
    }
    local_spec_fini(&spec);
    return status == DROVER_OK ? CLI_OK : cli_no_memory();
}

int endpoint_pick(const struct cli *cli, struct drv_buffer *out_text)
{
    const char *local = cli->endpoint == NULL ? drv_options_string(cli->options, "local")
                                              : NULL;
    const char *broker = cli->endpoint != NULL ? cli->endpoint
                                               : drv_options_string(cli->options, "broker");
    drv_buffer_clear(out_text);
    drover_status status = local != NULL
                               ? drv_buffer_printf(out_text, "%s%s", LOCAL_SCHEME, local)
                               : drv_buffer_append_text(out_text, broker);
    if (status != DROVER_OK) {
        return cli_no_memory();
    }
    return cli->program != NULL && endpoint_is_local((const char *)out_text->bytes)
               ? allow_program(cli->program, out_text)
               : CLI_OK;
}
