/* file_source.c - files as a source: opens them, merges their heads, gives their memory back. */
#include "consumers/file_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* One file and the record at its head. The head's strings live in arenas[head_arena]; what is read
 * next goes to arenas[write_arena]. release() empties the arena without the head and writes there,
 * so that the head outlives what was handed out before it. */
typedef struct head {
    kd_file file;
    kd_arena *arenas[2]; /* owned */
    int head_arena, write_arena;
    kd_rc rc; /* KD_OK, KD_EDATA: `record` waits; KD_END; others: the file broke */
    kd_ms at; /* where it stands in the merge (I1 of sources.h) */
    kd_record record;
    kd_err err;
    size_t index; /* in the order of the paths */
} head;

typedef struct file_source {
    kd_source base;
    kd_csv_maps *maps; /* owned, may be NULL */
    head *heads;       /* owned */
    size_t n_heads;
    head **heap; /* owned: heads that have not ended, the first at the root */
    size_t n_heap;
    int64_t handed;
    bool is_started;
    bool must_advance; /* the root's record was handed out: read its next before looking */
} file_source;

/* ---- what the kinds of files share ---- */

void kd_file_count(kd_file_counts *c, const kd_record *r)
{
    c->rows++;
    switch (r->type) {
    case KD_BROWSE:
        c->browse++;
        break;
    case KD_PURCHASE:
        if (r->action == KD_CANCELLED)
            c->cancelled++;
        else
            c->paid++;
        break;
    case KD_CATALOG:
        c->catalog++;
        c->catalog_rows++;
        break;
    case KD_FORGET:
        c->forget++;
        break;
    case KD_RECORD_TYPES:
        break;
    }
}

void kd_file_stamp(const kd_file *f, kd_record *out, int64_t row, const void *raw, size_t n)
{
    out->pos = (kd_pos){f->topic, 0, row};
    out->ts = out->time;
    out->emit = true;
    out->raw_key = NULL;
    out->raw_key_len = 0;
    out->raw_value = raw;
    out->raw_value_len = raw == NULL ? 0 : n;
}

void kd_file_bad(kd_file *f, kd_record *out, const void *raw, size_t n, int64_t line,
                 const kd_err *why, kd_err *err)
{
    kd_record_init(out, KD_BROWSE);
    out->pos = (kd_pos){f->topic, 0, f->n_rows};
    out->raw_value = raw;
    out->raw_value_len = raw == NULL ? 0 : n < KD_FILE_RAW_MAX ? n : KD_FILE_RAW_MAX;
    f->n_rows++;
    f->counts.rows++;
    f->counts.bad++;
    f->counts.bad_by_reason[why->reason]++;
    if (err == NULL)
        return;
    *err = *why;
    if (line >= 0)
        snprintf(err->where, sizeof err->where, "%s:%lld", f->shown, (long long)line);
    else
        snprintf(err->where, sizeof err->where, "%s#%lld", f->shown, (long long)(f->n_rows - 1));
}

/* ---- the merge ---- */

static bool comes_before(const head *a, const head *b)
{
    if (a->at != b->at)
        return a->at < b->at;
    int c = strcmp(a->file.topic, b->file.topic);
    if (c != 0)
        return c < 0;
    if (a->record.pos.offset != b->record.pos.offset)
        return a->record.pos.offset < b->record.pos.offset;
    return a->index < b->index;
}

static void sift_down(file_source *s, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < s->n_heap; k++)
            if (comes_before(s->heap[k], s->heap[least]))
                least = k;
        if (least == i)
            return;
        head *t = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = t;
        i = least;
    }
}

/* A CSV row may give several records; those still to come live where the row was read. */
static bool is_inside_row(const kd_file *f)
{
    return f->next_record < f->result.n || f->row_rc != KD_OK;
}

/* Reads the next record of a file into its head. */
static void advance(head *h)
{
    if (!is_inside_row(&h->file))
        h->head_arena = h->write_arena;
    h->rc = h->file.kind->next(&h->file, h->arenas[h->write_arena], &h->record, &h->err);
    if (h->rc == KD_OK)
        h->at = h->record.time;
    else if (h->rc == KD_EDATA)
        h->record.ts = h->at; /* a bad one stands where the good one before it stood */
    else
        h->record.pos.offset = h->file.n_rows;
}

static kd_rc settle_root(file_source *s)
{
    if (s->must_advance) {
        s->must_advance = false;
        advance(s->heap[0]);
        if (s->heap[0]->rc == KD_END)
            s->heap[0] = s->heap[--s->n_heap];
        sift_down(s, 0);
    }
    return s->n_heap == 0 ? KD_END : s->heap[0]->rc;
}

static kd_rc next_record(kd_source *src, kd_record *out, kd_err *err)
{
    file_source *s = (file_source *)src;
    if (!s->is_started)
        return kd_fail(err, KD_EBUG, "next() before start()");
    kd_rc rc = settle_root(s);
    if (rc == KD_END)
        return KD_END;
    head *h = s->heap[0];
    if (rc != KD_OK && err != NULL)
        *err = h->err;
    if (rc != KD_OK && rc != KD_EDATA)
        return rc; /* the file broke: said again if asked again */
    *out = h->record;
    s->must_advance = true;
    s->handed++;
    return rc;
}

static void release(kd_source *src)
{
    file_source *s = (file_source *)src;
    for (size_t i = 0; i < s->n_heads; i++) {
        head *h = &s->heads[i];
        bool is_handed = s->must_advance && h == s->heap[0];
        if (is_handed && !is_inside_row(&h->file))
            kd_arena_reset(h->arenas[h->head_arena]);
        int other = 1 - h->head_arena;
        kd_arena_reset(h->arenas[other]);
        h->write_arena = other;
        kd_text_release(&h->file.text);
    }
}

/* ---- start and close ---- */

static bool ends_with(const char *s, const char *with)
{
    size_t n = strlen(s), m = strlen(with);
    return n >= m && strcmp(s + n - m, with) == 0;
}

static const kd_file_kind *kind_of(const char *path)
{
    static const struct {
        const char *ext;
        const kd_file_kind *kind;
    } kinds[] = {{".jsonl", &kd_file_jsonl},  {".ndjson", &kd_file_jsonl},
                 {".csv", &kd_file_csv},      {".tsv", &kd_file_csv},
                 {".txt", &kd_file_sessions}, {".avro", &kd_file_container}};
    if (strcmp(path, "-") == 0)
        return &kd_file_jsonl;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char gz[16];
        snprintf(gz, sizeof gz, "%s.gz", kinds[i].ext);
        if (ends_with(path, kinds[i].ext) || ends_with(path, gz))
            return kinds[i].kind;
    }
    return NULL;
}

static kd_rc start(kd_source *src, kd_err *err)
{
    file_source *s = (file_source *)src;
    if (s->is_started)
        return kd_fail(err, KD_EBUG, "start() twice");
    for (size_t i = 0; i < s->n_heads; i++) {
        head *h = &s->heads[i];
        kd_reader *in = NULL;
        if (h->file.text.in != NULL)
            return kd_fail(err, KD_EBUG, "start() after a failed one");
        KD_TRY(kd_reader_open(h->file.path, &in, err));
        kd_text_init(&h->file.text, in, h->file.text.max_bytes);
        KD_TRY(h->file.kind->open(&h->file, err));
    }
    for (size_t i = 0; i < s->n_heads; i++) {
        head *h = &s->heads[i];
        advance(h);
        if (h->rc != KD_END)
            s->heap[s->n_heap++] = h;
    }
    for (size_t i = s->n_heap / 2; i-- > 0;)
        sift_down(s, i);
    s->is_started = true;
    return KD_OK;
}

static void progress(const kd_source *src, kd_progress *out)
{
    const file_source *s = (const file_source *)src;
    *out = (kd_progress){.records = s->handed, .lag = -1};
    for (size_t i = 0; i < s->n_heads; i++) {
        const kd_file *f = &s->heads[i].file;
        struct stat st;
        int64_t total = -1;
        if (f->text.in != NULL) {
            out->done_bytes += kd_reader_done_bytes(f->text.in);
            total = kd_reader_total_bytes(f->text.in);
        } else if (stat(f->path, &st) == 0 && S_ISREG(st.st_mode)) {
            total = st.st_size;
        }
        if (total < 0 || out->total_bytes < 0)
            out->total_bytes = -1;
        else
            out->total_bytes += total;
    }
}

static void close_source(kd_source *src)
{
    file_source *s = (file_source *)src;
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_heads; i++) {
        head *h = &s->heads[i];
        if (h->file.kind != NULL)
            h->file.kind->close(&h->file);
        kd_text_dispose(&h->file.text);
        kd_arena_free(h->arenas[0]);
        kd_arena_free(h->arenas[1]);
        free(h->file.path);
    }
    free(s->heads);
    free(s->heap);
    kd_csv_maps_free(s->maps);
    free(s);
}

static const kd_source_kind file_kind = {
    .name = "files",
    .start = start,
    .next = next_record,
    .release = release,
    .progress = progress,
    .close = close_source,
};

static kd_rc init_head(head *h, const char *path, size_t index, const kd_file_source_options *o,
                       kd_err *err)
{
    kd_file *f = &h->file;
    h->index = index;
    h->at = KD_MS_NONE;
    f->kind = kind_of(path);
    if (f->kind == NULL)
        return kd_fail(
            err, KD_ECONFIG,
            "%s: the kind of file is told by its name: .jsonl .csv .tsv .txt .avro, each "
            "also .gz",
            path);
    f->path = strdup(path);
    h->arenas[0] = kd_arena_new(0);
    h->arenas[1] = kd_arena_new(0);
    if (f->path == NULL || h->arenas[0] == NULL || h->arenas[1] == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %s", path);
    const char *slash = strrchr(f->path, '/');
    f->topic = strcmp(path, "-") == 0 ? "stdin" : slash == NULL ? f->path : slash + 1;
    f->shown = strlen(f->path) > 72 || strcmp(path, "-") == 0 ? f->topic : f->path;
    f->latest = o->latest;
    f->text.max_bytes = o->line_max_bytes == 0 ? KD_FILE_LINE_MAX : o->line_max_bytes;
    f->text.ended = KD_END;
    return KD_OK;
}

kd_rc kd_file_source_new(const kd_file_source_options *o, kd_source **out, kd_err *err)
{
    if (o->n_paths == 0)
        return kd_fail(err, KD_ECONFIG, "no input file");
    if (o->line_max_bytes > UINT32_MAX / 4)
        return kd_fail(err, KD_ECONFIG, "line_max_bytes %zu is over 1 GiB", o->line_max_bytes);
    file_source *s = calloc(1, sizeof *s);
    if (s == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %zu files", o->n_paths);
    s->base.kind = &file_kind;
    s->heads = calloc(o->n_paths, sizeof *s->heads);
    s->heap = calloc(o->n_paths, sizeof(head *));
    kd_rc rc = KD_OK;
    if (s->heads == NULL || s->heap == NULL)
        rc = kd_fail(err, KD_ENOMEM, "no memory for %zu files", o->n_paths);
    else
        s->n_heads = o->n_paths;
    if (rc == KD_OK && o->map_path != NULL)
        rc = kd_csv_maps_load(o->map_path, &s->maps, err);
    for (size_t i = 0; rc == KD_OK && i < o->n_paths; i++) {
        rc = init_head(&s->heads[i], o->paths[i], i, o, err);
        s->heads[i].file.maps = s->maps;
    }
    if (rc != KD_OK) {
        close_source(&s->base);
        return rc;
    }
    *out = &s->base;
    return KD_OK;
}

bool kd_is_file_source(const kd_source *s)
{
    return s->kind == &file_kind;
}

void kd_file_source_counts(const kd_source *src, kd_file_counts *out)
{
    KD_ASSERT(kd_is_file_source(src));
    const file_source *s = (const file_source *)src;
    *out = (kd_file_counts){0};
    for (size_t i = 0; i < s->n_heads; i++) {
        const kd_file_counts *c = &s->heads[i].file.counts;
        out->rows += c->rows;
        out->browse += c->browse;
        out->paid += c->paid;
        out->cancelled += c->cancelled;
        out->forget += c->forget;
        out->bad += c->bad;
        out->ignored += c->ignored;
        out->catalog_rows += c->catalog_rows;
        out->catalog += c->catalog;
        for (int k = 0; k < KD_REASON_COUNT; k++)
            out->bad_by_reason[k] += c->bad_by_reason[k];
    }
}
