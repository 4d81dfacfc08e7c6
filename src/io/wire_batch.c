/* Many messages in one. */
#include "io/wire_batch.h"

#include "io/wire_internal.h"

#include <chat.pb-c.h>
#include <string.h>

enum {
    MESSAGES_TAG = 1 << 3 | 2, /* field 1, with a length */
    VARINT_BITS = 7,
    VARINT_MORE = 0x80,
};

static void add_varint(StrBuf *out, uint64_t value)
{
    while (value >= VARINT_MORE) {
        strbuf_add_char(out, (char)(uint8_t)(value | VARINT_MORE));
        value >>= VARINT_BITS;
    }
    strbuf_add_char(out, (char)(uint8_t)value);
}

/* What a position or a time says already is left out: an id that is only the place in the log, the
 * clock of one who told the time. */
void wire_batch_add(StrBuf *out, const Message *message, uint64_t position)
{
    static char nothing[] = "";
    Chat__MessageResponse response = CHAT__MESSAGE_RESPONSE__INIT;
    MessageId id = message->id;
    char fingerprint[NAME_FINGERPRINT_BYTES];
    memcpy(fingerprint, message->fingerprint, sizeof(fingerprint));
    response.sender = message->sender;
    response.content = message->content;
    response.timestamp = message->clock_told ? message->timestamp : nothing;
    response.time_ms = message->clock_told ? 0 : message->time_ms;
    response.id = (ProtobufCBinaryData){.len = message->id_of_place ? 0 : id.len, .data = id.bytes};
    response.kind =
        message->kind == MESSAGE_ACTION ? CHAT__MESSAGE_KIND__ACTION : CHAT__MESSAGE_KIND__TEXT;
    response.room = message_is_in_lobby(message) ? nothing : message->room;
    response.fingerprint = fingerprint;
    response.position = position;
    size_t len = chat__message_response__get_packed_size(&response);
    add_varint(out, MESSAGES_TAG);
    add_varint(out, len);
    chat__message_response__pack(&response, (uint8_t *)strbuf_extend(out, len));
}

Bytes *wire_subscribed(uint64_t life, uint64_t position)
{
    Chat__SubscribeResponse response = CHAT__SUBSCRIBE_RESPONSE__INIT;
    response.life = life;
    response.position = position;
    Bytes *bytes = bytes_new_empty(chat__subscribe_response__get_packed_size(&response));
    chat__subscribe_response__pack(&response, bytes_fill(bytes));
    return bytes;
}

Err wire_decode_subscribe(WireArena *arena, const uint8_t *data, size_t len,
                          WireSubscribe *ret_request)
{
    Chat__SubscribeRequest *request =
        chat__subscribe_request__unpack(wire_arena_reset(arena), len, data);
    if (request == NULL) {
        return ERR_INVALID;
    }
    *ret_request = (WireSubscribe){
        .rooms = request->rooms,
        .rooms_count = request->n_rooms,
        .life = request->life,
        .position = request->position,
        .from_start = request->from_start,
    };
    return ERR_OK;
}
