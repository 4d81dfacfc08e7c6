/* How a node goes: what is on its way gets a moment, what stays behind is named. */
#include "core/core_state.h"

void leave_begin(Step *step, bool input_ended)
{
    Core *core = step->core;
    uint64_t at = step->event->mono_ms + (input_ended ? CORE_DRAIN_MS : CORE_LEAVE_MS);
    if (!core->leaving || at < core->leave_at_ms) {
        core->leave_at_ms = at;
    }
    core->leaving = true;
    core->input_ended = core->input_ended || input_ended;
}

static bool leave_has_to_wait(const Core *core)
{
    for (size_t i = 0; i < core->links_count; i++) {
        const Link *link = &core->links[i];
        bool may_deliver = core->input_ended ? link_counts(link) : link->state == LINK_UP;
        if (may_deliver && link->queue_count > 0) {
            return true;
        }
    }
    return false;
}

static bool leave_report(Step *step)
{
    bool all_delivered = true;
    for (size_t i = 0; i < step->core->links_count; i++) {
        const Link *link = &step->core->links[i];
        size_t lines = link->undelivered + link->queue_count;
        if (!link_counts(link) || lines == 0) {
            continue;
        }
        all_delivered = false;
        step_notice(step, NOTICE_WARNING, "%zu %s not delivered to %s%s%s", lines,
                    lines == 1 ? "line was" : "lines were", link->address,
                    link->down_reason[0] != '\0' ? ": " : "", link->down_reason);
    }
    return all_delivered;
}

void leave_check(Step *step)
{
    Core *core = step->core;
    if (!core->leaving || (leave_has_to_wait(core) && step->event->mono_ms < core->leave_at_ms)) {
        return;
    }
    bool all_delivered = leave_report(step);
    core->quit = true;
    Action *action = step_add(step, ACTION_QUIT);
    action->exit_code = core->input_ended && (!all_delivered || core->input_failed) ? 1 : 0;
}
