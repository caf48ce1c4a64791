/* Echo once on every connection and keep them, silent. "held" is printed when that is so.
 *
 * A few come and go first, so that what a server makes once is not counted. Then "warm" is printed,
 * and a line on standard input awaited. */
#include "load.h"

#define FIRST 20

static int visit(struct load *load, long offset)
{
    int fd = connected(load, SOCK_STREAM), got = 0;
    fcntl(fd, F_SETFL, 0);
    if (send(fd, message(load, offset), load->size, MSG_NOSIGNAL) != load->size)
        die("send");
    while (got < load->size) {
        ssize_t n = recv(fd, load->buffer, SCRATCH, 0);
        errno = n ? errno : 0;
        if (n <= 0)
            die("the server closed a connection");
        check(load, offset, got, load->buffer, n);
        got += n;
    }
    return fd;
}

int run_hold(struct load *load)
{
    for (int i = 0; i < FIRST; i++)
        close(visit(load, i));
    puts("warm");
    fflush(stdout);
    if (getchar() == EOF)
        return 0;
    for (int i = 0; i < load->connections; i++)
        visit(load, i);
    puts("held");
    return 0;
}
