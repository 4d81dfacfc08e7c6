/* Which face it is: one row each.
 *
 *                  +-- terminal.c   readline, colours, a prompt
 *   face.c --------+-- lines.c -----+-- pipe_face.c   reads lines, writes without blocking
 *                  +-- json.c ------+ */
#include "face/face.h"

#include "face/face_impl.h"

typedef Face *(*FaceOpen)(Loop *loop, Node *node, const FaceOptions *options);

static const FaceOpen FACES[] = {
    [FACE_TERMINAL] = terminal_open,
    [FACE_LINES] = lines_open,
    [FACE_JSON] = json_open,
};

Face *face_open(FaceKind kind, Loop *loop, Node *node, const FaceOptions *options)
{
    return FACES[kind](loop, node, options);
}

void face_close(Face *face, void (*done)(void *context), void *context)
{
    face->close(face, done, context);
}
