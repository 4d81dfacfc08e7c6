/* The node as its faces see it: say a line or a command, follow what is shown, ask for state.
 *
 * It feeds the core with events, carries its actions out, and keeps its timer. */
#pragma once

#include "core/core.h"
#include "core/members.h"
#include "io/bus.h"
#include "io/feed.h"
#include "io/gate.h"
#include "io/loop.h"
#include "io/rpc.h"

typedef struct Node Node;

/* What a data directory says of its network (io/network_dir.h), and how to serve it. */
typedef struct NodeNetwork {
    const uint8_t *genesis;
    size_t genesis_len;
    const uint8_t *proof; /* an encoded MemberProof: this node's own */
    size_t proof_len;
    const char *program_pem; /* gate_program_certificate; NULL: no programs from elsewhere */
    const char *listen;      /* the address; NULL: all of this machine */
    uint16_t port;
    uint32_t connections_max;
} NodeNetwork;

typedef struct NodeOptions {
    const char *name;
    bool name_is_default; /* CoreConfig.name_is_default */
    const NodeConfig *nodes;
    size_t nodes_count;
    const char *data_dir;
    bool recap;                 /* CoreConfig.recap */
    uint32_t coalesce_ms;       /* CoreConfig.coalesce_ms */
    const NodeNetwork *network; /* NULL: open mode */
} NodeOptions;

/* Called once, when the core has decided to leave: exit_code is the program's. The node does
 * nothing more by itself; close it when everything around it is closed. */
typedef void (*NodeQuit)(void *context, int exit_code);

/* Opens the data directory. Takes nothing over; options are copied. Nothing is connected before
 * node_start. Errors as of store_open, with *ret_error. */
Err node_open(Loop *loop, Rpc *rpc, const NodeOptions *options, NodeQuit on_quit, void *context,
              Node **ret_node, char **ret_error);
/* on_ready: once, soon: now the node knows again what clients have said to it in its last life, and
 * may be called by them. Where it leaves before, on_ready may never come. */
void node_start(Node *node, void (*on_ready)(void *context), void *context);
/* Ends the links at once, writes what waits, then calls done (bounded by the disk: a link's closing
 * waits for nobody). */
void node_close(Node *node, void (*done)(void *context), void *context);
/* After node_close is done. NULL is fine. */
void node_free(Node *node);

/* A person typed text: a line to send or a command. Any bytes; what cannot be sent is answered with
 * a notice. */
void node_line(Node *node, const char *text, size_t len);
/* Nothing more will be typed: what waits is delivered (5 s at most), then on_quit. */
void node_input_ended(Node *node);
/* An input line could not even be passed on (too long, not JSON): the exit code will be 1. */
void node_input_failed(Node *node);
/* As after /quit: what is in flight gets a second, then on_quit. */
void node_leave(Node *node);

/* Who waits for the answer to a line; embedded, and to live until done is called: once, with ERR_OK
 * and the message (NULL: a repeat), or an error and why. All borrowed. */
typedef struct NodeReceipt NodeReceipt;
struct NodeReceipt {
    void (*done)(NodeReceipt *receipt, Err err, Message *message, const char *text);
};
/* Somebody's SendMessage. It is answered now, or when the line is on the disk; done does not call
 * the node. */
void node_receive(Node *node, const MessageDraft *draft, NodeReceipt *receipt);

/* Embedded in who is to be woken, once; one wait at a time. */
typedef struct NodeWaiter NodeWaiter;
struct NodeWaiter {
    void (*wake)(NodeWaiter *waiter);
    NodeWaiter **list; /* NULL: it waits for nothing */
    NodeWaiter *prev;
    NodeWaiter *next;
};
/* When what happens now is done: so that much which happens at once is answered at once. From
 * within NodeReceipt.done. */
void node_wait_step(Node *node, NodeWaiter *waiter);
/* Where too many lines wait for the disk (core_is_full), or others wait here already and it is not
 * this one that was woken: true, and woken when there is room. */
bool node_wait_room(Node *node, NodeWaiter *waiter);
void node_wait_end(NodeWaiter *waiter);

/* Who gave a command from outside; embedded, and to live until done is called, once: also where the
 * node leaves. line comes before, once for each line of the answer; text is borrowed. */
typedef struct NodeReply NodeReply;
struct NodeReply {
    void (*line)(NodeReply *reply, NoticeLevel level, const char *text);
    void (*done)(NodeReply *reply, Err err);
};
/* As typed, but the answer is for the caller alone. From the loop. */
void node_command(Node *node, const char *line, size_t len, NodeReply *reply);

/* ---- of a private network ---- */

bool node_is_private(const Node *node);
/* Somebody has passed the gate: fd, to be taken over, speaks HTTP/2. */
typedef void (*NodeEntered)(void *context, int fd, const GatePeer *peer);
/* Begins to listen; as gate_listen. */
Err node_listen(Node *node, const char *address, NodeEntered entered, void *context,
                char **ret_text);
/* Are there tokens? See gate_serve_programs. */
void node_serve_programs(Node *node, bool serve);
/* As gate_vouch. */
void node_vouch(Node *node, uint64_t gate_id);
/* NULL in open mode. */
const Members *node_members(const Node *node);
/* This node's own key. */
const uint8_t *node_key(const Node *node);

/* Somebody's mesh link: from RpcMethod.open. */
void node_accept_link(Node *node, RpcStream *stream);

Loop *node_loop(const Node *node);
Bus *node_bus(Node *node);
/* What subscribers read. */
Feed *node_feed(Node *node);
/* The cursors that subscribers give: see store.h. */
uint64_t node_life(const Node *node);
bool node_knows_cursor(const Node *node, uint64_t life, uint64_t position);
const NodeId *node_id(const Node *node);
const char *node_name(const Node *node);
/* As loop_utc_offset_s, for who asks at each line. */
int32_t node_utc_offset_s(Node *node, int64_t wall_ms);
/* Where typed lines go: MESSAGE_LOBBY at first. */
const char *node_room(const Node *node);
size_t node_links_count(const Node *node); /* without entries that are this node or twins */
size_t node_links_up(const Node *node);
size_t node_links_configured(const Node *node);
void node_link(const Node *node, size_t index, LinkView *ret_view);
const char *node_recent_name(const Node *node, size_t index);

/* A reader of lines that can wait (a pipe) asks before each read; where the answer is true, it
 * reads on when on_ready is called. One reader at a time. */
bool node_input_should_wait(Node *node, void (*on_ready)(void *context), void *context);

/* A notice for the person at this node, from outside the core (a face, the log). */
void node_notice(Node *node, NoticeLevel level, const char *text);
