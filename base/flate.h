/* flate.h - raw deflate (RFC 1951, no header, no checksum) of blocks held in memory, as Avro
 * container files pack theirs.
 *
 * Equal input gives equal bytes with one version of zlib; nothing here promises it across versions.
 * @thread any: no state.
 */
#ifndef KD_FLATE_H
#define KD_FLATE_H

#include "base/buf.h"

/* Appends the packed form of n bytes. KD_ENOMEM. */
KD_CHECK kd_rc kd_deflate(const void *p, size_t n, kd_buf *out, kd_err *err);
/* Appends the unpacked form of n bytes, at most max_bytes of it. KD_EDATA: decode if they are not a
 * whole stream and nothing else, too-large past max_bytes; what was appended is then taken back. */
KD_CHECK kd_rc kd_inflate(const void *p, size_t n, size_t max_bytes, kd_buf *out, kd_err *err);

#endif
