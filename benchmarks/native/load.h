/* What the modes of the load have in common. */
#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define OFFSETS 1024
#define SCRATCH (1 << 18)

struct load {
    /* Milliseconds to wait for answers at a time. At 0 it asks for them again and again, so that no
     * server pays for waking the core up. */
    int wait;
    int connections, size;
    double warm, seconds;
    struct sockaddr_in server;
    /* No message equals the one before it, nor that of a neighbour: each begins elsewhere in here. */
    char *pattern;
    /* What is sent next, and what came. */
    char *scratch, *buffer;
};

/* A message and its echo, of which so much has come; then the next on the same connection. */
struct exchange {
    int fd, got;
    long offset;
    double asked;
};

struct window {
    double began, ends, seconds;
    /* Seconds it had something to do, and those it had not, though it asked. */
    double busy, idle;
    int open;
    long requests, lost;
    double worst, p99, bytes;
};

int run_echo(struct load *), run_connect(struct load *), run_fair(struct load *);
int run_udp(struct load *), run_hold(struct load *), run_slow(struct load *);
int run_fanout(struct load *), run_frozen(struct load *);
int run_trips(struct load *), run_bulk(struct load *);

double now(void);
void die(const char *what);
int connected(struct load *, int type);
void watch(int epoll, int operation, int fd, uint32_t events, void *data);
char *message(struct load *, long offset);
void check(struct load *, long offset, int position, const char *data, int length);
void ask(struct load *, struct exchange *);
/* Whether the answer is complete, with what has come; then the next message is due. */
int answered(struct load *, struct exchange *);
/* An answer has taken, or takes, so many seconds: it may be the worst. */
void gap(struct window *, double seconds);
/* What epoll_wait returns: how many events there are. */
int ready(struct load *, struct window *, int epoll, struct epoll_event *, int most);
/* Whether to go on; opens the window when the warm-up is over, and closes it. */
int goes_on(struct load *, struct window *, double since);
void tell(struct window *);

#endif
