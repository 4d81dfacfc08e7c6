/* The face for pipes and files: plain text. Messages go to standard output, all else to standard
 * error, so that `chat_node ... > file` collects the conversation and nothing more. */
#include "face/line_format.h"
#include "face/pipe_face.h"

static const char WHO[] = "the reader of this output";

static void add_list(PipeFace *face, const LineFormat *format)
{
    Node *node = pipe_face_node(face);
    StrBuf *err = pipe_face_err(face);
    for (size_t i = 0; i < node_links_configured(node); i++) {
        LinkView link;
        node_link(node, i, &link);
        line_format_list_row(err, format, i + 1, &link);
    }
    line_format_list_end(err, node_links_up(node), node_links_count(node));
}

static void lines_add_item(PipeFace *face, const BusItem *item)
{
    LineFormat format = {.utc_offset_s = node_utc_offset_s(pipe_face_node(face), item->wall_ms)};
    switch (item->kind) {
    case BUS_MESSAGE:
        line_format_message(pipe_face_out(face), &format, item->message);
        break;
    case BUS_NOTICE:
        line_format_notice(pipe_face_err(face), &format, item->level, item->text);
        break;
    case BUS_LIST:
        add_list(face, &format);
        break;
    case BUS_HISTORY: /* an answer: to standard output only what is said goes, each line once */
        line_format_history(pipe_face_err(face), &format, item->message, item->kept, item->text,
                            item->wall_ms);
        break;
    case BUS_KEPT: /* /history tells it */
        break;
    }
}

static void lines_add_lost(PipeFace *face, uint64_t count)
{
    LineFormat format = {.color = false};
    line_format_lost(pipe_face_err(face), &format, count, WHO);
}

static void refuse_long(PipeFace *face, const InputLine *line)
{
    AUTO_STRBUF StrBuf text = {0};
    strbuf_addf(&text,
                "line %llu has %zu bytes, and %d is the most one message can have: it was not "
                "sent; break it into shorter lines",
                (unsigned long long)line->number, line->len, MESSAGE_CONTENT_MAX_BYTES);
    node_notice(pipe_face_node(face), NOTICE_ERROR, text.text);
    node_input_failed(pipe_face_node(face));
}

static void lines_take_line(PipeFace *face, const InputLine *line)
{
    /* The first slash of two is taken off. */
    bool escaped =
        !line->too_long && line->len >= 2 && line->text[0] == '/' && line->text[1] == '/';
    if (line->too_long || line->len - (escaped ? 1 : 0) > MESSAGE_CONTENT_MAX_BYTES) {
        refuse_long(face, line);
    } else {
        node_line(pipe_face_node(face), line->text, line->len);
    }
}

static const PipeStyle LINES_STYLE = {
    .line_max_bytes = MESSAGE_CONTENT_MAX_BYTES + 1,
    .split_errors = true,
    .add_item = lines_add_item,
    .add_lost = lines_add_lost,
    .take_line = lines_take_line,
};

Face *lines_open(Loop *loop, Node *node, const FaceOptions *options)
{
    return pipe_face_open(loop, node, options, &LINES_STYLE);
}
