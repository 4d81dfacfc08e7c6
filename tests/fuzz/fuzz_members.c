/* What comes from outside about who is in: the first byte says what it is.
 *
 *   0   a genesis                2   the body of a MEMBER event of the founder
 *   1   a proof at the door      3   the body of a REVOKE event of the founder */
#include "core/members.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { FUZZ_GENESIS, FUZZ_PROOF, FUZZ_MEMBER, FUZZ_REVOKE, FUZZ_KINDS };

static const uint8_t SOMEBODY[EVENT_KEY_BYTES] = {5};

static void take_genesis(const uint8_t *data, size_t size)
{
    Members *members = NULL;
    const char *reason = NULL;
    if (members_new(data, size, &members, &reason) != ERR_OK) {
        if (reason == NULL) {
            abort();
        }
        return;
    }
    if (members_count(members) != 1 ||
        members_state(members, members_founder(members)) != MEMBER_GOOD) {
        abort();
    }
    members_free(members);
}

static void take_event(Members *members, const EventSigner *founder, int kind, const uint8_t *data,
                       size_t size)
{
    EventFields fields = {
        .network = members_network(members),
        .stream.epoch = 1,
        .seq = 1,
        .room = "@",
        .room_len = 1,
        .kind = kind,
        .sender = "x",
        .sender_len = 1,
        .body = data,
        .body_len = size < EVENT_BODY_MAX_BYTES ? size : EVENT_BODY_MAX_BYTES,
    };
    memcpy(fields.stream.origin, founder->public_key, EVENT_KEY_BYTES);
    LogEvent *event = event_new(&fields);
    members_take(members, event);
    event_unref(event);
}

/* The founder stays, whatever comes; and who is in can show it. */
static void check(const Members *members)
{
    if (members_state(members, members_founder(members)) != MEMBER_GOOD) {
        abort();
    }
    for (size_t i = 0; i < members_count(members); i++) {
        const Member *member = members_at(members, i);
        Bytes *proof = members_proof(members, member->key);
        if ((proof == NULL) != member->revoked) {
            abort();
        }
        bytes_unref(proof);
    }
}

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const uint8_t seed[EVENT_SEED_BYTES] = {1, 77};
    const uint8_t salt[16] = {9};
    const char *reason = NULL;
    EventSigner founder;
    Bytes *genesis = NULL;
    Members *members = NULL;
    event_signer_init(&founder, seed);
    if (genesis_new("tea", founder.public_key, salt, INT64_C(1700000000000), &genesis, &reason) !=
            ERR_OK ||
        members_new(bytes_data(genesis), bytes_len(genesis), &members, &reason) != ERR_OK) {
        abort();
    }
    switch (data[0] % FUZZ_KINDS) {
    case FUZZ_GENESIS:
        take_genesis(data + 1, size - 1);
        break;
    case FUZZ_PROOF:
        reason = NULL;
        if (members_take_proof(members, SOMEBODY, data + 1, size - 1, &reason) != ERR_OK &&
            reason == NULL) {
            abort();
        }
        break;
    case FUZZ_MEMBER:
        take_event(members, &founder, LOG_MEMBER, data + 1, size - 1);
        break;
    default:
        take_event(members, &founder, LOG_REVOKE, data + 1, size - 1);
        break;
    }
    check(members);
    members_free(members);
    bytes_unref(genesis);
    return 0;
}
