/* The floor that relays stand on: what comes is copied until a read comes full, and spliced through
 * a pipe from then on. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIPE (1 << 20)

struct flow {
    int from, to, splices, in, out;
};

static char buffer[65536];

/* How much of so many bytes, in the buffer or in the pipe, the sink did not take. */
static ssize_t given(struct flow *flow, ssize_t count)
{
    for (ssize_t n, done = 0; done < count; done += n) {
        n = flow->splices ? splice(flow->out, 0, flow->to, 0, count - done, SPLICE_F_NONBLOCK)
                          : send(flow->to, buffer + done, count - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return count - done;
        if (n < 0) {
            /* The load never stops reading, so this is short. */
            struct pollfd writable = {.fd = flow->to, .events = POLLOUT};
            poll(&writable, 1, -1);
            n = 0;
        }
    }
    return 0;
}

static void move(int epoll, struct flow *flow)
{
    ssize_t n = flow->splices ? splice(flow->from, 0, flow->in, 0, PIPE, SPLICE_F_NONBLOCK)
                              : recv(flow->from, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || given(flow, n)) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, flow->from, NULL);
        shutdown(flow->to, SHUT_WR);
    } else if (!flow->splices && n == sizeof buffer) {
        int pipe[2];
        if (pipe2(pipe, O_NONBLOCK))
            return;
        fcntl(pipe[0], F_SETPIPE_SZ, PIPE);
        flow->splices = 1, flow->out = pipe[0], flow->in = pipe[1];
    }
}

static void begin(int epoll, int from, int to)
{
    int one = 1;
    struct flow *flow = calloc(1, sizeof *flow);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = flow};
    flow->from = from, flow->to = to;
    setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(to, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, from, &event);
}

void forward(int listener, int port)
{
    int fd, epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[256];
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(port)};

    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                move(epoll, events[i].data.ptr);
            } else if ((fd = accept(listener, 0, 0)) >= 0) {
                int onward = socket(AF_INET, SOCK_STREAM, 0);
                connect(onward, (void *)&target, sizeof target);
                begin(epoll, fd, onward);
                begin(epoll, onward, fd);
            }
        }
    }
}
