/* verb_forget.c - asks the running instances to forget shoppers: ForgetRequests into their topic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/timefmt.h"
#include "cli/into_topics.h"

static const char help[] =
    "usage: kindred forget SHOPPER... [-X bootstrap.servers=HOST:PORT] [flags]\n\n"
    "  SHOPPER...         user or session ids, as they stand in the events\n"
    "  --time TIME        forget what they did up to then (default: now)\n"
    "  --request-id ID    repeated in the receipt (default: forget-TIME)\n\n"
    "What each shopper did leaves the state, with the sessions linked to the user; older events "
    "are "
    "kept\n"
    "out whenever they come; a null goes out for them on each compacted output topic, and a "
    "receipt\n"
    "on the topic of topics.receipts. Later events of the shopper count again.\n";

typedef struct refusal {
    char message[256];
} refusal;

static void on_refused(void *arg, const kd_pos *pos, kd_reason reason, const char *message,
                       const void *key, size_t key_len, const void *value, size_t value_len)
{
    refusal *x = arg;
    (void)pos;
    (void)reason;
    (void)key;
    (void)key_len;
    (void)value;
    (void)value_len;
    snprintf(x->message, sizeof x->message, "%s", message);
}

static kd_rc make(const kd_flag *flags, kd_str shopper, kd_ms now, kd_record *out, kd_err *err)
{
    kd_record_init(out, KD_FORGET);
    out->time = now;
    const char *time = kd_flag_value(flags, "time");
    if (time != NULL)
        KD_TRY(kd_time_parse_iso(kd_str_of(time), &out->time, err));
    out->ts = out->time;
    out->user_id = shopper;
    out->event_id = kd_str_of(kd_flag_value(flags, "request-id"));
    return kd_record_check(out, now, err);
}

/* All of them are checked before the first is sent. */
static kd_rc forget_all(kd_into_topics *into, const kd_common *common, const kd_flag *flags,
                        const char *const *shoppers, int n, const volatile int *stop, kd_err *err)
{
    kd_ms now = kd_clock_wall_ms();
    char id[48], iso[32];
    kd_record r;
    if (n == 0)
        return kd_fail(err, KD_ECONFIG, "nobody is named; kindred forget SHOPPER...");
    for (int k = 0; k < n; k++)
        if (make(flags, kd_str_of(shoppers[k]), now, &r, err) != KD_OK) {
            kd_err_at(err, "%s", shoppers[k]);
            return KD_ECONFIG;
        }
    kd_time_iso(r.time, iso);
    snprintf(id, sizeof id, "forget-%s", iso);
    refusal refused = {.message = ""};
    KD_TRY(kd_into_topics_open(into, &common->config, stop, on_refused, &refused, err));
    for (int k = 0; k < n; k++) {
        KD_TRY(make(flags, kd_str_of(shoppers[k]), now, &r, err));
        if (r.event_id.p == NULL)
            r.event_id = kd_str_of(id);
        KD_TRY(kd_into_topics_put(into, &r, err));
    }
    KD_TRY(kd_into_topics_flush(into, err));
    if (refused.message[0] != '\0')
        return kd_fail(err, KD_EIO, "the broker refused a request: %s", refused.message);
    printf("%d asked for on %s, request %.*s; receipts come on %s\n", n,
           into->options.topic[KD_FORGET], KD_STR_ARG(r.event_id),
           kd_opt_str(&common->config.values, "topics.receipts"));
    return KD_OK;
}

static int verb_forget(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "time", .has_value = true}, {.name = "request-id", .has_value = true}, {0}};
    kd_common common = {0};
    kd_into_topics into = {0};
    const char **shoppers = NULL;
    const volatile int *stop = kd_stop_on_signals();
    int n = 0;
    kd_arena *arena = kd_arena_new(0);
    kd_rc rc = arena == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, arena, &common, &shoppers, &n, err);
    if (rc == KD_OK && common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK)
        rc = forget_all(&into, &common, flags, shoppers, n, stop, err);
    bool is_stopped = *stop != 0 && rc == KD_RETRY;
    if (is_stopped)
        *err = (kd_err){0}; /* what it waited for is no longer of interest */
    kd_into_topics_close(&into);
    kd_common_dispose(&common);
    kd_arena_free(arena);
    return is_stopped ? KD_EXIT_INTERRUPTED : (int)kd_exit_of(rc);
}

const kd_verb kd_verb_forget = {"forget", "ask the running instances to forget shoppers", help,
                                verb_forget};
