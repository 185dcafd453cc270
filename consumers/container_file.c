/* container_file.c - an Avro object container file. */
#include "consumers/file_internal.h"

#include <stdio.h>

static kd_rc read_bytes(void *arg, void *to, size_t cap, size_t *out_n, kd_err *err)
{
    kd_file *f = arg;
    return kd_reader_read(f->text.in, to, cap, out_n, err);
}

static kd_rc open_container(kd_file *f, kd_err *err)
{
    kd_err why = {0};
    kd_rc rc = kd_container_open(read_bytes, f, &f->container, &why);
    if (rc == KD_OK)
        return KD_OK;
    if (rc == KD_EDATA || rc == KD_END) /* a file that is none of ours is no bad record */
        return kd_fail(err, KD_ECONFIG, "%s is no Avro file of ours: %s", f->shown,
                       rc == KD_END ? "it is empty" : why.msg);
    if (err != NULL)
        *err = why;
    return rc;
}

static kd_rc next_container(kd_file *f, kd_arena *a, kd_record *out, kd_err *err)
{
    kd_err why = {0};
    kd_record_init(out, KD_BROWSE);
    kd_rc rc = kd_container_next(f->container, a, out, &why);
    if (rc == KD_OK || rc == KD_EDATA)
        f->n_rows = out->pos.offset;
    if (rc == KD_OK)
        rc = kd_record_check(out, f->latest, &why);
    if (rc == KD_EDATA) {
        kd_file_bad(f, out, out->raw_value, out->raw_value_len, -1, &why, err);
        return rc;
    }
    if (rc != KD_OK) {
        if (rc != KD_END && err != NULL)
            *err = why;
        return rc;
    }
    kd_file_stamp(f, out, f->n_rows++, out->raw_value, out->raw_value_len);
    kd_file_count(&f->counts, out);
    return KD_OK;
}

static void close_container(kd_file *f)
{
    kd_container_close(f->container);
    f->container = NULL;
}

const kd_file_kind kd_file_container = {"avro", open_container, next_container, close_container};
