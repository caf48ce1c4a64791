/* Each socket sends a datagram, waits for its echo, and sends the next. */
#include "load.h"

/* Seconds after which a datagram is sent again. Loopback takes well under a millisecond. */
#define PATIENCE 0.2
/* Children that answer do so in any order, but not that much too late. */
#define MEMORY 16

/* Whether this is one more echo of a datagram that was sent again, and answered since. */
static int is_late(struct load *load, struct exchange *peer)
{
    for (int back = 1; back <= MEMORY; back++)
        if (!memcmp(load->buffer, load->pattern + (peer->offset + OFFSETS - back) % OFFSETS, 8))
            return 1;
    return 0;
}

int run_udp(struct load *load)
{
    struct exchange *peers = calloc(load->connections, sizeof *peers);
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
        int n = ready(load, &window, epoll, events, EVENTS);
        for (int i = 0; i < n; i++) {
            struct exchange *peer = events[i].data.ptr;
            ssize_t length = recv(peer->fd, load->buffer, SCRATCH, 0);
            if (length < 0)
                die("recv");
            if (is_late(load, peer))
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
            if (swept - peers[i].asked > PATIENCE) {
                window.lost++;
                ask(load, &peers[i]);
            }
    }
    tell(&window);
    return 0;
}
