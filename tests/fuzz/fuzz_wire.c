/* Requests from anybody: SendMessage, Publish, StreamMessages, Hello. The first byte chooses. */
#include "fuzz.h"
#include "io/wire.h"

#include <stdlib.h>
#include <string.h>

static void message(WireArena *arena, const uint8_t *data, size_t size)
{
    MessageDraft draft;
    const char *reason = "";
    if (wire_decode_message(arena, data, size, &draft) != ERR_OK ||
        message_check(&draft, &reason) != ERR_OK) {
        return;
    }
    if (strlen(draft.sender) != draft.sender_len || strlen(draft.content) != draft.content_len) {
        abort(); /* something hides behind a NUL */
    }
    Message *made = message_new(&draft, 1, 0);
    wire_request(made);
    wire_response(made);
    message_unref(made);
}

static void batch(WireArena *arena, const uint8_t *data, size_t size)
{
    WireBatch batch = {.data = data, .len = size};
    bool found = false;
    const uint8_t *row = NULL;
    size_t len = 0;
    while (wire_batch_next(&batch, &found, &row, &len) == ERR_OK && found) {
        message(arena, row, len);
    }
}

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static WireArena *arena;
    WireStreamRequest request;
    WireHello hello;
    bool success = false;
    if (arena == NULL) {
        arena = wire_arena_new();
    }
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 5) {
    case 0:
        message(arena, data + 1, size - 1);
        break;
    case 1:
        (void)!wire_decode_stream_request(arena, data + 1, size - 1, &request);
        break;
    case 4:
        batch(arena, data + 1, size - 1);
        break;
    case 2:
        (void)!wire_decode_hello(arena, data + 1, size - 1, &hello);
        break;
    default:
        (void)!wire_decode_success(arena, data + 1, size - 1, &success);
        break;
    }
    return 0;
}
