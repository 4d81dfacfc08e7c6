/* Between the core's values and the bytes of proto/chat.proto. */
#pragma once

#include "base/strbuf.h"
#include "core/message.h"

/* Paths of the methods, as clients call them. */
#define WIRE_SEND_MESSAGE "/chat.ChatService/SendMessage"
#define WIRE_STREAM_MESSAGES "/chat.ChatService/StreamMessages"
#define WIRE_PUBLISH "/chat.ChatService/Publish"
#define WIRE_HELLO "/chat.MeshService/Hello"
#define WIRE_LINK "/chat.MeshService/Link"
#define WIRE_RUN "/chat.NodeService/Run"

/* A decoded message and the memory it lives in: what is borrowed from it is valid until
 * wire_done. One at a time, on the owner thread. */
typedef struct WireArena WireArena;
WireArena *wire_arena_new(void);
/* NULL is fine. */
void wire_arena_free(WireArena *arena);

/* MessageRequest. The draft borrows from the arena, until the next decode.
 * ERR_INVALID: not such a message, or one that takes more memory than any honest one. */
Err wire_decode_message(WireArena *arena, const uint8_t *data, size_t len, MessageDraft *ret_draft);

/* PublishRequest, of which one message after the other is looked at: it may hold thousands. */
typedef struct WireBatch {
    const uint8_t *data;
    size_t len;
    size_t at;
} WireBatch;
/* The next one's bytes, for wire_decode_message; false: there is none. ERR_INVALID: what follows is
 * not such a request. */
Err wire_batch_next(WireBatch *batch, bool *ret_found, const uint8_t **ret_data, size_t *ret_len);

typedef struct WireStreamRequest {
    const char *client_id; /* borrowed from the arena */
    size_t client_id_len;
    size_t node_id_len; /* 0: a client */
} WireStreamRequest;
/* StreamRequest; as wire_decode_message. */
Err wire_decode_stream_request(WireArena *arena, const uint8_t *data, size_t len,
                               WireStreamRequest *ret_request);

typedef struct WireHello {
    const uint8_t *node_id; /* borrowed from the arena */
    size_t node_id_len;
    const char *name;
} WireHello;
/* HelloRequest and HelloResponse, which are alike; as wire_decode_message. */
Err wire_decode_hello(WireArena *arena, const uint8_t *data, size_t len, WireHello *ret_hello);

/* MessageResponse.success of an answer; ERR_INVALID as above. */
Err wire_decode_success(WireArena *arena, const uint8_t *data, size_t len, bool *ret_success);

/* The message as a MessageRequest, and as a MessageResponse: encoded once, kept in the message,
 * borrowed. */
Bytes *wire_request(Message *message);
Bytes *wire_response(Message *message);
/* A MessageResponse that repeats the draft. The caller owns it. */
Bytes *wire_echo(const MessageDraft *draft);

/* Adds one row to PublishResponse.refused; text may be cut. The response then is made of all of
 * them, and owned by the caller. */
void wire_add_refusal(StrBuf *refused, uint64_t number, int code, const char *text);
Bytes *wire_publish_response(uint64_t answered, const StrBuf *refused);

/* The caller owns these. */
Bytes *wire_hello(const NodeId *node_id, const char *name);
Bytes *wire_stream_request(const NodeId *node_id);

/* RunRequest; as wire_decode_message. line is borrowed from the arena. */
Bytes *wire_run_request(const char *line);
Err wire_decode_run_request(WireArena *arena, const uint8_t *data, size_t len,
                            const char **ret_line, size_t *ret_len);
/* Adds one line to RunResponse.lines, UTF-8; the response then is made of all of them, and owned by
 * the caller. */
void wire_add_run_line(StrBuf *lines, const char *text);
Bytes *wire_run_response(bool ok, const StrBuf *lines);
typedef struct WireRunResponse {
    bool ok;
    const char *const *lines; /* borrowed from the arena */
    size_t lines_count;
} WireRunResponse;
Err wire_decode_run_response(WireArena *arena, const uint8_t *data, size_t len,
                             WireRunResponse *ret_response);
