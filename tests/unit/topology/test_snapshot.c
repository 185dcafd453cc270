/* Snapshots on disk: what is written is found again with its positions; the n-th write, fsync,
 * rename, open or mkdir fails for every n, and each time the one before is still there and whole,
 * and the next one succeeds; a damaged one is refused by name and the one before used; bounds are
 * kept; a folder has one owner. The same for the copies of them in another folder, and which of
 * both is begun with. Linked with --wrap for the calls that fail. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "operators/state.h"
#include "topology/restore.h"

/* -- failing calls --------------------------------------------------------------------------------
 */

ssize_t __real_write(int fd, const void *p, size_t n);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_mkdir(const char *path, mode_t mode);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_mkdir(const char *path, mode_t mode);

/* Set and read while the helper is idle; counted by it otherwise. */
static long calls_left = -1; /* -1: nothing fails */
static bool is_short;        /* a write that fails takes half of its bytes first */

static bool fails(void)
{
    return calls_left >= 0 && calls_left-- == 0;
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (calls_left == 0 && is_short)
        n = n / 2 + 1;
    else if (fails()) {
        errno = ENOSPC;
        return -1;
    }
    is_short = false;
    return __real_write(fd, p, n);
}

int __wrap_fsync(int fd)
{
    errno = EIO;
    return fails() ? -1 : __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    errno = EIO;
    return fails() ? -1 : __real_rename(from, to);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    errno = ENOSPC;
    return fails() ? -1 : __real_mkdir(path, mode);
}

/* -- a small state --------------------------------------------------------------------------------
 */

static char root[] = "/tmp/kindred-snapshot-XXXXXX";
static char dir[sizeof root + 8], copies[sizeof root + 8];
static kd_opt_values values;

static kd_recommender *make(void)
{
    kd_recommender *r = NULL;
    kd_err err = {0};
    if (kd_recommender_new(&values, &r, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return r;
}

static void learn(kd_recommender *r, int from, int n)
{
    for (int k = from; k < from + n; k++) {
        char user[16], item[16];
        kd_record rec;
        kd_applied applied;
        kd_record_init(&rec, KD_BROWSE);
        snprintf(user, sizeof user, "u%d", k % 97);
        snprintf(item, sizeof item, "i%d", k % 53);
        rec.user_id = kd_str_of(user);
        rec.item_id = kd_str_of(item);
        rec.time = rec.ts = INT64_C(1700000000000) + k * 1000;
        assert_int_equal(kd_recommender_apply(r, &rec, &applied, NULL), KD_OK);
    }
}

static kd_snapshots *open_dir(int keep, int64_t max_age_ms)
{
    kd_snapshot_options o = {.dir = dir, .keep = keep, .max_age_ms = max_age_ms};
    kd_snapshots *s = NULL;
    kd_err err = {0};
    if (kd_snapshots_open(&o, &s, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return s;
}

static kd_rc take(kd_snapshots *s, kd_recommender *r, int64_t offset, bool wait, kd_err *err)
{
    kd_source_pos at[] = {{{"browse", 0, offset}, 3}, {{"browse", 1, offset + 1}, 0}};
    KD_TRY(kd_snapshots_begin(s, r, at, 2, err));
    kd_rc rc;
    do {
        rc = kd_snapshots_step(s, wait, err);
    } while (rc == KD_AGAIN);
    return rc;
}

typedef struct notices {
    int n;
    char last[600];
} notices;

static void on_notice(void *arg, const char *text)
{
    notices *x = arg;
    x->n++;
    snprintf(x->last, sizeof x->last, "%s", text);
}

static void restore(kd_restored *out, notices *said, kd_arena *arena)
{
    static const char *const topics[] = {"browse"};
    kd_restore_options o = {.values = &values,
                            .topics = topics,
                            .n_topics = 1,
                            .on_notice = on_notice,
                            .notice_arg = said};
    kd_err err = {0};
    if (kd_restore(&o, dir, arena, out, &err) != KD_OK)
        fail_msg("%s", err.msg);
}

static int count_in(const char *folder, const char *prefix)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    if (d != NULL)
        closedir(d);
    return n;
}

static int count(const char *prefix)
{
    return count_in(dir, prefix);
}

/* -- the tests ------------------------------------------------------------------------------------
 */

static void test_written_is_found(void **unused)
{
    (void)unused;
    kd_arena *arena = kd_arena_new(0);
    kd_recommender *r = make();
    kd_snapshots *s = open_dir(3, 0);
    kd_err err = {0};
    kd_restored back;
    notices said = {0};
    restore(&back, &said, arena); /* of an empty folder */
    assert_null(back.name);
    kd_recommender_free(back.rec);
    for (int k = 0; k < 6; k++) {
        learn(r, k * 500, 500);
        assert_int_equal(take(s, r, k * 100, k % 2 == 0, &err), KD_OK);
        restore(&back, &said, arena);
        assert_string_equal(back.name, kd_snapshots_last(s));
        assert_true(kd_digest_eq(kd_recommender_digest(back.rec), kd_recommender_digest(r)));
        assert_true(kd_state_sane(kd_recommender_state(back.rec)));
        assert_int_equal(back.manifest.n_positions, 2);
        assert_string_equal(back.manifest.positions[1].pos.topic, "browse");
        assert_int_equal(back.manifest.positions[1].pos.offset, k * 100 + 1);
        assert_int_equal(back.manifest.positions[0].term, 3);
        kd_recommender_free(back.rec);
    }
    assert_int_equal(said.n, 0);
    assert_int_equal(count("20"), 3);
    kd_snapshots *second = NULL;
    kd_snapshot_options o = {.dir = dir, .keep = 3};
    assert_int_equal(kd_snapshots_open(&o, &second, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, dir));
    kd_snapshots_close(s);
    kd_recommender_free(r);
    kd_arena_free(arena);
}

static void test_every_call_fails_once(void **unused)
{
    (void)unused;
    kd_arena *arena = kd_arena_new(0);
    kd_recommender *r = make();
    kd_snapshots *s = open_dir(2, 0);
    kd_err err = {0};
    learn(r, 0, 5000);
    assert_int_equal(take(s, r, 0, true, &err), KD_OK);
    kd_digest before = kd_recommender_digest(r);
    learn(r, 5000, 100);
    int failed = 0;
    for (long n = 0;; n++) {
        kd_restored back;
        notices said = {0};
        err = (kd_err){0};
        is_short = n % 2 == 1;
        calls_left = n;
        kd_rc rc = take(s, r, n, true, &err);
        bool is_calm = calls_left >= 0;
        calls_left = -1;
        is_short = false;
        if (is_calm) {
            assert_int_equal(rc, KD_OK);
            break;
        }
        assert_int_equal(kd_snapshots_counts(s)->failed, failed + (rc != KD_OK));
        restore(&back, &said, arena);
        assert_int_equal(said.n, 0); /* nothing half-written is taken for a snapshot */
        assert_int_equal(count(".tmp-"), 0);
        if (rc != KD_OK) {
            failed++;
            assert_int_equal(rc, KD_EIO);
            assert_true(err.where[0] != '\0' && err.msg[0] != '\0');
            /* But for the last sync, after which it may or may not be there, it is the old one. */
            kd_digest d = kd_recommender_digest(back.rec);
            assert_true(kd_digest_eq(d, before) || kd_digest_eq(d, kd_recommender_digest(r)));
        }
        kd_recommender_free(back.rec);
        learn(r, 5100, 10); /* the state goes on unharmed */
        assert_true(kd_state_sane(kd_recommender_state(r)));
    }
    print_message("%d calls failed in turn\n", failed);
    assert_true(failed >= 8); /* mkdir, writes, fsyncs of file, manifest, two folders, rename */
    kd_snapshots_close(s);
    kd_recommender_free(r);
    kd_arena_free(arena);
}

static void spoil_in(const char *folder, const char *name, const char *file)
{
    char path[256], byte;
    snprintf(path, sizeof path, "%s/%s/%s", folder, name, file);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    off_t at = lseek(fd, 0, SEEK_END) / 2;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void spoil(const char *name, const char *file)
{
    spoil_in(dir, name, file);
}

static void test_damaged_is_refused_and_the_one_before_used(void **unused)
{
    (void)unused;
    static const char *const files[] = {"state.kds", "manifest.yaml"};
    for (int f = 0; f < 2; f++) {
        kd_arena *arena = kd_arena_new(0);
        kd_recommender *r = make();
        kd_snapshots *s = open_dir(4, 0);
        kd_err err = {0};
        kd_restored back;
        notices said = {0};
        learn(r, 0, 900);
        assert_int_equal(take(s, r, 10, true, &err), KD_OK);
        kd_digest first = kd_recommender_digest(r);
        learn(r, 900, 900);
        assert_int_equal(take(s, r, 20, true, &err), KD_OK);
        spoil(kd_snapshots_last(s), files[f]);
        restore(&back, &said, arena);
        assert_int_equal(said.n, 1);
        assert_non_null(strstr(said.last, kd_snapshots_last(s)));
        assert_non_null(strstr(said.last, "damaged"));
        assert_true(kd_digest_eq(kd_recommender_digest(back.rec), first));
        assert_int_equal(back.manifest.positions[0].pos.offset, 10);
        kd_recommender_free(back.rec);
        kd_snapshots_close(s);
        kd_recommender_free(r);
        kd_arena_free(arena);
    }
}

static void test_other_options_are_not_mixed(void **unused)
{
    (void)unused;
    static const char *const other[][3] = {{"history.max", "10", "50"},
                                           {"purchases.max", "10", "200"},
                                           {"retention", "5d", "0"},
                                           {"shopper", "session", "user-or-session"},
                                           {"privacy.key", "0123456789abcdef", ""}};
    kd_arena *arena = kd_arena_new(0);
    kd_recommender *r = make();
    kd_snapshots *s = open_dir(1, 0);
    kd_err err = {0};
    learn(r, 0, 900);
    assert_int_equal(take(s, r, 10, true, &err), KD_OK);
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
        kd_restored back;
        notices said = {0};
        assert_int_equal(kd_opt_set(&values, other[k][0], other[k][1], "test", &err), KD_OK);
        restore(&back, &said, arena);
        assert_null(back.name);
        assert_int_equal(said.n, 1);
        assert_non_null(strstr(said.last, other[k][0]));
        assert_int_equal(kd_recommender_state(back.rec)->n_entries, 0);
        kd_recommender_free(back.rec);
        assert_int_equal(kd_opt_set(&values, other[k][0], other[k][2], "test", &err), KD_OK);
    }
    kd_restored back;
    notices said = {0};
    static const char *const topics[] = {"browse", "purchase"};
    kd_restore_options o = {.values = &values,
                            .topics = topics,
                            .n_topics = 2,
                            .on_notice = on_notice,
                            .notice_arg = &said};
    assert_int_equal(kd_restore(&o, dir, arena, &back, &err), KD_OK);
    assert_null(back.name);
    assert_non_null(strstr(said.last, "purchase"));
    kd_recommender_free(back.rec);
    kd_snapshots_close(s);
    kd_recommender_free(r);
    kd_arena_free(arena);
}

/* A manifest of another format, whole: refused by its number, and the state is not looked at. */
static void test_another_format_is_not_guessed(void **unused)
{
    (void)unused;
    kd_arena *arena = kd_arena_new(0);
    kd_recommender *r = make();
    kd_snapshots *s = open_dir(1, 0);
    kd_err err = {0};
    kd_restored back;
    notices said = {0};
    char path[300], text[8192];
    learn(r, 0, 900);
    assert_int_equal(take(s, r, 10, true, &err), KD_OK);
    snprintf(path, sizeof path, "%s/%s/manifest.yaml", dir, kd_snapshots_last(s));
    int fd = open(path, O_RDWR);
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(fd >= 0 && n > 0);
    text[n] = '\0';
    char *sum = strstr(text, "\nsum: ");
    assert_memory_equal(text, "format: 1\n", 10);
    text[8] = '2';
    snprintf(sum + 1, sizeof text - (size_t)(sum + 1 - text), "sum: \"%016llx\"\n",
             (unsigned long long)kd_hash64(text, (size_t)(sum + 1 - text), 0));
    assert_int_equal(pwrite(fd, text, (size_t)n, 0), n);
    close(fd);
    restore(&back, &said, arena);
    assert_null(back.name);
    assert_int_equal(back.n_refused, 1);
    assert_non_null(strstr(said.last, "it is of format 2, this program knows 1"));
    kd_recommender_free(back.rec);
    kd_snapshots_close(s);
    kd_recommender_free(r);
    kd_arena_free(arena);
}

static void test_how_far_a_load_is(void **unused)
{
    (void)unused;
    char text[KD_RESTORE_TEXT];
    kd_restore_text("20260131T120000.000Z-1f3a", 5000000, 20000000, 1000, text);
    assert_string_equal(text,
                        "snapshot 20260131T120000.000Z-1f3a: 5000000 of 20000000 interactions "
                        "(25 %), 5000000/s, 3 s left");
    kd_restore_text("x", 0, 0, 0, text);
    assert_string_equal(text, "snapshot x: 0 of 0 interactions (100 %), 0/s, 0 s left");
    kd_restore_text("x", 30, 20, 10000, text); /* a manifest that lies is found out at the end */
    assert_string_equal(text, "snapshot x: 30 of 20 interactions (150 %), 3/s, 0 s left");
}

static void test_leftovers_and_age(void **unused)
{
    (void)unused;
    char left[sizeof dir + 40], file[sizeof left + 16];
    kd_recommender *r = make();
    kd_err err = {0};
    snprintf(left, sizeof left, "%s/.tmp-20260101T000000.000Z-abcd", dir);
    snprintf(file, sizeof file, "%s/state.kds", left);
    assert_int_equal(mkdir(left, 0700), 0);
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    kd_snapshots *s = open_dir(100, 1); /* everything but the newest is older than a millisecond */
    assert_int_equal(count(".tmp-"), 0);
    learn(r, 0, 100);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(take(s, r, 10, true, &err), KD_OK);
        for (kd_ms now = kd_clock_wall_ms(); kd_clock_wall_ms() < now + 3;)
            ;
    }
    assert_int_equal(take(s, r, 10, true, &err), KD_OK);
    assert_int_equal(count("20"), 1);
    kd_snapshots_close(s);
    kd_recommender_free(r);
}

/* -- copies ------------------------------------------------------------------------------------ */

static kd_snapshots *open_copied(const char *own, int keep, int64_t max_age_ms)
{
    kd_snapshot_options o = {
        .dir = own, .keep = keep, .max_age_ms = max_age_ms, .copy_dir = copies};
    kd_snapshots *s = NULL;
    kd_err err = {0};
    if (kd_snapshots_open(&o, &s, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return s;
}

/* What the loop does, without waiting between two looks. */
static kd_rc tend(kd_snapshots *s, kd_err *err)
{
    kd_rc rc;
    do {
        rc = kd_snapshots_tend(s, err);
    } while (rc == KD_AGAIN);
    return rc;
}

static void restore_of_both(const char *own, kd_restored *out, notices *said, kd_arena *arena)
{
    kd_restore_options o = {
        .values = &values, .copies = copies, .on_notice = on_notice, .notice_arg = said};
    kd_err err = {0};
    if (kd_restore(&o, own, arena, out, &err) != KD_OK)
        fail_msg("%s", err.msg);
}

static void test_a_copy_is_started_from(void **unused)
{
    (void)unused;
    kd_arena *arena = kd_arena_new(0);
    kd_recommender *r = make();
    kd_snapshots *s = open_copied(dir, 3, 0);
    kd_err err = {0};
    kd_restored back;
    notices said = {0};
    restore_of_both("", &back, &said, arena); /* nobody has copied yet */
    assert_null(back.name);
    kd_recommender_free(back.rec);
    for (int k = 0; k < 6; k++) {
        learn(r, k * 500, 500);
        assert_int_equal(take(s, r, k * 100, k % 2 == 0, &err), KD_OK);
        assert_int_equal(tend(s, &err), KD_OK);
        restore_of_both("", &back, &said, arena); /* a new machine */
        assert_string_equal(back.name, kd_snapshots_last(s));
        assert_true(back.is_copy);
        assert_true(kd_digest_eq(kd_recommender_digest(back.rec), kd_recommender_digest(r)));
        assert_int_equal(back.manifest.positions[0].pos.offset, k * 100);
        kd_recommender_free(back.rec);
        restore_of_both(dir, &back, &said, arena); /* this one: both are as far */
        assert_false(back.is_copy);
        kd_recommender_free(back.rec);
    }
    assert_int_equal(said.n, 0);
    assert_int_equal(count_in(copies, "20"), 3);
    assert_int_equal(kd_snapshots_counts(s)->copied, 6);
    assert_int_equal(kd_snapshots_counts(s)->copies_failed, 0);
    kd_snapshots_close(s);
    kd_recommender_free(r);
    kd_arena_free(arena);
}

/* Own at 10, 20; another's copies at `at`: which is begun with, and which when that is damaged. */
static void test_the_further_one_is_begun_with(void **unused)
{
    (void)unused;
    static const struct {
        int64_t at;
        int64_t first, second; /* offsets */
    } cases[] = {{5, 20, 10}, {15, 20, 15}, {20, 20, 20}, {25, 25, 20}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char other[sizeof root + 8], command[200];
        snprintf(other, sizeof other, "%s/o", root);
        snprintf(command, sizeof command, "rm -rf %s %s %s", dir, other, copies);
        assert_int_equal(system(command), 0);
        kd_arena *arena = kd_arena_new(0);
        kd_recommender *r = make();
        kd_snapshots *mine = open_dir(3, 0), *theirs = open_copied(other, 3, 0);
        kd_err err = {0};
        kd_restored back;
        notices said = {0};
        learn(r, 0, 900);
        assert_int_equal(take(theirs, r, cases[k].at, true, &err), KD_OK);
        assert_int_equal(tend(theirs, &err), KD_OK);
        assert_int_equal(take(mine, r, 10, true, &err), KD_OK);
        assert_int_equal(take(mine, r, 20, true, &err), KD_OK);
        restore_of_both(dir, &back, &said, arena);
        assert_int_equal(back.manifest.positions[0].pos.offset, cases[k].first);
        assert_int_equal(back.is_copy, cases[k].first == 25);
        assert_int_equal(said.n, 0);
        kd_recommender_free(back.rec);
        spoil_in(back.is_copy ? copies : dir, back.name, "state.kds");
        restore_of_both(dir, &back, &said, arena);
        assert_int_equal(back.manifest.positions[0].pos.offset, cases[k].second);
        assert_int_equal(said.n, 1);
        assert_int_equal(back.n_refused, 1);
        assert_non_null(strstr(said.last, "damaged"));
        if (cases[k].first == 25)
            assert_non_null(strstr(said.last, copies));
        kd_recommender_free(back.rec);
        kd_snapshots_close(mine);
        kd_snapshots_close(theirs);
        kd_recommender_free(r);
        kd_arena_free(arena);
    }
}

static void test_every_call_of_a_copy_fails_once(void **unused)
{
    (void)unused;
    kd_recommender *r = make();
    kd_snapshots *s = open_copied(dir, 2, 0);
    kd_err err = {0};
    learn(r, 0, 3000);
    assert_int_equal(take(s, r, 0, true, &err), KD_OK);
    assert_int_equal(tend(s, &err), KD_OK);
    int failed = 0;
    for (long n = 0;; n++) {
        kd_arena *arena = kd_arena_new(0);
        kd_restored back;
        notices said = {0};
        learn(r, 3000 + (int)n * 10, 10);
        assert_int_equal(take(s, r, n + 1, true, &err), KD_OK);
        err = (kd_err){0};
        is_short = n % 2 == 1;
        calls_left = n;
        kd_rc rc = tend(s, &err);
        bool is_calm = calls_left >= 0;
        calls_left = -1;
        is_short = false;
        failed += rc != KD_OK;
        assert_int_equal(kd_snapshots_counts(s)->copies_failed, failed);
        restore_of_both("", &back, &said, arena);
        assert_int_equal(said.n, 0);
        assert_non_null(back.name);
        assert_int_equal(count_in(copies, "20") >= 1, 1);
        if (rc != KD_OK) {
            assert_int_equal(rc, KD_EIO);
            assert_non_null(strstr(err.msg, kd_snapshots_last(s)));
            assert_int_equal(count_in(copies, ".tmp-"), 0);
        } else {
            assert_string_equal(back.name, kd_snapshots_last(s));
        }
        kd_recommender_free(back.rec);
        kd_arena_free(arena);
        assert_int_equal(count("20"), 2); /* its own are as ever */
        if (is_calm)
            break;
    }
    print_message("%d calls failed in turn\n", failed);
    assert_true(failed >= 7); /* mkdir, writes, fsyncs of two files and two folders, rename */
    kd_snapshots_close(s);
    kd_recommender_free(r);
}

static void test_a_worse_one_pushes_nothing_out(void **unused)
{
    (void)unused;
    char other[sizeof root + 8];
    snprintf(other, sizeof other, "%s/o", root);
    kd_recommender *r = make();
    kd_snapshots *ahead = open_copied(dir, 1, 0), *behind = open_copied(other, 1, 0);
    kd_err err = {0};
    learn(r, 0, 900);
    assert_int_equal(take(ahead, r, 100, true, &err), KD_OK);
    assert_int_equal(tend(ahead, &err), KD_OK);
    assert_int_equal(take(behind, r, 99, true, &err), KD_OK);
    assert_int_equal(tend(behind, &err), KD_OK);
    assert_int_equal(kd_snapshots_counts(behind)->copied, 0);
    assert_int_equal(take(behind, r, 101, true, &err), KD_OK);
    assert_int_equal(tend(behind, &err), KD_OK);
    assert_int_equal(kd_snapshots_counts(behind)->copied, 1);
    assert_int_equal(count_in(copies, "20"), 1);
    kd_recommender_free(r);
    /* Under other options it stands for nothing. */
    assert_int_equal(kd_opt_set(&values, "history.max", "10", "test", &err), KD_OK);
    r = make();
    assert_int_equal(take(behind, r, 1, true, &err), KD_OK);
    assert_int_equal(tend(behind, &err), KD_OK);
    assert_int_equal(kd_snapshots_counts(behind)->copied, 2);
    assert_int_equal(kd_opt_set(&values, "history.max", "50", "test", &err), KD_OK);
    kd_snapshots_close(ahead);
    kd_snapshots_close(behind);
    kd_recommender_free(r);
}

static void test_damage_is_not_copied(void **unused)
{
    (void)unused;
    static const char *const files[] = {"state.kds", "manifest.yaml"};
    kd_recommender *r = make();
    kd_snapshots *s = open_copied(dir, 3, 0);
    kd_err err = {0};
    learn(r, 0, 900);
    for (int f = 0; f < 2; f++) {
        assert_int_equal(take(s, r, 10, true, &err), KD_OK);
        spoil(kd_snapshots_last(s), files[f]);
        assert_int_equal(tend(s, &err), KD_EIO);
        assert_non_null(strstr(err.msg, "damaged"));
        assert_non_null(strstr(err.msg, kd_snapshots_last(s)));
        assert_int_equal(count_in(copies, ""), 2); /* . and .. */
    }
    kd_snapshots_close(s);
    kd_recommender_free(r);
}

static void test_age_and_leftovers_of_copies(void **unused)
{
    (void)unused;
    char left[2][sizeof copies + 40], command[200];
    kd_recommender *r = make();
    kd_snapshots *s = open_copied(dir, 100, 1);
    kd_err err = {0};
    assert_int_equal(mkdir(copies, 0700), 0);
    for (int k = 0; k < 2; k++) {
        snprintf(left[k], sizeof left[k], "%s/.tmp-20260101T00000%d.000Z-abcd", copies, k);
        assert_int_equal(mkdir(left[k], 0700), 0);
    }
    snprintf(command, sizeof command, "touch -d '2 hours ago' %s", left[0]);
    assert_int_equal(system(command), 0);
    for (int k = 0; k < 4; k++) {
        learn(r, k * 10, 10);
        assert_int_equal(take(s, r, 10 + k, true, &err), KD_OK);
        assert_int_equal(tend(s, &err), KD_OK);
        for (kd_ms now = kd_clock_wall_ms(); kd_clock_wall_ms() < now + 3;)
            ;
    }
    assert_int_equal(count_in(copies, "20"), 1);
    assert_int_equal(count_in(copies, ".tmp-20260101T000000"), 0);
    assert_int_equal(count_in(copies, ".tmp-20260101T000001"), 1); /* somebody may be at it */
    kd_snapshots_close(s);
    kd_recommender_free(r);
}

/* -- each test has a folder of its own ------------------------------------------------------------
 */

static int fresh(void **unused)
{
    (void)unused;
    char command[200];
    snprintf(command, sizeof command, "rm -rf %s %s %s/o", dir, copies, root);
    return system(command);
}

int main(void)
{
    if (mkdtemp(root) == NULL || kd_opt_values_add(&values, kd_recommender_opts(), NULL) != KD_OK)
        return 1;
    snprintf(dir, sizeof dir, "%s/s", root);
    snprintf(copies, sizeof copies, "%s/c", root);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_written_is_found, fresh),
        cmocka_unit_test_setup(test_every_call_fails_once, fresh),
        cmocka_unit_test_setup(test_damaged_is_refused_and_the_one_before_used, fresh),
        cmocka_unit_test_setup(test_other_options_are_not_mixed, fresh),
        cmocka_unit_test_setup(test_another_format_is_not_guessed, fresh),
        cmocka_unit_test(test_how_far_a_load_is),
        cmocka_unit_test_setup(test_a_copy_is_started_from, fresh),
        cmocka_unit_test_setup(test_the_further_one_is_begun_with, fresh),
        cmocka_unit_test_setup(test_every_call_of_a_copy_fails_once, fresh),
        cmocka_unit_test_setup(test_a_worse_one_pushes_nothing_out, fresh),
        cmocka_unit_test_setup(test_damage_is_not_copied, fresh),
        cmocka_unit_test_setup(test_age_and_leftovers_of_copies, fresh),
    };
    const struct CMUnitTest last[] = {cmocka_unit_test(test_leftovers_and_age)};
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    if (fresh(NULL) == 0 && mkdir(dir, 0700) == 0)
        rc += cmocka_run_group_tests(last, NULL, NULL);
    kd_opt_values_dispose(&values);
    (void)fresh(NULL);
    (void)rmdir(root);
    return rc;
}
