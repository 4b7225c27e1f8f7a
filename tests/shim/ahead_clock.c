/*
 * ahead_clock.c: preloaded into a real broker: its wall clock is AHEAD_CLOCK seconds ahead, so
 * that a broker which comes back seems to have been away for so long. Monotonic clocks are as
 * ever.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the loader knows by the name of the C library. */
__attribute__((visibility("default"))) int
shim_clock_gettime(clockid_t clock, struct timespec *at) __asm__("clock_gettime");

int shim_clock_gettime(clockid_t clock, struct timespec *at)
{
    int result = (int)syscall(SYS_clock_gettime, clock, at);
    const char *ahead = getenv("AHEAD_CLOCK");
    if (result == 0 && ahead != NULL &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        at->tv_sec += strtol(ahead, NULL, 10);
    }
    return result;
}
