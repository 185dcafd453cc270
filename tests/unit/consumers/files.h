/* files.h - what the tests of file sources share: a folder of their own, files in it, reading to
 * the end. */
#ifndef KD_TEST_FILES_H
#define KD_TEST_FILES_H

#include "base/buf.h"
#include "consumers/sources.h"

/* cmocka group fixtures: a fresh folder, and all of it gone. */
int files_setup(void **state);
int files_teardown(void **state);
/* The path of a name in the folder; one of eight rotating buffers. */
const char *files_path(const char *name);
/* Writes a file there and returns its path; with gz the content is packed. */
const char *files_write(const char *name, const char *text);
const char *files_write_n(const char *name, const void *p, size_t n, bool gz);

/* Opens and starts; fails the test on an error. map may be NULL. */
kd_source *files_open(const char *map, const char *const *paths, size_t n);
kd_source *files_open1(const char *map, const char *path);
/* One line a record, as JSON with its position before it; a bad one as "BAD reason where".
 * Releases every `release_every` calls (0: never). Ends with "END" or the fault. */
void files_read_all(kd_source *s, kd_buf *out, int release_every);
/* files_read_all, compared with want; closes s. */
void files_expect(kd_source *s, const char *want);

/* A data set beside the project, or NULL (then says that the test is skipped). */
const char *files_data(const char *name);

#endif
