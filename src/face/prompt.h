/* What stands before the line being typed: where it will go, and how far the last own message is.
 *
 *     >                          in the lobby; all that is known of the last message is good
 *     dev>                       typed lines go to the room dev, or to bob alone: "@bob> "
 *     (kept here only) >         no other node has the last message yet: do not switch off
 *     (1 of 2) dev>              one of the two others has it
 *
 * Pure. */
#pragma once

#include "base/strbuf.h"
#include "io/bus.h"

typedef struct Prompt {
    uint64_t hlc; /* of the own message that kept is of */
    Kept kept;
} Prompt;

/* message, an own one, is that far. What comes about an older one than the last changes nothing. */
void prompt_take_kept(Prompt *prompt, const Message *message, Kept kept);
/* Something may have been missed: says nothing of a message until more is known. */
void prompt_forget(Prompt *prompt);
/* Adds the text, not sanitised: whoever draws it does that. */
void prompt_text(const Prompt *prompt, const char *room, StrBuf *out);
