#include "cli/files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/timefmt.h"
#include "base/yaml.h"
#include "consumers/sources.h"

enum { MAPS_MAX = 32, MAP_NAME = 64 };

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Names of the maps in a folder, without ".yaml", in order of the alphabet. */
static size_t list_maps(const char *folder, char names[MAPS_MAX][MAP_NAME])
{
    size_t n = 0;
    DIR *dir = folder == NULL ? NULL : opendir(folder);
    if (dir == NULL)
        return 0;
    for (const struct dirent *e; n < MAPS_MAX && (e = readdir(dir)) != NULL;) {
        size_t len = strlen(e->d_name);
        if (len > 5 && len - 5 < MAP_NAME && strcmp(e->d_name + len - 5, ".yaml") == 0)
            snprintf(names[n++], MAP_NAME, "%.*s", (int)(len - 5), e->d_name);
    }
    closedir(dir);
    qsort(names, n, MAP_NAME, by_name);
    return n;
}

/* A name without a folder or an ending means a shipped map. */
static kd_rc no_map(const char *name, const char *const *folders, size_t n_folders, kd_err *err)
{
    char names[MAPS_MAX][MAP_NAME], list[1024] = "";
    const char *words[MAPS_MAX + 1] = {0};
    size_t n = 0, used = 0;
    for (size_t k = 0; k < n_folders && n == 0; k++)
        n = list_maps(folders[k], names);
    for (size_t k = 0; k < n; k++) {
        words[k] = names[k];
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", k == 0 ? "" : ", ",
                                     names[k]);
    }
    const char *near = kd_nearest(name, words);
    return kd_fail(err, KD_ECONFIG, "--map: there is no file or map %s%s%s; shipped are %s", name,
                   near == NULL ? "" : ", did you mean ", near == NULL ? "" : near,
                   n == 0 ? "none" : list);
}

/* A map by path, or by name among the shipped ones. */
static kd_rc find_map(kd_arena *arena, const char *name, const char **out, kd_err *err)
{
    *out = name;
    if (name == NULL || access(name, R_OK) == 0)
        return KD_OK;
    const char *folders[] = {getenv("KINDRED_MAPS"), KD_MAPS_INSTALLED, KD_MAPS_SOURCE};
    for (size_t k = 0; k < sizeof folders / sizeof *folders; k++) {
        for (int with = 0; folders[k] != NULL && with < 2; with++) {
            char path[1024];
            int n = snprintf(path, sizeof path, "%s/%s%s", folders[k], name, with ? ".yaml" : "");
            if (n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0)
                *out = kd_arena_strz(arena, (kd_str){path, (uint32_t)n});
            if (*out == NULL)
                return kd_fail(err, KD_ENOMEM, "no memory for a name");
            if (*out != name)
                return KD_OK;
        }
    }
    if (strchr(name, '/') != NULL || strchr(name, '.') != NULL)
        return KD_OK; /* a path: opening it says what is wrong */
    return no_map(name, folders, sizeof folders / sizeof *folders, err);
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
    const char *map;
    KD_TRY(find_map(arena, kd_flag_value(flags, "map"), &map, err));
    kd_file_source_options o = {
        .paths = in->values, .n_paths = (size_t)in->n, .map_path = map, .latest = latest};
    KD_TRY(kd_file_source_new(&o, out, err));
    if (out_now != NULL)
        *out_now = latest;
    return KD_OK;
}

kd_rc kd_files_is_avro(const char *flag, const char *path, bool *out, kd_err *err)
{
    const char *slash = strrchr(path, '/'), *end = strrchr(slash == NULL ? path : slash, '.');
    *out = end != NULL && strcmp(end, ".avro") == 0;
    if (end == NULL || *out || strcmp(end, ".jsonl") == 0)
        return KD_OK;
    if (strcmp(end, ".gz") == 0)
        return kd_fail(err, KD_ECONFIG, "--%s %s: gzip is read, not written", flag, path);
    return kd_fail(err, KD_ECONFIG,
                   "--%s %s: the kind of file is told by its name: .jsonl or .avro, or - for "
                   "standard output",
                   flag, path);
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
