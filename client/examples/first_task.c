/*
 * first_task.c: the smallest whole program: one task, its result or its error.
 *
 *     first_task [NUMBER]
 *
 * Wants a broker (DROVER_BROKER, default tcp://127.0.0.1:7710) and a worker that has the module
 * demo.
 */
#include <drover/client.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const char *endpoint = getenv("DROVER_BROKER");
    int64_t number = argc > 1 ? strtoll(argv[1], NULL, 10) : 5;
    int64_t square = 0;
    char error[256] = "";
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    drover_client *client = NULL;
    drover_value *in = NULL;
    drover_value *out = NULL;

    options.error_text = error;
    options.error_size = sizeof(error);
    if (endpoint == NULL) {
        endpoint = "tcp://127.0.0.1:7710";
    }
    drover_status status = drover_client_open(endpoint, &options, &client);
    if (status == DROVER_OK) {
        status = drover_value_new_int(number, &in);
    }
    if (status == DROVER_OK) {
        status = drover_call(client, "square", in, 5000, &out); /* submit and wait, ms */
    }
    if (status == DROVER_OK) {
        status = drover_value_get_int(out, &square);
    }
    if (status == DROVER_OK) {
        (void)printf("%lld\n", (long long)square);
    } else {
        if (client != NULL) {
            drover_client_error_text(client, error, sizeof(error));
        }
        (void)fprintf(stderr, "first_task: %s: %s\n", drover_status_name(status), error);
    }
    drover_value_destroy(&in);
    drover_value_destroy(&out);
    drover_client_close(&client);
    return status == DROVER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
