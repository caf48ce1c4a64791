/* Echo once on every connection and keep them, silent. "held" is printed when that is so.
 *
 * A few come and go first, so that what a server makes once is not counted. Then "warm" is printed,
 * and a line on standard input awaited. */
#include "load.h"

#define FIRST 20

static int visit(struct load *load, long number)
{
    struct exchange visitor = {.fd = connected(load, SOCK_STREAM), .offset = number};
    fcntl(visitor.fd, F_SETFL, 0);
    ask(load, &visitor);
    while (!answered(load, &visitor))
        ;
    return visitor.fd;
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
