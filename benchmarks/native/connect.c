/* Connect, echo, close, and the same again with a new connection. */
#include "load.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static void begin(struct load *load, int epoll, struct exchange *visit)
{
    /* Closed connections keep their port for a minute; one address would soon run out of them. */
    static unsigned turn;
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1;
    from.sin_addr.s_addr = htonl(0x7f000002 + turn++ % 200);
    visit->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    visit->got = 0;
    visit->offset++;
    setsockopt(visit->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (visit->fd < 0 || bind(visit->fd, (void *)&from, sizeof from))
        die("bind");
    if (connect(visit->fd, (void *)&load->server, sizeof load->server) && errno != EINPROGRESS)
        die("connect");
    watch(epoll, EPOLL_CTL_ADD, visit->fd, EPOLLOUT, visit);
}

/* Whether the visit has ended. */
static int proceed(struct load *load, int epoll, struct exchange *visit, uint32_t events)
{
    if (events & EPOLLOUT) {
        ask(load, visit);
        watch(epoll, EPOLL_CTL_MOD, visit->fd, EPOLLIN, visit);
        return 0;
    }
    ssize_t n = recv(visit->fd, load->buffer, SCRATCH, 0);
    if (n < 0)
        die("recv");
    if (n == 0)
        return 1;
    check(load, visit->offset, visit->got, load->buffer, n);
    visit->got += n;
    if (visit->got == load->size)
        shutdown(visit->fd, SHUT_WR);
    return 0;
}

int run_connect(struct load *load)
{
    struct exchange *visits = calloc(load->connections, sizeof *visits);
    struct epoll_event events[EVENTS];
    struct window window = {0};
    int epoll = epoll_create1(0);
    double since = now() + 1e9;

    for (int i = 0; i < load->connections; i++) {
        visits[i].offset = i * 7;
        begin(load, epoll, &visits[i]);
    }
    while (goes_on(load, &window, since)) {
        int n = ready(load, &window, epoll, events, EVENTS);
        for (int i = 0; i < n; i++) {
            struct exchange *visit = events[i].data.ptr;
            if (!proceed(load, epoll, visit, events[i].events))
                continue;
            errno = 0;
            if (visit->got != load->size)
                die("the server closed a connection before its answer");
            close(visit->fd);
            if (since > now())
                since = now();
            window.requests++;
            begin(load, epoll, visit);
        }
    }
    tell(&window);
    return 0;
}
