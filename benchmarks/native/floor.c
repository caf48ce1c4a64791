/* A server on epoll, in as little code as echoes or relays: the floor that others stand on.
 *
 * floor echo|lines|udp|relay [PORT]: prints its port, and serves until it is killed. What it relays goes
 * to and comes from PORT. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[65536];

void forward(int listener, int port);

static void echo(int fd)
{
    ssize_t got = recv(fd, buffer, sizeof buffer, 0), sent = 0;
    if (got < 0 && errno == EAGAIN)
        return;
    while (sent < got) {
        ssize_t n = send(fd, buffer + sent, got - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += n;
        } else if (errno == EAGAIN) {
            /* The load never stops reading, so this is short. */
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else {
            got = -1;
        }
    }
    if (got <= 0)
        close(fd);
}

static void answer(int fd)
{
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t n;
    while ((n = recvfrom(fd, buffer, sizeof buffer, 0, (void *)&from, &length)) >= 0)
        sendto(fd, buffer, n, 0, (void *)&from, length);
}

static void greet(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int argc, char **argv)
{
    int datagrams = argc > 1 && !strcmp(argv[1], "udp");
    int own = socket(AF_INET, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
    int epoll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = own}, events[256];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(own, (void *)&address, length) || (!datagrams && listen(own, 4096)))
        return 1;
    getsockname(own, (void *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    if (argc > 2)
        forward(own, atoi(argv[2]));
    epoll_ctl(epoll, EPOLL_CTL_ADD, own, &event);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != own)
                echo(fd);
            else if (datagrams)
                answer(fd);
            else
                greet(epoll, fd);
        }
    }
}
