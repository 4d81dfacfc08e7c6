/* The inside of the terminal face, shared by its three files:
 *
 *   terminal.c          what is shown, opening and closing
 *   terminal_input.c    keys, pastes, lines on their way to the node
 *   terminal_signals.c  Ctrl-C, Ctrl-Z and fg, resizing, hang-up */
#pragma once

#include "face/face_impl.h"
#include "face/keys.h"
#include "face/line_editor.h"
#include "face/line_format.h"
#include "face/line_view.h"
#include "face/log_queue.h"
#include "face/prompt.h"
#include "face/reader.h"
#include "face/tty_mode.h"
#include "face/writer.h"

enum { TERMINAL_SIGNALS = 6, TERMINAL_SIGNALS_HANDLES = TERMINAL_SIGNALS + 1 };

typedef struct Terminal {
    Face face;
    Node *node;
    bool color;
    Follower follower;
    Reader *reader;
    Writer *writer;
    LogQueue *log_queue;
    TtyMode mode;
    uv_idle_t turn; /* the one place from which anything is drawn or sent */
    uv_signal_t signals[TERMINAL_SIGNALS];
    uv_timer_t background_timer;

    LineView view;
    Prompt prompt;
    StrBuf prompt_text; /* as it was drawn last */
    StrBuf notes;       /* lines of the face's own, to be shown */
    bool dirty;         /* the line being typed is not on the screen as it is */
    bool suspended;     /* in the background: the terminal is not to be touched */

    Keys keys;
    StrBuf pasted; /* lines that wait for the answer, each with "\n" */
    size_t pasted_count;
    StrBuf outbox; /* lines that wait for their turn, each with "\n" */
    size_t outbox_sent;

    uv_timer_t close_timer;
    bool closing;
    bool ended; /* the prompt is gone for good */
    bool closed;
    uint64_t closing_since_ms;
    uint64_t close_cursor;
    size_t open_parts;
    FaceDone done;
    void *done_context;
} Terminal;

/* terminal.c: have a turn soon. */
void terminal_wake(Terminal *terminal);
/* Shows text as a notice of the face's own. */
void terminal_note(Terminal *terminal, NoticeLevel level, const char *text);
/* Reads keys, unless they have to wait. */
void terminal_read_on(Terminal *terminal);

/* terminal_input.c */
extern const ReaderEvents TERMINAL_READER_EVENTS;
extern const LineEditorEvents TERMINAL_EDITOR_EVENTS;
/* Sends some of what waits; true where more could go now. */
bool terminal_send(Terminal *terminal);
bool terminal_outbox_full(const Terminal *terminal);
/* The line to draw: the one being typed, or a question. */
LineToDraw terminal_line(Terminal *terminal, StrBuf *question);

/* terminal_signals.c */
void terminal_signals_open(Terminal *terminal, Loop *loop);
/* on_closed is called TERMINAL_SIGNALS_HANDLES times. */
void terminal_signals_close(Terminal *terminal, uv_close_cb on_closed);
/* Takes the terminal, where it is ours; else waits until it is. */
void terminal_enter(Terminal *terminal);
