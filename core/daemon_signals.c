#include "core/cleanup.h"
#include "core/daemon.h"
#include "core/daemon_internal.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EXIT_INTERRUPTED 130

/* Signals belong to the process, so there is one of this. */
static struct {
    struct loop_fd watch;
    void (*on_stop)(void *ctx);
    void (*on_reload)(void *ctx);
    void *ctx;
    bool open, stopping;
} signals;

static void on_signal(struct loop_fd *watch, uint32_t events) {
    struct signalfd_siginfo info;
    (void)events;
    while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            if (signals.on_reload)
                signals.on_reload(signals.ctx);
            else
                daemon_reload_running();
            continue;
        }
        if (signals.stopping)
            _exit(EXIT_INTERRUPTED); /* whoever asks twice does not want to wait */
        signals.stopping = true;
        signals.on_stop(signals.ctx);
    }
}

bool daemon_watch_signals(struct loop *loop, void (*on_stop)(void *ctx), void (*on_reload)(void *ctx), void *ctx,
                          struct error *reterr) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    daemon_signals_done();
    signals.on_stop = on_stop;
    signals.on_reload = on_reload;
    signals.ctx = ctx;
    signals.stopping = false;
    signals.watch = (struct loop_fd){.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), .cb = on_signal};
    if (signals.watch.fd < 0)
        return error_set(reterr, ERROR_INTERNAL, "signalfd: %s", strerror(errno));
    signals.open = true;
    return loop_fd_add(loop, &signals.watch, EPOLLIN, reterr);
}

void daemon_signals_done(void) {
    if (signals.open)
        close(signals.watch.fd); /* the loop it was added to may be gone already */
    signals.open = false;
}
