/* Who is at which node, pure (proto/chat.proto, Presence): told by each node of itself, passed on
 * by all, kept by none.
 *
 *   row from a link --presences_hear--> newer than known? --> to all other links
 *   this node       --presences_tell_own, when it is due----> to all links
 *
 * Rows are not signed: whoever is in the mesh can tell anything of anybody. What a node hears wrong
 * of itself it sets right. */
#pragma once

#include "core/frame.h"

typedef struct Presences Presences;

enum {
    /* Nodes known at a time, this one and those that have just gone among them: more than one mesh
     * of people has, and 200 KiB. */
    PRESENCES_MAX = 1024,
    PRESENCE_LINKS_MAX = 512, /* REPLICA_LINKS_MAX */
    PRESENCE_TELL_MS = 20 * 1000,
    /* Three tellings: two may be lost. */
    PRESENCE_GONE_MS = 60 * 1000,
};

typedef enum PresenceChange {
    PRESENCE_SAME,
    PRESENCE_CAME,
    PRESENCE_RENAMED,
    PRESENCE_LEFT,
} PresenceChange;

/* first_version: above all that this node_id has told before. The own row is due at once. */
Presences *presences_new(const NodeId *own_id, const uint8_t key[EVENT_KEY_BYTES], const char *name,
                         uint64_t first_version);
/* NULL is fine. */
void presences_free(Presences *presences);

/* A row that came from a link (via < PRESENCE_LINKS_MAX). *ret_news: it is newer than what was
 * known: pass it on to the other links. *ret_before: the entry as it was, for a notice; all zero
 * where there was none.
 *
 * A row that says that this node is gone, or has a higher version of its own row, is answered:
 * *ret_news is false, and the own row is due, with a version above that.
 *
 * A node that has said that it is gone, or that has expired, is remembered as gone for
 * PRESENCE_GONE_MS, so that older rows that are still on their way do not bring it back.
 *
 * Where PRESENCES_MAX nodes are known, the oldest row that came from the link which has brought
 * most makes room, if that is another one: who invents nodes crowds out only what he has invented.
 * ERR_LIMIT: that link itself has brought most; ignored. */
Err presences_hear(Presences *presences, const FramePresence *row, size_t via, uint64_t mono_ms,
                   bool *ret_news, PresenceChange *ret_change, FramePresence *ret_before);

/* This node's own row, with the next version; for telling it. */
void presences_tell_own(Presences *presences, uint64_t mono_ms, FramePresence *ret_row);
/* A name that may be shown, of up to MESSAGE_SENDER_MAX_BYTES. Makes the own row due, unless it is
 * the name that it has. */
void presences_rename(Presences *presences, const char *name);
/* The own row says gone, and is due for the last time. */
void presences_leave(Presences *presences);
bool presences_own_is_due(const Presences *presences, uint64_t mono_ms);

/* Takes out one that was not heard of for PRESENCE_GONE_MS, as it was; false: none. */
bool presences_expire(Presences *presences, uint64_t mono_ms, FramePresence *ret_row);
/* Those with that key are gone: who is no member is not here, whatever it may have said. */
void presences_end(Presences *presences, const uint8_t key[EVENT_KEY_BYTES], uint64_t mono_ms);
/* When the own row is due or one expires, monotonic; it may be in the past. 0: never. */
uint64_t presences_wake_at(const Presences *presences);

/* All that are here, own first, then by name; for /names and for a link that has just come up.
 * The rows are valid until something changes. */
size_t presences_count(const Presences *presences);
const FramePresence *presences_at(const Presences *presences, size_t index);
