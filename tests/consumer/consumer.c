/* consumer.c: the installed package from C. */
#include <drover/drover.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    drover_value *value = NULL;
    int64_t number = 0;
    drover_status status = drover_value_new_int(25, &value);
    if (status || drover_value_get_int(value, &number) || number != 25) {
        fprintf(stderr, "%s\n", drover_status_name(status));
        return 1;
    }
    drover_value_destroy(&value);
    return strcmp(drover_version(), DROVER_VERSION_STRING) != 0;
}
