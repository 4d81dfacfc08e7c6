/* The terminal's mode while a line is edited: each key at once, no echo. Ctrl-C, Ctrl-Z and Ctrl-S
 * stay what they are to the terminal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

typedef struct TtyMode {
    int fd; /* borrowed */
    struct termios saved;
    bool changed;
} TtyMode;

/* False where another process group is in the foreground: to touch the terminal would stop us. */
bool tty_is_ours(int fd);
/* Also after the terminal's mode was changed by others while we were stopped. */
void tty_mode_enter(TtyMode *mode);
void tty_mode_leave(TtyMode *mode);
/* 80 x 24 where the terminal does not know. */
void tty_size(int fd, size_t *ret_columns, size_t *ret_rows);
