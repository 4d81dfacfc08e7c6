/* One configured peer: whether it is there, when to try again, and, where it is a classic one (or
 * may be: it has not answered yet), the lines that wait for it. One of our kind pulls what it lacks
 * from the log.
 *
 *                connect             hello answered
 *   WAITING ---------------> CONNECTING ---------> UP
 *      ^  retry_at reached       |                  |
 *      +------- back-off --------+--- lost ---------+
 *
 *   SELF   the address turned out to be this node. Final.
 *   TWIN   it leads to the process that another link, which is UP, leads to. It stays quiet until
 *          that one is lost.
 *
 * Back-off is exponential with jitter: the n-th wait is drawn evenly from the upper half of
 * min(LINK_RETRY_MAX_MS, LINK_RETRY_MIN_MS * 2^n), never below LINK_RETRY_MIN_MS; so nodes that
 * lost the same peer do not all come back in the same instant. */
#pragma once

#include "core/members.h"
#include "core/message.h"

enum {
    LINK_RETRY_MIN_MS = 200,
    LINK_RETRY_MAX_MS = 10000,
    /* Lines that wait for one peer, whichever comes first: a long evening's talk, and little
     * memory even with every peer of a full mesh away. */
    LINK_QUEUE_MAX_LINES = 1000,
    LINK_QUEUE_MAX_BYTES = 1024 * 1024,
    /* A full mesh is meant for about a hundred nodes; past this, nodes.json is a mistake. */
    LINKS_MAX = 256,
    LINK_HOST_MAX_BYTES = 255, /* RFC 1035 section 2.3.4 */
    LINK_REASON_MAX_BYTES = 300,
    LINK_BINDING_BYTES = 32, /* io/gate.h */
};

typedef enum LinkState {
    LINK_WAITING,
    LINK_CONNECTING,
    LINK_UP,
    LINK_SELF,
    LINK_TWIN,
} LinkState;

/* An entry of nodes.json. */
typedef struct NodeConfig {
    char host[LINK_HOST_MAX_BYTES + 1];
    uint16_t port;
} NodeConfig;

/* What /list tells of a link. Strings are borrowed until the next step. */
typedef struct LinkView {
    const char *host;
    uint16_t port;
    LinkState state;
    bool known;              /* it has answered once, so the next is known */
    bool classic;            /* of the older kind */
    const char *peer_name;   /* "" while not known */
    uint32_t rtt_us;         /* 0 while not measured */
    const char *down_reason; /* why it is WAITING, or which entry it is a TWIN of; "" at first */
    uint64_t retry_in_ms;    /* until the next attempt, while WAITING */
    size_t queued_lines;     /* not yet delivered */
    size_t refused_lines;    /* found the queue full since the peer was last there */
    /* Of our kind, while it is up: how the logs stand to each other. */
    bool meshed;           /* the two exchange their logs; else they are about to */
    uint64_t peer_lacks;   /* events it has not yet, as far as it has told */
    uint64_t here_lacks;   /* events it has told of that are not here yet */
    uint32_t events_per_s; /* that come from it */
    bool incoming;         /* in no entry of nodes.json here: it has dialled us from host */
    /* Of its key, in a private network, where a connection has proved it; "" otherwise. */
    char fingerprint[FINGERPRINT_BYTES];
} LinkView;

/* "localhost:50052", "[::1]:50052". */
void node_config_address(const char *host, uint16_t port, char *ret_text, size_t size);

/* What the core itself keeps of a link; faces see a LinkView. */
typedef struct Link {
    NodeConfig config;
    char address[LINK_HOST_MAX_BYTES + 16];
    LinkState state;
    bool classic; /* what it was last known to be; dialled accordingly */
    bool known;   /* classic is known */
    char peer_name[MESSAGE_SENDER_MAX_BYTES + 1];
    NodeId peer_id;                    /* of our kind, while UP, and of a TWIN */
    uint8_t peer_key[EVENT_KEY_BYTES]; /* of the peer it last led to; zeros: not known */
    /* Of the connection that stands, in a private network. */
    bool proved;
    uint8_t proved_key[EVENT_KEY_BYTES];
    uint8_t binding[LINK_BINDING_BYTES];
    uint64_t mesh_at_ms;    /* when to open a mesh link on it; 0: not */
    uint32_t mesh_failures; /* ended before a greeting, one after another */
    char down_reason[LINK_REASON_MAX_BYTES + 1];
    uint32_t failures; /* attempts since it was last up */
    uint32_t rtt_us;
    uint64_t retry_at_ms;
    uint64_t probe_at_ms;
    bool refusal_told;    /* that one of the two does not let the other in, since it was up */
    bool report_retry;    /* somebody asked with /retry: say how it went */
    bool shadow;          /* down, and its peer was last reached by another link, which is UP */
    bool sending;         /* the queue's head is on its way */
    size_t refused_lines; /* found the queue full since the peer was last there */
    size_t undelivered;   /* lines it will never get: refused, by the peer or by the cap */

    Message **queue; /* a ring, the head at queue_head; the link holds a reference to each */
    size_t queue_cap;
    size_t queue_head;
    size_t queue_count;
    size_t queue_bytes;
} Link;

void link_init(Link *link, const NodeConfig *config);
void link_done(Link *link);

/* Takes a reference to message.
 * ERR_LIMIT: the queue is full; counted in refused_lines and undelivered. */
Err link_push(Link *link, Message *message);
/* NULL where nothing waits. Borrowed. */
Message *link_head(const Link *link);
void link_pop(Link *link);
/* Drops what waits, silently: somebody else delivers it, or it must not go there. */
void link_drop_queue(Link *link);
/* Drops what a classic peer must not get: it has heard it from where we have. */
void link_drop_relayed(Link *link);
bool link_queue_nearly_full(const Link *link);

/* Takes note of a failed attempt or a lost link and sets when to try again. */
void link_wait(Link *link, const char *reason, size_t reason_len, uint64_t mono_ms,
               uint64_t random);
/* A new round-trip sample; smoothed as in RFC 6298 section 2 (alpha 1/8). */
void link_measure(Link *link, uint32_t rtt_us);
