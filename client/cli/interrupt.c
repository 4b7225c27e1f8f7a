/* interrupt.c: see interrupt.h. */
#include "interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

void interrupt_open(struct interrupt *interrupt)
{
    sigset_t wanted;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGINT);
    (void)sigaddset(&wanted, SIGTERM);
    memset(interrupt, 0, sizeof(*interrupt));
    (void)pthread_sigmask(SIG_BLOCK, &wanted, &interrupt->mask);
    interrupt->fd = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
    if (interrupt->fd < 0) {
        (void)pthread_sigmask(SIG_SETMASK, &interrupt->mask, NULL);
    }
}

bool interrupt_has_come(struct interrupt *interrupt)
{
    struct signalfd_siginfo info;
    if (interrupt->signal == 0 && interrupt->fd >= 0 &&
        read(interrupt->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        interrupt->signal = (int)info.ssi_signo;
        (void)pthread_sigmask(SIG_SETMASK, &interrupt->mask, NULL);
    }
    return interrupt->signal != 0;
}

bool interrupt_wait(struct interrupt *interrupt, int ms)
{
    struct pollfd item = {.fd = interrupt->fd, .events = POLLIN};
    if (interrupt->signal == 0) {
        (void)poll(&item, 1, ms);
    }
    return interrupt_has_come(interrupt);
}

int interrupt_exit_code(const struct interrupt *interrupt)
{
    return CLI_SIGNAL + interrupt->signal;
}

void interrupt_close(struct interrupt *interrupt)
{
    (void)interrupt_has_come(interrupt);
    if (interrupt->fd >= 0) {
        (void)close(interrupt->fd);
        interrupt->fd = -1;
    }
    (void)pthread_sigmask(SIG_SETMASK, &interrupt->mask, NULL);
}
