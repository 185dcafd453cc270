#include "consumers/file_text.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 256 * 1024 };

struct kd_text_chunk {
    kd_text_chunk *next;
    size_t cap, end;
    char data[];
};

void kd_text_init(kd_text *t, kd_reader *in, size_t max_bytes)
{
    *t = (kd_text){.in = in, .max_bytes = max_bytes, .ended = KD_OK};
}

static void free_chunks(kd_text_chunk *c)
{
    while (c != NULL) {
        kd_text_chunk *next = c->next;
        free(c);
        c = next;
    }
}

void kd_text_dispose(kd_text *t)
{
    free_chunks(t->now);
    free_chunks(t->old);
    free_chunks(t->spare);
    kd_reader_close(t->in);
    *t = (kd_text){.ended = KD_END};
}

void kd_text_release(kd_text *t)
{
#if !defined(                                                                                      \
    __SANITIZE_ADDRESS__) /* there a chunk is given back at once, so that stale pointers show */
    if (t->old != NULL && t->spare == NULL && t->old->cap == CHUNK_BYTES) {
        t->spare = t->old;
        t->old = t->old->next;
        t->spare->next = NULL;
    }
#endif
    free_chunks(t->old);
    t->old = NULL;
}

const char *kd_text_here(const kd_text *t, size_t *out_n)
{
    *out_n = t->now == NULL ? 0 : t->now->end - t->pos;
    return t->now == NULL ? "" : t->now->data + t->pos;
}

/* A chunk with room for the bytes not yet cut and as many again. */
static kd_text_chunk *new_chunk(kd_text *t, size_t tail)
{
    size_t cap = CHUNK_BYTES;
    while (cap < tail * 2)
        cap *= 2;
    kd_text_chunk *c = NULL;
    if (cap == CHUNK_BYTES && t->spare != NULL) {
        c = t->spare;
        t->spare = NULL;
    } else {
        c = malloc(sizeof *c + cap);
    }
    if (c == NULL)
        return NULL;
    c->next = NULL;
    c->cap = cap;
    c->end = 0;
    return c;
}

/* Room behind the text that is there. */
static kd_rc make_room(kd_text *t, kd_err *err)
{
    size_t tail = t->now == NULL ? 0 : t->now->end - t->pos;
    if (t->now != NULL && !t->is_kept && tail <= t->now->cap / 2) {
        memmove(t->now->data, t->now->data + t->pos, tail);
        t->now->end = tail;
        t->pos = 0;
        return KD_OK;
    }
    kd_text_chunk *c = new_chunk(t, tail);
    if (c == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for the text of %s", kd_reader_path(t->in));
    if (t->now != NULL) {
        memcpy(c->data, t->now->data + t->pos, tail);
        c->end = tail;
        if (t->is_kept) {
            t->now->next = t->old;
            t->old = t->now;
        } else {
            free(t->now);
        }
    }
    t->now = c;
    t->pos = 0;
    t->is_kept = false;
    return KD_OK;
}

kd_rc kd_text_more(kd_text *t, kd_err *err)
{
    if (t->ended == KD_OK && (t->now == NULL || t->now->end == t->now->cap))
        KD_TRY(make_room(t, err));
    size_t n = 0;
    if (t->ended == KD_OK)
        t->ended = kd_reader_read(t->in, t->now->data + t->now->end, t->now->cap - t->now->end, &n,
                                  &t->fault);
    if (t->ended != KD_OK) {
        if (t->ended != KD_END && err != NULL)
            *err = t->fault;
        return t->ended;
    }
    t->now->end += n;
    return KD_OK;
}

void kd_text_keep(kd_text *t)
{
    t->is_kept = true;
}

void kd_text_cut(kd_text *t, size_t n, int64_t lines)
{
    t->pos += n;
    t->line += lines;
}

kd_rc kd_text_skip_line(kd_text *t, kd_err *err)
{
    for (;;) {
        size_t n = 0;
        const char *p = kd_text_here(t, &n);
        const char *nl = n == 0 ? NULL : memchr(p, '\n', n);
        if (nl != NULL) {
            kd_text_cut(t, (size_t)(nl - p) + 1, 1);
            return KD_OK;
        }
        kd_text_cut(t, n, 0);
        KD_TRY(kd_text_more(t, err));
    }
}

kd_rc kd_text_skip_bom(kd_text *t, kd_err *err)
{
    size_t n = 0;
    const char *p = kd_text_here(t, &n);
    while (n < 3) {
        kd_rc rc = kd_text_more(t, err);
        if (rc == KD_END)
            break;
        KD_TRY(rc);
        p = kd_text_here(t, &n);
    }
    if (n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
        kd_text_cut(t, 3, 0);
    return KD_OK;
}
