/* The face for programs: one JSON object a line, both ways (json_proto.h). The log stays on
 * standard error. */
#include "face/json_proto.h"
#include "face/pipe_face.h"

static void add_list(PipeFace *face)
{
    Node *node = pipe_face_node(face);
    size_t count = node_links_configured(node);
    AUTO_FREE LinkView *links = mem_array(count, sizeof(LinkView));
    for (size_t i = 0; i < count; i++) {
        node_link(node, i, &links[i]);
    }
    json_add_list(pipe_face_out(face), links, count, node_links_up(node), node_links_count(node));
}

static void json_add_item(PipeFace *face, const BusItem *item)
{
    StrBuf *out = pipe_face_out(face);
    switch (item->kind) {
    case BUS_MESSAGE:
        json_add_message(out, item->message,
                         node_utc_offset_s(pipe_face_node(face), item->wall_ms));
        break;
    case BUS_NOTICE:
        json_add_notice(out, item->level, item->text);
        break;
    case BUS_LIST:
        add_list(face);
        break;
    case BUS_HISTORY:
        json_add_history(out, item->message, item->kept, item->text,
                         node_utc_offset_s(pipe_face_node(face), item->wall_ms));
        break;
    case BUS_KEPT:
        json_add_kept(out, item->message, item->kept);
        break;
    }
}

static void json_add_lost_item(PipeFace *face, uint64_t count)
{
    json_add_lost(pipe_face_out(face), count);
}

static void json_take_line(PipeFace *face, const InputLine *input)
{
    AUTO_STRBUF StrBuf line = {0};
    AUTO_STRBUF StrBuf reason = {0};
    if (input->too_long) {
        strbuf_addf(&reason, "the line has %zu bytes, and %d is the most: send it in parts",
                    input->len, JSON_LINE_MAX_BYTES);
    } else if (json_parse_input(input->text, input->len, &line, &reason) == ERR_OK) {
        node_line(pipe_face_node(face), strbuf_text(&line), line.len);
        return;
    }
    json_add_error(pipe_face_out(face), input->number, reason.text);
    pipe_face_flush(face);
    node_input_failed(pipe_face_node(face));
}

static const PipeStyle JSON_STYLE = {
    .line_max_bytes = JSON_LINE_MAX_BYTES,
    .add_item = json_add_item,
    .add_lost = json_add_lost_item,
    .take_line = json_take_line,
};

Face *json_open(Loop *loop, Node *node, const FaceOptions *options)
{
    return pipe_face_open(loop, node, options, &JSON_STYLE);
}
