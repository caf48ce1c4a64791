/* One connection says something, and all others hear it; then it says the next. In mode frozen one
 * more hears nothing, because it never reads. Each hears a byte when it is in. */
#include "load.h"

static int ascending(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static int joined(struct load *load)
{
    char in;
    int fd = connected(load, SOCK_STREAM);
    fcntl(fd, F_SETFL, 0);
    errno = 0;
    if (recv(fd, &in, 1, 0) != 1)
        die("the server let nobody in");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void freeze(struct load *load)
{
    int least = 4096, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least) ||
        connect(fd, (void *)&load->server, sizeof load->server))
        die("connect");
}

static int run(struct load *load)
{
    struct epoll_event events[EVENTS];
    struct window window = {0};
    struct exchange speaker = {.fd = joined(load)};
    int epoll = epoll_create1(0), members = load->connections - 1, left = 0;
    struct exchange *listeners = calloc(members, sizeof *listeners);
    long room = 1 << 16;
    double *times = malloc(sizeof *times * room);

    for (int i = 0; i < members; i++) {
        listeners[i].fd = joined(load);
        watch(epoll, EPOLL_CTL_ADD, listeners[i].fd, EPOLLIN, &listeners[i]);
    }
    double since = now();
    while (goes_on(load, &window, since)) {
        if (!left) {
            ask(load, &speaker);
            speaker.offset++;
            left = members;
        }
        int n = ready(load, &window, epoll, events, EVENTS);
        for (int i = 0; i < n; i++) {
            if (!answered(load, events[i].data.ptr))
                continue;
            double took = now() - speaker.asked;
            if (window.requests == room)
                times = realloc(times, sizeof *times * (room *= 2));
            times[window.requests++] = took;
            gap(&window, took);
            left--;
        }
    }
    qsort(times, window.requests, sizeof *times, ascending);
    if (window.requests)
        window.p99 = times[(window.requests - 1) * 99 / 100];
    tell(&window);
    return 0;
}

int run_fanout(struct load *load)
{
    return run(load);
}

int run_frozen(struct load *load)
{
    freeze(load);
    return run(load);
}
