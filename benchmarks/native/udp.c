/* Each socket sends a datagram, waits for its echo, and sends the next. */
#include "load.h"

/* Seconds after which a datagram counts as lost. Loopback takes well under a millisecond. */
#define PATIENCE 0.2

struct peer {
    int fd;
    long offset;
    double sent;
};

static void ask(struct load *load, struct peer *peer)
{
    peer->sent = now();
    if (send(peer->fd, message(load, peer->offset), load->size, 0) != load->size)
        die("send");
}

int run_udp(struct load *load)
{
    struct peer *peers = calloc(load->connections, sizeof *peers);
    struct epoll_event events[EVENTS];
    struct window window = {0};
    int epoll = epoll_create1(0);
    double since = now(), swept = since;

    for (int i = 0; i < load->connections; i++) {
        peers[i].fd = connected(load, SOCK_DGRAM);
        peers[i].offset = i * 7;
        watch(epoll, EPOLL_CTL_ADD, peers[i].fd, EPOLLIN, &peers[i]);
        ask(load, &peers[i]);
    }
    while (goes_on(load, &window, since)) {
        int n = epoll_wait(epoll, events, EVENTS, 10);
        for (int i = 0; i < n; i++) {
            struct peer *peer = events[i].data.ptr;
            ssize_t length = recv(peer->fd, load->buffer, SCRATCH, 0);
            if (length < 0)
                die("recv");
            /* The late echo of one that was sent again. */
            if (memcmp(load->buffer, load->pattern + (peer->offset + OFFSETS - 1) % OFFSETS, 8) == 0)
                continue;
            errno = 0;
            if (length != load->size)
                die("the answer is no echo");
            check(load, peer->offset, 0, load->buffer, length);
            window.requests++;
            peer->offset++;
            ask(load, peer);
        }
        if (now() - swept < PATIENCE)
            continue;
        swept = now();
        for (int i = 0; i < load->connections; i++)
            if (swept - peers[i].sent > PATIENCE) {
                window.lost++;
                ask(load, &peers[i]);
            }
    }
    tell(&window);
    return 0;
}
