/* Signals, through the loop.
 *
 *   Ctrl-Z: SIGTSTP -> give the terminal back -> stop, as if it had not been caught
 *   fg:     SIGCONT -> take the terminal -> draw
 *   bg:     SIGCONT -> another process group has the terminal: run on without it
 *   fg:     no signal, since we run already: the terminal is asked twice a second whose it is */
#include "face/terminal.h"

#include <signal.h>
#include <unistd.h>

static const char PASTE_MODE_ON[] = "\033[?2004h";
static const char PASTE_MODE_OFF[] = "\033[?2004l";

static const int SIGNALS[TERMINAL_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT};

enum { BACKGROUND_CHECK_MS = 500 };

static void on_signal(uv_signal_t *handle, int number);

static void on_background_timer(uv_timer_t *timer)
{
    Terminal *terminal = timer->data;
    if (!terminal->closing && tty_is_ours(terminal->mode.fd)) {
        terminal_enter(terminal);
    }
}

void terminal_enter(Terminal *terminal)
{
    size_t columns = 0;
    size_t rows = 0;
    terminal->suspended = !tty_is_ours(terminal->mode.fd);
    if (terminal->suspended) {
        uv_timer_start(&terminal->background_timer, on_background_timer, BACKGROUND_CHECK_MS,
                       BACKGROUND_CHECK_MS);
    } else {
        uv_timer_stop(&terminal->background_timer);
        tty_mode_enter(&terminal->mode);
        tty_size(terminal->mode.fd, &columns, &rows);
        line_view_resize(&terminal->view, columns, rows);
        writer_add(terminal->writer, PASTE_MODE_ON, sizeof(PASTE_MODE_ON) - 1);
        terminal->dirty = true;
        terminal_wake(terminal);
    }
    terminal_read_on(terminal);
}

static void resize(Terminal *terminal)
{
    size_t columns = 0;
    size_t rows = 0;
    tty_size(terminal->mode.fd, &columns, &rows);
    line_view_resize(&terminal->view, columns, rows);
    terminal->dirty = true;
    terminal_wake(terminal);
}

/* Stops here, and goes on here. */
static void suspend(Terminal *terminal, uv_signal_t *handle)
{
    AUTO_STRBUF StrBuf out = {0};
    line_view_erase(&terminal->view, &out);
    strbuf_add_string(&out, PASTE_MODE_OFF);
    writer_add(terminal->writer, out.text, out.len);
    tty_mode_leave(&terminal->mode);
    uv_signal_stop(handle); /* the default action again: the kernel knows when to ignore it */
    raise(SIGTSTP);
    uv_signal_start(handle, on_signal, SIGTSTP);
    terminal_enter(terminal);
}

static void on_signal(uv_signal_t *handle, int number)
{
    Terminal *terminal = handle->data;
    if (terminal->closing) {
        return;
    }
    switch (number) {
    case SIGWINCH:
        if (!terminal->suspended) {
            resize(terminal);
        }
        break;
    case SIGTSTP:
        if (!terminal->suspended) {
            suspend(terminal, handle);
        }
        break;
    case SIGCONT:
        terminal_enter(terminal);
        break;
    default: /* Ctrl-C, a hang-up, or somebody asks us to end */
        node_leave(terminal->node);
        break;
    }
}

void terminal_signals_open(Terminal *terminal, Loop *loop)
{
    uv_timer_init(loop_uv(loop), &terminal->background_timer);
    terminal->background_timer.data = terminal;
    for (size_t i = 0; i < TERMINAL_SIGNALS; i++) {
        uv_signal_init(loop_uv(loop), &terminal->signals[i]);
        terminal->signals[i].data = terminal;
        uv_signal_start(&terminal->signals[i], on_signal, SIGNALS[i]);
    }
}

void terminal_signals_close(Terminal *terminal, uv_close_cb on_closed)
{
    uv_close((uv_handle_t *)&terminal->background_timer, on_closed);
    for (size_t i = 0; i < TERMINAL_SIGNALS; i++) {
        uv_close((uv_handle_t *)&terminal->signals[i], on_closed);
    }
}
