/* verb_version.c - what this binary is made of. */
#include <stdio.h>

#include "cli/cli.h"

static int verb_version(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    (void)verb;
    (void)argv;
    (void)err;
    if (argc > 0) {
        puts("usage: kindred version");
        return KD_EXIT_OK;
    }
    printf("kindred %s\n", KD_VERSION);
    return KD_EXIT_OK;
}

const kd_verb kd_verb_version = {"version", "the version", "usage: kindred version\n",
                                 verb_version};
