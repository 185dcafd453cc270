/* standalone.c: a main() for fuzz targets that are built without libFuzzer.
 *
 * Feeds each file named on the command line (and each file of each folder named) to the target
 * once, so that the corpus is replayed by every compiler and under every sanitizer. The bytes are
 * handed over in a heap block of exactly their size: a read past the end is seen by
 * AddressSanitizer. Fails when it found nothing to feed, since a replay of nothing proves nothing.
 * @thread main */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Number of inputs fed, or -1 when the file cannot be read. */
static int feed_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0 || st.st_size < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (f) {
            fclose(f);
        }
        return -1;
    }
    size_t n = (size_t)st.st_size;
    uint8_t *data = malloc(n ? n : 1);
    int fed = -1;
    if (data && fread(data, 1, n, f) == n) {
        LLVMFuzzerTestOneInput(data, n);
        fed = 1;
    }
    free(data);
    fclose(f);
    return fed;
}

static int feed(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (!S_ISDIR(st.st_mode)) {
        return feed_file(path);
    }
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort);
    int fed = 0;
    for (int i = 0; i < n; i++) {
        char child[4096];
        int len = snprintf(child, sizeof child, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && fed >= 0 && len > 0 && (size_t)len < sizeof child) {
            int k = feed_file(child);
            fed = k < 0 ? -1 : fed + k;
        }
        free(names[i]);
    }
    free(names);
    return n < 0 ? -1 : fed;
}

int main(int argc, char **argv)
{
    int fed = 0;
    for (int i = 1; i < argc; i++) {
        int k = feed(argv[i]);
        if (k < 0) {
            return 1;
        }
        fed += k;
    }
    printf("%d inputs replayed\n", fed);
    return fed > 0 ? 0 : 1;
}
