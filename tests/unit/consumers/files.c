#include "files.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "schemas/json.h"

static char folder[] = "/tmp/kd_test_files_XXXXXX";

int files_setup(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

int files_teardown(void **state)
{
    (void)state;
    DIR *d = opendir(folder);
    for (struct dirent *e = d == NULL ? NULL : readdir(d); e != NULL; e = readdir(d))
        if (e->d_name[0] != '.')
            (void)unlink(files_path(e->d_name));
    if (d != NULL)
        closedir(d);
    return rmdir(folder);
}

const char *files_path(const char *name)
{
    static char paths[8][512];
    static unsigned at;
    char *p = paths[at++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    return p;
}

const char *files_write_n(const char *name, const void *p, size_t n, bool gz)
{
    const char *path = files_path(name);
    if (gz) {
        gzFile f = gzopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(n == 0 ? 0 : gzwrite(f, p, (unsigned)n), n);
        assert_int_equal(gzclose(f), Z_OK);
        return path;
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

const char *files_write(const char *name, const char *text)
{
    size_t n = strlen(name);
    return files_write_n(name, text, strlen(text), n > 3 && strcmp(name + n - 3, ".gz") == 0);
}

kd_source *files_open(const char *map, const char *const *paths, size_t n)
{
    kd_file_source_options o = {
        .paths = paths, .n_paths = n, .map_path = map, .latest = INT64_C(4102444800000)};
    kd_source *s = NULL;
    kd_err err = {0};
    kd_rc rc = kd_file_source_new(&o, &s, &err);
    if (rc == KD_OK)
        rc = s->kind->start(s, &err);
    if (rc != KD_OK)
        fail_msg("%s %s: %s", kd_rc_name(rc), err.where, err.msg);
    return s;
}

kd_source *files_open1(const char *map, const char *path)
{
    return files_open(map, &path, 1);
}

static const char *base_of(const char *where)
{
    const char *slash = strrchr(where, '/');
    return slash == NULL ? where : slash + 1;
}

void files_read_all(kd_source *s, kd_buf *out, int release_every)
{
    for (int i = 1;; i++) {
        kd_record r;
        kd_err err = {0};
        kd_rc rc = s->kind->next(s, &r, &err);
        if (rc == KD_OK) {
            kd_buf_addf(out, "%s@%lld ", r.pos.topic, (long long)r.pos.offset);
            kd_json_event_print(&r, out);
            kd_buf_addc(out, '\n');
        } else if (rc == KD_EDATA) {
            kd_buf_addf(out, "%s@%lld BAD %s %s [%.*s]\n", r.pos.topic, (long long)r.pos.offset,
                        kd_reason_text(err.reason), base_of(err.where),
                        (int)(r.raw_value_len > 30 ? 30 : r.raw_value_len),
                        r.raw_value == NULL ? "" : (const char *)r.raw_value);
        } else {
            kd_buf_addf(out, "%s\n", rc == KD_END ? "END" : err.msg);
            return;
        }
        if (release_every > 0 && i % release_every == 0)
            s->kind->release(s);
    }
}

void files_expect(kd_source *s, const char *want)
{
    kd_buf got = {0};
    files_read_all(s, &got, 1);
    kd_buf_addc(&got, '\0');
    assert_string_equal(got.p, want);
    kd_buf_dispose(&got);
    s->kind->close(s);
}

const char *files_data(const char *name)
{
    static char path[512];
    const char *dir = getenv("KINDRED_DATA");
    if (dir != NULL)
        snprintf(path, sizeof path, "%s/%s", dir, name);
    else
        snprintf(path, sizeof path, "%s/../shared/data/%s", KD_SOURCE_DIR, name);
    if (access(path, R_OK) == 0)
        return path;
    print_message("skipped: %s is not there (set KINDRED_DATA)\n", path);
    return NULL;
}
