/* progress.c - what long work shows on stderr, and signals that end it in order. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { PLAIN_MS = 5000, TERMINAL_MS = 400 };

void kd_progress_line_init(kd_progress_line *p, const char *done)
{
    *p = (kd_progress_line){.is_terminal = isatty(STDERR_FILENO) == 1, .done = done};
}

void kd_progress_notice(void *arg, const char *text)
{
    const kd_progress_line *line = arg;
    bool has_line = line != NULL && line->has_line;
    fprintf(stderr, "%skindred: %s\n", has_line ? "\r\x1b[K" : "", text);
}

/* What is behind, as far as that is known. How far others are with their partitions is not: an
 * instance that died has them until the group takes notice. */
static int describe_lag(const kd_progress *x, char *out, size_t cap)
{
    int n = x->silent_ms > 0 ? snprintf(out, cap, "  lag unknown, brokers silent for %lld s",
                                        (long long)x->silent_ms / 1000)
            : x->lag >= 0    ? snprintf(out, cap, "  lag %lld", (long long)x->lag)
                             : 0;
    if (x->answered < x->partitions && n >= 0 && (size_t)n < cap)
        n += snprintf(out + n, cap - (size_t)n, "  answers %d of %d partitions", x->answered,
                      x->partitions);
    return n;
}

static void describe(const kd_progress_line *p, const kd_counts *c, const kd_progress *x,
                     int64_t elapsed_ms, char *out, size_t cap)
{
    int64_t span = elapsed_ms - p->last_ms;
    int64_t rate = span > 0 ? (c->records - p->last_records) * 1000 / span : 0;
    int n = snprintf(out, cap, "%lld events  %lld/s  %lld %s", (long long)c->records,
                     (long long)rate, (long long)c->updates, p->done);
    if (c->dead_letters > 0 && n > 0 && (size_t)n < cap)
        n += snprintf(out + n, cap - (size_t)n, "  %lld dead letters", (long long)c->dead_letters);
    if (n > 0 && (size_t)n < cap)
        n += describe_lag(x, out + n, cap - (size_t)n);
    if (x->total_bytes > 0 && x->done_bytes > 0 && n > 0 && (size_t)n < cap) {
        double share = (double)x->done_bytes / (double)x->total_bytes;
        int64_t eta_s = (int64_t)((double)elapsed_ms * (1 - share) / share / 1000);
        snprintf(out + n, cap - (size_t)n, "  %.0f %%  ETA %lld:%02lld", share * 100,
                 (long long)(eta_s / 60), (long long)(eta_s % 60));
    }
}

void kd_progress_show(void *arg, const kd_counts *counts, const kd_progress *progress,
                      int64_t elapsed_ms, bool is_last)
{
    kd_progress_line *p = arg;
    if (p->is_quiet)
        return;
    if (is_last) {
        if (p->has_line)
            fputs("\r\x1b[K", stderr);
        p->has_line = false;
        return;
    }
    if (elapsed_ms - p->shown_ms < (p->is_terminal ? TERMINAL_MS : PLAIN_MS))
        return;
    char text[200];
    describe(p, counts, progress, elapsed_ms, text, sizeof text);
    if (p->is_terminal)
        fprintf(stderr, "\r\x1b[K%s", text);
    else
        fprintf(stderr, "%s\n", text);
    p->has_line = p->is_terminal;
    p->shown_ms = p->last_ms = elapsed_ms;
    p->last_records = counts->records;
}

/* A handler may touch nothing else; the process has one. */
static volatile int stop_asked;

static void on_signal(int signum)
{
    if (stop_asked != 0) {
        signal(signum, SIG_DFL);
        raise(signum);
    }
    stop_asked = 1;
}

const volatile int *kd_stop_on_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    return &stop_asked;
}
