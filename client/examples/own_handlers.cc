// own_handlers.cc: the program's own functions in other processes, from C++.
#include <drover/client.h>
#include <drover/worker.h>

#include <cstring>
#include <iostream>
#include <string>

static drover_status shout(drover_job *, const drover_value *in, drover_value **out_result)
{
    const char *text = nullptr;
    size_t len = 0;
    if (drover_status status = drover_value_get_string(in, &text, &len)) {
        return status;
    }
    const std::string loud = std::string(text, len) + "!";
    return drover_value_new_string(loud.data(), loud.size(), out_result);
}
DROVER_MODULE("loud", "1.0", {"shout", shout, DROVER_THREAD_SAFE});

int main(int argc, char **argv)
{
    drover_worker_main(&argc, argv, &drover_module_entry);
    drover_client *client = nullptr;
    drover_value *in = nullptr;
    drover_value *out = nullptr;
    const char *text = nullptr;
    size_t len = 0;
    if (drover_client_open("local://2", nullptr, &client) ||
        drover_value_new_string("hello", 5, &in) ||
        drover_call(client, "shout", in, 5000, &out) ||
        drover_value_get_string(out, &text, &len)) {
        return 1;
    }
    std::cout << std::string(text, len) << '\n';
    drover_value_destroy(&in);
    drover_value_destroy(&out);
    drover_client_close(&client);
    return 0;
}
