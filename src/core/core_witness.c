/* Members whom only some know: who let them in has lost his disk before anybody had his event, or
 * has signed two histories. Whose doors they came to knows them by the proof that they showed; the
 * rest would never take their lines.
 *
 *   a proof at the door, a frozen stream --> WITNESS_MS --> still in no event? --> MEMBER event
 *
 * It holds the inviter's signature, so it counts whoever says it, as at the door. What a founder
 * has revoked in a stream that is frozen (a copy of his machine ran), he says again himself. */
#include "core/core_state.h"

#include <string.h>

enum {
    /* Until who has seen somebody at the door tells of it: the inviter's event is mostly there long
     * before. Of those who have, one is first, and the others need not. */
    WITNESS_MS = 20 * 1000,
    WITNESS_SPREAD_MS = 20 * 1000,
    WITNESS_MAX = 16, /* at a time */
};

static bool is_lost(void *context, const StreamId *stream)
{
    const Core *core = context;
    return replica_is_frozen(core->replica, stream);
}

void network_witness_later(Step *step)
{
    Core *core = step->core;
    if (core->members != NULL && core->witness_at_ms == 0) {
        core->witness_at_ms =
            step->event->mono_ms + WITNESS_MS + step->event->random % WITNESS_SPREAD_MS;
    }
}

/* A member as a door has seen it, where its inviter does not tell: others take its lines then. */
static void witness(Step *step, Bytes *body)
{
    const char *reason = "";
    LogLine line = {.fields = network_fields(step->core, LOG_MEMBER, body)};
    if (log_say(step, &line, &reason) != ERR_OK) {
        network_witness_later(step);
    }
    bytes_unref(body);
}

/* Where this is the founder's node. Who comes later is given nothing of a frozen stream. */
static void revoke_again(Step *step)
{
    const Core *core = step->core;
    bool is_founder = memcmp(core->key, members_founder(core->members), EVENT_KEY_BYTES) == 0;
    for (size_t i = 0; is_founder && i < members_count(core->members); i++) {
        uint8_t key[EVENT_KEY_BYTES];
        memcpy(key, members_at(core->members, i)->key, sizeof(key));
        if (members_revocation_is_lost(core->members, key, is_lost, step->core) &&
            !network_revoke_again(step, key)) {
            network_witness_later(step);
        }
    }
}

void network_timer(Step *step)
{
    Core *core = step->core;
    if (core->witness_at_ms == 0 || core->witness_at_ms > step->event->mono_ms) {
        return;
    }
    core->witness_at_ms = 0;
    revoke_again(step);
    size_t said = 0;
    for (size_t i = 0; network_is_in(core) && i < members_count(core->members); i++) {
        const uint8_t *key = members_at(core->members, i)->key;
        bool own = memcmp(key, core->key, EVENT_KEY_BYTES) == 0;
        Bytes *body = own ? NULL : members_untold(core->members, key, is_lost, core);
        if (body != NULL) {
            witness(step, body);
            said++;
        }
        if (said == WITNESS_MAX) {
            network_witness_later(step);
            return;
        }
    }
}
