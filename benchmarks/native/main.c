/* load MODE PORT CONNECTIONS SIZE WARM SECONDS WAIT
 *
 * Prints "warm" when the measured window opens, and one JSON object when it has closed. Any answer
 * that is not the exact echo of its request ends the load with status 1 and a line on stderr. It
 * keeps its connections until standard input says something or ends. */
#include "load.h"

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

void die(const char *what)
{
    if (errno)
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
    else
        fprintf(stderr, "%s\n", what);
    exit(1);
}

int connected(struct load *load, int type)
{
    int one = 1, fd = socket(AF_INET, type, 0);
    if (fd < 0 || connect(fd, (void *)&load->server, sizeof load->server))
        die("connect");
    if (type == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

void watch(int epoll, int operation, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (epoll_ctl(epoll, operation, fd, &event))
        die("epoll_ctl");
}

char *message(struct load *load, long offset)
{
    memcpy(load->scratch, load->pattern + offset % OFFSETS, load->size);
    load->scratch[load->size - 1] = '\n';
    return load->scratch;
}

void check(struct load *load, long offset, int position, const char *data, int length)
{
    int most = load->size - position, body = length == most ? length - 1 : length;
    errno = 0;
    if (length > most)
        die("the server answered more than it was sent");
    if (memcmp(load->pattern + offset % OFFSETS + position, data, body) ||
        (body < length && data[body] != '\n'))
        die("the answer is no echo");
}

void ask(struct load *load, struct exchange *exchange)
{
    char *data = message(load, exchange->offset);
    exchange->asked = now();
    if (send(exchange->fd, data, load->size, MSG_NOSIGNAL) != load->size)
        die("send");
}

int answered(struct load *load, struct exchange *exchange)
{
    ssize_t n = recv(exchange->fd, load->buffer, SCRATCH, 0);
    if (n < 0 && errno == EAGAIN)
        return 0;
    errno = n ? errno : 0;
    if (n <= 0)
        die("the server closed a connection");
    check(load, exchange->offset, exchange->got, load->buffer, n);
    exchange->got += n;
    if (exchange->got < load->size)
        return 0;
    exchange->got = 0;
    exchange->offset++;
    return 1;
}

void gap(struct window *window, double seconds)
{
    if (seconds > window->worst)
        window->worst = seconds;
}

int ready(struct load *load, struct window *window, int epoll, struct epoll_event *events, int most)
{
    double since = now();
    int n = epoll_wait(epoll, events, most, load->wait);
    if (!n)
        window->idle += now() - since;
    return n;
}

int goes_on(struct load *load, struct window *window, double since)
{
    double time = now();
    if (!window->open && time >= since + load->warm) {
        puts("warm");
        fflush(stdout);
        *window = (struct window){.open = 1, .busy = -cpu(), .began = now()};
        window->ends = window->began + load->seconds;
    }
    if (!window->open || time < window->ends)
        return 1;
    window->seconds = time - window->began;
    if (load->wait)
        window->busy += cpu();
    else
        window->busy = window->seconds - window->idle;
    return 0;
}

void tell(struct window *window)
{
    printf("{\"requests\": %ld, \"seconds\": %.6f, \"busy\": %.6f, \"worst\": %.6f, "
           "\"p99\": %.6f, \"lost\": %ld, \"bytes\": %.0f}\n",
           window->requests, window->seconds, window->busy, window->worst, window->p99,
           window->lost, window->bytes);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int (*run)(struct load *); } modes[] = {
        {"echo", run_echo}, {"connect", run_connect}, {"fair", run_fair},
        {"udp", run_udp}, {"hold", run_hold}, {"slow", run_slow},
        {"fanout", run_fanout}, {"frozen", run_frozen},
        {"trips", run_trips}, {"bulk", run_bulk},
    };
    if (argc != 8) {
        fprintf(stderr, "usage: load MODE PORT CONNECTIONS SIZE WARM SECONDS WAIT\n");
        return 2;
    }
    struct load load = {.connections = atoi(argv[3]), .size = atoi(argv[4]),
                        .warm = atof(argv[5]), .seconds = atof(argv[6]), .wait = atoi(argv[7])};
    load.server.sin_family = AF_INET;
    load.server.sin_port = htons(atoi(argv[2]));
    load.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load.pattern = malloc(load.size + OFFSETS);
    load.scratch = malloc(load.size);
    load.buffer = malloc(SCRATCH);
    for (int i = 0; i < load.size + OFFSETS; i++)
        load.pattern[i] = 33 + rand() % 94;
    /* Whoever started this may be killed, and then nobody ends it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* A server that answers nothing must not hold the run up for ever. */
    alarm(90 + (int)(load.warm + load.seconds));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(argv[1], modes[i].name)) {
            int status = modes[i].run(&load);
            /* Connections that end would cost the server time before it is read off. */
            fflush(stdout);
            getchar();
            return status;
        }
    fprintf(stderr, "load: no mode %s\n", argv[1]);
    return 2;
}
