/* A TCP connection on loopback with its buffers, watched by epoll. What the load generators share.
 *
 *   socket --> connection_receive --> scratch: what was kept, then the new --> a protocol's parser
 *                                                                    |
 *                                        connection_keep <-- what it could not use yet
 *   a protocol's words --> connection_put --> out --> connection_flush --> socket
 *                                              ^ what the socket refuses waits for EPOLLOUT */
#pragma once

#include "tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCRATCH_BYTES = 512 * 1024, /* read at once; shared by all connections */
};

typedef struct Buffer {
    char *bytes;
    size_t len;
    size_t capacity;
} Buffer;

/* So many bytes behind what it holds, to be written by the caller, who then adds to len. */
char *buffer_reserve(Buffer *buffer, size_t more);
void buffer_put(Buffer *buffer, const void *bytes, size_t len);
/* From its front. */
void buffer_drop(Buffer *buffer, size_t len);
void buffer_free(Buffer *buffer);

typedef struct Connection {
    int fd;   /* -1: closed */
    Tls *tls; /* NULL: plaintext */
    int poll;
    bool waits; /* for the socket to take more */
    bool deaf;  /* is not read */
    void *owner;
    Buffer out;
    Buffer rest;
} Connection;

typedef struct Address {
    const char *host; /* an IPv4 address */
    uint16_t port;
    bool tls;
} Address;

/* Connects, or ends the program. owner is what epoll tells. receive_bytes: of the socket's buffer;
 * 0: the kernel's choice. */
void connection_dial(Connection *connection, const Address *to, int poll, void *owner,
                     int receive_bytes);
void connection_put(Connection *connection, const void *bytes, size_t len);
[[gnu::format(printf, 2, 3)]] void connection_put_text(Connection *connection, const char *format,
                                                       ...);
void connection_flush(Connection *connection);
/* From now on nothing is read: the other side's writes fill the buffers on the way. */
void connection_stop_reading(Connection *connection);
void connection_close(Connection *connection);
/* Closes, and frees its buffers. One that was never dialled (all zero) is left alone. */
void connection_done(Connection *connection);

/* Fills scratch (SCRATCH_BYTES) with what was kept and what is there now; the bytes in it, 0 where
 * nothing new came. Closes where the other side has closed. */
size_t connection_receive(Connection *connection, char *scratch);
/* Of scratch: what the parser left over. */
void connection_keep(Connection *connection, const char *bytes, size_t len);

/* Of CLOCK_MONOTONIC. */
uint64_t now_ns(void);
/* Says why and ends the program with 2. */
[[gnu::noreturn, gnu::format(printf, 1, 2)]] void give_up(const char *format, ...);
/* To standard error. */
[[gnu::format(printf, 1, 2)]] void complain(const char *format, ...);
/* As many descriptors as the system allows, sleeps as exact as it can, and an end after so many
 * seconds, whatever happens. */
void prepare_process(unsigned limit_s);
