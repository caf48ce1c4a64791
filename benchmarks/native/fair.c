/* One connection sends without a pause and reads its echo; another plays ping-pong beside it. */
#include "load.h"

#define CHUNK 65536
/* Prime, so that no power of two of bytes may go missing unnoticed. */
#define PERIOD 4093

static char stream[PERIOD + SCRATCH];

static void saturate(int fd, uint32_t events, struct window *window, char *buffer)
{
    static long sent, got;
    if (events & EPOLLIN) {
        ssize_t n = recv(fd, buffer, CHUNK, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            die("the server closed a connection");
        if (n > 0 && memcmp(buffer, stream + got % PERIOD, n))
            errno = 0, die("the answer is no echo");
        got += n > 0 ? n : 0;
        window->bytes += n > 0 ? n : 0;
    }
    if (events & EPOLLOUT) {
        ssize_t n = send(fd, stream + sent % PERIOD, CHUNK, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("send");
        sent += n > 0 ? n : 0;
    }
}

int run_fair(struct load *load)
{
    struct epoll_event events[2];
    struct window window = {0};
    struct exchange pinger = {.fd = connected(load, SOCK_STREAM)};
    int epoll = epoll_create1(0), sender = connected(load, SOCK_STREAM);

    for (int i = 0; i < PERIOD + SCRATCH; i++)
        stream[i] = load->pattern[(i % PERIOD) % (load->size + OFFSETS)];
    watch(epoll, EPOLL_CTL_ADD, pinger.fd, EPOLLIN, &pinger);
    watch(epoll, EPOLL_CTL_ADD, sender, EPOLLIN | EPOLLOUT, &sender);
    double since = now();
    ask(load, &pinger);
    while (goes_on(load, &window, since)) {
        int n = ready(load, &window, epoll, events, 2);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &sender) {
                saturate(sender, events[i].events, &window, load->buffer);
            } else if (answered(load, &pinger)) {
                gap(&window, now() - pinger.asked);
                window.requests++;
                ask(load, &pinger);
            }
        }
    }
    /* An answer that has not come yet is late, too. */
    gap(&window, now() - pinger.asked);
    tell(&window);
    return 0;
}
