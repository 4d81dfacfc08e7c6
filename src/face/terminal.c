/* The face for a person: what is said appears above the line being typed.
 *
 *   bus, log, notes -> turn -> erase the line | print | draw the line -> Writer -> screen
 *   keys -> Reader -> Keys -> LineEditor -> node_line
 *
 * All is drawn in one write in a turn of its own, so a burst of messages costs one redraw. While
 * the screen does not take what was written (Ctrl-S, a stalled connection) nothing more is taken
 * from the bus or read from the keyboard, and the node goes on: what is said meanwhile waits in
 * the bus's ring. */
#include "face/terminal.h"

#include "core/invite.h"
#include "face/line_wrap.h"
#include "face/qr.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum {
    OUTPUT_BATCH_BYTES = 32 * 1024,
    STALLED_MS = 1000,
    CHECK_EVERY_MS = 100,
    CLOSE_MAX_MS = 5000,
    LOG_LINES_A_TURN = LOG_QUEUE_MAX_LINES,
};

static const char PASTE_MODE_OFF[] = "\033[?2004l";

static void terminal_turn(uv_idle_t *turn);

void terminal_wake(Terminal *terminal)
{
    if (!terminal->closed) {
        uv_idle_start(&terminal->turn, terminal_turn);
    }
}

void terminal_note(Terminal *terminal, NoticeLevel level, const char *text)
{
    LineFormat format = {.color = terminal->color};
    line_format_notice(&terminal->notes, &format, level, text);
    terminal_wake(terminal);
}

void terminal_read_on(Terminal *terminal)
{
    if (terminal->suspended || terminal->closing || writer_pending(terminal->writer) > 0 ||
        terminal_outbox_full(terminal)) {
        reader_stop(terminal->reader);
    } else {
        reader_start(terminal->reader);
    }
}

static void add_list(Terminal *terminal, StrBuf *out, const LineFormat *format)
{
    for (size_t i = 0; i < node_links_configured(terminal->node); i++) {
        LinkView link;
        node_link(terminal->node, i, &link);
        line_format_list_row(out, format, i + 1, &link);
    }
    line_format_list_end(out, node_links_up(terminal->node), node_links_count(terminal->node));
}

/* What others have written never begins where a line of the node's begins. */
static void add_said(Terminal *terminal, StrBuf *out, const LineFormat *format, const BusItem *item)
{
    AUTO_STRBUF StrBuf line = {0};
    if (item->kind == BUS_HISTORY) {
        line_format_history(&line, format, item->message, item->kept, item->text, item->wall_ms);
    } else {
        line_format_message(&line, format, item->message);
    }
    line_wrap(out, line.text, line.len, terminal->view.columns);
}

/* An invitation has its picture below it, where that fits. */
static void add_notice(Terminal *terminal, StrBuf *out, const LineFormat *format,
                       const BusItem *item)
{
    Invite invite;
    const char *reason = "";
    line_format_notice(out, format, item->level, item->text);
    if (invite_read(item->text, strlen(item->text), &invite, &reason) == ERR_OK &&
        qr_columns(item->text) <= (size_t)terminal->view.columns) {
        qr_write(out, item->text, terminal->color);
    }
    sodium_memzero(&invite, sizeof(invite));
}

static void add_item(Terminal *terminal, StrBuf *out, const BusItem *item)
{
    LineFormat format = {
        .color = terminal->color,
        .utc_offset_s = loop_utc_offset_s(item->wall_ms),
    };
    switch (item->kind) {
    case BUS_MESSAGE:
        if (!item->message->missed) { /* the node sums those up, in notices and history */
            add_said(terminal, out, &format, item);
        }
        break;
    case BUS_NOTICE:
        add_notice(terminal, out, &format, item);
        break;
    case BUS_LIST:
        add_list(terminal, out, &format);
        break;
    case BUS_HISTORY:
        add_said(terminal, out, &format, item);
        break;
    case BUS_KEPT:
        prompt_take_kept(&terminal->prompt, item->message, item->kept);
        break;
    }
}

/* False where nothing is left. */
static bool add_next_item(Terminal *terminal, StrBuf *out)
{
    const BusItem *item = NULL;
    uint64_t lost = 0;
    if (bus_next(node_bus(terminal->node), &terminal->follower, &item, &lost) == ERR_GONE) {
        LineFormat format = {.color = terminal->color};
        line_format_lost(out, &format, lost, "the terminal");
        prompt_forget(&terminal->prompt);
        return true;
    }
    if (item != NULL) {
        add_item(terminal, out, item);
    }
    return item != NULL;
}

static void add_log(Terminal *terminal, StrBuf *out)
{
    LineFormat format = {.color = false};
    for (int i = 0; i < LOG_LINES_A_TURN; i++) {
        AUTO_FREE char *line = log_queue_take(terminal->log_queue);
        if (line == NULL) {
            return;
        }
        AUTO_STRBUF StrBuf text = {0};
        strbuf_addf(&text, "log: %s", line);
        line_format_notice(out, &format, NOTICE_INFO, text.text);
    }
}

static void draw_line(Terminal *terminal, StrBuf *out)
{
    AUTO_STRBUF StrBuf question = {0};
    LineToDraw line = terminal_line(terminal, &question);
    line_view_draw(&terminal->view, out, &line);
    terminal->dirty = false;
}

/* The room changes with a command, how far a message is at any time. */
static void renew_prompt(Terminal *terminal)
{
    AUTO_STRBUF StrBuf text = {0};
    prompt_text(&terminal->prompt, node_room(terminal->node), &text);
    if (strcmp(text.text, strbuf_text(&terminal->prompt_text)) != 0) {
        strbuf_clear(&terminal->prompt_text);
        strbuf_add(&terminal->prompt_text, text.text, text.len);
        terminal->dirty = true;
    }
}

/* One write: what is new, and the line being typed below it. True where more is left. */
static bool terminal_show(Terminal *terminal)
{
    AUTO_STRBUF StrBuf text = {0};
    AUTO_STRBUF StrBuf out = {0};
    bool more = true;
    add_log(terminal, &text);
    strbuf_add(&text, strbuf_text(&terminal->notes), terminal->notes.len);
    strbuf_clear(&terminal->notes);
    while (more && text.len < OUTPUT_BATCH_BYTES) {
        more = add_next_item(terminal, &text);
    }
    if (text.len > 0) {
        line_view_erase(&terminal->view, &out);
        strbuf_add(&out, text.text, text.len);
        terminal->dirty = true;
    }
    renew_prompt(terminal);
    if (terminal->dirty && !terminal->ended) {
        draw_line(terminal, &out);
    }
    writer_add(terminal->writer, strbuf_text(&out), out.len);
    return more;
}

/* ---- closing ---- */

static void part_closed(void *context)
{
    Terminal *terminal = context;
    if (--terminal->open_parts > 0) {
        return;
    }
    line_view_done(&terminal->view);
    keys_done(&terminal->keys);
    strbuf_done(&terminal->notes);
    strbuf_done(&terminal->prompt_text);
    strbuf_done(&terminal->pasted);
    strbuf_done(&terminal->outbox);
    FaceDone done = terminal->done;
    void *context_of_done = terminal->done_context;
    mem_free(terminal);
    done(context_of_done);
}

static void handle_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void close_parts(Terminal *terminal)
{
    terminal->closed = true;
    if (!terminal->suspended) {
        tty_mode_leave(&terminal->mode);
    }
    line_editor_close();
    bus_unfollow(node_bus(terminal->node), &terminal->follower);
    terminal->open_parts = TERMINAL_SIGNALS_HANDLES + 5;
    terminal_signals_close(terminal, handle_closed);
    uv_close((uv_handle_t *)&terminal->turn, handle_closed);
    uv_close((uv_handle_t *)&terminal->close_timer, handle_closed);
    log_queue_close(terminal->log_queue, part_closed, terminal);
    reader_close(terminal->reader, part_closed, terminal);
    writer_close(terminal->writer, part_closed, terminal);
}

/* The last bytes: no prompt, and pastes as the shell wants them. */
static void terminal_end(Terminal *terminal)
{
    AUTO_STRBUF StrBuf out = {0};
    terminal->ended = true;
    line_view_erase(&terminal->view, &out);
    strbuf_add_string(&out, PASTE_MODE_OFF);
    writer_add(terminal->writer, out.text, out.len);
}

static void close_check(Terminal *terminal)
{
    uint64_t now_ms = loop_mono_ms();
    bool shown = terminal->follower.cursor >= terminal->close_cursor;
    if (shown && !terminal->ended && !terminal->suspended &&
        writer_pending(terminal->writer) == 0) {
        terminal_end(terminal);
    }
    bool flushed = terminal->ended && writer_pending(terminal->writer) == 0;
    bool stalled = now_ms >= terminal->closing_since_ms + STALLED_MS &&
                   now_ms >= writer_progress_ms(terminal->writer) + STALLED_MS;
    bool too_long = now_ms >= terminal->closing_since_ms + CLOSE_MAX_MS;
    if (flushed || stalled || too_long || terminal->suspended) {
        close_parts(terminal);
    }
}

static void on_close_timer(uv_timer_t *timer)
{
    terminal_wake(timer->data);
}

/* May be called from deep inside readline (/quit): all else happens in a turn. */
static void terminal_close(Face *base, FaceDone done, void *context)
{
    Terminal *terminal = (Terminal *)base;
    terminal->done = done;
    terminal->done_context = context;
    terminal->closing = true;
    terminal->closing_since_ms = loop_mono_ms();
    terminal->close_cursor =
        terminal->follower.cursor + bus_pending(node_bus(terminal->node), &terminal->follower);
    reader_stop(terminal->reader);
    (void)node_input_should_wait(terminal->node, NULL, NULL); /* calls us no more */
    uv_timer_start(&terminal->close_timer, on_close_timer, CHECK_EVERY_MS, CHECK_EVERY_MS);
    terminal_wake(terminal);
}

/* ---- running ---- */

static void terminal_turn(uv_idle_t *turn)
{
    Terminal *terminal = turn->data;
    bool more = false;
    if (!terminal->suspended && writer_pending(terminal->writer) == 0) {
        more = !terminal->closing && terminal_send(terminal);
        more = terminal_show(terminal) || more;
    }
    if (!more || writer_pending(terminal->writer) > 0) {
        uv_idle_stop(turn);
    }
    if (terminal->closing) {
        close_check(terminal);
    } else {
        terminal_read_on(terminal);
    }
}

static void on_bus(Follower *follower)
{
    terminal_wake(follower->owner);
}

static void on_log(void *context)
{
    terminal_wake(context);
}

static void on_writer_idle(void *context)
{
    terminal_wake(context);
}

static void on_writer_broken(void *context, int error)
{
    (void)error; /* the terminal is gone: there is nobody to tell */
    Terminal *terminal = context;
    node_leave(terminal->node);
    terminal_wake(terminal);
}

static const WriterEvents WRITER_EVENTS = {
    .on_idle = on_writer_idle,
    .on_broken = on_writer_broken,
};

Face *terminal_open(Loop *loop, Node *node, const FaceOptions *options)
{
    Terminal *terminal = mem_new(Terminal);
    terminal->face.close = terminal_close;
    terminal->node = node;
    terminal->color = options->color;
    terminal->mode.fd = STDIN_FILENO;
    uv_idle_init(loop_uv(loop), &terminal->turn);
    terminal->turn.data = terminal;
    uv_timer_init(loop_uv(loop), &terminal->close_timer);
    terminal->close_timer.data = terminal;
    terminal->writer = writer_open(loop, STDOUT_FILENO, &WRITER_EVENTS, terminal);
    terminal->reader = reader_open(loop, STDIN_FILENO, &TERMINAL_READER_EVENTS, terminal);
    terminal->log_queue = log_queue_open(loop, on_log, terminal);
    terminal->follower.wake = on_bus;
    terminal->follower.owner = terminal;
    terminal->follower.paced = true;
    bus_follow(node_bus(node), &terminal->follower);
    line_editor_open(&TERMINAL_EDITOR_EVENTS, terminal);
    terminal_signals_open(terminal, loop);
    terminal_enter(terminal);
    return &terminal->face;
}
