#include "schemas/container.h"

#include <stdlib.h>
#include <string.h>

#include "base/flate.h"
#include "schemas/plan.h"

enum {
    SYNC = 16,
    CHUNK = 64 * 1024,
    HEADER_MAX = 4 << 20,
    BLOCK_MAX = 64 << 20, /* packed and unpacked alike */
    BRANCHES_MAX = 64,
};

static const char magic[4] = {'O', 'b', 'j', 1};

/* ---- reading ---- */

struct kd_container {
    kd_container_read_fn read;
    void *arg;
    const char *mem; /* kd_container_open_mem: what is left to read */
    size_t mem_left;
    kd_buf in; /* bytes [at, in.n) are read but not used */
    size_t at;
    bool is_end;
    unsigned char sync[SYNC];
    bool is_deflate;
    kd_avsc *schema;             /* owned */
    kd_plan *skip;               /* owned; passes over one value of the file's schema */
    kd_plan *plan[BRANCHES_MAX]; /* owned; one a branch, or [0]; NULL: none of ours */
    kd_record_type type[BRANCHES_MAX];
    kd_avsc *own[KD_RECORD_TYPES]; /* owned; our schemas, where needed */
    kd_buf unpacked;
    kd_cursor block;  /* what is left of the block begun */
    int64_t in_block; /* records left in it */
    int64_t number;   /* of the next record */
};

static kd_rc read_mem(void *arg, void *to, size_t cap, size_t *out_n, kd_err *err)
{
    kd_container *c = arg;
    (void)err;
    if (c->mem_left == 0)
        return KD_END;
    size_t n = c->mem_left < cap ? c->mem_left : cap;
    memcpy(to, c->mem, n);
    c->mem += n;
    c->mem_left -= n;
    *out_n = n;
    return KD_OK;
}

static size_t held(const kd_container *c)
{
    return c->in.n - c->at;
}

/* Reads on until n unused bytes are held, or the end: then is_end is set and there may be fewer. */
static kd_rc fill(kd_container *c, size_t n, kd_err *err)
{
    if (held(c) >= n || c->is_end)
        return KD_OK;
    if (c->at > 0) {
        memmove(c->in.p, c->in.p + c->at, held(c));
        c->in.n = held(c);
        c->at = 0;
    }
    while (held(c) < n) {
        char *to = kd_buf_room(&c->in, CHUNK);
        if (to == NULL)
            return kd_fail(err, KD_ENOMEM, "no room for a block");
        size_t got = 0;
        kd_rc rc = c->read(c->arg, to, CHUNK, &got, err);
        if (rc == KD_END) {
            c->is_end = true;
            return KD_OK;
        }
        KD_TRY(rc);
        c->in.n += got;
    }
    return KD_OK;
}

static kd_cursor cursor_at(const kd_container *c)
{
    return kd_cursor_of(c->in.p == NULL ? "" : c->in.p + c->at, held(c));
}

/* The header as one map; the cursor borrows the metadata. */
static bool parse_meta(kd_cursor *c, kd_str *out_schema, kd_str *out_codec)
{
    int64_t n, bytes;
    do {
        if (!kd_cursor_block(c, false, &n, &bytes))
            return false;
        for (int64_t i = 0; i < n; i++) {
            kd_str key, value;
            if (!kd_cursor_str(c, &key) || !kd_cursor_bytes(c, &value))
                return false;
            if (kd_str_eq(key, kd_str_of("avro.schema")))
                *out_schema = value;
            else if (kd_str_eq(key, kd_str_of("avro.codec")))
                *out_codec = value;
        }
    } while (n != 0);
    return true;
}

static kd_rc own_schema(kd_container *c, kd_record_type type, kd_err *err)
{
    const char *text = kd_schema_text((kd_schema_id)type);
    if (c->own[type] != NULL)
        return KD_OK;
    return kd_avsc_parse(text, strlen(text), &c->own[type], err);
}

static kd_rc add_plan(kd_container *c, size_t i, const kd_avro_node *node, kd_err *err)
{
    kd_schema_id id;
    if (node->name == NULL || !kd_schema_by_name(kd_str_of(node->name), &id) ||
        (int)id >= KD_RECORD_TYPES)
        return KD_OK;
    kd_record_type type = (kd_record_type)id;
    KD_TRY(own_schema(c, type, err));
    c->type[i] = type;
    return kd_plan_compile(node, kd_avsc_nodes(c->schema), kd_avsc_root(c->own[type]), type,
                           &c->plan[i], err);
}

static kd_rc make_plans(kd_container *c, kd_err *err)
{
    const kd_avro_node *root = kd_avsc_root(c->schema);
    KD_TRY(kd_plan_compile_skip(root, kd_avsc_nodes(c->schema), &c->skip, err));
    if (root->kind != KD_AVRO_UNION)
        KD_TRY(add_plan(c, 0, root, err));
    for (size_t i = 0; root->kind == KD_AVRO_UNION && i < root->n && i < BRANCHES_MAX; i++)
        KD_TRY(add_plan(c, i, root->branches[i], err));
    for (size_t i = 0; i < BRANCHES_MAX; i++)
        if (c->plan[i] != NULL)
            return KD_OK;
    char text[96];
    return kd_bad(err, KD_REASON_SCHEMA,
                  "the file holds %.60s, none of BrowseEvent, PurchaseEvent, CatalogItem, "
                  "ForgetRequest",
                  kd_avro_node_text(root, text, sizeof text));
}

static kd_rc use_meta(kd_container *c, kd_str schema, kd_str codec, kd_err *err)
{
    if (schema.p == NULL)
        return kd_bad(err, KD_REASON_SCHEMA, "the container file names no schema");
    c->is_deflate = codec.p != NULL && kd_str_eq(codec, kd_str_of("deflate"));
    if (!c->is_deflate && codec.p != NULL && codec.n > 0 && !kd_str_eq(codec, kd_str_of("null")))
        return kd_bad(err, KD_REASON_SCHEMA, "codec \"%.*s\" is not read, null and deflate are",
                      codec.n < 40 ? (int)codec.n : 40, codec.p);
    kd_err why;
    kd_rc rc = kd_avsc_parse(schema.p, schema.n, &c->schema, &why);
    if (rc == KD_ECONFIG)
        return kd_bad(err, KD_REASON_SCHEMA, "the file's schema: %.200s", why.msg);
    if (rc != KD_OK)
        return kd_fail(err, rc, "%s", why.msg);
    return make_plans(c, err);
}

static kd_rc read_header(kd_container *c, kd_err *err)
{
    KD_TRY(fill(c, sizeof magic, err));
    if (held(c) < sizeof magic || memcmp(c->in.p + c->at, magic, sizeof magic) != 0)
        return kd_bad(err, KD_REASON_FRAMING,
                      "this is no Avro container file (it does not begin "
                      "with \"Obj\" and 1)");
    /* The header says nowhere how long it is: try with what is held, then with more. */
    for (size_t want = CHUNK;; want *= 2) {
        KD_TRY(fill(c, want, err));
        kd_str schema = KD_STR_NULL, codec = KD_STR_NULL;
        kd_cursor cur = cursor_at(c);
        bool ok = kd_cursor_skip(&cur, sizeof magic) && parse_meta(&cur, &schema, &codec) &&
                  kd_cursor_left(&cur) >= SYNC;
        if (ok) {
            memcpy(c->sync, cur.p, SYNC);
            KD_TRY(use_meta(c, schema, codec, err));
            c->at += (size_t)(cur.p - cur.base) + SYNC;
            return KD_OK;
        }
        if (c->is_end || want >= HEADER_MAX)
            return kd_bad(err, KD_REASON_FRAMING, "the container file's header is broken: %s",
                          cur.fault == NULL ? "it ends too soon" : cur.fault);
    }
}

kd_rc kd_container_open(kd_container_read_fn read, void *arg, kd_container **out, kd_err *err)
{
    kd_container *c = calloc(1, sizeof *c);
    if (c == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a container reader");
    c->read = read;
    c->arg = arg;
    kd_rc rc = read_header(c, err);
    if (rc != KD_OK) {
        kd_container_close(c);
        return rc;
    }
    *out = c;
    return KD_OK;
}

kd_rc kd_container_open_mem(const void *p, size_t n, kd_container **out, kd_err *err)
{
    kd_container *c = calloc(1, sizeof *c);
    if (c == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a container reader");
    c->read = read_mem;
    c->arg = c;
    c->mem = p;
    c->mem_left = n;
    kd_rc rc = read_header(c, err);
    if (rc != KD_OK) {
        kd_container_close(c);
        return rc;
    }
    *out = c;
    return KD_OK;
}

void kd_container_close(kd_container *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < BRANCHES_MAX; i++)
        kd_plan_free(c->plan[i]);
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        kd_avsc_free(c->own[t]);
    kd_plan_free(c->skip);
    kd_avsc_free(c->schema);
    kd_buf_dispose(&c->in);
    kd_buf_dispose(&c->unpacked);
    free(c);
}

const char *kd_container_schema_name(const kd_container *c)
{
    const kd_avro_node *root = kd_avsc_root(c->schema);
    return root->name != NULL ? root->name : "union";
}

/* Moves behind the next sync marker, or to the end of the file. */
static kd_rc resync(kd_container *c, kd_err *err)
{
    for (;;) {
        const char *p = c->in.p + c->at;
        const char *hit = held(c) < SYNC ? NULL : memmem(p, held(c), c->sync, SYNC);
        if (hit != NULL) {
            c->at = (size_t)(hit - c->in.p) + SYNC;
            return KD_OK;
        }
        if (c->is_end) {
            c->at = c->in.n;
            return KD_OK;
        }
        if (held(c) >= SYNC)
            c->at = c->in.n - (SYNC - 1); /* a marker may begin in the last bytes held */
        KD_TRY(fill(c, held(c) + CHUNK, err));
    }
}

/* Reports a block that is not to be trusted from record `number` on, and goes to the next one. */
static kd_rc damaged(kd_container *c, int64_t lost, const char *what, kd_err *err)
{
    KD_TRY(resync(c, err));
    kd_rc rc =
        kd_bad(err, KD_REASON_DECODE,
               "a block of the container file is damaged (%s): %lld records from number %lld "
               "are lost",
               what, (long long)lost, (long long)c->number);
    c->number += lost;
    return rc;
}

/* Makes c->block the unpacked body of n records. KD_EDATA in *why (only its text counts). */
static kd_rc unpack(kd_container *c, const unsigned char *data, size_t size, int64_t n, kd_err *why)
{
    c->block = kd_cursor_of(data, size);
    if (c->is_deflate) {
        kd_buf_clear(&c->unpacked);
        KD_TRY(kd_inflate(data, size, BLOCK_MAX, &c->unpacked, why));
        c->block = kd_cursor_of(c->unpacked.p == NULL ? "" : c->unpacked.p, c->unpacked.n);
    }
    if ((uint64_t)n > kd_cursor_left(&c->block))
        return kd_bad(why, KD_REASON_DECODE, "its count is impossible");
    if (n == 0 && kd_cursor_left(&c->block) > 0)
        return kd_bad(why, KD_REASON_DECODE, "it has bytes and no records");
    return KD_OK;
}

/* True if the block is n whole values and nothing else. */
static bool is_sound(const kd_container *c, int64_t n)
{
    kd_cursor all = c->block;
    for (int64_t i = 0; i < n; i++)
        if (!kd_plan_skip(c->skip, &all))
            return false;
    return all.p == all.end;
}

/* Begins the next block. KD_END at the end of the file. A marker is for finding the way, not a sum:
 * where only it is damaged, the records before it are good. */
static kd_rc next_block(kd_container *c, kd_err *err)
{
    KD_TRY(fill(c, 20, err)); /* two numbers at most */
    if (held(c) == 0)
        return KD_END;
    kd_cursor cur = cursor_at(c);
    int64_t n, size;
    if (!kd_cursor_long(&cur, &n) || !kd_cursor_long(&cur, &size) || n < 0 || n > BLOCK_MAX ||
        size < 0 || size > BLOCK_MAX)
        return damaged(c, 1, "its head is impossible", err);
    const int64_t lost = n > 0 ? n : 1;
    const size_t head = (size_t)(cur.p - cur.base), whole = head + (size_t)size + SYNC;
    KD_TRY(fill(c, whole, err));
    if (held(c) < whole)
        return damaged(c, lost, "it is cut off", err);
    const unsigned char *data = (const unsigned char *)c->in.p + c->at + head;
    kd_err why;
    kd_rc rc = unpack(c, data, (size_t)size, n, &why);
    if (rc == KD_EDATA)
        return damaged(c, lost, why.msg, err);
    if (rc != KD_OK)
        return kd_fail(err, rc, "%s", why.msg);
    if (memcmp(data + size, c->sync, SYNC) != 0 && (n == 0 || !is_sound(c, n)))
        return damaged(c, lost, "no sync marker follows it", err);
    c->at += whole;
    c->in_block = n;
    return KD_OK;
}

/* Which plan reads the body, which is moved behind a union's branch. */
static kd_rc choose_plan(const kd_container *c, kd_cursor *body, const kd_plan **out, kd_err *err)
{
    const kd_avro_node *root = kd_avsc_root(c->schema);
    int64_t i = 0;
    if (root->kind == KD_AVRO_UNION && !kd_cursor_long(body, &i))
        return kd_cursor_err(body, NULL, err);
    *out = i >= 0 && i < BRANCHES_MAX ? c->plan[i] : NULL;
    if (*out == NULL)
        return kd_bad(err, KD_REASON_SCHEMA, "the record's type is none of ours");
    return KD_OK;
}

static kd_rc decode_one(kd_container *c, const void *bytes, size_t n, kd_arena *a, kd_record *out,
                        kd_err *err)
{
    kd_cursor body = kd_cursor_of(bytes, n);
    const kd_plan *plan;
    KD_TRY(choose_plan(c, &body, &plan, err));
    return kd_plan_decode_all(plan, body.p, kd_cursor_left(&body), out, a, err);
}

kd_rc kd_container_next(kd_container *c, kd_arena *a, kd_record *out, kd_err *err)
{
    out->raw_key = out->raw_value = NULL;
    out->raw_key_len = out->raw_value_len = 0;
    out->pos.offset = c->number;
    while (c->in_block == 0) {
        kd_rc rc = next_block(c, err);
        if (rc != KD_OK)
            return rc;
    }
    kd_cursor from = c->block;
    if (!kd_plan_skip(c->skip, &c->block)) { /* where the next record begins is not known */
        int64_t lost = c->in_block;
        const char *fault = c->block.fault;
        c->in_block = 0;
        c->number += lost;
        return kd_bad(err, KD_REASON_DECODE,
                      "a record does not decode (%s): %lld records of its block are lost", fault,
                      (long long)lost);
    }
    size_t n = (size_t)(c->block.p - from.p);
    char *bytes = kd_arena_alloc(a, n);
    if (bytes == NULL) {
        c->block = from;
        return kd_fail(err, KD_ENOMEM, "no room for a record of %zu bytes", n);
    }
    memcpy(bytes, from.p, n);
    c->in_block--;
    c->number++;
    size_t left = kd_cursor_left(&c->block);
    out->raw_value = bytes;
    out->raw_value_len = n;
    if (c->in_block == 0 && left > 0)
        return kd_bad(err, KD_REASON_DECODE, "%zu bytes are left behind the last record of a block",
                      left);
    return decode_one(c, bytes, n, a, out, err);
}

/* ---- writing ---- */

struct kd_container_writer {
    kd_schema_id id; /* KD_SCHEMAS: the union of the record types, in their order */
    bool is_deflate;
    kd_container_write_fn write;
    void *arg;
    unsigned char sync[SYNC];
    kd_buf body; /* records of the block begun */
    int64_t n_body;
    kd_buf block;  /* what is handed to write */
    kd_buf packed; /* deflate only */
};

static void put_long(kd_buf *out, int64_t x)
{
    uint64_t z = ((uint64_t)x << 1) ^ (uint64_t)(x >> 63);
    for (; z >= 0x80; z >>= 7)
        kd_buf_addc(out, (char)(z | 0x80));
    kd_buf_addc(out, (char)z);
}

static void put_text(kd_buf *out, const char *z)
{
    put_long(out, (int64_t)strlen(z));
    kd_buf_adds(out, z);
}

/* The schema of the file into `body`, which is still empty. */
static kd_str schema_text(kd_container_writer *w)
{
    kd_buf_clear(&w->body);
    if (w->id != KD_SCHEMAS) {
        kd_buf_adds(&w->body, kd_schema_text(w->id));
        return kd_buf_str(&w->body);
    }
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        kd_buf_addc(&w->body, t == 0 ? '[' : ',');
        kd_buf_adds(&w->body, kd_schema_text((kd_schema_id)t));
    }
    kd_buf_addc(&w->body, ']');
    return kd_buf_str(&w->body);
}

static kd_rc write_header(kd_container_writer *w, kd_err *err)
{
    kd_str schema = schema_text(w);
    kd_buf_clear(&w->block);
    kd_buf_add(&w->block, magic, sizeof magic);
    put_long(&w->block, 2);
    put_text(&w->block, "avro.schema");
    put_long(&w->block, (int64_t)schema.n);
    kd_buf_add(&w->block, schema.p, schema.n);
    put_text(&w->block, "avro.codec");
    put_text(&w->block, w->is_deflate ? "deflate" : "null");
    put_long(&w->block, 0);
    kd_digest d = kd_hash128(w->block.p, w->block.n, 0);
    for (int i = 0; i < 8; i++) {
        w->sync[i] = (unsigned char)(d.lo >> (8 * i));
        w->sync[8 + i] = (unsigned char)(d.hi >> (8 * i));
    }
    kd_buf_add(&w->block, w->sync, SYNC);
    bool is_whole = !w->block.failed && !w->body.failed;
    kd_buf_clear(&w->body);
    if (!is_whole)
        return kd_fail(err, KD_ENOMEM, "no room for a container header");
    return w->write(w->arg, w->block.p, w->block.n, err);
}

kd_rc kd_container_writer_new(kd_schema_id id, kd_container_codec codec,
                              kd_container_write_fn write, void *arg, kd_container_writer **out,
                              kd_err *err)
{
    kd_container_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a container writer");
    w->id = id;
    w->is_deflate = codec == KD_CONTAINER_DEFLATE;
    w->write = write;
    w->arg = arg;
    kd_rc rc = write_header(w, err);
    if (rc != KD_OK) {
        kd_container_writer_free(w);
        return rc;
    }
    *out = w;
    return KD_OK;
}

kd_rc kd_container_events_writer_new(kd_container_codec codec, kd_container_write_fn write,
                                     void *arg, kd_container_writer **out, kd_err *err)
{
    return kd_container_writer_new(KD_SCHEMAS, codec, write, arg, out, err);
}

kd_rc kd_container_writer_flush(kd_container_writer *w, kd_err *err)
{
    if (w->n_body == 0)
        return KD_OK;
    const kd_buf *data = &w->body;
    if (w->is_deflate) {
        kd_buf_clear(&w->packed);
        KD_TRY(kd_deflate(w->body.p, w->body.n, &w->packed, err));
        data = &w->packed;
    }
    kd_buf_clear(&w->block);
    put_long(&w->block, w->n_body);
    put_long(&w->block, (int64_t)data->n);
    kd_buf_add(&w->block, data->p, data->n);
    kd_buf_add(&w->block, w->sync, SYNC);
    if (w->block.failed)
        return kd_fail(err, KD_ENOMEM, "no room for a block");
    KD_TRY(w->write(w->arg, w->block.p, w->block.n, err));
    kd_buf_clear(&w->body);
    w->n_body = 0;
    return KD_OK;
}

static kd_rc added(kd_container_writer *w, size_t before, kd_err *err)
{
    if (w->body.failed) {
        w->body.n = before;
        w->body.failed = false;
        return kd_fail(err, KD_ENOMEM, "no room for a record");
    }
    w->n_body++;
    return w->body.n >= CHUNK ? kd_container_writer_flush(w, err) : KD_OK;
}

kd_rc kd_container_write_record(kd_container_writer *w, const kd_record *r, kd_err *err)
{
    bool is_union = w->id == KD_SCHEMAS;
    if (!is_union && (kd_schema_id)r->type != w->id)
        return kd_fail(err, KD_EBUG, "a %s in a container file of %s", kd_record_type_name(r->type),
                       kd_schema_name(w->id));
    size_t before = w->body.n;
    if (is_union)
        put_long(&w->body, r->type);
    kd_record_encode(r, &w->body);
    return added(w, before, err);
}

kd_rc kd_container_write_out(kd_container_writer *w, const kd_out *o, kd_err *err)
{
    if (o->type == KD_OUT_FORGOTTEN)
        return KD_OK;
    if (kd_schema_of_out(o->type) != w->id)
        return kd_fail(err, KD_EBUG, "a %s in a container file of %s",
                       kd_schema_name(kd_schema_of_out(o->type)),
                       w->id == KD_SCHEMAS ? "records" : kd_schema_name(w->id));
    size_t before = w->body.n;
    kd_out_encode(o, &w->body);
    return added(w, before, err);
}

void kd_container_writer_free(kd_container_writer *w)
{
    if (w == NULL)
        return;
    kd_buf_dispose(&w->packed);
    kd_buf_dispose(&w->body);
    kd_buf_dispose(&w->block);
    free(w);
}
