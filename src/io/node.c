/* Feeds the core, carries its actions out.
 *
 * One step at a time: what a face asks for from inside a step (it was woken to show something, and
 * found its terminal gone) waits until the step is carried out. */
#include "base/random.h"
#include "io/ignored_file.h"
#include "io/node_internal.h"

#include <string.h>
#include <utlist.h>

static void node_timer(uv_timer_t *timer)
{
    node_step(timer->data, &(Event){.kind = EVENT_TIMER});
}

static void node_set_timer(Node *node, uint64_t now_ms)
{
    uint64_t at = node->actions.wake_at_ms;
    if (at == 0) {
        uv_timer_stop(&node->timer);
        return;
    }
    if (at == node->timer_at_ms && uv_is_active((uv_handle_t *)&node->timer)) {
        return; /* most steps change nothing of it */
    }
    node->timer_at_ms = at;
    uv_update_time(loop_uv(node->loop));
    uv_timer_start(&node->timer, node_timer, at > now_ms ? at - now_ms : 0, 0);
}

/* From the kernel a handful at a time: a call for each would be a tenth of what a line costs. */
static uint64_t node_random(Node *node)
{
    if (node->randoms_count == 0) {
        node->randoms_count = RANDOMS;
        random_bytes(node->randoms, sizeof(node->randoms));
    }
    return node->randoms[--node->randoms_count];
}

static StepResult node_step_now(Node *node, Event *event)
{
    StepResult result = {.quit = false};
    event->mono_ms = loop_mono_ms();
    event->wall_ms = loop_wall_ms();
    event->utc_offset_s = node_utc_offset_s(node, event->wall_ms);
    event->random = node_random(node);
    node->stepping = true;
    actions_reset(&node->actions);
    core_step(node->core, event, &node->actions);
    bus_hold(node->bus, true);
    for (size_t i = 0; i < node->actions.count; i++) {
        node_do(node, &node->actions.items[i], event, &result);
    }
    bus_hold(node->bus, false);
    node_store_passed(node);
    node_set_timer(node, event->mono_ms);
    node->stepping = false;
    return result;
}

static void node_tell_input_ready(Node *node)
{
    if (node->input_ready != NULL && !core_input_should_wait(node->core)) {
        void (*ready)(void *context) = TAKE(node->input_ready);
        ready(node->input_context);
    }
}

static NodeWaiter *next_to_wake(Node *node)
{
    bool room = node->wait_step == NULL && core_has_room(node->core);
    return room ? node->wait_room : node->wait_step;
}

/* Whoever is woken may say more, which is a step of its own. */
static void node_wake(Node *node)
{
    NodeWaiter *waiter;
    if (node->waking) {
        return;
    }
    node->waking = true;
    while ((waiter = next_to_wake(node)) != NULL) {
        node_wait_end(waiter);
        node->woken = waiter;
        waiter->wake(waiter);
    }
    node->woken = NULL;
    node->waking = false;
}

StepResult node_step_and_after(Node *node, Event *event)
{
    StepResult result = node_step_now(node, event);
    while (node->deferred != NULL) {
        Deferred *deferred = node->deferred;
        LL_DELETE(node->deferred, deferred);
        StepResult later = node_step_now(node, &(Event){.kind = deferred->kind,
                                                        .text = deferred->text,
                                                        .text_len = deferred->text_len});
        result.quit = result.quit || later.quit;
        result.exit_code = later.quit ? later.exit_code : result.exit_code;
        mem_free(deferred->text);
        mem_free(deferred);
    }
    if (result.quit) {
        mesh_links_close_all(node->mesh_links, MESH_BYE_LEAVING);
        node->on_quit(node->quit_context, result.exit_code);
    } else {
        node_tell_input_ready(node);
    }
    node_wake(node);
    return result;
}

void node_step(Node *node, Event *event)
{
    if (!node->stepping) {
        node_step_and_after(node, event);
        return;
    }
    Deferred *deferred = mem_new(Deferred);
    deferred->kind = event->kind;
    deferred->text = mem_copy_text(event->text, event->text_len);
    deferred->text_len = event->text_len;
    LL_APPEND(node->deferred, deferred);
}

static void node_report(void *context, Event *event)
{
    Node *node = context;
    bool knows = event->kind == EVENT_ANSWER && event->query->kind == QUERY_RECENT;
    node_step(node, event);
    if (knows && node->on_ready != NULL) {
        TAKE(node->on_ready)(node->ready_context);
    }
}

/* All that has come in this turn of the loop. */
static void node_said(Mail *mail, bool ok)
{
    (void)ok;
    Node *node = CONTAINER_OF(mail, Node, said);
    node->said_posted = false;
    node_step(node, &(Event){.kind = EVENT_SAID});
}

/* ---- life ---- */

static void node_add_connections(Node *node, const NodeOptions *options)
{
    node->connections = mem_array(options->nodes_count, sizeof(NodeConnection *));
    node->connections_count = options->nodes_count;
    for (size_t i = 0; i < options->nodes_count; i++) {
        node->connections[i] = node_connection_new(&(NodeConnectionOptions){
            .rpc = node->rpc,
            .arena = node->arena,
            .config = options->nodes[i],
            .own_id = node->id,
            .report = node_report,
            .context = node,
            .link = i,
            .gate = node->gate != NULL ? node_gate_gate(node->gate) : NULL,
        });
    }
}

/* What the store has to say to a person, once. */
static void node_tell_store_notice(Node *node)
{
    const char *notice = store_notice(node->store);
    if (notice != NULL && (node->store_notice == NULL || strcmp(node->store_notice, notice) != 0)) {
        mem_free(node->store_notice);
        node->store_notice = mem_copy_string(notice);
        node_notice(node, NOTICE_WARNING, notice);
    }
}

static void node_store_changed(void *context)
{
    Node *node = context;
    if (node->log_writer == NULL) {
        return; /* from within store_open: node_start tells */
    }
    log_writer_state_changed(node->log_writer);
    node_tell_store_notice(node);
}

/* What the store holds becomes what the core begins with. */
static void node_add_core(Node *node, const NodeOptions *options)
{
    size_t count = 0;
    const StoreHead *stored = store_heads(node->store, &count);
    AUTO_FREE StreamHead *heads = mem_array(count, sizeof(StreamHead));
    for (size_t i = 0; i < count; i++) {
        heads[i] = (StreamHead){
            .stream = stored[i].stream, .hi = stored[i].hi, .last_hash = stored[i].hash};
    }
    int64_t wall_ms = loop_wall_ms();
    size_t control_count = 0;
    CoreConfig config = {
        .node_id = node->id,
        .name = options->name,
        .name_is_default = options->name_is_default,
        .nodes = options->nodes,
        .nodes_count = options->nodes_count,
        .heads = heads,
        .heads_count = count,
        .recap = options->recap,
        .coalesce_ms = options->coalesce_ms,
        .wall_ms = wall_ms,
        .control_events = store_control_events(node->store, &control_count),
    };
    config.control_count = control_count;
    if (options->network != NULL) {
        config.genesis = options->network->genesis;
        config.genesis_len = options->network->genesis_len;
        config.proof = options->network->proof;
        config.proof_len = options->network->proof_len;
    }
    AUTO_STRBUF StrBuf ignored = {0};
    AUTO_FREE char *error = NULL;
    if (ignored_file_read(options->data_dir, &ignored, &error) != ERR_OK) {
        node_notice(node, NOTICE_WARNING, error);
    }
    config.ignored = ignored.text;
    config.ignored_len = ignored.len;
    event_signer_init(&config.signer, store_seed(node->store));
    uint64_t epoch = store_epoch_max(node->store, config.signer.public_key);
    config.epoch = replica_next_epoch(epoch, wall_ms, random_u64());
    node->core = core_new(&config);
    event_signer_done(&config.signer);
    store_heads_drop(node->store);
}

static void node_frame(void *context, size_t mesh, const uint8_t *data, size_t len)
{
    node_step(context, &(Event){.kind = EVENT_FRAME, .mesh = mesh, .data = data, .len = len});
}

/* From the mesh links. */
static void node_report_mesh(void *context, Event *event)
{
    Node *node = context;
    if (event->kind == EVENT_FRAME) {
        pace_take(node->pace, event->mesh, event->data, event->len);
        return;
    }
    if (event->kind != EVENT_SENT) {
        pace_forget(node->pace, event->mesh);
    }
    node_step(node, event);
}

static void node_journaled(void *context, uint64_t position)
{
    Node *node = context;
    passing_durable(node->passing, position);
}

static void node_settled(void *context)
{
    Node *node = context;
    passing_settled(node->passing);
}

static void node_mark(void *context, const LogEvent *event, Message *message)
{
    const Node *node = context;
    core_mark(node->core, event, message);
}

static void node_add_log(Node *node)
{
    node->passing = passing_new(node->store);
    feed_set_keyring(passing_feed(node->passing), core_keyring(node->core));
    feed_set_mark(passing_feed(node->passing), node_mark, node);
    node->pace = pace_new(&(PaceOptions){
        .loop = node->loop, .bus = node->bus, .deliver = node_frame, .context = node});
    node->log_writer = log_writer_new(&(LogWriterOptions){.loop = node->loop,
                                                          .store = node->store,
                                                          .report = node_report,
                                                          .journaled = node_journaled,
                                                          .settled = node_settled,
                                                          .context = node});
    node->log_reader = log_reader_new(&(LogReaderOptions){
        .loop = node->loop, .store = node->store, .report = node_report, .context = node});
    node->mesh_links = mesh_links_new(&(MeshLinksOptions){
        .outgoing = node->connections_count,
        .count = core_mesh_count(node->core),
        .report = node_report_mesh,
        .context = node,
    });
}

static void node_step_for_gate(Node *node, Event *event)
{
    node_step_and_after(node, event);
}

/* In a private network: nothing comes or goes but by the gate. */
static Err node_add_gate(Node *node, const NodeOptions *options, char **ret_error)
{
    if (options->network == NULL) {
        return ERR_OK;
    }
    return node_gate_open(&(NodeGateOptions){.node = node,
                                             .network = options->network,
                                             .nodes = options->nodes,
                                             .nodes_count = options->nodes_count,
                                             .data_dir = options->data_dir,
                                             .seed = store_seed(node->store),
                                             .number = members_network(core_members(node->core)),
                                             .connections_max = options->network->connections_max,
                                             .step = node_step_for_gate},
                          &node->gate, ret_error);
}

Err node_open(Loop *loop, Rpc *rpc, const NodeOptions *options, NodeQuit on_quit, void *context,
              Node **ret_node, char **ret_error)
{
    Node *node = mem_new(Node);
    Err err = store_open(&(StoreOptions){.directory = options->data_dir,
                                         .state_changed = node_store_changed,
                                         .context = node},
                         loop, &node->store, ret_error);
    if (err != ERR_OK) {
        mem_free(node);
        return err;
    }
    node->loop = loop;
    node->rpc = rpc;
    node->bus = bus_new();
    node->data_dir = mem_copy_string(options->data_dir);
    node->arena = wire_arena_new();
    node->on_quit = on_quit;
    node->quit_context = context;
    random_bytes(node->id.bytes, sizeof(node->id.bytes));
    node_add_core(node, options);
    err = node_add_gate(node, options, ret_error);
    if (err != ERR_OK) {
        return err; /* the program ends: nothing was begun that would have to be ended in order */
    }
    node_add_connections(node, options);
    node_add_log(node);
    uv_timer_init(loop_uv(loop), &node->timer);
    node->timer.data = node;
    node->said.deliver = node_said;
    *ret_node = node;
    return ERR_OK;
}

void node_start(Node *node, void (*on_ready)(void *context), void *context)
{
    node->on_ready = on_ready;
    node->ready_context = context;
    node_tell_store_notice(node);
    node_step(node, &(Event){.kind = EVENT_START});
}

static void node_timer_closed(uv_handle_t *timer)
{
    Node *node = timer->data;
    node->closed(node->closed_context);
}

static void node_store_closed(void *context)
{
    Node *node = context;
    log_writer_free(TAKE(node->log_writer));
    log_reader_free(TAKE(node->log_reader));
    pace_free(TAKE(node->pace));
    passing_free(TAKE(node->passing));
    uv_close((uv_handle_t *)&node->timer, node_timer_closed);
}

static void node_close_store(Node *node)
{
    log_writer_close(node->log_writer);
    store_close(node->store, node_store_closed, node);
}

static void node_gate_closed(void *context)
{
    node_close_store(context);
}

void node_close(Node *node, void (*done)(void *context), void *context)
{
    node->closed = done;
    node->closed_context = context;
    mesh_links_close_all(node->mesh_links, MESH_BYE_LEAVING);
    for (size_t i = 0; i < node->connections_count; i++) {
        node_connection_disconnect(node->connections[i]);
    }
    if (node->gate != NULL) {
        node_gate_close(node->gate, node_gate_closed, node);
    } else {
        node_close_store(node);
    }
}

void node_free(Node *node)
{
    if (node == NULL) {
        return;
    }
    for (size_t i = 0; i < node->connections_count; i++) {
        node_connection_free(node->connections[i]);
    }
    mem_free(node->connections);
    mem_free(node->data_dir);
    mem_free(node->store_notice);
    mesh_links_free(node->mesh_links);
    node_gate_free(node->gate);
    actions_done(&node->actions);
    core_free(node->core);
    bus_free(node->bus);
    wire_arena_free(node->arena);
    mem_free(node);
}
