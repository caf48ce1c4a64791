/* Each connection sends a message, waits for all of its echo, and sends the next. */
#include "load.h"

struct peer {
    struct exchange exchange;
    int sent, waits;
};

static void push(struct load *load, int epoll, struct peer *peer)
{
    int fd = peer->exchange.fd;
    char *data = message(load, peer->exchange.offset);
    while (peer->sent < load->size) {
        ssize_t n = send(fd, data + peer->sent, load->size - peer->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("send");
        if (n < 0) {
            if (!peer->waits)
                watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, peer);
            peer->waits = 1;
            return;
        }
        peer->sent += n;
    }
    if (peer->waits)
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN, peer);
    peer->waits = 0;
}

int run_echo(struct load *load)
{
    struct peer *peers = calloc(load->connections, sizeof *peers);
    struct epoll_event events[EVENTS];
    struct window window = {0};
    int epoll = epoll_create1(0), silent = load->connections;
    double since = now() + 1e9;

    for (int i = 0; i < load->connections; i++) {
        peers[i].exchange.fd = connected(load, SOCK_STREAM);
        peers[i].exchange.offset = i * 7;
        watch(epoll, EPOLL_CTL_ADD, peers[i].exchange.fd, EPOLLIN, &peers[i]);
    }
    for (int i = 0; i < load->connections; i++)
        push(load, epoll, &peers[i]);
    while (goes_on(load, &window, since)) {
        int n = ready(load, &window, epoll, events, EVENTS);
        for (int i = 0; i < n; i++) {
            struct peer *peer = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                push(load, epoll, peer);
            if (!(events[i].events & ~EPOLLOUT) || !answered(load, &peer->exchange))
                continue;
            window.requests++;
            peer->sent = 0;
            if (silent == 0) {
                push(load, epoll, peer);
                continue;
            }
            /* Those who are in wait for those who are not: a busy server may never accept them. */
            if (--silent)
                continue;
            since = now();
            for (int each = 0; each < load->connections; each++)
                push(load, epoll, &peers[each]);
        }
    }
    tell(&window);
    return 0;
}
