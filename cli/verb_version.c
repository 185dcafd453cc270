/* verb_version.c - what this binary is. Says it whatever the configuration holds. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static int verb_version(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    if (argc == 0) {
        printf("kindred %s\n", KD_VERSION);
        return KD_EXIT_OK;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        fputs(verb->help, stdout);
        return KD_EXIT_OK;
    }
    return kd_exit_of(
        kd_fail(err, KD_ECONFIG, "\"%s\" is not expected; `kindred version` is all", argv[0]));
}

const kd_verb kd_verb_version = {"version", "the version", "usage: kindred version\n",
                                 verb_version};
