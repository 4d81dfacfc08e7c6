/* What the faces for programs have in common: lines in from standard input, lines out to standard
 * output and standard error, none of which may ever hold up the node.
 *
 *   stdin -> Reader -> LineSplitter -> take_line -> node_line
 *   bus   -> add_item -> out/err -> Writer -> stdout/stderr
 *
 * Output: items are taken from the bus only while the writers are idle, so the ring is the queue
 * and memory stays bounded; who reads too slowly falls off the ring and is told.
 *
 * Input waits while a peer's queue is full (node_input_should_wait), and while our own output is
 * far behind and its reader reads: `chat_node < file | program` then loses nothing, however slow
 * the program; one that has stopped reading holds the input up for a second only. */
#pragma once

#include "face/face_impl.h"
#include "face/line_splitter.h"

typedef struct PipeFace PipeFace;

typedef struct PipeStyle {
    size_t line_max_bytes;
    bool split_errors; /* notices go to standard error; else everything to standard output */
    void (*add_item)(PipeFace *face, const BusItem *item);
    void (*add_lost)(PipeFace *face, uint64_t count);
    void (*take_line)(PipeFace *face, const InputLine *line);
} PipeStyle;

/* style is borrowed for the face's life. */
Face *pipe_face_open(Loop *loop, Node *node, const FaceOptions *options, const PipeStyle *style);

/* For the styles: where to add text, and the node. */
StrBuf *pipe_face_out(PipeFace *face);
StrBuf *pipe_face_err(PipeFace *face);
Node *pipe_face_node(PipeFace *face);
/* Writes what a style has added outside of add_item and add_lost. */
void pipe_face_flush(PipeFace *face);
