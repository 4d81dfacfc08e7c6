/* The invitations of this node: which secrets it has given out, and who has come with them.
 *
 *   invites_make  --> file `invites` (hash, expires, used by) <-- invites_check, invites_use
 *
 * The file is the only truth, read again where it was written anew: `chat_node invite` writes it
 * beside a node that runs. The secret itself is in the line alone. What is asked here touches the
 * disk, which is right for something that happens once for each person who joins: whoever has no
 * good secret costs a look and no write. */
#pragma once

#include "core/invite.h"
#include "io/own_addresses.h"

enum {
    INVITES_OPEN_MAX = 100, /* good and not used: more than that is a leak, or a script gone wild */
    /* That are remembered at all, to be able to say "used" or "expired". */
    INVITES_KEPT_MAX = 1000,
    INVITE_HOURS_DEFAULT = 24,
    INVITE_HOURS_MAX = 24 * 30, /* a line lies around in mails and chats */
    INVITE_EXPIRED_KEPT_DAYS = 7,
};

typedef struct Invites Invites;

/* Those of a data directory. Nothing is read before it is asked for. */
Invites *invites_new(const char *directory);
/* NULL is fine. */
void invites_free(Invites *invites);

/* On failure of all of these the caller owns *ret_error, one line for a person. ERR_DENIED: others
 * may read the file. ERR_INVALID: it is not what is written here. ERR_UNAVAILABLE: the disk is
 * full. ERR_IO. */

/* Makes one, durably, and adds its line to ret_line. hours: 1 to INVITE_HOURS_MAX; at least one
 * address. ERR_LIMIT: INVITES_OPEN_MAX, or hours are out of range. */
Err invites_make(Invites *invites, const uint8_t inviter[EVENT_KEY_BYTES],
                 const OwnAddresses *addresses, unsigned hours, int64_t now_ms, StrBuf *ret_line,
                 char **ret_error);
/* May key come in with it? The key that has used it may come again: its answer was lost.
 * ERR_NOT_FOUND: not ours, or long gone. ERR_GONE: it has expired. ERR_EXISTS: somebody else has
 * used it. *ret_error is for the newcomer then. */
Err invites_check(Invites *invites, const uint8_t secret[INVITE_SECRET_BYTES],
                  const uint8_t key[EVENT_KEY_BYTES], int64_t now_ms, char **ret_error);
/* The same, and now it is key's, durably: before the newcomer is let in. */
Err invites_use(Invites *invites, const uint8_t secret[INVITE_SECRET_BYTES],
                const uint8_t key[EVENT_KEY_BYTES], int64_t now_ms, char **ret_error);
/* Open ones. */
Err invites_count(Invites *invites, int64_t now_ms, size_t *ret_open, char **ret_error);
