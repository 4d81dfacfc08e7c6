/* termios, as readline sets it, but at once (TCSANOW): TCSADRAIN would wait for ever on a terminal
 * whose output was stopped with Ctrl-S. */
#include "face/tty_mode.h"

#include <sys/ioctl.h>
#include <unistd.h>

enum { DEFAULT_COLUMNS = 80, DEFAULT_ROWS = 24 };

bool tty_is_ours(int fd)
{
    pid_t foreground = tcgetpgrp(fd);
    /* Where it is not our controlling terminal there are no such rules. */
    return foreground < 0 || foreground == getpgrp();
}

void tty_mode_enter(TtyMode *mode)
{
    struct termios now;
    if (tcgetattr(mode->fd, &now) != 0) {
        return;
    }
    if (!mode->changed || (now.c_lflag & ICANON) != 0) {
        mode->saved = now;
        mode->changed = true;
    }
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    now.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | ISTRIP);
    now.c_cc[VMIN] = 1;
    now.c_cc[VTIME] = 0;
    now.c_cc[VLNEXT] = _POSIX_VDISABLE; /* Ctrl-V and Ctrl-O are readline's */
    now.c_cc[VDISCARD] = _POSIX_VDISABLE;
    tcsetattr(mode->fd, TCSANOW, &now);
}

void tty_mode_leave(TtyMode *mode)
{
    if (mode->changed) {
        tcsetattr(mode->fd, TCSANOW, &mode->saved);
    }
}

void tty_size(int fd, size_t *ret_columns, size_t *ret_rows)
{
    struct winsize size = {0};
    bool known = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *ret_columns = known ? size.ws_col : DEFAULT_COLUMNS;
    *ret_rows = known ? size.ws_row : DEFAULT_ROWS;
}
