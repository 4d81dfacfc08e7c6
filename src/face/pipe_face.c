/* The engine of the faces for programs; see pipe_face.h. */
#include "face/pipe_face.h"

#include "base/log.h"
#include "face/reader.h"
#include "face/writer.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* Read from the bus in one go: one write for a burst, and little kept where it must wait. */
    OUTPUT_BATCH_BYTES = 64 * 1024,
    /* Input lines in one round of the loop: the writers get their turn well before the ring, of
     * BUS_MAX_ITEMS, comes round. */
    INPUT_BATCH_LINES = 256,
    /* Even of the longest lines, of which the ring holds BUS_MAX_BYTES / 16 KiB, this and a batch
     * of input find room. */
    OUTPUT_BEHIND_ITEMS = 128,
    STALLED_MS = 1000,
    /* Closing waits for a reader that reads, but not for ever: who stops a service waits too. */
    CLOSE_MAX_MS = 10000,
    CHECK_EVERY_MS = 100,
};

struct PipeFace {
    Face face;
    Node *node;
    Loop *loop;
    const PipeStyle *style;
    Follower follower;

    Writer *out_writer;
    Writer *err_writer; /* the same one where both are the same pipe, or all goes to stdout */
    StrBuf out;         /* made, not yet given to the writers */
    StrBuf err;

    Reader *reader; /* NULL: no input */
    LineSplitter splitter;
    bool input_ended;
    bool input_done; /* the node knows of the end */
    uv_idle_t input_turn;
    uv_timer_t timer; /* input that waits for output; then, closing */

    bool closing; /* shows what there is */
    bool closed;  /* and is done with it */
    uint64_t closing_since_ms;
    uint64_t close_cursor; /* shown up to here is enough */
    size_t open_parts;
    FaceDone done;
    void *done_context;
};

StrBuf *pipe_face_out(PipeFace *face)
{
    return &face->out;
}

StrBuf *pipe_face_err(PipeFace *face)
{
    /* One pipe for both: one buffer keeps the order between them. */
    return face->err_writer != face->out_writer ? &face->err : &face->out;
}

Node *pipe_face_node(PipeFace *face)
{
    return face->node;
}

/* ---- output ---- */

static size_t output_waiting(const PipeFace *face)
{
    return writer_pending(face->out_writer) + writer_pending(face->err_writer);
}

void pipe_face_flush(PipeFace *face)
{
    writer_add(face->err_writer, strbuf_text(&face->err), face->err.len);
    strbuf_clear(&face->err);
    writer_add(face->out_writer, strbuf_text(&face->out), face->out.len);
    strbuf_clear(&face->out);
}

/* True where something was taken from the bus. */
static bool take_item(PipeFace *face)
{
    const BusItem *item = NULL;
    uint64_t lost = 0;
    if (bus_next(node_bus(face->node), &face->follower, &item, &lost) == ERR_GONE) {
        face->style->add_lost(face, lost);
        return true;
    }
    if (item == NULL) {
        return false;
    }
    face->style->add_item(face, item);
    return true;
}

static void input_resume(PipeFace *face);
static void close_check(PipeFace *face);

static void output_pump(PipeFace *face)
{
    bool more = !face->closed;
    while (more && output_waiting(face) == 0) {
        while (more && face->out.len + face->err.len < OUTPUT_BATCH_BYTES) {
            more = take_item(face);
        }
        pipe_face_flush(face);
    }
    if (face->closing && !face->closed) {
        close_check(face);
    }
}

static void on_bus(Follower *follower)
{
    output_pump(follower->owner);
}

static void on_writer_idle(void *context)
{
    PipeFace *face = context;
    output_pump(face);
    input_resume(face);
}

static void on_out_broken(void *context, int error)
{
    PipeFace *face = context;
    if (error != EPIPE) {
        log_error("standard output: %s: leaving", strerror(error));
    }
    /* Without its reader there is nobody to chat for. */
    node_leave(face->node);
    on_writer_idle(face);
}

static void on_err_broken(void *context, int error)
{
    (void)error; /* whoever closed standard error does not want to know */
    on_writer_idle(context);
}

static const WriterEvents OUT_EVENTS = {.on_idle = on_writer_idle, .on_broken = on_out_broken};
static const WriterEvents ERR_EVENTS = {.on_idle = on_writer_idle, .on_broken = on_err_broken};

/* ---- input ---- */

static bool output_moves(const PipeFace *face)
{
    uint64_t out_ms = writer_progress_ms(face->out_writer);
    uint64_t err_ms = writer_progress_ms(face->err_writer);
    uint64_t latest_ms = out_ms > err_ms ? out_ms : err_ms;
    return loop_mono_ms() < latest_ms + STALLED_MS;
}

static void on_input_timer(uv_timer_t *timer)
{
    input_resume(timer->data);
}

/* True where the input is to wait for the output; it is looked at again later. */
static bool output_holds_input(PipeFace *face)
{
    if (output_waiting(face) == 0) {
        return false;
    }
    bool full = output_waiting(face) > 2 * OUTPUT_BATCH_BYTES; /* answers to bad input lines */
    bool behind = bus_pending(node_bus(face->node), &face->follower) > OUTPUT_BEHIND_ITEMS;
    if (!full && !(behind && output_moves(face))) {
        return false;
    }
    uv_timer_start(&face->timer, on_input_timer, CHECK_EVERY_MS, 0);
    return true;
}

static void on_node_ready(void *context)
{
    input_resume(context);
}

/* True where the next line may be taken now; else input_resume comes. */
static bool input_may_go(PipeFace *face)
{
    return !face->closing && !output_holds_input(face) &&
           !node_input_should_wait(face->node, on_node_ready, face);
}

static void input_turn(uv_idle_t *idle)
{
    PipeFace *face = idle->data;
    InputLine line;
    for (int i = 0; i < INPUT_BATCH_LINES; i++) {
        if (!input_may_go(face)) {
            reader_stop(face->reader);
            uv_idle_stop(idle);
            return;
        }
        if (!line_splitter_next(&face->splitter, &line)) {
            uv_idle_stop(idle);
            if (!face->input_ended) {
                reader_start(face->reader);
            } else if (!face->input_done) {
                face->input_done = true;
                node_input_ended(face->node);
            }
            return;
        }
        if (line.len > 0) {
            face->style->take_line(face, &line);
        }
    }
    reader_stop(face->reader); /* enough was read: the rest of it is for the next round */
}

/* From the loop, never from inside whatever calls this: a line must not be handed to the node
 * while the node is at work. */
static void input_resume(PipeFace *face)
{
    if (face->reader != NULL && !face->closing && !face->input_done) {
        uv_idle_start(&face->input_turn, input_turn);
    }
}

static void on_data(void *context, const char *data, size_t len)
{
    PipeFace *face = context;
    line_splitter_add(&face->splitter, data, len);
    /* At once, not in the next round: this is the way from Enter to everybody's screen. */
    input_resume(face);
    input_turn(&face->input_turn);
}

static void on_input_end(void *context, int error)
{
    PipeFace *face = context;
    if (error != 0) {
        AUTO_STRBUF StrBuf text = {0};
        strbuf_addf(&text, "standard input: %s: nothing more is read", strerror(error));
        node_notice(face->node, NOTICE_ERROR, text.text);
        node_input_failed(face->node);
    }
    line_splitter_end(&face->splitter);
    face->input_ended = true;
    input_resume(face);
}

static const ReaderEvents INPUT_EVENTS = {.on_data = on_data, .on_end = on_input_end};

/* ---- opening and closing ---- */

static bool same_file(int a, int b)
{
    struct stat status_a;
    struct stat status_b;
    return fstat(a, &status_a) == 0 && fstat(b, &status_b) == 0 &&
           status_a.st_dev == status_b.st_dev && status_a.st_ino == status_b.st_ino;
}

static void pipe_face_close(Face *base, FaceDone done, void *context);

Face *pipe_face_open(Loop *loop, Node *node, const FaceOptions *options, const PipeStyle *style)
{
    PipeFace *face = mem_new(PipeFace);
    face->face.close = pipe_face_close;
    face->node = node;
    face->loop = loop;
    face->style = style;
    face->out_writer = writer_open(loop, STDOUT_FILENO, &OUT_EVENTS, face);
    face->err_writer = face->out_writer;
    if (style->split_errors && !same_file(STDOUT_FILENO, STDERR_FILENO)) {
        face->err_writer = writer_open(loop, STDERR_FILENO, &ERR_EVENTS, face);
    }
    face->follower.wake = on_bus;
    face->follower.owner = face;
    face->follower.paced = true;
    bus_follow(node_bus(node), &face->follower);
    line_splitter_init(&face->splitter, style->line_max_bytes);
    uv_idle_init(loop_uv(loop), &face->input_turn);
    uv_timer_init(loop_uv(loop), &face->timer);
    face->input_turn.data = face;
    face->timer.data = face;
    if (options->read_input) {
        face->reader = reader_open(loop, STDIN_FILENO, &INPUT_EVENTS, face);
        reader_start(face->reader);
    }
    return &face->face;
}

static void part_closed(void *context)
{
    PipeFace *face = context;
    if (--face->open_parts > 0) {
        return;
    }
    strbuf_done(&face->out);
    strbuf_done(&face->err);
    line_splitter_done(&face->splitter);
    FaceDone done = face->done;
    void *done_context = face->done_context;
    mem_free(face);
    done(done_context);
}

static void handle_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void close_parts(PipeFace *face)
{
    face->closed = true;
    uint64_t left = bus_pending(node_bus(face->node), &face->follower);
    if (left > 0 || output_waiting(face) > 0) {
        log_warning("the end of the output is missing (%llu lines and %zu bytes): nobody read it",
                    (unsigned long long)left, output_waiting(face));
    }
    bus_unfollow(node_bus(face->node), &face->follower);
    bool two = face->err_writer != face->out_writer;
    face->open_parts = 5;
    uv_close((uv_handle_t *)&face->input_turn, handle_closed);
    uv_close((uv_handle_t *)&face->timer, handle_closed);
    reader_close(face->reader, part_closed, face);
    writer_close(two ? face->err_writer : NULL, part_closed, face);
    writer_close(face->out_writer, part_closed, face);
}

static void close_check(PipeFace *face)
{
    bool shown = output_waiting(face) == 0 && face->follower.cursor >= face->close_cursor;
    bool too_long = loop_mono_ms() >= face->closing_since_ms + CLOSE_MAX_MS;
    bool stalled = !output_moves(face) && loop_mono_ms() >= face->closing_since_ms + STALLED_MS;
    if (shown || stalled || too_long) {
        close_parts(face);
    }
}

static void on_close_timer(uv_timer_t *timer)
{
    output_pump(timer->data);
}

static void pipe_face_close(Face *base, FaceDone done, void *context)
{
    PipeFace *face = (PipeFace *)base;
    face->done = done;
    face->done_context = context;
    face->closing = true;
    face->closing_since_ms = loop_mono_ms();
    face->close_cursor = face->follower.cursor + bus_pending(node_bus(face->node), &face->follower);
    uv_idle_stop(&face->input_turn);
    if (face->reader != NULL) {
        reader_stop(face->reader);
        (void)node_input_should_wait(face->node, NULL, NULL); /* calls us no more */
    }
    uv_timer_start(&face->timer, on_close_timer, CHECK_EVERY_MS, CHECK_EVERY_MS);
    output_pump(face);
}
