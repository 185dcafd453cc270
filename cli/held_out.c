#include "cli/held_out.h"

#include <stdlib.h>
#include <string.h>

#include "cli/files.h"

static kd_rc parse_holdout(const char *text, kd_protocol_options *o, kd_err *err)
{
    if (text == NULL)
        return KD_OK;
    char *end;
    double x = strtod(text, &end);
    bool is_share = strcmp(end, "%") == 0;
    if (end == text || (!is_share && *end != '\0') || !(x > 0) || x > (is_share ? 99.0 : 1e9) ||
        (!is_share && x != (double)(uint32_t)x))
        return kd_fail(err, KD_ECONFIG,
                       "--holdout: \"%s\" is no number of sessions such as 5000, "
                       "and no share such as 10%%",
                       text);
    if (is_share)
        o->holdout_share = x / 100;
    else
        o->holdout = (uint32_t)x;
    return KD_OK;
}

static void close_source(kd_source *s)
{
    if (s != NULL)
        s->kind->close(s);
}

kd_rc kd_held_out_load(kd_arena *arena, const kd_flag *flags, const kd_opt_values *v,
                       const char *lists, kd_protocol **out, kd_err *err)
{
    bool has_test = kd_flag_given(flags, "test"), is_prefixes = kd_flag_given(flags, "prefixes");
    kd_protocol_options o = {.lists = lists, .values = v, .stop = kd_stop_on_signals()};
    if (!kd_flag_given(flags, "train"))
        return kd_fail(err, KD_ECONFIG, "--train EVENTS... is missing; --help shows how");
    if (has_test == kd_flag_given(flags, "holdout"))
        return kd_fail(err, KD_ECONFIG, "one of --test and --holdout is right; --help shows how");
    if (is_prefixes && !has_test)
        return kd_fail(err, KD_ECONFIG, "--prefixes says what --test is, which is missing");
    KD_TRY(parse_holdout(kd_flag_value(flags, "holdout"), &o, err));
    if (is_prefixes)
        o.prefixes = kd_flag_value(flags, "test");
    kd_rc rc = kd_files_open_as(arena, flags, "train", &o.train, NULL, err);
    if (rc == KD_OK && has_test && !is_prefixes)
        rc = kd_files_open_as(arena, flags, "test", &o.test, NULL, err);
    if (rc == KD_OK)
        rc = kd_protocol_load(&o, out, err);
    close_source(o.train);
    close_source(o.test);
    return rc;
}
