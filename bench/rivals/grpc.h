/* gRPC's messages and the fields of protobuf, as far as proto/chat.proto needs them by hand: the
 * bytes come in any pieces, and each whole field is handed on as soon as it is there. */
#pragma once

#include "connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_BYTES = 2,
    WIRE_32 = 5,

    /* Of proto/chat.proto. */
    FIELD_SENDER = 1,
    FIELD_CONTENT = 2,
    FIELD_TIMESTAMP = 3,
    FIELD_POSITION = 23,
    FIELD_MESSAGES = 1, /* of SubscribeResponse and PublishRequest */
    FIELD_ANSWERED = 1, /* of PublishResponse */
    FIELD_REFUSED = 2,
    FIELD_REFUSAL_TEXT = 3,
};

typedef struct Field {
    unsigned number;
    unsigned wire;
    uint64_t value;    /* of a varint */
    const char *bytes; /* of WIRE_BYTES, WIRE_64 and WIRE_32 */
    size_t len;
} Field;

/* One field; bytes used, 0: it is not all there. */
size_t field_read(const char *bytes, size_t len, Field *ret_field);
/* A field of bytes: its tag, its length, itself. */
void field_put(Buffer *to, unsigned number, const void *bytes, size_t len);
/* Only what stands in front of the bytes, and how long that is where number is below 16. */
void field_put_head(Buffer *to, unsigned number, size_t len);
size_t field_head(size_t len);

typedef struct GrpcHooks {
    void (*on_field)(void *context, const Field *field);
    void (*on_message)(void *context); /* the end of one */
    void (*on_malformed)(void *context);
} GrpcHooks;

/* Zeroed, it is ready. */
typedef struct GrpcReader {
    Buffer rest;
    bool inside;
    size_t left; /* of the message it is inside */
} GrpcReader;

void grpc_reader_take(GrpcReader *reader, const char *bytes, size_t len, const GrpcHooks *hooks,
                      void *context);

/* A MessageRequest with this content, and its length. */
void message_put(Buffer *to, const char *content, size_t len);
size_t message_len(size_t content_len);
