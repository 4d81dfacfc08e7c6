/* The core and its names: who was heard by which, and what is marked. */
#include "core/core_state.h"

#include <assert.h>
#include <string.h>

void names_heard(Core *core, const uint8_t key[EVENT_KEY_BYTES], const char *name)
{
    names_claim(core->names, key, name);
}

static void put_mark(Core *core, const uint8_t *key, Message *message)
{
    if (names_misleads(core->names, key, message->sender)) {
        name_fingerprint(key, message->fingerprint);
    }
}

/* Lines that were heard from a caller without an id are a classic node's, or a plain program's,
 * which may have called several of ours: they have no key, and take no name; but they may well
 * speak under one that somebody has. */
void names_mark(Core *core, const uint8_t key[EVENT_KEY_BYTES], Message *message)
{
    if (!message->heard) {
        names_claim(core->names, key, message->sender);
    }
    put_mark(core, key, message);
}

/* What is read again takes no name: a reader of all that was ever said would bring back names that
 * were forgotten. */
void core_mark(Core *core, const LogEvent *event, Message *message)
{
    put_mark(core, event->fields.stream.origin, message);
}

bool names_sender_is_taken(const Core *core, const MessageDraft *draft)
{
    char sender[MESSAGE_SENDER_MAX_BYTES + 1];
    assert(draft->sender_len < sizeof(sender));
    memcpy(sender, draft->sender, draft->sender_len);
    sender[draft->sender_len] = '\0';
    return names_is_of_other_member(core->names, core->key, sender);
}

void names_add_shown(Core *core, StrBuf *out, const uint8_t key[EVENT_KEY_BYTES], const char *name)
{
    if (name[0] == '\0') {
        strbuf_add_string(out, "(no name)");
        return;
    }
    strbuf_add_string(out, name);
    if (names_misleads(core->names, key, name)) {
        char print[NAME_FINGERPRINT_BYTES];
        name_fingerprint(key, print);
        strbuf_addf(out, "~%s", print);
    }
}

static void add_members(Core *core, bool revoked)
{
    for (size_t i = 0; i < members_count(core->members); i++) {
        const Member *member = members_at(core->members, i);
        if (member->revoked == revoked) {
            names_add_member(core->names, member->key, member->name);
        }
    }
}

/* Who was revoked keeps the name against strangers, and not against a member who has it now. */
void names_take_members(Core *core)
{
    if (core->members == NULL) {
        return;
    }
    names_clear_members(core->names);
    add_members(core, false);
    add_members(core, true);
}
