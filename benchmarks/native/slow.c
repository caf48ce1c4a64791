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

static double percentile(double *times, long count, double percent)
{
    if (!count)
        return 0;
    qsort(times, count, sizeof *times, ascending);
    return times[(long)((count - 1) * percent / 100)];
}

int run_slow(struct load *load)
{
    struct epoll_event event;
    struct window window = {0};
    int epoll = epoll_create1(0), got = 0, slow = load->connections - 1;
    int pinger = connected(load, SOCK_STREAM), *fds = malloc(sizeof *fds * load->connections);
    long offset = 0, trickled = 0, room = 1 << 16;
    double *times = malloc(sizeof *times * room);

    for (int i = 0; i < slow; i++)
        fds[i] = connected(load, SOCK_STREAM);
    watch(epoll, EPOLL_CTL_ADD, pinger, EPOLLIN, NULL);
    double since = now(), asked = since, time = since;
    send(pinger, message(load, offset), load->size, MSG_NOSIGNAL);
    while (goes_on(load, &window, since)) {
        int n = epoll_wait(epoll, &event, 1, 1);
        time = now();
        for (; slow && trickled < (time - since) / INTERVAL * slow; trickled++)
            if (send(fds[trickled % slow], "x", 1, MSG_NOSIGNAL) != 1)
                die("the server closed a connection");
        if (n < 1)
            continue;
        ssize_t length = recv(pinger, load->buffer, SCRATCH, 0);
        if (length <= 0)
            die("the server closed a connection");
        check(load, offset, got, load->buffer, length);
        got += length;
        if (got < load->size)
            continue;
        if (window.requests == room)
            times = realloc(times, sizeof *times * (room *= 2));
        times[window.requests++] = time - asked;
        offset++;
        got = 0;
        asked = now();
        send(pinger, message(load, offset), load->size, MSG_NOSIGNAL);
    }
    window.p99 = percentile(times, window.requests, 99);
    window.worst = percentile(times, window.requests, 100);
    /* An answer that has not come yet is late, too. */
    if (now() - asked > window.worst)
        window.worst = now() - asked;
    tell(&window);
    return 0;
}
