/* verb_state.c - snapshots looked at from outside: what is in one, is it whole, what differs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "cli/cli.h"
#include "operators/state.h"
#include "topology/restore.h"

static const char help[] =
    "usage: kindred state show DIR\n"
    "       kindred state verify DIR\n"
    "       kindred state diff DIR DIR\n\n"
    "DIR is a snapshot, or a folder of them (snapshot.dir), of which the newest is meant.\n"
    "  show      what is in it, and where reading goes on\n"
    "  verify    loads it: checksums, counts, digest by a full pass, every invariant; for a folder "
    "all of\n"
    "            its snapshots; exit code 4 if one is not whole\n"
    "  diff      options, positions, shoppers and products that differ; exit code 4 if there are "
    "some\n";

enum { SHOWN = 10 };

/* -- show -------------------------------------------------------------------------------------- */

static void print_time(const char *what, kd_ms t)
{
    char iso[32] = "none";
    if (t != KD_MS_NONE)
        (void)kd_time_iso(t, iso);
    printf("%-16s %s\n", what, iso);
}

static kd_rc show(const char *path, kd_arena *arena, kd_err *err)
{
    const char *dir = NULL, *name = NULL;
    kd_manifest m;
    char hex[33];
    KD_TRY(kd_restore_find(path, arena, &dir, &name, err));
    KD_TRY(kd_snapshot_manifest(dir, name, arena, &m, err));
    kd_digest_hex(m.saved.digest, hex);
    printf("%-16s %s\n%-16s %s\n", "snapshot", name, "program", m.program);
    print_time("made", m.made);
    print_time("newest event", m.saved.state_time);
    printf("%-16s %s\n", "state digest", hex);
    const struct {
        const char *what;
        int64_t n;
    } rows[] = {{"shoppers", m.saved.shoppers}, {"interactions", m.saved.interactions},
                {"items", m.saved.items},       {"products", m.saved.products},
                {"links", m.saved.links},       {"tombstones", m.saved.tombstones}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        printf("%-16s %" PRId64 "\n", rows[k].what, rows[k].n);
    for (int k = 0; k < KD_SAVED_OPTIONS; k++)
        printf("%-16s %s\n", m.options[k].name, m.options[k].value);
    for (size_t k = 0; k < m.n_sections; k++)
        printf("section %-8s version %u, %" PRId64 " bytes\n", m.sections[k].name,
               m.sections[k].version, m.sections[k].bytes);
    for (size_t k = 0; k < m.n_positions; k++)
        printf("%s[%d] goes on at %" PRId64 "\n", m.positions[k].pos.topic,
               m.positions[k].pos.partition, m.positions[k].pos.offset);
    return KD_OK;
}

/* -- loading under the options that it was made with ---------------------------------------------
 */

typedef struct loaded {
    const char *dir, *name;
    kd_manifest m;
    kd_recommender *rec; /* owned */
} loaded;

static kd_rc make_recommender(const kd_manifest *m, kd_recommender **out, kd_err *err)
{
    kd_opt_values v = {0};
    kd_rc rc = kd_opt_values_add(&v, kd_recommender_opts(), err);
    for (int k = 0; rc == KD_OK && k < KD_SAVED_OPTIONS; k++)
        if (strcmp(m->options[k].name, "privacy.key") != 0) /* is a hash here; loading needs none */
            rc = kd_opt_set(&v, m->options[k].name, m->options[k].value, "the snapshot", err);
    if (rc == KD_OK)
        rc = kd_recommender_new(&v, out, err);
    kd_opt_values_dispose(&v);
    return rc == KD_ECONFIG ? KD_ESTATE : rc;
}

static kd_rc load_named(const char *dir, const char *name, kd_arena *arena, loaded *out,
                        kd_err *err)
{
    kd_load_options o = {0};
    *out = (loaded){.dir = dir, .name = name};
    KD_TRY(kd_snapshot_manifest(dir, name, arena, &out->m, err));
    KD_TRY(make_recommender(&out->m, &out->rec, err));
    return kd_snapshot_load(dir, name, &out->m, out->rec, &o, err);
}

static kd_rc load(const char *path, kd_arena *arena, loaded *out, kd_err *err)
{
    const char *dir = NULL, *name = NULL;
    KD_TRY(kd_restore_find(path, arena, &dir, &name, err));
    return load_named(dir, name, arena, out, err);
}

/* -- verify ------------------------------------------------------------------------------------ */

static kd_rc verify_one(const char *dir, const char *name, kd_arena *arena, bool *out_ok,
                        kd_err *err)
{
    loaded x = {0};
    kd_err why = {0};
    kd_rc rc = load_named(dir, name, arena, &x, &why);
    if (rc == KD_OK && (!kd_state_sane(kd_recommender_state(x.rec)) ||
                        !kd_digest_eq(kd_recommender_digest_slow(x.rec), x.m.saved.digest)))
        rc = kd_fail(&why, KD_EIO, "an invariant of the state is broken");
    kd_recommender_free(x.rec);
    *out_ok = rc == KD_OK;
    if (rc == KD_OK)
        printf("%s is whole: %" PRId64 " interactions of %" PRId64 " shoppers\n", name,
               x.m.saved.interactions, x.m.saved.shoppers);
    else if (rc == KD_EIO || rc == KD_ESTATE)
        printf("%s is NOT whole: %s%s%s\n", name, why.where, why.where[0] == '\0' ? "" : ": ",
               why.msg);
    else if (err != NULL)
        *err = why;
    return rc == KD_EIO || rc == KD_ESTATE ? KD_OK : rc;
}

static kd_rc verify(const char *path, kd_arena *arena, bool *out_ok, kd_err *err)
{
    const char *dir = NULL, *first = NULL, *const *names = NULL;
    size_t n = 0;
    KD_TRY(kd_restore_find(path, arena, &dir, &first, err));
    if (strcmp(dir, path) != 0) /* path is a snapshot */
        return verify_one(dir, first, arena, out_ok, err);
    KD_TRY(kd_snapshot_list(dir, arena, &names, &n, err));
    *out_ok = true;
    for (size_t k = 0; k < n; k++) {
        bool ok = false;
        KD_TRY(verify_one(dir, names[k], arena, &ok, err));
        *out_ok &= ok;
    }
    return KD_OK;
}

/* -- diff -------------------------------------------------------------------------------------- */

static kd_digest digest_of(const kd_state *s, uint32_t u)
{
    kd_digest sum = {0};
    kd_entries e = kd_entries_of(&s->hist, u);
    for (uint32_t k = 0; k < e.n; k++) {
        kd_str item = kd_ids_get(&s->items, kd_word_item(e.word[k]));
        uint64_t x[3] = {kd_ids_hash(item), (uint64_t)kd_entry_time(&e, k),
                         (uint64_t)kd_word_action(e.word[k])};
        kd_digest_add(&sum, kd_hash128(x, sizeof x, 0));
    }
    return sum;
}

/* Shoppers of a that b has otherwise (or, with `missing`, not at all); shows the first. */
static int64_t differing(const kd_state *a, const kd_state *b, bool missing, const char *what)
{
    int64_t n = 0;
    for (uint32_t u = 0; u < a->hist.cap; u++) {
        if (a->hist.shopper[u].n == 0)
            continue;
        kd_str id = kd_ids_get(&a->shoppers, u);
        uint32_t other = kd_state_shopper(b, id);
        bool is_one =
            missing ? other == KD_NO_SLOT
                    : other != KD_NO_SLOT && !kd_digest_eq(digest_of(a, u), digest_of(b, other));
        if (is_one && n++ < SHOWN)
            printf("shopper " KD_STR_FMT ": %s\n", KD_STR_ARG(id), what);
    }
    if (n > SHOWN)
        printf("... and %" PRId64 " more shoppers: %s\n", n - SHOWN, what);
    return n;
}

static int64_t diff_manifests(const kd_manifest *a, const kd_manifest *b)
{
    int64_t n = 0;
    for (int k = 0; k < KD_SAVED_OPTIONS; k++)
        if (strcmp(a->options[k].value, b->options[k].value) != 0) {
            printf("option %s: %s and %s\n", a->options[k].name, a->options[k].value,
                   b->options[k].value);
            n++;
        }
    const int64_t counts[][2] = {{a->saved.products, b->saved.products},
                                 {a->saved.links, b->saved.links},
                                 {a->saved.tombstones, b->saved.tombstones},
                                 {a->saved.interactions, b->saved.interactions}};
    static const char *const names[] = {"products", "links", "tombstones", "interactions"};
    for (size_t k = 0; k < 4; k++)
        if (counts[k][0] != counts[k][1])
            printf("%s: %" PRId64 " and %" PRId64 "\n", names[k], counts[k][0], counts[k][1]);
    for (size_t k = 0; k < a->n_positions; k++)
        for (size_t j = 0; j < b->n_positions; j++) {
            const kd_pos *p = &a->positions[k].pos, *q = &b->positions[j].pos;
            if (strcmp(p->topic, q->topic) == 0 && p->partition == q->partition &&
                p->offset != q->offset)
                printf("%s[%d]: %" PRId64 " and %" PRId64 "\n", p->topic, p->partition, p->offset,
                       q->offset);
        }
    return n;
}

static kd_rc diff(const char *const *path, kd_arena *arena, bool *out_ok, kd_err *err)
{
    loaded x[2] = {{0}};
    kd_rc rc = load(path[0], arena, &x[0], err);
    if (rc == KD_OK)
        rc = load(path[1], arena, &x[1], err);
    if (rc == KD_OK) {
        const kd_state *a = kd_recommender_state(x[0].rec), *b = kd_recommender_state(x[1].rec);
        int64_t n = diff_manifests(&x[0].m, &x[1].m);
        n += differing(a, b, true, "only in the first");
        n += differing(b, a, true, "only in the second");
        n += differing(a, b, false, "other interactions");
        bool is_equal = kd_digest_eq(x[0].m.saved.digest, x[1].m.saved.digest);
        *out_ok = is_equal && n == 0;
        printf("the states are %s\n", is_equal ? "equal" : "NOT equal");
    }
    kd_recommender_free(x[0].rec);
    kd_recommender_free(x[1].rec);
    return rc;
}

/* -- the verb ---------------------------------------------------------------------------------- */

static kd_rc run(const char **rest, int n, kd_arena *arena, bool *out_ok, kd_err *err)
{
    *out_ok = true;
    if (n == 2 && strcmp(rest[0], "show") == 0)
        return show(rest[1], arena, err);
    if (n == 2 && strcmp(rest[0], "verify") == 0)
        return verify(rest[1], arena, out_ok, err);
    if (n == 3 && strcmp(rest[0], "diff") == 0)
        return diff(rest + 1, arena, out_ok, err);
    return kd_fail(err, KD_ECONFIG,
                   "kindred state show DIR, state verify DIR, or state diff DIR DIR");
}

static int verb_state(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {{0}};
    const char **rest = NULL;
    int n_rest = 0;
    bool ok = true;
    kd_arena *arena = kd_arena_new(0);
    kd_common common = {0};
    kd_rc rc = arena == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, arena, &common, &rest, &n_rest, err);
    if (rc == KD_OK && common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK)
        rc = run(rest, n_rest, arena, &ok, err);
    kd_common_dispose(&common);
    kd_arena_free(arena);
    return rc == KD_OK && !ok ? KD_EXIT_CHECK : (int)kd_exit_of(rc);
}

const kd_verb kd_verb_state = {"state", "snapshots: what is in one, is it whole, what differs",
                               help, verb_state};
