/* local_pool.c: a pool of processes in one line; the handlers are those of a module.
 *
 *     local_pool demo.so
 */
#include <drover/client.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    char endpoint[1024];
    int64_t number = 0;
    drover_client *client = NULL;
    drover_value *in = NULL;
    drover_value *out = NULL;
    (void)snprintf(endpoint, sizeof(endpoint), "local://4?load=%s", argc > 1 ? argv[1] : "");
    if (drover_client_open(endpoint, NULL, &client) || drover_value_new_int(7, &in) ||
        drover_call(client, "square", in, 5000, &out) || drover_value_get_int(out, &number)) {
        return 1;
    }
    (void)printf("%lld\n", (long long)number);
    drover_value_destroy(&in);
    drover_value_destroy(&out);
    drover_client_close(&client);
    return 0;
}
