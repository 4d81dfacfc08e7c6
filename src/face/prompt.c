/* It says nothing where there is nothing to wait for. */
#include "face/prompt.h"

#include <string.h>

void prompt_take_kept(Prompt *prompt, const Message *message, Kept kept)
{
    if (message->hlc >= prompt->hlc) {
        prompt->hlc = message->hlc;
        prompt->kept = kept;
    }
}

void prompt_forget(Prompt *prompt)
{
    prompt->kept = (Kept){0};
}

void prompt_text(const Prompt *prompt, const char *room, StrBuf *out)
{
    Kept kept = prompt->kept;
    if (kept.by < kept.known && kept.by == 0) {
        strbuf_add_string(out, "(kept here only) ");
    } else if (kept.by < kept.known) {
        strbuf_addf(out, "(%zu of %zu) ", kept.by, kept.known);
    }
    strbuf_addf(out, "%s> ", strcmp(room, MESSAGE_LOBBY) != 0 ? room : "");
}
