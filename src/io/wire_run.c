/* NodeService.Run, of both sides. */
#include "io/wire_internal.h"

#include "core/proto_arena.h"

#include <chat.pb-c.h>
#include <string.h>

Bytes *wire_run_request(const char *line)
{
    Chat__RunRequest request = CHAT__RUN_REQUEST__INIT;
    AUTO_FREE char *copy = mem_copy_string(line);
    request.line = copy;
    Bytes *bytes = bytes_new_empty(chat__run_request__get_packed_size(&request));
    chat__run_request__pack(&request, bytes_fill(bytes));
    return bytes;
}

Err wire_decode_run_request(WireArena *arena, const uint8_t *data, size_t len,
                            const char **ret_line, size_t *ret_len)
{
    const Chat__RunRequest *request = chat__run_request__unpack(wire_arena_reset(arena), len, data);
    if (request == NULL) {
        return ERR_INVALID;
    }
    *ret_line = request->line;
    *ret_len = proto_string_len(data, len, 1);
    return ERR_OK;
}

/* As a response of one line: messages of protobuf may be joined by joining their bytes. */
void wire_add_run_line(StrBuf *lines, const char *text)
{
    AUTO_FREE char *copy = mem_copy_string(text);
    Chat__RunResponse response = CHAT__RUN_RESPONSE__INIT;
    response.n_lines = 1;
    response.lines = &copy;
    size_t size = chat__run_response__get_packed_size(&response);
    chat__run_response__pack(&response, (uint8_t *)strbuf_extend(lines, size));
}

Bytes *wire_run_response(bool ok, const StrBuf *lines)
{
    Chat__RunResponse response = CHAT__RUN_RESPONSE__INIT;
    response.ok = ok;
    size_t head = chat__run_response__get_packed_size(&response);
    Bytes *bytes = bytes_new_empty(head + lines->len);
    chat__run_response__pack(&response, bytes_fill(bytes));
    if (lines->len > 0) {
        memcpy(bytes_fill(bytes) + head, lines->text, lines->len);
    }
    return bytes;
}

Err wire_decode_run_response(WireArena *arena, const uint8_t *data, size_t len,
                             WireRunResponse *ret_response)
{
    const Chat__RunResponse *response =
        chat__run_response__unpack(wire_arena_reset(arena), len, data);
    if (response == NULL) {
        return ERR_INVALID;
    }
    *ret_response = (WireRunResponse){
        .ok = response->ok,
        .lines = (const char *const *)response->lines,
        .lines_count = response->n_lines,
    };
    return ERR_OK;
}
