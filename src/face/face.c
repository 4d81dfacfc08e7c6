/* Which face it is: one row each.
 *
 *                  +-- terminal.c   readline, colours, a prompt
 *   face.c --------+-- lines.c -----+-- pipe_face.c   reads lines, writes without blocking
 *                  +-- json.c ------+ */
#include "face/face.h"

#include "face/face_impl.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

typedef Face *(*FaceOpen)(Loop *loop, Node *node, const FaceOptions *options);

static const FaceOpen FACES[] = {
    [FACE_TERMINAL] = terminal_open,
    [FACE_LINES] = lines_open,
    [FACE_JSON] = json_open,
};

void face_set_locale(void)
{
    if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
        setenv("LC_ALL", "C.UTF-8", 1);
        setlocale(LC_CTYPE, "");
    }
}

Face *face_open(FaceKind kind, Loop *loop, Node *node, const FaceOptions *options)
{
    return FACES[kind](loop, node, options);
}

void face_close(Face *face, void (*done)(void *context), void *context)
{
    face->close(face, done, context);
}
