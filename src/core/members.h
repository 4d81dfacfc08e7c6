/* Who is in a private network, pure: the founder, those whom members have let in, and those whom
 * the founder has revoked.
 *
 *   genesis --+
 *   MEMBER ---+--> members ---> may this key link?  how far does this stream count?
 *   REVOKE ---+
 *
 * The answer depends on what is known and never on the order in which it came: so all nodes that
 * hold the same log give the same one. A membership counts where its inviter counts; where the
 * inviter was revoked, only if the event that holds it is within his cut. A membership that was
 * shown at the door (members_take_proof), and is in no event yet, counts while its inviter is not
 * revoked. It may stay so: the inviter's disk is lost before anybody had the event, or he has
 * signed two histories. Then others hear of it from who has seen it at the door (members_untold):
 * the inviter's signature proves it, whoever passes it on. Who was revoked stays so: to come back
 * takes a new key.
 *
 * Where there is more than may be kept, what goes is chosen by what it says, and not by when it
 * came: memberships that the founder has signed are the last to go. */
#pragma once

#include "core/event.h"

typedef struct Members Members;

enum {
    MEMBERS_MAX = 10000,   /* memberships, of all keys */
    MEMBER_PROOF_MAX = 16, /* from the founder to a member; who is farther away is none */
    /* Of the longest names and addresses. */
    MEMBERSHIP_MAX_BYTES = 1408,
    MEMBER_PROOF_MAX_BYTES = 24 * 1024, /* so many memberships, with their signatures */
    MEMBER_NAME_MAX_BYTES = 64,
    MEMBER_ADDRESSES_MAX = 4,
    MEMBER_ADDRESS_MAX_BYTES = 280, /* "host:port" */
    MEMBERSHIPS_OF_KEY_MAX = 8,     /* more of one key are passed over */
    NETWORK_NAME_MAX_BYTES = 64,
    GENESIS_MAX_BYTES = 256,
    REVOCATION_PARTS_MAX = 64,
    REVOCATION_CUTS_MAX = 100, /* in a part */
    REVOCATIONS_OF_KEY_MAX = 8,
    /* Of those whom one key has let in; a step of the founder's node says them all. */
    MEMBERS_ADOPTED_MAX = 4096,
    /* Of all revocations, twice as many as there may be streams. Only the founder's mistake, or
     * malice, comes here: what is beyond is passed over. */
    MEMBERS_CUTS_MAX = 200000,
    FINGERPRINT_BYTES = 20, /* "3f2a-91bc-04d7-be11" and a NUL */
};

/* Encoded, owned by the caller: a new network of that name. */
Err genesis_new(const char *name, const uint8_t founder[EVENT_KEY_BYTES], const uint8_t salt[16],
                int64_t wall_ms, Bytes **ret_genesis, const char **ret_reason);

/* ERR_INVALID: no genesis; *ret_reason (static) says what is wrong with it. */
Err members_new(const uint8_t *genesis, size_t len, Members **ret_members, const char **ret_reason);
/* NULL is fine. */
void members_free(Members *members);

const char *members_network_name(const Members *members);
const uint8_t *members_network(const Members *members); /* EVENT_NETWORK_BYTES */
const uint8_t *members_founder(const Members *members); /* EVENT_KEY_BYTES */
const Bytes *members_genesis(const Members *members);

/* May it let somebody in? False: *ret_reason (static) says why not. */
bool members_may_invite(const Members *members, const uint8_t key[EVENT_KEY_BYTES],
                        const char **ret_reason);
/* The body of a MEMBER event: signed by the inviter. name has 1 to 64 bytes; addresses: at most
 * MEMBER_ADDRESSES_MAX of "host:port". */
Bytes *membership_new(const Members *members, const EventSigner *inviter,
                      const uint8_t key[EVENT_KEY_BYTES], const char *name,
                      const char *const *addresses, size_t addresses_count, int64_t wall_ms);

/* A MEMBER or REVOKE event that was applied, or that the store holds; others are passed over.
 * Returns whether the answers to the questions below may have changed. What is wrong with it, is
 * passed over too: it is in the log, and says nothing. */
bool members_take(Members *members, const LogEvent *event);

/* What was applied of that stream past hi counts no more, and is deleted: what it said of members
 * is forgotten with it, so that all who hold the same log know the same, whatever they held before.
 * When it comes again, it is taken again. */
void members_cut_events(Members *members, const StreamId *stream, uint64_t hi);

/* Whom a MEMBER or REVOKE event is about. False: it says nothing. Whether it counts is another
 * question. */
bool members_about(const Members *members, const LogEvent *event, uint8_t ret_key[EVENT_KEY_BYTES]);

/* An encoded MemberProof, whose last membership is key's. Of a key that is a member as far as is
 * known it is not looked at. ERR_INVALID: it proves nothing; *ret_reason (static) says why, to who
 * has shown it. ERR_LIMIT: MEMBERS_MAX. */
Err members_take_proof(Members *members, const uint8_t key[EVENT_KEY_BYTES], const uint8_t *proof,
                       size_t len, const char **ret_reason);
/* What that member has to show: an encoded MemberProof; of the founder an empty one. NULL: no
 * member. The caller owns it. */
Bytes *members_proof(const Members *members, const uint8_t key[EVENT_KEY_BYTES]);

/* Where a member is in by what was shown at the door alone, or by events of streams that are lost:
 * the body of a MEMBER event by which anybody may tell the others. NULL: all can know, or it is no
 * member. is_lost: do the events of that stream not reach everybody? The caller owns it. */
Bytes *members_untold(const Members *members, const uint8_t key[EVENT_KEY_BYTES],
                      bool (*is_lost)(void *context, const StreamId *stream), void *context);

/* Was that key revoked by events of streams that are lost alone? Then the founder has to say it
 * again: who comes later would not know. */
bool members_revocation_is_lost(const Members *members, const uint8_t key[EVENT_KEY_BYTES],
                                bool (*is_lost)(void *context, const StreamId *stream),
                                void *context);

typedef enum MemberState { MEMBER_NONE, MEMBER_GOOD, MEMBER_REVOKED } MemberState;
MemberState members_state(const Members *members, const uint8_t key[EVENT_KEY_BYTES]);

/* The last number of a stream that counts: UINT64_MAX for a member's, 0 where nothing of it does.
 * Of a cut: *ret_hash is the hash of the event there. ret_hash may be NULL. */
uint64_t members_cut(const Members *members, const StreamId *stream, EventHash *ret_hash);

/* Of one stream of a revoked key: epoch. seq 0: nothing of it counts; the hash is all zeros. */
typedef struct MemberCut {
    uint64_t epoch;
    uint64_t seq;
    EventHash hash;
} MemberCut;

/* Of the streams that the revocations of that key name, by epoch; of those that they do not name
 * nothing counts. Valid until the next members_take. NULL: it is not revoked, or none is named. */
const MemberCut *members_cuts(const Members *members, const uint8_t key[EVENT_KEY_BYTES],
                              size_t *ret_count);

typedef struct Member {
    uint8_t key[EVENT_KEY_BYTES];
    char name[MEMBER_NAME_MAX_BYTES + 1]; /* "": the founder, or not known */
    uint8_t inviter[EVENT_KEY_BYTES];     /* zeros: the founder, or not known */
    bool is_adopted; /* that one was removed since, and the founder answers for it */
    int64_t since_ms;
    bool revoked;
    const char *const *addresses;
    size_t addresses_count;
} Member;

/* All, and those revoked, by the moment in which they were let in; index < members_count. Valid
 * until the next members_take or members_take_proof. */
size_t members_count(const Members *members);
const Member *members_at(const Members *members, size_t index);
const Member *members_find(const Members *members, const uint8_t key[EVENT_KEY_BYTES]);

/* Of a revocation: bodies of REVOKE events, one a part; the caller owns them. cuts: of all streams
 * of the key that count, each with the hash of its event; none: nothing of it counts. Others are
 * better named too, with seq 0: so everybody knows that they will not come, and waits for nothing
 * that is said to come after them (fold_cut). The caller owns the parts and their array.
 * ERR_LIMIT: too many streams. */
Err revocation_new(const uint8_t key[EVENT_KEY_BYTES], const uint8_t id[8], const MemberCut *cuts,
                   size_t cuts_count, Bytes ***ret_parts, size_t *ret_count);

/* What the founder says before he says such a revocation: bodies of MEMBER events, signed by him,
 * of those whom that key has let in within the cuts. They would stay in without it, once all of
 * that key's streams have come; but the news of its removal may come before, and then they would
 * take themselves for strangers, and be taken for such. In his own stream it comes after this. The
 * caller owns the bodies and their array; NULL, where there are none. */
void members_adopt(const Members *members, const EventSigner *founder,
                   const uint8_t key[EVENT_KEY_BYTES], const MemberCut *cuts, size_t cuts_count,
                   Bytes ***ret_bodies, size_t *ret_count);

/* The first 8 bytes of BLAKE2b-256 of the key, in hex: "3f2a-91bc-04d7-be11". */
void fingerprint_text(const uint8_t key[EVENT_KEY_BYTES], char ret_text[FINGERPRINT_BYTES]);
