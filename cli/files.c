#include "cli/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/timefmt.h"
#include "consumers/sources.h"

/* A map by path, or by name among the shipped ones. */
static const char *find_map(kd_arena *arena, const char *name)
{
    if (name == NULL || access(name, R_OK) == 0)
        return name;
    const char *folders[] = {getenv("KINDRED_MAPS"), KD_MAPS_INSTALLED, KD_MAPS_SOURCE};
    for (size_t k = 0; k < sizeof folders / sizeof *folders; k++) {
        for (int with = 0; folders[k] != NULL && with < 2; with++) {
            char path[1024];
            int n = snprintf(path, sizeof path, "%s/%s%s", folders[k], name, with ? ".yaml" : "");
            if (n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0)
                return kd_arena_strz(arena, (kd_str){path, (uint32_t)n});
        }
    }
    return name; /* opening it says what is wrong */
}

kd_rc kd_files_open(kd_arena *arena, const kd_flag *flags, kd_source **out, kd_ms *out_now,
                    kd_err *err)
{
    return kd_files_open_as(arena, flags, "in", out, out_now, err);
}

kd_rc kd_files_open_as(kd_arena *arena, const kd_flag *flags, const char *name, kd_source **out,
                       kd_ms *out_now, kd_err *err)
{
    const kd_flag *in = flags;
    while (strcmp(in->name, name) != 0)
        in++;
    if (in->n == 0)
        return kd_fail(err, KD_ECONFIG, "--%s FILE is missing; --help shows how", name);
    kd_ms latest = kd_clock_wall_ms();
    const char *now = kd_flag_value(flags, "now");
    if (now != NULL && kd_time_parse_iso(kd_str_of(now), &latest, err) != KD_OK)
        return kd_fail(err, KD_ECONFIG, "--now: \"%s\" is no time such as 2024-01-31T12:00:00Z",
                       now);
    kd_file_source_options o = {.paths = in->values,
                                .n_paths = (size_t)in->n,
                                .map_path = find_map(arena, kd_flag_value(flags, "map")),
                                .latest = latest};
    KD_TRY(kd_file_source_new(&o, out, err));
    if (out_now != NULL)
        *out_now = latest;
    return KD_OK;
}

kd_rc kd_files_why(const kd_flag *flags, kd_terminal_options *table, kd_err *err)
{
    const char *lang = kd_flag_value(flags, "lang");
    if (lang != NULL && strcmp(lang, "en") != 0 && strcmp(lang, "zh") != 0)
        return kd_fail(err, KD_ECONFIG, "--lang: \"%s\" is not en or zh", lang);
    table->has_why = kd_flag_given(flags, "why");
    table->language = lang != NULL && strcmp(lang, "zh") == 0 ? KD_WHY_CHINESE : KD_WHY_ENGLISH;
    return KD_OK;
}
