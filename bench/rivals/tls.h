/* TLS 1.3 on a load generator's connection (OpenSSL). The server's certificate is not looked at:
 * what is measured is what encryption costs. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

typedef struct ssl_st Tls;

/* Shakes hands on a connected, blocking descriptor, with ALPN "h2", or ends the program. */
Tls *tls_begin(int fd);
/* As recv and send on a descriptor that does not block: -1 with EAGAIN in errno, 0 at the end. */
ssize_t tls_receive(Tls *tls, void *bytes, size_t len);
ssize_t tls_send(Tls *tls, const void *bytes, size_t len);
/* NULL is fine. */
void tls_end(Tls *tls);
