/* The one door: events in, actions out. */
#include "core/core_state.h"

#include <stdio.h>
#include <string.h>

enum { ACTIONS_FIRST_CAP = 16 };

Action *step_add(Step *step, ActionKind kind)
{
    Actions *actions = step->actions;
    if (actions->count == actions->cap) {
        actions->cap = actions->cap > 0 ? actions->cap * 2 : ACTIONS_FIRST_CAP;
        actions->items = mem_resize(actions->items, actions->cap, sizeof(Action));
    }
    Action *action = &actions->items[actions->count++];
    *action = (Action){.kind = kind};
    return action;
}

void step_notice(Step *step, NoticeLevel level, const char *format, ...)
{
    StrBuf text = {0};
    va_list args;
    va_start(args, format);
    strbuf_vaddf(&text, format, args);
    va_end(args);
    Action *action = step_add(step, step->replies ? ACTION_REPLY : ACTION_NOTICE);
    action->token = step->replies ? step->token : NULL;
    step->reply_err = level == NOTICE_ERROR ? ERR_INVALID : step->reply_err;
    action->level = level;
    action->text = strbuf_take(&text);
}

uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0) {
        return a != 0 ? a : b;
    }
    return a < b ? a : b;
}

void actions_reset(Actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        Action *action = &actions->items[i];
        for (size_t j = 0; j < action->events_count; j++) {
            event_unref(action->events[j]);
        }
        mem_free(action->events);
        message_unref(action->message);
        bytes_unref(action->frame);
        mem_free(action->text);
        mem_free(action->query);
    }
    actions->count = 0;
    actions->wake_at_ms = 0;
}

void actions_done(Actions *actions)
{
    actions_reset(actions);
    mem_free(TAKE(actions->items));
    actions->cap = 0;
}

static uint64_t network_cut(void *context, const StreamId *stream, EventHash *ret_hash)
{
    return members_cut(context, stream, ret_hash);
}

Core *core_new(const CoreConfig *config)
{
    Core *core = mem_new(Core);
    core->node_id = config->node_id;
    snprintf(core->name, sizeof(core->name), "%s", config->name);
    core->links = mem_array(config->nodes_count, sizeof(Link));
    core->links_count = config->nodes_count;
    for (size_t i = 0; i < config->nodes_count; i++) {
        link_init(&core->links[i], &config->nodes[i]);
    }
    core->recap = config->recap;
    memcpy(core->key, config->signer.public_key, EVENT_KEY_BYTES);
    if (config->genesis != NULL) {
        network_open(core, config);
    }
    snprintf(core->room, sizeof(core->room), "%s", MESSAGE_LOBBY);
    core->mesh_count = config->nodes_count + MESH_INCOMING_MAX;
    core->mesh = mem_array(core->mesh_count, sizeof(MeshLink));
    core->arrivals = mem_array(ARRIVALS_MAX, sizeof(Arrival));
    core->seen = seen_new();
    core->classic_lines = classic_lines_new();
    core->rooms = rooms_new(core->key);
    sealed_begin(core, config);
    core->names = names_new(core->key, core->name);
    names_take_members(core);
    ignore_load(core, config->ignored, config->ignored_len);
    core->presences =
        presences_new(&core->node_id, core->key, core->name, (uint64_t)config->wall_ms);
    core->fold = fold_new();
    for (size_t i = 0; i < config->heads_count; i++) {
        fold_set_shown(core->fold, &config->heads[i].stream, config->heads[i].hi);
    }
    ReplicaConfig replica = {
        .signer = config->signer,
        .network = core->members != NULL ? members_network(core->members) : NULL,
        .cut = core->members != NULL ? network_cut : NULL,
        .cut_context = core->members,
        .node_id = config->node_id,
        .name = core->name,
        .epoch = config->epoch,
        .coalesce_ms = config->coalesce_ms,
    };
    core->replica = replica_new(&replica, config->heads, config->heads_count);
    event_signer_done(&replica.signer); /* no copy stays on the stack */
    return core;
}

void core_free(Core *core)
{
    if (core == NULL) {
        return;
    }
    for (size_t i = 0; i < core->links_count; i++) {
        link_done(&core->links[i]);
    }
    for (size_t i = 0; i < core->recent_count; i++) {
        mem_free(core->recent_names[i]);
    }
    for (size_t i = 0; i < RECAP_LINES; i++) {
        message_unref(core->missed[i]);
    }
    log_pending_free(core);
    message_unref(core->kept_message);
    seen_free(core->seen);
    classic_lines_free(core->classic_lines);
    rooms_free(core->rooms);
    sealed_end(core);
    names_free(core->names);
    ignore_free(core);
    presences_free(core->presences);
    fold_out_done(&core->fold_out);
    replica_outputs_done(&core->replica_outputs);
    fold_free(core->fold);
    replica_free(core->replica);
    network_close(core);
    mem_free(core->store_reason);
    mem_free(core->arrivals);
    mem_free(core->mesh);
    mem_free(core->links);
    mem_free(core);
}

static void step_start(Step *step)
{
    network_begin(step);
    links_start(step);
    rooms_start(step);
}

static void step_timer(Step *step)
{
    links_timer(step);
    mesh_timer(step);
    log_timer(step);
    history_timer(step);
    sync_timer(step);
    network_timer(step);
}

typedef void (*StepHandler)(Step *step);

static void step_input_failed(Step *step)
{
    step->core->input_failed = true;
}

static void step_input_ended(Step *step)
{
    leave_begin(step, true);
}

static void step_leave(Step *step)
{
    leave_begin(step, false);
}

static void step_frame(Step *step)
{
    const Event *event = step->event;
    log_input(step, (ReplicaInput){.kind = REPLICA_FRAME,
                                   .link = event->mesh,
                                   .data = event->data,
                                   .len = event->len});
}

static void step_sent(Step *step)
{
    log_input(step, (ReplicaInput){.kind = REPLICA_SENT, .link = step->event->mesh});
}

static void step_stored(Step *step)
{
    log_input(step, (ReplicaInput){.kind = REPLICA_STORED, .ticket = step->event->ticket});
}

static void step_read_done(Step *step)
{
    const Event *event = step->event;
    log_input(step, (ReplicaInput){.kind = REPLICA_READ_DONE,
                                   .link = event->mesh,
                                   .stream = event->stream,
                                   .from = event->from,
                                   .events = event->events,
                                   .events_count = event->events_count});
}

static void step_said(Step *step)
{
    log_input(step, (ReplicaInput){.kind = REPLICA_SAID});
}

static const StepHandler HANDLERS[] = {
    [EVENT_START] = step_start,
    [EVENT_LINE] = lines_typed,
    [EVENT_INPUT_FAILED] = step_input_failed,
    [EVENT_INPUT_ENDED] = step_input_ended,
    [EVENT_LEAVE] = step_leave,
    [EVENT_RECEIVED] = lines_received,
    [EVENT_SAID] = step_said,
    [EVENT_LINK_ANSWERED] = links_answered,
    [EVENT_LINK_DOWN] = links_down,
    [EVENT_DELIVERED] = links_delivered,
    [EVENT_REFUSED] = links_refused,
    [EVENT_MESH_UP] = mesh_up,
    [EVENT_MESH_DOWN] = mesh_down,
    [EVENT_FRAME] = step_frame,
    [EVENT_SENT] = step_sent,
    [EVENT_STORED] = step_stored,
    [EVENT_STORE_STATE] = log_store_state,
    [EVENT_READ_DONE] = step_read_done,
    [EVENT_ANSWER] = history_answer,
    [EVENT_KNOCK] = network_knock,
    [EVENT_ADMIT] = network_admit,
    [EVENT_COMMAND] = command_asked,
    [EVENT_TIMER] = step_timer,
};

/* What still arrives on the way out is answered, and changes nothing; but what is on its way to the
 * disk is still waited for, and told to who asked for it. */
static void step_after_quit(Step *step)
{
    if (step->event->kind == EVENT_RECEIVED) {
        Action *action = step_add(step, ACTION_REJECT);
        action->token = step->event->token;
        action->err = ERR_UNAVAILABLE;
        action->text = mem_copy_string("the node is leaving");
    } else if (step->event->kind == EVENT_KNOCK || step->event->kind == EVENT_ADMIT) {
        network_turn_away(step, step->event->token, MESH_BYE_LEAVING);
    } else if (step->event->kind == EVENT_COMMAND) {
        Action *action = step_add(step, ACTION_REPLIED);
        action->token = step->event->token;
        action->err = ERR_UNAVAILABLE;
    } else if (step->event->kind == EVENT_SAID) {
        step_said(step);
    } else if (step->event->kind == EVENT_STORED) {
        step_stored(step);
    }
}

void core_step(Core *core, const Event *event, Actions *actions)
{
    Step step = {.core = core, .event = event, .actions = actions};
    if (core->quit) {
        step_after_quit(&step);
        return;
    }
    HANDLERS[event->kind](&step);
    network_settle(&step);
    /* None of these brings word of it. */
    if (event->kind != EVENT_LINE && event->kind != EVENT_RECEIVED && event->kind != EVENT_SENT) {
        log_check_kept(&step);
    }
    leave_check(&step);
    if (core->quit) {
        return;
    }
    actions->wake_at_ms = earlier(links_wake_at(core), mesh_wake_at(core));
    actions->wake_at_ms = earlier(actions->wake_at_ms, history_wake_at(core));
    actions->wake_at_ms = earlier(actions->wake_at_ms, sync_wake_at(core));
    actions->wake_at_ms = earlier(actions->wake_at_ms, core->witness_at_ms);
    actions->wake_at_ms = earlier(actions->wake_at_ms, core->replica_wake_ms);
    actions->wake_at_ms = earlier(actions->wake_at_ms, core->fold_wake_ms);
    actions->wake_at_ms = earlier(actions->wake_at_ms, leave_wake_at(core));
}

const uint8_t *core_key(const Core *core)
{
    return core->key;
}

const Members *core_members(const Core *core)
{
    return core->members;
}

const char *core_name(const Core *core)
{
    return core->name;
}

size_t core_mesh_count(const Core *core)
{
    return core->mesh_count;
}

Keyring *core_keyring(const Core *core)
{
    return core->keyring;
}

const char *core_room(const Core *core)
{
    return core->room;
}

/* In no entry that is up: by number among those that have dialled us. */
static const MeshLink *stray_at(const Core *core, size_t index)
{
    for (size_t i = core->links_count; i < core->mesh_count; i++) {
        const MeshLink *mesh = &core->mesh[i];
        bool stray = mesh->up && mesh->greeted && !mesh_link_leads_to(core, &mesh->peer);
        if (stray && index-- == 0) {
            return mesh;
        }
    }
    return NULL;
}

size_t core_links_configured(const Core *core)
{
    size_t strays = 0;
    while (stray_at(core, strays) != NULL) {
        strays++;
    }
    return core->links_count + strays;
}

size_t core_links_count(const Core *core)
{
    size_t count = 0;
    for (size_t i = 0; i < core->links_count; i++) {
        count += link_counts(&core->links[i]);
    }
    return count;
}

size_t core_links_up(const Core *core)
{
    size_t count = 0;
    for (size_t i = 0; i < core->links_count; i++) {
        count += core->links[i].state == LINK_UP;
    }
    return count;
}

static void view_mesh(const Core *core, size_t mesh, uint64_t mono_ms, LinkView *view)
{
    ReplicaLinkView of_log;
    replica_link(core->replica, mesh, mono_ms, &of_log);
    view->meshed = of_log.greeted;
    view->peer_lacks = of_log.peer_lacks;
    view->here_lacks = of_log.here_lacks;
    view->events_per_s = of_log.events_per_s;
    if (view->rtt_us == 0 && of_log.rtt_known) {
        view->rtt_us = of_log.rtt_ms * 1000;
    }
}

static void view_stray(const Core *core, const MeshLink *mesh, uint64_t mono_ms, LinkView *view)
{
    *view = (LinkView){
        .host = mesh->address,
        .state = LINK_UP,
        .known = true,
        .peer_name = mesh->name,
        .down_reason = "",
        .incoming = true,
    };
    view_mesh(core, (size_t)(mesh - core->mesh), mono_ms, view);
    if (mesh->proved) {
        fingerprint_text(mesh->key, view->fingerprint);
    }
}

void core_link(const Core *core, size_t index, uint64_t mono_ms, LinkView *ret_view)
{
    if (index >= core->links_count) {
        const MeshLink *mesh = stray_at(core, index - core->links_count);
        view_stray(core, mesh != NULL ? mesh : &core->mesh[core->links_count], mono_ms, ret_view);
        return;
    }
    const Link *link = &core->links[index];
    *ret_view = (LinkView){
        .host = link->config.host,
        .port = link->config.port,
        .state = link->shadow ? LINK_TWIN : link->state,
        .known = link->known,
        .classic = link->classic,
        .peer_name = link->peer_name,
        .rtt_us = link->rtt_us,
        .down_reason = link->down_reason,
        .queued_lines = link->known && !link->classic ? 0 : link->queue_count,
        .refused_lines = link->refused_lines,
    };
    if (link->state == LINK_WAITING && link->retry_at_ms > mono_ms) {
        ret_view->retry_in_ms = link->retry_at_ms - mono_ms;
    }
    if (link->proved) {
        fingerprint_text(link->proved_key, ret_view->fingerprint);
    }
    if (link->state == LINK_UP && !link->classic) {
        view_mesh(core, mesh_of_link(core, link), mono_ms, ret_view);
    }
}

bool core_input_should_wait(const Core *core)
{
    if (core->pending_count >= PENDING_BUSY_LINES || core->pending_bytes >= PENDING_BUSY_BYTES) {
        return true;
    }
    for (size_t i = 0; i < core->links_count; i++) {
        const Link *link = &core->links[i];
        bool hopeful =
            link->state == LINK_UP || (link->state == LINK_CONNECTING && link->failures == 0);
        if (hopeful && link_queue_nearly_full(link)) {
            return true;
        }
    }
    return false;
}

static bool refuses_at_once(const Core *core)
{
    return core->quit || core->store_reason != NULL;
}

bool core_is_full(const Core *core)
{
    return !refuses_at_once(core) &&
           (core->pending_count + core->repeats_count >= PENDING_FULL_LINES ||
            core->pending_bytes >= PENDING_FULL_BYTES);
}

bool core_has_room(const Core *core)
{
    return refuses_at_once(core) ||
           (core->pending_count + core->repeats_count < PENDING_BUSY_LINES &&
            core->pending_bytes < PENDING_BUSY_BYTES);
}

const char *core_recent_name(const Core *core, size_t index)
{
    return index < core->recent_count ? core->recent_names[index] : NULL;
}
