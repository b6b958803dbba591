/* open_load: GET requests at a given rate, whether answers come or not (an open load, as visitors are one), and what became of
 * them. Latency counts from the moment at which a request was due, so a server that stalls is charged for all who wait.
 *
 *   open_load HOST PORT TARGETS SEED CONNECTIONS PHASE...      PHASE: RATE:SECONDS or FROM-TO:SECONDS
 *
 * TARGETS holds one request target per line, taken in turn. Prints one line of JSON for each phase. */
#include "core/cleanup.h"
#include "core/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PHASES_MAX = 16, HEAD_MAX = 16384, PENDING_MAX = 1 << 20, GRACE_SEC = 10 };

struct latencies {
    uint32_t *usec;
    size_t count, room;
};

struct phase {
    double from, to; /* requests per second */
    usec_t begins, ends;
    uint64_t sent, statuses[600], errors, without_retry_after;
    struct latencies accepted, refused;
};

struct due {
    usec_t at;
    struct phase *phase;
};

struct connection {
    int fd;
    bool busy;
    struct due due;
    char head[HEAD_MAX];
    size_t head_len;
    bool in_body;
    size_t body_left;
    int status;
    bool retry_after, close;
    struct connection *next_idle;
};

struct load {
    struct sockaddr_in address;
    int epoll;
    char **targets;
    size_t target_count, next_target;
    uint64_t seed;
    struct connection *connections, *idle;
    size_t open, max, busy;
    struct due *pending; /* a ring */
    size_t pending_first, pending_count;
    struct phase phases[PHASES_MAX];
    size_t phase_count;
};

static void note(struct latencies *l, usec_t usec) {
    if (l->count == l->room) {
        l->room = l->room ? l->room * 2 : 4096;
        l->usec = realloc(l->usec, l->room * sizeof(*l->usec));
        if (!l->usec)
            exit(1);
    }
    l->usec[l->count++] = (uint32_t)(usec < UINT32_MAX ? usec : UINT32_MAX);
}

static double uniform(struct load *l) {
    l->seed = l->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(l->seed >> 11) + 0.5) / 9007199254740992.0;
}

/* ---- connections ---- */

static void end_request(struct load *l, struct connection *c, bool ok) {
    struct phase *p = c->due.phase;
    usec_t took = clock_now_usec() - c->due.at;
    if (!ok) {
        p->errors++;
    } else {
        p->statuses[c->status]++;
        bool refused = c->status == 429 || c->status == 503;
        p->without_retry_after += refused && !c->retry_after;
        note(refused ? &p->refused : &p->accepted, took);
    }
    l->busy--;
    c->busy = false;
}

/* Its place can be opened again. */
static void drop(struct load *l, struct connection *c) {
    if (c->busy)
        end_request(l, c, false);
    close(c->fd);
    c->fd = -1;
    c->next_idle = l->idle;
    l->idle = c;
}

static void send_request(struct load *l, struct connection *c) {
    char text[8192];
    const char *target = l->targets[l->next_target++ % l->target_count];
    int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", target);
    c->head_len = 0;
    c->in_body = c->retry_after = c->close = false;
    if (len >= (int)sizeof(text) || send(c->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        drop(l, c);
}

static void begin_request(struct load *l, struct due due) {
    struct connection *c = l->idle;
    if (c)
        l->idle = c->next_idle;
    else
        c = &l->connections[l->open++];
    c->busy = true;
    c->due = due;
    l->busy++;
    if (c->fd >= 0) {
        send_request(l, c);
        return;
    }
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&l->address, sizeof(l->address)) < 0) { /* local: at once */
        drop(l, c);
        return;
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    (void)epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event);
    send_request(l, c);
}

static const char *header(const char *head, const char *name) {
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':')
            return line + 3 + len;
    return NULL;
}

/* The head is complete: *end is where the body begins. */
static void read_head(struct connection *c, const char *body) {
    size_t got = c->head_len - (size_t)(body - c->head);
    const char *length = header(c->head, "Content-Length"), *close_it = header(c->head, "Connection");
    c->status = c->head_len > 12 ? (int)strtol(c->head + 9, NULL, 10) : 0;
    c->status = c->status >= 100 && c->status < 600 ? c->status : 0;
    c->retry_after = header(c->head, "Retry-After") != NULL;
    c->close = close_it && strncasecmp(close_it, " close", 6) == 0;
    size_t announced = length && c->status != 304 && c->status != 204 ? strtoul(length, NULL, 10) : 0;
    c->in_body = true;
    c->body_left = announced > got ? announced - got : 0;
}

static void on_input(struct load *l, struct connection *c) {
    char scrap[65536];
    for (;;) {
        bool head = !c->in_body;
        ssize_t n = head ? recv(c->fd, c->head + c->head_len, sizeof(c->head) - 1 - c->head_len, 0)
                         : recv(c->fd, scrap, sizeof(scrap), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (!c->busy) { /* closed while it was idle: it stays in that list */
            close(c->fd);
            c->fd = -1;
            return;
        }
        if (n <= 0) {
            drop(l, c);
            return;
        }
        if (head) {
            c->head_len += (size_t)n;
            c->head[c->head_len] = '\0';
            const char *end = strstr(c->head, "\r\n\r\n");
            if (!end)
                continue;
            read_head(c, end + 4);
        } else {
            c->body_left -= (size_t)n < c->body_left ? (size_t)n : c->body_left;
        }
        if (c->in_body && !c->body_left)
            break;
    }
    end_request(l, c, true);
    if (c->close) {
        drop(l, c);
        return;
    }
    c->next_idle = l->idle;
    l->idle = c;
}

/* ---- the schedule ---- */

static void issue(struct load *l, struct due due) {
    due.phase->sent++;
    if (!l->pending_count && (l->idle || l->open < l->max))
        begin_request(l, due);
    else if (l->pending_count < PENDING_MAX)
        l->pending[(l->pending_first + l->pending_count++) % PENDING_MAX] = due;
    else
        due.phase->errors++;
}

static void issue_pending(struct load *l) {
    while (l->pending_count && (l->idle || l->open < l->max)) {
        struct due due = l->pending[l->pending_first];
        l->pending_first = (l->pending_first + 1) % PENDING_MAX;
        l->pending_count--;
        begin_request(l, due);
    }
}

/* At most until `until`. */
static void poll_once(struct load *l, usec_t until) {
    struct epoll_event events[256];
    usec_t now = clock_now_usec(), wait = until > now ? until - now : 0;
    struct timespec timeout = {(time_t)(wait / USEC_PER_SEC), (long)(wait % USEC_PER_SEC) * 1000};
    int n = epoll_pwait2(l->epoll, events, 256, &timeout, NULL);
    for (int i = 0; i < n; i++)
        on_input(l, events[i].data.ptr);
    issue_pending(l);
}

static void run(struct load *l) {
    usec_t next = l->phases[0].begins;
    for (size_t i = 0; i < l->phase_count; i++) {
        struct phase *p = &l->phases[i];
        while (next < p->ends) {
            while (clock_now_usec() < next)
                poll_once(l, next);
            issue(l, (struct due){next, p});
            double done = (double)(next - p->begins) / (double)(p->ends - p->begins);
            double rate = p->from + (p->to - p->from) * done;
            next += (usec_t)(-log(uniform(l)) * 1e6 / rate) + 1;
            if (next % 8 == 0)
                poll_once(l, 0); /* behind time: answers are taken all the same */
        }
    }
    usec_t give_up = clock_now_usec() + GRACE_SEC * USEC_PER_SEC;
    while ((l->busy || l->pending_count) && clock_now_usec() < give_up)
        poll_once(l, give_up);
    for (size_t i = 0; i < l->open; i++)
        if (l->connections[i].busy)
            l->connections[i].due.phase->errors++;
}

/* ---- in and out ---- */

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(const struct latencies *l, double q) {
    return l->count ? l->usec[(size_t)((double)(l->count - 1) * q)] / 1000.0 : 0;
}

static void print_phase(struct phase *p) {
    struct latencies *both[] = {&p->accepted, &p->refused};
    for (int i = 0; i < 2; i++)
        if (both[i]->count)
            qsort(both[i]->usec, both[i]->count, sizeof(uint32_t), by_value);
    printf("{\"sent\":%llu,\"seconds\":%.3f,\"errors\":%llu,\"without_retry_after\":%llu,\"statuses\":{", (unsigned long long)p->sent,
           (double)(p->ends - p->begins) / 1e6, (unsigned long long)p->errors, (unsigned long long)p->without_retry_after);
    const char *comma = "";
    for (int s = 0; s < 600; s++)
        if (p->statuses[s]) {
            printf("%s\"%d\":%llu", comma, s, (unsigned long long)p->statuses[s]);
            comma = ",";
        }
    printf("},\"accepted\":%zu,\"accepted_p50_ms\":%.3f,\"accepted_p99_ms\":%.3f,\"refused\":%zu,\"refused_p50_ms\":%.3f,"
           "\"refused_p99_ms\":%.3f}\n",
           p->accepted.count, quantile_ms(&p->accepted, 0.5), quantile_ms(&p->accepted, 0.99), p->refused.count,
           quantile_ms(&p->refused, 0.5), quantile_ms(&p->refused, 0.99));
}

static bool read_targets(struct load *l, const char *path) {
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t size = 0, room = 0;
    ssize_t n;
    while (f && (n = getline(&line, &size, f)) > 0) {
        if (l->target_count == room) {
            room = room ? room * 2 : 1024;
            l->targets = realloc(l->targets, room * sizeof(*l->targets));
            if (!l->targets)
                exit(1);
        }
        line[strcspn(line, "\n")] = '\0';
        l->targets[l->target_count++] = strdup(line);
    }
    free(line);
    if (f)
        fclose(f);
    return l->target_count > 0;
}

static bool read_phase(struct load *l, const char *text, usec_t begins) {
    struct phase *p = &l->phases[l->phase_count++];
    char *end = NULL;
    p->from = p->to = strtod(text, &end);
    if (*end == '-')
        p->to = strtod(end + 1, &end);
    double seconds = *end == ':' ? strtod(end + 1, &end) : 0;
    p->begins = begins;
    p->ends = begins + (usec_t)(seconds * 1e6);
    return *end == '\0' && p->from > 0 && p->to > 0 && seconds > 0;
}

int main(int argc, char **argv) {
    static struct load load;
    if (argc < 7 || argc - 6 > PHASES_MAX || !read_targets(&load, argv[3])) {
        fprintf(stderr, "open_load HOST PORT TARGETS SEED CONNECTIONS PHASE...\n");
        return 2;
    }
    load.seed = strtoull(argv[4], NULL, 10);
    load.max = strtoul(argv[5], NULL, 10);
    load.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10))};
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.connections = calloc(load.max, sizeof(*load.connections));
    load.pending = calloc(PENDING_MAX, sizeof(*load.pending));
    usec_t begins = clock_now_usec() + 10 * USEC_PER_MSEC;
    for (int i = 6; i < argc; i++) {
        if (!read_phase(&load, argv[i], begins)) {
            fprintf(stderr, "open_load: %s is no phase\n", argv[i]);
            return 2;
        }
        begins = load.phases[load.phase_count - 1].ends;
    }
    for (size_t i = 0; i < load.max; i++)
        load.connections[i].fd = -1;
    if (inet_pton(AF_INET, argv[1], &load.address.sin_addr) != 1 || load.epoll < 0 || !load.connections || !load.pending)
        return 1;
    run(&load);
    for (size_t i = 0; i < load.phase_count; i++)
        print_phase(&load.phases[i]);
    return 0;
}
