/* What the node shows, in one order for all: a bounded ring that every face and every gRPC client
 * reads with a cursor of its own.
 *
 *        oldest kept                          head
 *   ... [ 17 ][ 18 ][ 19 ][ 20 ][ 21 ][ 22 ]   23
 *         ^lost if it falls off        ^follower.cursor
 *
 * A slow follower delays nobody and holds no copy: it falls off the end and is told so. */
#pragma once

#include "core/core.h"

typedef struct Bus Bus;

enum {
    /* Whichever comes first. A client that stands still for four thousand lines is not reading. */
    BUS_MAX_ITEMS = 4096,
    BUS_MAX_BYTES = 8 * 1024 * 1024,
};

typedef enum BusItemKind {
    BUS_MESSAGE, /* message: said now, or missed and come now */
    BUS_NOTICE,  /* level, text: for the person at this node, not for gRPC clients */
    BUS_LIST,    /* show the state of the links now: ask node_links_... */
    BUS_HISTORY, /* message, text, kept: an old one that this node's person asked for */
    BUS_KEPT,    /* message, kept: an own one is now with more of the others */
} BusItemKind;

typedef struct BusItem {
    BusItemKind kind;
    Message *message;
    Kept kept;
    NoticeLevel level;
    char *text; /* HISTORY: what a search found, with STORE_MATCH_OPEN and CLOSE; may be NULL */
    int64_t wall_ms; /* when it was published */
} BusItem;

typedef struct Follower Follower;
struct Follower {
    uint64_t cursor; /* of the next item to read */
    bool waiting;    /* has read everything; wake is called once at the next item */
    bool paced;      /* set before bus_follow, one at most: what can wait does (pace.h) */
    Follower *next, *prev;
    void (*wake)(Follower *follower);
    void *owner;
};

Bus *bus_new(void);
/* No follower may be left. NULL is fine. */
void bus_free(Bus *bus);

/* Take a reference to message; copy text. They wake the waiting followers before they return,
 * unless the bus is held. */
void bus_show(Bus *bus, Message *message, int64_t wall_ms);
void bus_notice(Bus *bus, NoticeLevel level, const char *text, int64_t wall_ms);
void bus_list(Bus *bus, int64_t wall_ms);
/* snippet may be NULL. */
void bus_history(Bus *bus, Message *message, Kept kept, const char *snippet, int64_t wall_ms);
void bus_kept(Bus *bus, Message *message, Kept kept, int64_t wall_ms);

/* Held: followers are woken once for all that is published until it is let go; or sooner, where
 * that is so much that they might fall off the ring. */
void bus_hold(Bus *bus, bool held);

/* Follows from the next item on, waiting. wake and owner must be set. */
void bus_follow(Bus *bus, Follower *follower);
void bus_unfollow(Bus *bus, Follower *follower);

/* The item at the follower's cursor, which moves on. *ret_item is NULL where there is none: the
 * follower then waits, and wake is called when there is. The item is valid until the next publish:
 * take a reference to keep the message.
 * ERR_GONE: it fell off the ring's end, *ret_lost items are lost; the cursor is at the oldest. */
Err bus_next(Bus *bus, Follower *follower, const BusItem **ret_item, uint64_t *ret_lost);

/* Items not yet read. */
uint64_t bus_pending(const Bus *bus, const Follower *follower);
/* Items not yet read by the paced follower, whose cursor is *ret_cursor; 0: there is none. */
uint64_t bus_paced_pending(const Bus *bus, uint64_t *ret_cursor);
/* Is the item one that gRPC clients get: a message in the lobby? */
bool bus_item_is_public(const BusItem *item);
/* Is the next item there, and such a one? */
bool bus_has_public(const Bus *bus, const Follower *follower);
