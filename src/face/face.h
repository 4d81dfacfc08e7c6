/* What a face is to chat_node.c: something that shows and reads, and can be closed. */
#pragma once

#include "io/node.h"

typedef enum FaceKind {
    FACE_TERMINAL, /* readline; both ends a terminal */
    FACE_LINES,    /* plain text: pipes and files, --headless */
    FACE_JSON,     /* one JSON object a line */
} FaceKind;

typedef struct FaceOptions {
    bool read_input; /* false with --headless */
    bool color;
} FaceOptions;

typedef struct Face Face;

/* Sets the locale for text (LC_CTYPE; the program's words are English, its numbers too): the
 * environment's where that is UTF-8, else C.UTF-8, and the environment says so too from then on,
 * since readline looks there. A bare machine or container has none set. Call it in place of
 * setlocale, first in main, before there are threads. */
void face_set_locale(void);

Face *face_open(FaceKind kind, Loop *loop, Node *node, const FaceOptions *options);
/* Shows what was published until now (1 s at most where nobody reads), gives the terminal back,
 * then calls done; the face is freed. */
void face_close(Face *face, void (*done)(void *context), void *context);
