/* A line of the conversation, and the rules for what may be one.
 *
 * Immutable once made and shared by reference, on the owner thread only. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "core/event.h"
#include "core/names.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    /* A screen of text with room to spare; design limit shared with the log's events. */
    MESSAGE_CONTENT_MAX_BYTES = 8192,
    /* Long enough for any nickname, short enough for an IRC-like prefix on a narrow screen. */
    MESSAGE_SENDER_MAX_BYTES = 64,
    /* "HH:MM:SS" takes 8; other programs may write a whole ISO 8601 stamp. */
    MESSAGE_TIMESTAMP_MAX_BYTES = 64,
    /* Room for a SHA-256; 16 random bytes are enough. */
    MESSAGE_ID_MAX_BYTES = 32,
    NODE_ID_BYTES = 16,
    CLIENT_ID_MAX_BYTES = 64,
};

/* The first two can be said; the others are made of events. */
typedef enum MessageKind { MESSAGE_TEXT, MESSAGE_ACTION, MESSAGE_JOIN, MESSAGE_PART } MessageKind;

/* Where everybody is, and all that classic nodes know. */
#define MESSAGE_LOBBY "lobby"

typedef struct NodeId {
    uint8_t bytes[NODE_ID_BYTES];
} NodeId;

typedef struct MessageId {
    uint8_t bytes[MESSAGE_ID_MAX_BYTES];
    uint8_t len; /* 0: none */
} MessageId;

/* What somebody asks to be said, as it came: borrowed, unchecked. */
typedef struct MessageDraft {
    const char *sender;
    size_t sender_len;
    const char *content;
    size_t content_len;
    const char *timestamp;
    size_t timestamp_len;
    const char *room; /* a room's name, or "@NAME"; len 0: the lobby */
    size_t room_len;
    const uint8_t *id;
    size_t id_len;
    int64_t time_ms; /* 0: not told */
    MessageKind kind;
    bool heard; /* from a caller without an id, who may have called other nodes too */
    bool once;  /* its caller tells it here alone, and once: no classic node does */
} MessageDraft;

typedef struct Message {
    uint32_t refs;
    MessageKind kind;
    char *sender;    /* this and the other texts are in the message's own block of memory */
    char *room;      /* "@NAME": a direct message to NAME */
    char place[40];  /* the id that people see and /why takes, "5f3a91-17"; "" while it has none */
    uint64_t hlc;    /* of its event; 0: none yet */
    bool own;        /* said at this node, by its person or a client */
    bool by_client;  /* not by a node's person */
    bool late;       /* one that belongs behind it was shown before, for more than a moment */
    bool missed;     /* said some time before it came: this node was away */
    bool incomplete; /* what it answers to has not come */
    char *content;   /* as on the wire: an action starts with "/me " */
    size_t content_len;
    char *timestamp;       /* what the sender wrote, or the node's "HH:MM:SS" */
    int64_t time_ms;       /* Unix time at the sender; of arrival where it was not told */
    int32_t second_of_day; /* to show, in this node's zone */
    bool clock_told;       /* second_of_day is the sender's own clock, in a zone not known */
    MessageId id;
    bool id_of_place; /* nobody gave it one: the id is its place in the log */
    bool heard;       /* came without an id; time_ms is when it came to one of ours */
    bool for_classic; /* classic peers get it too */
    /* Of the key of the node that said it, where the sender's name alone could mislead
     * (core/names.h); "" otherwise. */
    char fingerprint[NAME_FINGERPRINT_BYTES];
    /* Encoded once, by whoever needs it first (io/wire.h); owned. */
    Bytes *encoded_request;
    Bytes *encoded_response;
} Message;

/* Checks every rule. On failure *ret_reason says which one is broken and how to mend it: a static
 * string.
 * ERR_INVALID: a field breaks a rule. */
Err message_check(const MessageDraft *draft, const char **ret_reason);

/* The rule for the name of a person or a client alone, as for message_check; may be empty. */
Err message_check_label(const char *label, size_t len, const char **ret_reason);

/* The rule for a sender's name alone, as for message_check. */
Err message_check_name(const char *name, size_t len, const char **ret_reason);

/* A message of a checked draft, with one reference. now_ms stands in for a time that was not told,
 * utc_offset_s turns it into this node's "HH:MM:SS". */
Message *message_new(const MessageDraft *draft, int64_t now_ms, int32_t utc_offset_s);
/* What an event says, in this node's words, with one reference. Whatever it holds, sender and
 * content can be shown and sent on. NULL: an event of a kind that is not shown. */
Message *message_of_event(const LogEvent *event, int32_t utc_offset_s);
/* The same for who knows the stream_tag of its stream: that is a hash less. */
Message *message_of_tagged(const LogEvent *event, const StreamTag *tag, int32_t utc_offset_s);
/* Where the log holds it: place, hlc, and an id where it has none. tag: of its stream. */
void message_set_place(Message *message, const EventFields *fields, const StreamTag *tag);
/* "5f3a91-17": the first bytes of the stream's tag, and the number in it. */
void message_place_text(const StreamId *stream, uint64_t seq, char *ret_text, size_t size);
/* The other way round. False where it is none. */
bool message_place_parse(const char *text, size_t len, uint32_t *ret_stream, uint64_t *ret_seq);
/* The number before the dash. */
uint32_t message_place_stream(const StreamId *stream);

bool message_is_in_lobby(const Message *message);
/* Is it addressed to somebody? */
bool message_is_direct(const Message *message);

Message *message_ref(Message *message);
/* NULL is fine. */
void message_unref(Message *message);

/* The content to show: an action's without its "/me ". */
const char *message_shown_content(const Message *message);

/* "HH:MM:SS" and a NUL, of a moment in a zone utc_offset_s east of UTC. */
void message_clock_text(int64_t time_ms, int32_t utc_offset_s, char ret_text[9]);
