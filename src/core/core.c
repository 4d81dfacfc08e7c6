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
    Action *action = step_add(step, ACTION_NOTICE);
    action->level = level;
    action->text = strbuf_take(&text);
}

void actions_reset(Actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        message_unref(actions->items[i].message);
        mem_free(actions->items[i].text);
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
    core->seen = seen_new();
    core->classic_lines = classic_lines_new();
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
    seen_free(core->seen);
    classic_lines_free(core->classic_lines);
    mem_free(core->links);
    mem_free(core);
}

static void step_dispatch(Step *step)
{
    switch (step->event->kind) {
    case EVENT_START:
        links_start(step);
        return;
    case EVENT_LINE:
        lines_typed(step);
        return;
    case EVENT_INPUT_FAILED:
        step->core->input_failed = true;
        return;
    case EVENT_INPUT_ENDED:
        leave_begin(step, true);
        return;
    case EVENT_LEAVE:
        leave_begin(step, false);
        return;
    case EVENT_RECEIVED:
        lines_received(step);
        return;
    case EVENT_LINK_ANSWERED:
        links_answered(step);
        return;
    case EVENT_LINK_DOWN:
        links_down(step);
        return;
    case EVENT_DELIVERED:
        links_delivered(step);
        return;
    case EVENT_REFUSED:
        links_refused(step);
        return;
    case EVENT_TIMER:
        links_timer(step);
        return;
    }
}

void core_step(Core *core, const Event *event, Actions *actions)
{
    Step step = {.core = core, .event = event, .actions = actions};
    if (core->quit) {
        /* What still arrives on the way out is answered, and changes nothing. */
        if (event->kind == EVENT_RECEIVED) {
            Action *action = step_add(&step, ACTION_REJECT);
            action->err = ERR_UNAVAILABLE;
            action->text = mem_copy_string("the node is leaving");
        }
        return;
    }
    step_dispatch(&step);
    leave_check(&step);
    if (core->quit) {
        return;
    }
    actions->wake_at_ms = links_wake_at(core);
    if (core->leaving && (actions->wake_at_ms == 0 || core->leave_at_ms < actions->wake_at_ms)) {
        actions->wake_at_ms = core->leave_at_ms;
    }
}

const char *core_name(const Core *core)
{
    return core->name;
}

size_t core_links_configured(const Core *core)
{
    return core->links_count;
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

void core_link(const Core *core, size_t index, uint64_t mono_ms, LinkView *ret_view)
{
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
        .queued_lines = link->queue_count,
        .refused_lines = link->refused_lines,
    };
    if (link->state == LINK_WAITING && link->retry_at_ms > mono_ms) {
        ret_view->retry_in_ms = link->retry_at_ms - mono_ms;
    }
}

bool core_input_should_wait(const Core *core)
{
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

const char *core_recent_name(const Core *core, size_t index)
{
    return index < core->recent_count ? core->recent_names[index] : NULL;
}
