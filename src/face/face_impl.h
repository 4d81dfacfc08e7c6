/* What each kind of face gives to face.c. */
#pragma once

#include "face/face.h"

typedef void (*FaceDone)(void *context);

struct Face {
    void (*close)(Face *face, FaceDone done, void *context);
};

Face *terminal_open(Loop *loop, Node *node, const FaceOptions *options);
Face *lines_open(Loop *loop, Node *node, const FaceOptions *options);
Face *json_open(Loop *loop, Node *node, const FaceOptions *options);
