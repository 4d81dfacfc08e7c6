/* What faces and the servicer ask of the node. */
#include "io/node_internal.h"

#include <utlist.h>

void node_line(Node *node, const char *text, size_t len)
{
    node_step(node, &(Event){.kind = EVENT_LINE, .text = text, .text_len = len});
}

void node_input_ended(Node *node)
{
    node_step(node, &(Event){.kind = EVENT_INPUT_ENDED});
}

void node_input_failed(Node *node)
{
    node_step(node, &(Event){.kind = EVENT_INPUT_FAILED});
}

void node_leave(Node *node)
{
    node_step(node, &(Event){.kind = EVENT_LEAVE});
}

void node_receive(Node *node, const MessageDraft *draft, NodeReceipt *receipt)
{
    node_step_and_after(
        node, &(Event){.kind = EVENT_RECEIVED, .draft = draft, .token = receipt, .more = true});
    if (!node->said_posted) {
        node->said_posted = true;
        loop_post(node->loop, &node->said);
    }
}

static void node_wait(NodeWaiter **list, NodeWaiter *waiter)
{
    if (waiter->list == NULL) {
        waiter->list = list;
        DL_APPEND(*list, waiter);
    }
}

void node_wait_step(Node *node, NodeWaiter *waiter)
{
    node_wait(&node->wait_step, waiter);
}

/* There is room again long before those are woken who wait for it: who comes then goes behind them,
 * or the quickest would say all there is to say. */
bool node_wait_room(Node *node, NodeWaiter *waiter)
{
    bool others_first = node->wait_room != NULL && node->woken != waiter;
    if (!others_first && !core_is_full(node->core)) {
        return false;
    }
    node_wait(&node->wait_room, waiter);
    return true;
}

void node_wait_end(NodeWaiter *waiter)
{
    if (waiter->list != NULL) {
        DL_DELETE(*waiter->list, waiter);
        waiter->list = NULL;
    }
}

void node_command(Node *node, const char *line, size_t len, NodeReply *reply)
{
    node_step_and_after(
        node, &(Event){.kind = EVENT_COMMAND, .text = line, .text_len = len, .token = reply});
}

bool node_is_private(const Node *node)
{
    return node->gate != NULL;
}

Err node_listen(Node *node, const char *address, NodeEntered entered, void *context,
                char **ret_text)
{
    node_gate_on_entered(node->gate, entered, context);
    return node_gate_listen(node->gate, address, ret_text);
}

void node_serve_programs(Node *node, bool serve)
{
    gate_serve_programs(node_gate_gate(node->gate), serve);
}

void node_vouch(Node *node, uint64_t gate_id)
{
    gate_vouch(node_gate_gate(node->gate), gate_id);
}

const Members *node_members(const Node *node)
{
    return core_members(node->core);
}

const uint8_t *node_key(const Node *node)
{
    return core_key(node->core);
}

void node_accept_link(Node *node, RpcStream *stream)
{
    mesh_links_accept(node->mesh_links, stream);
}

bool node_input_should_wait(Node *node, void (*on_ready)(void *context), void *context)
{
    if (!core_input_should_wait(node->core)) {
        return false;
    }
    node->input_ready = on_ready;
    node->input_context = context;
    return true;
}

void node_notice(Node *node, NoticeLevel level, const char *text)
{
    bus_notice(node->bus, level, text, loop_wall_ms());
}

Loop *node_loop(const Node *node)
{
    return node->loop;
}

Bus *node_bus(Node *node)
{
    return node->bus;
}

Feed *node_feed(Node *node)
{
    return passing_feed(node->passing);
}

uint64_t node_life(const Node *node)
{
    return store_life(node->store);
}

bool node_knows_cursor(const Node *node, uint64_t life, uint64_t position)
{
    return store_knows_cursor(node->store, life, position);
}

const NodeId *node_id(const Node *node)
{
    return &node->id;
}

int32_t node_utc_offset_s(Node *node, int64_t wall_ms)
{
    return utc_offset_s(&node->utc_offset, wall_ms);
}

const char *node_name(const Node *node)
{
    return core_name(node->core);
}

const char *node_room(const Node *node)
{
    return core_room(node->core);
}

size_t node_links_count(const Node *node)
{
    return core_links_count(node->core);
}

size_t node_links_up(const Node *node)
{
    return core_links_up(node->core);
}

size_t node_links_configured(const Node *node)
{
    return core_links_configured(node->core);
}

void node_link(const Node *node, size_t index, LinkView *ret_view)
{
    core_link(node->core, index, loop_mono_ms(), ret_view);
}

const char *node_recent_name(const Node *node, size_t index)
{
    return core_recent_name(node->core, index);
}
