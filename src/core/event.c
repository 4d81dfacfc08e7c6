/* Events: made, encoded once, hashed, signed, decoded, checked. */
#include "core/event.h"

#include "base/text.h"
#include "core/proto_arena.h"

#include <assert.h>
#include <chat.pb-c.h>
#include <sodium.h>
#include <string.h>

static const char SIGNATURE_DOMAIN[] = "chat_node event 1";

/* ---- signing ---- */

void event_signer_init(EventSigner *signer, const uint8_t seed[EVENT_SEED_BYTES])
{
    crypto_sign_seed_keypair(signer->public_key, signer->secret, seed);
}

void event_signer_done(EventSigner *signer)
{
    sodium_memzero(signer->secret, sizeof(signer->secret));
}

typedef struct SignedWords {
    uint8_t bytes[sizeof(SIGNATURE_DOMAIN) + EVENT_HASH_BYTES];
} SignedWords;

static SignedWords signed_words(const EventHash *hash)
{
    SignedWords words;
    memcpy(words.bytes, SIGNATURE_DOMAIN, sizeof(SIGNATURE_DOMAIN));
    memcpy(words.bytes + sizeof(SIGNATURE_DOMAIN), hash->bytes, EVENT_HASH_BYTES);
    return words;
}

void event_sign(LogEvent *event, const EventSigner *signer)
{
    SignedWords words = signed_words(&event->hash);
    crypto_sign_detached(event->signature, NULL, words.bytes, sizeof(words.bytes), signer->secret);
    event->is_signed = true;
    event->verified = true;
}

bool event_signature_is_good(const LogEvent *event)
{
    SignedWords words = signed_words(&event->hash);
    return event->is_signed &&
           crypto_sign_verify_detached(event->signature, words.bytes, sizeof(words.bytes),
                                       event->fields.stream.origin) == 0;
}

static EventHash hash_of(const Bytes *bytes)
{
    EventHash hash;
    crypto_generichash(hash.bytes, sizeof(hash.bytes), bytes_data(bytes), bytes_len(bytes), NULL,
                       0);
    return hash;
}

/* ---- the rules ---- */

typedef struct Rule {
    bool kept;
    const char *reason;
} Rule;

static size_t body_max(int kind)
{
    return EVENT_BODY_MAX_BYTES + (kind == LOG_SEALED ? EVENT_SEALED_EXTRA_BYTES : 0);
}

static const char *broken_rule(const EventFields *fields)
{
    static const EventHash zero = {0};
    bool first = fields->seq == 1;
    const Rule rules[] = {
        {fields->stream.epoch > 0, "epoch counts from 1"},
        {fields->seq > 0, "seq counts from 1"},
        {first == (memcmp(&fields->prev_hash, &zero, sizeof(zero)) == 0),
         "prev_hash is zero at seq 1 and only there"},
        {fields->room_len >= 1 && fields->room_len <= EVENT_ROOM_MAX_BYTES,
         "room has 1 to 64 bytes"},
        {fields->sender_len >= 1 && fields->sender_len <= EVENT_SENDER_MAX_BYTES,
         "sender has 1 to 64 bytes"},
        {fields->body_len <= body_max(fields->kind),
         "body has at most 8192 bytes, and 512 more where it is sealed"},
        {fields->after_count <= EVENT_AFTER_MAX, "after has at most 3 places"},
        {fields->id_len <= EVENT_ID_MAX_BYTES, "id has at most 32 bytes"},
        {fields->stamp_len <= EVENT_STAMP_MAX_BYTES, "stamp has at most 64 bytes"},
        {fields->kind > 0, "kind is missing"},
        {text_is_utf8(fields->room, fields->room_len) &&
             !text_has_controls(fields->room, fields->room_len),
         "room is UTF-8 without control characters"},
        {text_is_utf8(fields->sender, fields->sender_len) &&
             !text_has_controls(fields->sender, fields->sender_len),
         "sender is UTF-8 without control characters"},
        {text_is_utf8(fields->stamp, fields->stamp_len) &&
             !text_has_controls(fields->stamp, fields->stamp_len),
         "stamp is UTF-8 without control characters"},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (!rules[i].kept) {
            return rules[i].reason;
        }
    }
    return NULL;
}

/* ---- one block of memory for an event and its fields ---- */

static const void *keep(char **at, const void *from, size_t len)
{
    char *to = *at;
    if (len > 0) {
        memcpy(to, from, len);
    }
    to[len] = '\0';
    *at += len + 1;
    return to;
}

/* Takes over a reference to bytes; copies what fields borrow. */
static LogEvent *event_of_hashed(Bytes *bytes, const EventHash *hash, const EventFields *fields)
{
    size_t network_len = fields->network != NULL ? EVENT_NETWORK_BYTES : 0;
    size_t extra = fields->room_len + fields->sender_len + fields->body_len + network_len +
                   fields->id_len + fields->stamp_len + 6;
    LogEvent *event = mem_alloc(sizeof(*event) + extra);
    char *at = (char *)(event + 1);
    event->refs = 1;
    event->bytes = bytes;
    event->hash = *hash;
    event->fields = *fields;
    event->fields.room = keep(&at, fields->room, fields->room_len);
    event->fields.sender = keep(&at, fields->sender, fields->sender_len);
    event->fields.body = keep(&at, fields->body, fields->body_len);
    event->fields.id = keep(&at, fields->id, fields->id_len);
    event->fields.stamp = keep(&at, fields->stamp, fields->stamp_len);
    if (fields->network != NULL) {
        event->fields.network = keep(&at, fields->network, EVENT_NETWORK_BYTES);
    }
    return event;
}

static LogEvent *event_of(Bytes *bytes, const EventFields *fields)
{
    EventHash hash = hash_of(bytes);
    return event_of_hashed(bytes, &hash, fields);
}

LogEvent *event_opened(const LogEvent *event, const EventFields *fields)
{
    if (broken_rule(fields) != NULL) {
        return NULL;
    }
    LogEvent *opened = event_of_hashed(bytes_ref(event->bytes), &event->hash, fields);
    opened->is_signed = event->is_signed;
    opened->verified = event->verified;
    memcpy(opened->signature, event->signature, EVENT_SIGNATURE_BYTES);
    return opened;
}

LogEvent *event_ref(LogEvent *event)
{
    event->refs++;
    return event;
}

void event_unref(LogEvent *event)
{
    if (event != NULL && --event->refs == 0) {
        bytes_unref(event->bytes);
        mem_free(event);
    }
}

/* ---- encoding ---- */

static ProtobufCBinaryData binary(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

/* What fields borrow need not end with a NUL, and the library wants one. The rules of an event have
 * been checked: there is room. */
static void end_text(char *to, const char *text, size_t len)
{
    if (len > 0) {
        memcpy(to, text, len);
    }
    to[len] = '\0';
}

static Bytes *encode(const EventFields *fields)
{
    char room[EVENT_ROOM_MAX_BYTES + 1];
    char sender[EVENT_SENDER_MAX_BYTES + 1];
    char stamp[EVENT_STAMP_MAX_BYTES + 1];
    end_text(room, fields->room, fields->room_len);
    end_text(sender, fields->sender, fields->sender_len);
    end_text(stamp, fields->stamp, fields->stamp_len);
    Chat__After after[EVENT_AFTER_MAX];
    Chat__After *after_rows[EVENT_AFTER_MAX];
    Chat__Event event = CHAT__EVENT__INIT;
    event.version = EVENT_VERSION;
    event.network = binary(fields->network, fields->network != NULL ? EVENT_NETWORK_BYTES : 0);
    event.origin = binary(fields->stream.origin, EVENT_KEY_BYTES);
    event.epoch = fields->stream.epoch;
    event.seq = fields->seq;
    event.prev_hash = binary(fields->prev_hash.bytes, EVENT_HASH_BYTES);
    event.hlc = fields->hlc;
    event.room = room;
    event.kind = (Chat__EventKind)fields->kind;
    for (size_t i = 0; i < fields->after_count; i++) {
        after[i] = (Chat__After)CHAT__AFTER__INIT;
        after[i].stream = binary(fields->after[i].stream.bytes, STREAM_TAG_BYTES);
        after[i].seq = fields->after[i].seq;
        after_rows[i] = &after[i];
    }
    event.n_after = fields->after_count;
    event.after = after_rows;
    event.sender = sender;
    event.body = binary(fields->body, fields->body_len);
    event.id = binary(fields->id, fields->id_len);
    event.stamp = stamp;
    event.heard = fields->heard;

    /* Packed first, measured then: asking for the size takes nearly as long as packing. By
     * the rules it is far below the most an event may have. */
    NOT_CLEARED uint8_t packed[EVENT_MAX_BYTES];
    size_t len = chat__event__pack(&event, packed);
    assert(len <= sizeof(packed));
    return bytes_new(packed, len);
}

LogEvent *event_new(const EventFields *fields)
{
    assert(broken_rule(fields) == NULL);
    return event_of(encode(fields), fields);
}

/* ---- decoding ---- */

enum { ARENA_BYTES = 4 * EVENT_MAX_BYTES };

static Err invalid(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return ERR_INVALID;
}

static Err read_after(const Chat__Event *event, EventFields *fields, const char **ret_reason)
{
    if (event->n_after > EVENT_AFTER_MAX) {
        return invalid(ret_reason, "after has at most 3 places");
    }
    for (size_t i = 0; i < event->n_after; i++) {
        if (event->after[i]->stream.len != STREAM_TAG_BYTES || event->after[i]->seq == 0) {
            return invalid(ret_reason, "after names a stream by 16 bytes, and counts from 1");
        }
        memcpy(fields->after[i].stream.bytes, event->after[i]->stream.data, STREAM_TAG_BYTES);
        fields->after[i].seq = event->after[i]->seq;
    }
    fields->after_count = event->n_after;
    return ERR_OK;
}

/* data: what event was decoded from. */
static Err read_fields(const Chat__Event *event, const Bytes *data, EventFields *fields,
                       const char **ret_reason)
{
    enum { ROOM = 8, SENDER = 11, STAMP = 14 };
    if (event->origin.len != EVENT_KEY_BYTES || event->prev_hash.len != EVENT_HASH_BYTES) {
        return invalid(ret_reason, "origin and prev_hash have 32 bytes");
    }
    if (event->network.len != 0 && event->network.len != EVENT_NETWORK_BYTES) {
        return invalid(ret_reason, "network has 16 bytes, or none");
    }
    *fields = (EventFields){
        .network = event->network.len > 0 ? event->network.data : NULL,
        .stream.epoch = event->epoch,
        .seq = event->seq,
        .hlc = event->hlc,
        .room = event->room,
        .room_len = proto_string_len(bytes_data(data), bytes_len(data), ROOM),
        .kind = (int)event->kind,
        .sender = event->sender,
        .sender_len = proto_string_len(bytes_data(data), bytes_len(data), SENDER),
        .body = event->body.data != NULL ? event->body.data : (const uint8_t *)"",
        .body_len = event->body.len,
        .id = event->id.data,
        .id_len = event->id.len,
        .stamp = event->stamp,
        .stamp_len = proto_string_len(bytes_data(data), bytes_len(data), STAMP),
        .heard = event->heard,
    };
    memcpy(fields->stream.origin, event->origin.data, EVENT_KEY_BYTES);
    memcpy(fields->prev_hash.bytes, event->prev_hash.data, EVENT_HASH_BYTES);
    Err err = read_after(event, fields, ret_reason);
    const char *reason = err == ERR_OK ? broken_rule(fields) : NULL;
    return reason == NULL ? err : invalid(ret_reason, reason);
}

Err event_decode(Bytes *bytes, const uint8_t *signature, LogEvent **ret_event,
                 const char **ret_reason)
{
    if (bytes_len(bytes) > EVENT_MAX_BYTES) {
        *ret_reason = "an event has at most 12 KiB";
        return ERR_LIMIT;
    }
    _Alignas(PROTO_ARENA_ALIGN) NOT_CLEARED uint8_t memory[ARENA_BYTES];
    ProtoArena arena;
    const Chat__Event *event = chat__event__unpack(
        proto_arena_reset(&arena, memory, sizeof(memory)), bytes_len(bytes), bytes_data(bytes));
    if (event == NULL) {
        return invalid(ret_reason, "not an encoded Event");
    }
    if (event->version != EVENT_VERSION) {
        *ret_reason = "an event of another version";
        return ERR_LIMIT;
    }
    EventFields fields;
    Err err = read_fields(event, bytes, &fields, ret_reason);
    if (err != ERR_OK) {
        return err;
    }
    *ret_event = event_of(bytes_ref(bytes), &fields);
    if (signature != NULL) {
        memcpy((*ret_event)->signature, signature, EVENT_SIGNATURE_BYTES);
        (*ret_event)->is_signed = true;
    }
    return ERR_OK;
}

/* ---- orders ---- */

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

StreamTag stream_tag(const StreamId *stream)
{
    uint8_t words[EVENT_KEY_BYTES + sizeof(uint64_t)];
    memcpy(words, stream->origin, EVENT_KEY_BYTES);
    for (size_t i = 0; i < sizeof(uint64_t); i++) {
        words[EVENT_KEY_BYTES + i] = (uint8_t)(stream->epoch >> (8 * i));
    }
    StreamTag tag;
    crypto_generichash(tag.bytes, sizeof(tag.bytes), words, sizeof(words), NULL, 0);
    return tag;
}

const StreamTag *stream_tag_kept(KeptTag *kept, const StreamId *stream)
{
    if (stream_id_compare(&kept->stream, stream) != 0) {
        kept->stream = *stream;
        kept->tag = stream_tag(stream);
    }
    return &kept->tag;
}

int stream_id_compare(const StreamId *a, const StreamId *b)
{
    int by_origin = memcmp(a->origin, b->origin, EVENT_KEY_BYTES);
    return by_origin != 0 ? by_origin : compare_u64(a->epoch, b->epoch);
}

int event_compare(const EventFields *a, const EventFields *b)
{
    int by_hlc = compare_u64(a->hlc, b->hlc);
    if (by_hlc != 0) {
        return by_hlc;
    }
    int by_stream = stream_id_compare(&a->stream, &b->stream);
    return by_stream != 0 ? by_stream : compare_u64(a->seq, b->seq);
}
