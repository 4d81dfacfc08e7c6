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

Face *face_open(FaceKind kind, Loop *loop, Node *node, const FaceOptions *options);
/* Shows what was published until now (1 s at most where nobody reads), gives the terminal back,
 * then calls done; the face is freed. */
void face_close(Face *face, void (*done)(void *context), void *context);
