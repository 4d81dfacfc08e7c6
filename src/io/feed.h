/* What subscribers read: the messages of some rooms, in the journal's order, as encoded bytes that
 * all who stand at the same place share.
 *
 *   journal --> feed_add --> view {lobby}       [chunk]->[chunk]->[chunk, open]
 *                       \--> view {dev, lobby}  [chunk]->[chunk, open]   ^
 *                                                  ^reader               ^reader
 *   the store --> what a reader that fell behind the chunks is given
 *
 * Those who follow the same rooms share a view. A message is encoded once and appended to the open
 * chunk of each view it belongs to; a reader is a place in a chunk, and what it is given next is
 * all from there to the chunk's end: so a lone message goes alone, and whoever was busy gets what
 * has gathered in one piece. Chunks that all readers have passed are freed; a reader that is too
 * far behind loses its chunk and is served from the store until it has come up again.
 */
#pragma once

#include "core/message.h"
#include "core/sealed.h"
#include "io/store.h"

typedef struct Feed Feed;
typedef struct FeedView FeedView;
typedef struct FeedChunk FeedChunk;
typedef struct FeedRead FeedRead;

enum {
    /* Of encoded messages: a piece is at most that. With larger ones nothing gets cheaper. */
    FEED_CHUNK_BYTES = 64 * 1024,
    /* Kept for slow readers of one view, and of all. */
    FEED_VIEW_MAX_BYTES = 8 * 1024 * 1024,
    FEED_MAX_BYTES = 64 * 1024 * 1024,
    /* One answer of the store: small, since the owner thread decodes it while others wait. */
    FEED_READ_EVENTS = 128,
    FEED_READ_BYTES = 32 * 1024,
    FEED_READS_MAX = 64, /* at once: who waits longer for the disk is behind already */
    FEED_ROOMS_MAX = 64, /* a reader's */
};

typedef struct FeedReader FeedReader;
struct FeedReader {
    /* Set before feed_follow. wake is called once after feed_next has said FEED_WAIT, from
     * feed_flush or the loop, and may call feed_next and feed_unfollow. */
    void (*wake)(FeedReader *reader);
    void *owner;
    uint64_t position; /* of the last message that was given out, or passed over */

    /* The feed's. */
    FeedView *view;
    FeedChunk *chunk; /* NULL: it is behind */
    size_t offset;
    FeedRead *read; /* asked of the store, not answered */
    Bytes *stored;  /* what was answered, not given out yet, or given out last */
    bool stored_given;
    bool failed;
    bool waiting; /* in memory, at the end */
    bool parked;  /* behind, with nothing asked yet */
    FeedReader *next;
    FeedReader *prev;
};

typedef struct FeedPart {
    Bytes *bytes; /* the feed's: take a reference */
    size_t offset;
    size_t len;
} FeedPart;

typedef enum FeedNext {
    FEED_PART,   /* *ret_part: SubscribeResponse.messages, one or more, encoded */
    FEED_WAIT,   /* wake will be called */
    FEED_FAILED, /* the store cannot be read */
} FeedNext;

/* position: the last in the journal. The store must be open for as long as readers follow. */
Feed *feed_new(Store *store, uint64_t position);
/* What is read from the store again has its marks (Message.fingerprint) put on by the node. */
typedef void (*FeedMark)(void *context, const LogEvent *event, Message *message);
void feed_set_mark(Feed *feed, FeedMark mark, void *context);
/* What is sealed is read with it, until feed_free; borrowed. NULL: open mode. */
void feed_set_keyring(Feed *feed, Keyring *keyring);
/* No reader may be left, and the store is closed. NULL is fine. */
void feed_free(Feed *feed);

/* The message at the next position, which is durable; NULL: nothing to tell at this one. */
void feed_add(Feed *feed, uint64_t position, Message *message);
/* Wakes those for whom something was added: once for many. */
void feed_flush(Feed *feed);
/* The last position that was added. */
uint64_t feed_position(const Feed *feed);
size_t feed_readers(const Feed *feed);

/* Rooms as room_name_parse gives them, FEED_ROOMS_MAX at most, in any order. The reader begins
 * behind `position`, which is one of the journal's. */
void feed_follow(Feed *feed, FeedReader *reader, const char *const *rooms, size_t rooms_count,
                 uint64_t position);
/* Also while something is asked of the store. */
void feed_unfollow(Feed *feed, FeedReader *reader);
/* The part is valid until the next call to the feed. */
FeedNext feed_next(Feed *feed, FeedReader *reader, FeedPart *ret_part);
