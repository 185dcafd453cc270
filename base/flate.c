#include "base/flate.h"

#include <limits.h>

#define ZLIB_CONST 1
#include <zlib.h>

enum { CHUNK = 64 * 1024 };

kd_rc kd_deflate(const void *p, size_t n, kd_buf *out, kd_err *err)
{
    if (n > UINT_MAX)
        return kd_fail(err, KD_ENOMEM, "%zu bytes are too many for one block", n);
    z_stream z = {0};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return kd_fail(err, KD_ENOMEM, "no room to pack a block");
    uLong bound = deflateBound(&z, (uLong)n);
    char *to = bound > UINT_MAX ? NULL : kd_buf_room(out, bound);
    int rc = Z_MEM_ERROR;
    if (to != NULL) {
        z.next_in = p;
        z.avail_in = (uInt)n;
        z.next_out = (unsigned char *)to;
        z.avail_out = (uInt)bound;
        rc = deflate(&z, Z_FINISH); /* within the bound it is done at once */
        out->n += rc == Z_STREAM_END ? bound - z.avail_out : 0;
    }
    deflateEnd(&z);
    return rc == Z_STREAM_END ? KD_OK : kd_fail(err, KD_ENOMEM, "no room to pack a block");
}

kd_rc kd_inflate(const void *p, size_t n, size_t max_bytes, kd_buf *out, kd_err *err)
{
    if (n > UINT_MAX)
        return kd_bad(err, KD_REASON_TOO_LARGE, "%zu bytes are too many for one block", n);
    z_stream z = {0};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return kd_fail(err, KD_ENOMEM, "no room to unpack a block");
    z.next_in = p;
    z.avail_in = (uInt)n;
    const size_t before = out->n;
    int rc = Z_OK;
    while (rc == Z_OK && out->n - before <= max_bytes) {
        char *to = kd_buf_room(out, CHUNK);
        if (to == NULL) {
            rc = Z_MEM_ERROR;
            break;
        }
        z.next_out = (unsigned char *)to;
        z.avail_out = CHUNK;
        rc = inflate(&z, Z_NO_FLUSH);
        out->n += CHUNK - z.avail_out;
    }
    bool is_whole = rc == Z_STREAM_END && z.avail_in == 0;
    inflateEnd(&z);
    if (is_whole && out->n - before <= max_bytes)
        return KD_OK;
    bool is_large = out->n - before > max_bytes;
    out->n = before;
    if (rc == Z_MEM_ERROR)
        return kd_fail(err, KD_ENOMEM, "no room to unpack a block");
    if (is_large)
        return kd_bad(err, KD_REASON_TOO_LARGE, "it unpacks to more than %zu bytes", max_bytes);
    return kd_bad(err, KD_REASON_DECODE, "it does not unpack");
}
