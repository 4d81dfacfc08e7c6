/* Bodies of ROOM_KEY and SEALED events from anybody, for a node that has founded a room. The first
 * byte says which: of which kind, by whom, and whether in the room or in a conversation. Whatever
 * comes, nobody but a member of the room changes who is in it. */
#include "core/sealed.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { IS_SEALED = 1, BY_OTHER = 2, IN_TALK = 4 };

static const uint8_t NETWORK[EVENT_NETWORK_BYTES] = {1};
static const uint8_t OWN_SEED[EVENT_SEED_BYTES] = {1};
static const uint8_t OTHER_SEED[EVENT_SEED_BYTES] = {2};

static LogEvent *event_of(const uint8_t *seed, uint64_t seq, int kind, const char *room,
                          const uint8_t *body, size_t len)
{
    EventSigner signer;
    event_signer_init(&signer, seed);
    EventFields fields = {
        .network = NETWORK,
        .stream.epoch = 1,
        .seq = seq,
        .hlc = seq,
        .room = room,
        .room_len = strlen(room),
        .kind = kind,
        .sender = SEALED_SENDER,
        .sender_len = strlen(SEALED_SENDER),
        .body = body,
        .body_len = len,
    };
    memcpy(fields.stream.origin, signer.public_key, EVENT_KEY_BYTES);
    fields.prev_hash.bytes[0] = seq > 1;
    event_signer_done(&signer);
    return event_new(&fields);
}

static void take(Keyring *keyring, const uint8_t *seed, uint64_t seq, const char *room,
                 KeyBodies *bodies)
{
    for (size_t i = 0; i < bodies->count; i++) {
        LogEvent *event = event_of(seed, seq + i, LOG_ROOM_KEY, room, bytes_data(bodies->items[i]),
                                   bytes_len(bodies->items[i]));
        (void)keyring_take(keyring, event);
        event_unref(event);
    }
    key_bodies_done(bodies);
}

static void look(Keyring *keyring, LogEvent *event, const char *room, bool by_other)
{
    AUTO_EVENT LogEvent *opened = keyring_open(keyring, event);
    AUTO_EVENT LogEvent *unsealed = keyring_unseal(keyring, event);
    if (unsealed != NULL && unsealed->fields.body_len > EVENT_BODY_MAX_BYTES) {
        abort();
    }
    if (opened != NULL && (opened->fields.room_len > EVENT_ROOM_MAX_BYTES ||
                           opened->fields.body_len > EVENT_BODY_MAX_BYTES ||
                           event_compare(&opened->fields, &event->fields) != 0)) {
        abort();
    }
    const SealedRoom *view = keyring_room(keyring, room, strlen(room));
    if (view == NULL || (by_other && (!view->inside || view->people != 1))) {
        abort();
    }
    KeyBodies bodies;
    if (keyring_renew(keyring, room, NULL, &bodies) == ERR_OK) {
        key_bodies_done(&bodies);
    }
}

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > EVENT_BODY_MAX_BYTES) {
        return 0;
    }
    EventSigner other;
    KeyBodies bodies;
    char room[SEALED_ROOM_BYTES + 1];
    char talk[SEALED_ROOM_BYTES + 1];
    Keyring *keyring = keyring_new(OWN_SEED, NETWORK);
    event_signer_init(&other, OTHER_SEED);
    keyring_stir(keyring, 1, 1);
    if (keyring_found(keyring, "team", room, &bodies) != ERR_OK) {
        abort();
    }
    take(keyring, OWN_SEED, 1, room, &bodies);
    keyring_talk_id(keyring, other.public_key, talk);
    if (keyring_renew(keyring, talk, other.public_key, &bodies) != ERR_OK) {
        abort();
    }
    take(keyring, OWN_SEED, 2, talk, &bodies);
    bool by_other = (data[0] & BY_OTHER) != 0;
    LogEvent *event = event_of(by_other ? OTHER_SEED : OWN_SEED, 10,
                               (data[0] & IS_SEALED) != 0 ? LOG_SEALED : LOG_ROOM_KEY,
                               (data[0] & IN_TALK) != 0 ? talk : room, data + 1, size - 1);
    (void)keyring_take(keyring, event);
    look(keyring, event, room, by_other);
    event_unref(event);
    keyring_free(keyring);
    return 0;
}
