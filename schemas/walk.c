#include "schemas/walk.h"

#include "schemas/json.h"
#include "schemas/plan.h"

enum { EMPTY_ENTRIES_MAX = 10000 };

static bool walk(const kd_avro_node *node, kd_cursor *c, kd_buf *out);

static bool walk_record(const kd_avro_node *node, kd_cursor *c, kd_buf *out)
{
    kd_buf_addc(out, '{');
    for (size_t i = 0; i < node->n; i++) {
        kd_buf_adds(out, i > 0 ? ",\"" : "\"");
        kd_buf_adds(out, node->fields[i].name);
        kd_buf_adds(out, "\":");
        if (!walk(node->fields[i].type, c, out))
            return false;
    }
    kd_buf_addc(out, '}');
    return true;
}

static bool walk_entries(const kd_avro_node *node, kd_cursor *c, kd_buf *out)
{
    bool is_map = node->kind == KD_AVRO_MAP, is_first = true;
    int64_t n, bytes;
    kd_buf_addc(out, is_map ? '{' : '[');
    do {
        bool is_empty = !is_map && node->items->is_empty;
        if (!kd_cursor_block(c, is_empty, &n, &bytes))
            return false;
        if (is_empty && n > EMPTY_ENTRIES_MAX)
            return kd_cursor_fault(c, KD_REASON_TOO_LARGE, "a list of nothing is too long to show");
        const uint8_t *from = c->p;
        for (int64_t i = 0; i < n; i++, is_first = false) {
            if (!is_first)
                kd_buf_addc(out, ',');
            if (is_map) {
                kd_str key;
                if (!kd_cursor_str(c, &key))
                    return false;
                kd_json_str(out, key);
                kd_buf_addc(out, ':');
            }
            if (!walk(node->items, c, out))
                return false;
        }
        if (!kd_cursor_block_ends(c, from, bytes))
            return false;
    } while (n != 0);
    kd_buf_addc(out, is_map ? '}' : ']');
    return true;
}

static bool walk_choice(const kd_avro_node *node, kd_cursor *c, kd_buf *out)
{
    int64_t x;
    if (!kd_cursor_long(c, &x))
        return false;
    if (x < 0 || (uint64_t)x >= node->n)
        return kd_cursor_fault(c, KD_REASON_DECODE,
                               node->kind == KD_AVRO_ENUM ? "the enum has no such symbol"
                                                          : "a union has no such branch");
    if (node->kind == KD_AVRO_UNION)
        return walk(node->branches[x], c, out);
    kd_json_str(out, kd_str_of(node->symbols[x]));
    return true;
}

static bool walk_number(const kd_avro_node *node, kd_cursor *c, kd_buf *out)
{
    int64_t x = 0;
    double d = 0;
    bool ok = node->kind == KD_AVRO_INT     ? kd_cursor_int(c, &x)
              : node->kind == KD_AVRO_LONG  ? kd_cursor_long(c, &x)
              : node->kind == KD_AVRO_FLOAT ? kd_cursor_float(c, &d)
                                            : kd_cursor_double(c, &d);
    if (!ok)
        return false;
    if (node->kind == KD_AVRO_INT || node->kind == KD_AVRO_LONG)
        kd_json_int(out, x);
    else
        kd_json_real(out, d);
    return true;
}

static bool walk_scalar(const kd_avro_node *node, kd_cursor *c, kd_buf *out)
{
    kd_str s;
    bool b;
    switch (node->kind) {
    case KD_AVRO_NULL:
        kd_buf_adds(out, "null");
        return true;
    case KD_AVRO_BOOLEAN:
        if (!kd_cursor_bool(c, &b))
            return false;
        kd_buf_adds(out, b ? "true" : "false");
        return true;
    case KD_AVRO_STRING:
        if (!kd_cursor_str(c, &s))
            return false;
        kd_json_str(out, s);
        return true;
    case KD_AVRO_BYTES:
        if (!kd_cursor_bytes(c, &s))
            return false;
        kd_json_bytes(out, s.p, s.n);
        return true;
    case KD_AVRO_FIXED: {
        const uint8_t *p = c->p;
        if (!kd_cursor_skip(c, (uint64_t)node->size))
            return false;
        kd_json_bytes(out, p, (size_t)node->size);
        return true;
    }
    default:
        return walk_number(node, c, out);
    }
}

static bool walk(const kd_avro_node *node, kd_cursor *c, kd_buf *out)
{
    bool ok;
    if (!kd_cursor_enter(c))
        return false;
    switch (node->kind) {
    case KD_AVRO_RECORD:
        ok = walk_record(node, c, out);
        break;
    case KD_AVRO_ARRAY:
    case KD_AVRO_MAP:
        ok = walk_entries(node, c, out);
        break;
    case KD_AVRO_ENUM:
    case KD_AVRO_UNION:
        ok = walk_choice(node, c, out);
        break;
    default:
        ok = walk_scalar(node, c, out);
    }
    kd_cursor_leave(c);
    return ok;
}

kd_rc kd_walk_json(const kd_avro_node *node, kd_cursor *c, kd_buf *out, kd_err *err)
{
    if (!walk(node, c, out))
        return kd_cursor_err(c, NULL, err);
    return out->failed ? kd_fail(err, KD_ENOMEM, "no room for the JSON of a message") : KD_OK;
}
