/* gz.h - reading a file front to back, plain or gzip, whichever its first bytes say.
 *
 * I1  Everything complete is delivered before a fault is: of a truncated or damaged gzip file the
 *     bytes that did unpack come first, then KD_EIO once and for ever, naming file and offset.
 * I2  Concatenated gzip members are one stream; zero padding after the last one is skipped,
 * anything else behind it is a fault.
 * "-" is standard input. Memory: 128 KiB, plus a line's length for kd_reader_line.
 * @thread one
 */
#ifndef KD_GZ_H
#define KD_GZ_H

#include "base/kd.h"

typedef struct kd_reader kd_reader;

/* *out is owned by the caller. KD_EIO if the file cannot be opened (a folder cannot). */
KD_CHECK kd_rc kd_reader_open(const char *path, kd_reader **out, kd_err *err);
void kd_reader_close(kd_reader *r);

/* Up to cap unpacked bytes, at least one on KD_OK; cap > 0. KD_END at the end. Do not mix with
 * kd_reader_line. */
KD_CHECK kd_rc kd_reader_read(kd_reader *r, void *to, size_t cap, size_t *out_n, kd_err *err);

/* The next line without its LF or CRLF; a last line without one counts. *out is borrowed until the
 * next call. A line over max_bytes is KD_EDATA (reason "too-large", its first max_bytes in *out);
 * the next call gives the line after it. KD_END, KD_EIO as above: a line cut by a fault is not
 * delivered. */
KD_CHECK kd_rc kd_reader_line(kd_reader *r, size_t max_bytes, kd_str *out, kd_err *err);
/* Number from 1 of the line that kd_reader_line gave last; 0 before the first. */
int64_t kd_reader_line_no(const kd_reader *r);

/* For progress: bytes of the file taken so far, and its size (-1 for a pipe). */
int64_t kd_reader_done_bytes(const kd_reader *r);
int64_t kd_reader_total_bytes(const kd_reader *r);
bool kd_reader_is_gzip(const kd_reader *r);
/* The path as given; borrowed while the reader lives. */
const char *kd_reader_path(const kd_reader *r);

#endif
