/* Both ends of a proxy: the clients, and the server that it forwards to. Prints the port of that
 * server first, and reads the port of the proxy.
 *
 * In mode trips each client sends a message, the server sends back what comes, and the client sends
 * the next. In mode bulk one end of each connection sends without a pause, by turns the client and
 * the server, and the other reads; a request is a megabyte then. */
#include "load.h"

#define CHUNK (1 << 17)
/* Prime, so that no power of two of bytes may go missing unnoticed. */
#define PERIOD 4093

struct way {
    int client, server;
};

struct end {
    struct exchange exchange;
    long moved;
    enum {CLIENT, SERVER, SENDER, RECEIVER} role;
};

static char stream[PERIOD + SCRATCH];

static int listening(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (void *)&address, length) || listen(fd, 4096) ||
        getsockname(fd, (void *)&address, &length))
        die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static struct way through(struct load *load, int listener)
{
    int one = 1;
    struct way way = {.client = connected(load, SOCK_STREAM), .server = accept(listener, 0, 0)};
    if (way.server < 0)
        die("accept");
    setsockopt(way.server, SOL_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(way.server, F_SETFL, O_NONBLOCK);
    return way;
}

static ssize_t received(struct load *load, int fd)
{
    ssize_t n = recv(fd, load->buffer, SCRATCH, 0);
    if (n < 0 && errno == EAGAIN)
        return 0;
    errno = n ? errno : 0;
    if (n <= 0)
        die("the proxy closed a connection");
    return n;
}

static void react(struct load *load, struct window *window, struct end *end)
{
    int fd = end->exchange.fd;
    ssize_t n;
    switch (end->role) {
    case CLIENT:
        if (!answered(load, &end->exchange))
            return;
        window->requests++;
        ask(load, &end->exchange);
        return;
    case SERVER:
        n = received(load, fd);
        if (n > 0 && send(fd, load->buffer, n, MSG_NOSIGNAL) != n)
            die("send");
        return;
    case SENDER:
        n = send(fd, stream + end->moved % PERIOD, CHUNK, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("send");
        end->moved += n > 0 ? n : 0;
        return;
    case RECEIVER:
        /* All of it: what waits would wait in ever larger buffers, beyond any cache. */
        do {
            n = received(load, fd);
            errno = 0;
            if (memcmp(load->buffer, stream + end->moved % PERIOD, n))
                die("what comes out of the proxy did not go in");
            end->moved += n;
            window->bytes += n;
        } while (n);
        return;
    }
}

static int run(struct load *load, int is_bulk)
{
    struct end *ends = calloc(2 * load->connections, sizeof *ends);
    struct epoll_event events[EVENTS];
    struct window window = {0};
    int epoll = epoll_create1(0), listener = listening(), port;

    errno = 0;
    if (scanf("%d", &port) != 1 || getchar() != '\n')
        die("no port of a proxy was given");
    load->server.sin_port = htons(port);
    for (int i = 0; i < PERIOD + SCRATCH; i++)
        stream[i] = load->pattern[(i % PERIOD) % (load->size + OFFSETS)];
    for (int i = 0; i < load->connections; i++) {
        struct end *one = &ends[2 * i], *other = one + 1;
        struct way way = through(load, listener);
        int swapped = is_bulk && i % 2;
        *one = (struct end){.exchange.fd = swapped ? way.server : way.client,
                            .exchange.offset = i * 7, .role = is_bulk ? SENDER : CLIENT};
        *other = (struct end){.exchange.fd = swapped ? way.client : way.server,
                              .role = is_bulk ? RECEIVER : SERVER};
        watch(epoll, EPOLL_CTL_ADD, one->exchange.fd, is_bulk ? EPOLLOUT : EPOLLIN, one);
        watch(epoll, EPOLL_CTL_ADD, other->exchange.fd, EPOLLIN, other);
    }
    double since = now();
    for (int i = 0; i < load->connections && !is_bulk; i++)
        ask(load, &ends[2 * i].exchange);
    while (goes_on(load, &window, since)) {
        int n = ready(load, &window, epoll, events, EVENTS);
        for (int i = 0; i < n; i++)
            react(load, &window, events[i].data.ptr);
    }
    if (is_bulk)
        window.requests = window.bytes / 1e6;
    tell(&window);
    return 0;
}

int run_trips(struct load *load)
{
    return run(load, 0);
}

int run_bulk(struct load *load)
{
    return run(load, 1);
}
