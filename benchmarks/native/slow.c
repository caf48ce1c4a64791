/* One connection plays ping-pong; beside it all others send a line that never ends, a byte at a
 * time. */
#include "load.h"

/* Seconds from one byte of a slow connection to its next. */
#define INTERVAL 5.0

static int ascending(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

int run_slow(struct load *load)
{
    struct epoll_event event;
    struct window window = {0};
    struct exchange pinger = {.fd = connected(load, SOCK_STREAM)};
    int epoll = epoll_create1(0), slow = load->connections - 1;
    int *fds = malloc(sizeof *fds * load->connections);
    long trickled = 0, room = 1 << 16;
    double *times = malloc(sizeof *times * room);

    for (int i = 0; i < slow; i++)
        fds[i] = connected(load, SOCK_STREAM);
    watch(epoll, EPOLL_CTL_ADD, pinger.fd, EPOLLIN, NULL);
    double since = now();
    ask(load, &pinger);
    while (goes_on(load, &window, since)) {
        int n = ready(load, &window, epoll, &event, 1);
        double time = now();
        for (; slow && trickled < (time - since) / INTERVAL * slow; trickled++)
            if (send(fds[trickled % slow], "x", 1, MSG_NOSIGNAL) != 1)
                die("the server closed a connection");
        if (n < 1 || !answered(load, &pinger))
            continue;
        if (window.requests == room)
            times = realloc(times, sizeof *times * (room *= 2));
        times[window.requests++] = time - pinger.asked;
        gap(&window, time - pinger.asked);
        ask(load, &pinger);
    }
    /* An answer that has not come yet is late, too. */
    gap(&window, now() - pinger.asked);
    qsort(times, window.requests, sizeof *times, ascending);
    if (window.requests)
        window.p99 = times[(window.requests - 1) * 99 / 100];
    tell(&window);
    return 0;
}
