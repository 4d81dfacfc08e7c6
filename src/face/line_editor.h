/* Editing of the line being typed: readline, and nothing it would do beside editing.
 *
 *   keys -> line_editor_feed -> readline -> on_line, on_end, on_matches
 *                                  \--> line_editor_line -> drawn by line_view.c
 *
 * readline keeps its state in globals, so there is one editor in a process. It reads no
 * descriptor, writes to none, sets no terminal mode and catches no signal: its callers do. The
 * locale must be one of UTF-8 (LC_ALL too: readline looks there again at each line). */
#pragma once

#include "face/line_view.h"

#include <stdbool.h>

typedef struct LineEditorEvents {
    /* Enter. False keeps the text on the line, to be edited. */
    bool (*on_line)(void *context, const char *line);
    /* Ctrl-D on an empty line. */
    void (*on_end)(void *context);
    /* What the word before the cursor may become; separated by two spaces, from outside. */
    void (*on_matches)(void *context, const char *matches);
    /* Names for completion, newest first; NULL past the end. */
    const char *(*name_at)(void *context, size_t index);
} LineEditorEvents;

/* Lines that arrow-up finds. In memory only: what is said in a chat is not left on a disk. */
enum { LINE_EDITOR_HISTORY_LINES = 1000 };

/* events is borrowed. */
void line_editor_open(const LineEditorEvents *events, void *context);
void line_editor_close(void);

/* Whole characters, as typed. Not from inside an event. */
void line_editor_feed(const char *keys, size_t len);
/* At the cursor. */
void line_editor_insert(const char *text);
void line_editor_clear(void);
/* The line, with readline's own prompt where it asks for something (a search, say) and prompt where
 * it does not. Borrowed until the next call. */
LineToDraw line_editor_line(const char *prompt);
