/*
 * completions.c: several tasks at once, whichever ends next; cancels the one that takes too
 * long.
 *
 *     completions
 */
#include <drover/client.h>

#include <stdio.h>
#include <stdlib.h>

static drover_status submit_sleep(drover_completions *completions, int64_t ms,
                                  drover_id *out_id)
{
    drover_value *in = NULL;
    drover_status status = drover_value_new_int(ms, &in);
    if (status == DROVER_OK) {
        status = drover_completions_submit(completions, "sleep", in, NULL, out_id);
    }
    drover_value_destroy(&in);
    return status;
}

static void print_outcome(const drover_outcome *outcome)
{
    char text[DROVER_ID_TEXT_LEN + 1];
    drover_id id = drover_outcome_id(outcome);
    drover_id_format(&id, text);
    (void)printf("%s %s\n", text, drover_state_name(drover_outcome_state(outcome)));
}

static drover_status run(drover_client *client, drover_completions *completions)
{
    static const int64_t SLEEPS_MS[] = {300, 60000, 100, 200};
    drover_id slow;
    drover_status status = DROVER_OK;
    for (size_t i = 0; i < 4 && status == DROVER_OK; i++) {
        drover_id id;
        status = submit_sleep(completions, SLEEPS_MS[i], &id);
        if (i == 1) {
            slow = id;
        }
    }
    while (status == DROVER_OK) {
        drover_outcome *outcome = NULL;
        status = drover_completions_next(completions, 2000, &outcome);
        if (status == DROVER_OK) {
            print_outcome(outcome);
            drover_outcome_destroy(&outcome);
        } else if (status == DROVER_TIMEOUT) { /* returns when nothing of it runs any more */
            status = drover_cancel(client, &slow, DROVER_INDEX_NONE, "too slow", 10000, NULL);
        }
    }
    return status == DROVER_UNKNOWN ? DROVER_OK : status; /* UNKNOWN: nothing is left */
}

int main(void)
{
    const char *endpoint = getenv("DROVER_BROKER");
    drover_client *client = NULL;
    drover_completions *completions = NULL;
    drover_status status = drover_client_open(
        endpoint != NULL ? endpoint : "tcp://127.0.0.1:7710", NULL, &client);
    if (status == DROVER_OK) {
        status = drover_completions_new(client, DROVER_COMPLETIONS_STATES, &completions);
    }
    if (status == DROVER_OK) {
        status = run(client, completions);
    }
    if (status != DROVER_OK) {
        (void)fprintf(stderr, "completions: %s\n", drover_status_text(status));
    }
    drover_completions_destroy(&completions);
    drover_client_close(&client);
    return status == DROVER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
