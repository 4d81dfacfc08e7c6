/* What subscriptions say, as bytes of proto/chat.proto. */
#pragma once

#include "base/strbuf.h"
#include "core/message.h"
#include "io/wire.h"

#define WIRE_SUBSCRIBE "/chat.ChatService/Subscribe"

/* Adds the message at its position as one of SubscribeResponse.messages. Responses are made by
 * putting such pieces behind each other. */
void wire_batch_add(StrBuf *out, const Message *message, uint64_t position);
/* A SubscribeResponse without messages; the caller owns it. */
Bytes *wire_subscribed(uint64_t life, uint64_t position);

typedef struct WireSubscribe {
    char *const *rooms; /* borrowed from the arena */
    size_t rooms_count;
    uint64_t life;
    uint64_t position;
    bool from_start;
} WireSubscribe;
/* SubscribeRequest; as wire_decode_message. */
Err wire_decode_subscribe(WireArena *arena, const uint8_t *data, size_t len,
                          WireSubscribe *ret_request);
