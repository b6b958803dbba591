#include "core/workers.h"
#include "core/cleanup.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct workers {
    struct workers_options options;
    char name[16];
    pthread_mutex_t lock;
    pthread_cond_t changed;    /* a job came, a session is made, or stopping */
    struct mail *first, **end; /* waiting jobs by their mail.next; under the lock */
    unsigned queued;           /* under the lock for writing */
    bool stopping;
    unsigned sessions_made, sessions_failed; /* under the lock, during workers_new */
    struct error session_error;
    unsigned started;
    pthread_t threads[];
};

static void deliver_done(struct mail *mail) {
    struct job *job = CONTAINER_OF(mail, struct job, mail);
    job->done(job);
}

static struct job *take_job(struct workers *w) {
    pthread_mutex_lock(&w->lock);
    while (!w->first && !w->stopping)
        pthread_cond_wait(&w->changed, &w->lock);
    struct mail *mail = w->first;
    if (mail) {
        w->first = mail->next;
        if (!w->first)
            w->end = &w->first;
        __atomic_store_n(&w->queued, w->queued - 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&w->lock);
    return mail ? CONTAINER_OF(mail, struct job, mail) : NULL;
}

/* Tells workers_new whether this thread has its session. */
static bool report_session(struct workers *w, bool made, const struct error *error) {
    pthread_mutex_lock(&w->lock);
    if (made) {
        w->sessions_made++;
    } else {
        w->sessions_failed++;
        w->session_error = *error;
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return made;
}

static void *worker_main(void *arg) {
    struct workers *w = arg;
    pthread_setname_np(pthread_self(), w->name);
    struct error error = {.code = ERROR_INTERNAL, .message = "no session"};
    void *session = w->options.session_new ? w->options.session_new(w->options.ctx, &error) : w->options.ctx;
    if (!report_session(w, session || !w->options.session_new, &error))
        return NULL;
    for (struct job *job; (job = take_job(w));) {
        job->run(job, session);
        loop_post(job->loop, &job->mail);
    }
    if (w->options.session_new && w->options.session_free)
        w->options.session_free(session);
    return NULL;
}

static bool start_threads(struct workers *w, struct error *reterr) {
    for (; w->started < w->options.threads; w->started++) {
        int code = pthread_create(&w->threads[w->started], NULL, worker_main, w);
        if (code)
            return error_set(reterr, ERROR_INTERNAL, "pool %s: cannot start thread %u of %u: %s", w->name,
                             w->started + 1, w->options.threads, strerror(code));
    }
    pthread_mutex_lock(&w->lock);
    while (w->sessions_made + w->sessions_failed < w->started)
        pthread_cond_wait(&w->changed, &w->lock);
    unsigned failed = w->sessions_failed;
    pthread_mutex_unlock(&w->lock);
    if (!failed)
        return true;
    if (reterr)
        *reterr = w->session_error;
    return error_prefix(reterr, "pool %s", w->name);
}

struct workers *workers_new(const struct workers_options *options, struct error *reterr) {
    if (!options->threads || !options->queue_max) {
        error_set(reterr, ERROR_INVALID, "pool %s: %u threads and a queue of %u: both must be at least 1",
                  options->name, options->threads, options->queue_max);
        return NULL;
    }
    struct workers *w = calloc(1, sizeof(*w) + options->threads * sizeof(w->threads[0]));
    if (!w) {
        error_nomem(reterr);
        return NULL;
    }
    w->options = *options;
    memcpy(w->name, options->name, strnlen(options->name, sizeof(w->name) - 1));
    w->options.name = w->name;
    w->end = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    if (!start_threads(w, reterr)) {
        workers_free(w);
        return NULL;
    }
    return w;
}

void workers_free(struct workers *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->started; i++)
        pthread_join(w->threads[i], NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

bool workers_submit(struct workers *w, struct loop *loop, struct job *job) {
    if (!w)
        return false;
    job->loop = loop;
    job->mail = (struct mail){.deliver = deliver_done};
    pthread_mutex_lock(&w->lock);
    bool accepted = w->queued < w->options.queue_max && !w->stopping;
    if (accepted) {
        *w->end = &job->mail;
        w->end = &job->mail.next;
        __atomic_store_n(&w->queued, w->queued + 1, __ATOMIC_RELAXED);
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return accepted;
}

unsigned workers_queued(const struct workers *w) {
    return __atomic_load_n(&w->queued, __ATOMIC_RELAXED);
}
