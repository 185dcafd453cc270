/* http.h - a tiny HTTP/1.1 server on a port of the kernel's choosing, for tests of the registry
 * client. One connection at a time, closed after each answer. The handler runs on the server's
 * thread while the test waits for the answer, so it may share plain variables with the test. */
#ifndef KD_TESTS_SCHEMAS_HTTP_H
#define KD_TESTS_SCHEMAS_HTTP_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct http_request {
    char method[8], path[512], auth[256];
    char body[16384];
} http_request;

typedef struct http_answer {
    int status; /* 0: no answer, the connection is held open until the client gives up */
    char body[16384];
} http_answer;

typedef void (*http_handler)(void *arg, const http_request *q, http_answer *a);

typedef struct http_server {
    int fd;
    char url[64];
    http_handler handler;
    void *arg;
    pthread_t thread;
} http_server;

static inline void http_serve(http_server *s, int fd)
{
    char in[32768];
    size_t n = 0, want = SIZE_MAX;
    char *body = NULL;
    while (n < sizeof in - 1 && n < want) {
        ssize_t got = read(fd, in + n, sizeof in - 1 - n);
        if (got <= 0)
            return;
        n += (size_t)got;
        in[n] = '\0';
        body = strstr(in, "\r\n\r\n");
        if (body == NULL)
            continue;
        body += 4;
        const char *length = strcasestr(in, "\r\nContent-Length:");
        want = (size_t)(body - in) + (length == NULL ? 0 : strtoul(length + 17, NULL, 10));
    }
    http_request q = {0};
    http_answer a = {0};
    if (body == NULL || sscanf(in, "%7s %511s", q.method, q.path) != 2)
        return;
    const char *auth = strcasestr(in, "\r\nAuthorization:");
    if (auth != NULL)
        sscanf(auth + 16, " %255[^\r]", q.auth);
    snprintf(q.body, sizeof q.body, "%s", body);
    s->handler(s->arg, &q, &a);
    if (a.status == 0) {
        while (read(fd, in, sizeof in) > 0) {
        }
        return;
    }
    char out[20000];
    int len = snprintf(out, sizeof out,
                       "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: "
                       "%zu\r\nConnection: close\r\n\r\n%s",
                       a.status, strlen(a.body), a.body);
    if (send(fd, out, (size_t)len, MSG_NOSIGNAL) < 0)
        return;
}

static inline void *http_main(void *arg)
{
    http_server *s = arg;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        http_serve(s, fd);
        close(fd);
    }
}

/* False when the system gives no socket. */
static inline int http_start(http_server *s, http_handler handler, void *arg)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    *s = (http_server){.fd = socket(AF_INET, SOCK_STREAM, 0), .handler = handler, .arg = arg};
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(s->fd, 8) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&at, &n) != 0)
        return 0;
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", ntohs(at.sin_port));
    return pthread_create(&s->thread, NULL, http_main, s) == 0;
}

static inline void http_stop(http_server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

#endif
