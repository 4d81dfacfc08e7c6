#include "tls.h"

#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/ssl.h>

static SSL_CTX *context_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3) != 0) {
        give_up("OpenSSL does not start");
    }
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

Tls *tls_begin(int fd)
{
    /* One for each connection: it is the server that is measured. */
    SSL_CTX *context = context_new();
    SSL *tls = SSL_new(context);
    SSL_CTX_free(context);
    if (tls == NULL || SSL_set_fd(tls, fd) != 1 || SSL_connect(tls) != 1) {
        give_up("the server does not shake hands");
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return tls;
}

static ssize_t outcome(Tls *tls, int result)
{
    if (result > 0) {
        return result;
    }
    switch (SSL_get_error(tls, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = ECONNRESET;
        return -1;
    }
}

static int at_most(size_t len)
{
    return len < INT_MAX ? (int)len : INT_MAX;
}

ssize_t tls_receive(Tls *tls, void *bytes, size_t len)
{
    /* All that is there: what OpenSSL has read already, epoll does not tell of. */
    size_t got = 0;
    while (got < len) {
        int result = SSL_read(tls, (char *)bytes + got, at_most(len - got));
        if (result <= 0) {
            return got > 0 ? (ssize_t)got : outcome(tls, result);
        }
        got += (size_t)result;
    }
    return (ssize_t)got;
}

ssize_t tls_send(Tls *tls, const void *bytes, size_t len)
{
    return outcome(tls, SSL_write(tls, bytes, at_most(len)));
}

void tls_end(Tls *tls)
{
    SSL_free(tls);
}
