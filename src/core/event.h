/* An event: the immutable, signed unit of the log (proto/chat.proto, Event).
 *
 *   stream = (origin, epoch)    seq 1 <- seq 2 <- seq 3 ...    each names the hash of the one
 *                                                              before
 *
 * The bytes are never encoded anew. hash = BLAKE2b-256 of the bytes of Event; the signature is
 * over a domain string and the hash, and covers, through the chain, all events since the last
 * signed one. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "core/hlc.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    EVENT_VERSION = 1,
    EVENT_KEY_BYTES = 32,
    EVENT_HASH_BYTES = 32,
    EVENT_SIGNATURE_BYTES = 64,
    EVENT_SECRET_BYTES = 64,
    EVENT_SEED_BYTES = 32,
    EVENT_NETWORK_BYTES = 16,
    EVENT_BODY_MAX_BYTES = 8192,
    EVENT_SEALED_EXTRA_BYTES = 512, /* the body of LOG_SEALED, around one of that size */
    EVENT_ROOM_MAX_BYTES = 64,
    EVENT_SENDER_MAX_BYTES = 64,
    EVENT_AFTER_MAX = 3,
    EVENT_ID_MAX_BYTES = 32,
    EVENT_STAMP_MAX_BYTES = 64,
    STREAM_TAG_BYTES = 16,
    /* All fields at their largest, with room for fields of later versions. */
    EVENT_MAX_BYTES = 12 * 1024,
    /* A group is what one commit and one signature cover: enough to make both cheap, little enough
     * to be held and sent whole. */
    EVENT_GROUP_MAX = 256,
    EVENT_GROUP_MAX_BYTES = 64 * 1024,
};

typedef struct EventHash {
    uint8_t bytes[EVENT_HASH_BYTES];
} EventHash;

typedef struct StreamId {
    uint8_t origin[EVENT_KEY_BYTES];
    uint64_t epoch;
} StreamId;

/* Names a stream in less (proto/chat.proto, After.stream). */
typedef struct StreamTag {
    uint8_t bytes[STREAM_TAG_BYTES];
} StreamTag;

/* That event of a stream, and all before it there. */
typedef struct EventPlace {
    StreamTag stream;
    uint64_t seq;
} EventPlace;

/* As in the protocol; kinds that this version does not know are kept and passed on, not shown. */
typedef enum LogKind {
    LOG_TEXT = 1,
    LOG_ACTION = 2,
    LOG_JOIN = 3,
    LOG_PART = 4,
    LOG_NICK = 5,
    LOG_TOPIC = 6,
    LOG_ROOM_KEY = 7,
    LOG_MEMBER = 8,
    LOG_REVOKE = 9,
    LOG_SEALED = 10,
} LogKind;

/* What an event says. Borrowed from the bytes it was decoded from, or from the caller. */
typedef struct EventFields {
    const uint8_t *network; /* EVENT_NETWORK_BYTES; NULL in open mode */
    StreamId stream;
    uint64_t seq;
    EventHash prev_hash;
    uint64_t hlc;
    const char *room;
    size_t room_len;
    int kind;
    const char *sender;
    size_t sender_len;
    const uint8_t *body;
    size_t body_len;
    EventPlace after[EVENT_AFTER_MAX];
    size_t after_count;
    const uint8_t *id; /* of the client's request; len 0: none */
    size_t id_len;
    const char *stamp;
    size_t stamp_len;
    bool heard;
} EventFields;

/* One event as it is stored and sent. Shared by reference, on the owner thread only. */
typedef struct LogEvent {
    uint32_t refs;
    Bytes *bytes; /* the encoded Event, exactly as its author made it */
    EventHash hash;
    bool is_signed; /* the last of its group */
    bool verified;  /* and its signature has been found good */
    uint8_t signature[EVENT_SIGNATURE_BYTES];
    EventFields fields; /* borrows from bytes */
} LogEvent;

typedef struct EventSigner {
    uint8_t public_key[EVENT_KEY_BYTES];
    uint8_t secret[EVENT_SECRET_BYTES];
} EventSigner;

/* The key pair of a seed (RFC 8032 section 5.1.5). */
void event_signer_init(EventSigner *signer, const uint8_t seed[EVENT_SEED_BYTES]);
/* Wipes the secret. */
void event_signer_done(EventSigner *signer);

/* A new event of these fields, not signed; fields.stream.origin is the signer's key. The fields
 * must keep every rule that event_decode checks: breaking one is the caller's bug, and aborts. */
LogEvent *event_new(const EventFields *fields);
/* Signs it: it ends its group. */
void event_sign(LogEvent *event, const EventSigner *signer);

/* From what came over the network or from the store: bytes is taken a reference of, signature is
 * NULL or EVENT_SIGNATURE_BYTES. The signature is not checked here. ERR_INVALID: not an event,
 * or one that breaks a rule; *ret_reason (static) says which. ERR_LIMIT: longer than
 * EVENT_MAX_BYTES, or of a later version. */
Err event_decode(Bytes *bytes, const uint8_t *signature, LogEvent **ret_event,
                 const char **ret_reason);

/* The same event with what was sealed in it: fields tell what it says, everything else stays as it
 * is. NULL: they break a rule. */
LogEvent *event_opened(const LogEvent *event, const EventFields *fields);

/* Is the event's own signature there and good? One Ed25519 check: some 70 us. */
bool event_signature_is_good(const LogEvent *event);

LogEvent *event_ref(LogEvent *event);
/* NULL is fine. */
void event_unref(LogEvent *event);

/* AUTO_EVENT LogEvent *event = ...: its reference is dropped where the scope ends. */
static inline void event_unref_at(LogEvent **event)
{
    event_unref(*event);
}
#define AUTO_EVENT __attribute__((cleanup(event_unref_at)))

StreamTag stream_tag(const StreamId *stream);

/* The tag of the stream that was asked for last, so that a stream's next event costs no hash. All
 * zeros to begin with: no stream has the epoch 0. */
typedef struct KeptTag {
    StreamId stream;
    StreamTag tag;
} KeptTag;

/* Borrowed from kept, until the next call. */
const StreamTag *stream_tag_kept(KeptTag *kept, const StreamId *stream);

/* Total orders. */
int stream_id_compare(const StreamId *a, const StreamId *b);
/* The order in which events are shown: (hlc, origin, epoch, seq). */
int event_compare(const EventFields *a, const EventFields *b);
