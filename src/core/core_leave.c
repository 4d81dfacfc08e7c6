/* How a node goes: what is on its way gets a moment, what stays behind is named.
 *
 * An own line has arrived once it is on the disk of one other node: that one passes it on. A
 * classic peer must have answered for itself. */
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

/* Own lines of this life that no other node has, as far as they have told. */
static uint64_t kept_here_only(const Core *core)
{
    StreamId own;
    uint64_t said = replica_said(core->replica);
    replica_own(core->replica, &own);
    if (said == 0 || replica_kept_by(core->replica, &own, said) > 0) {
        return 0;
    }
    uint64_t low = 0; /* kept elsewhere up to here */
    uint64_t high = said;
    while (low + 1 < high) {
        uint64_t middle = low + (high - low) / 2;
        bool kept = replica_kept_by(core->replica, &own, middle) > 0;
        low = kept ? middle : low;
        high = kept ? high : middle;
    }
    return said - low;
}

static bool is_on_every_link(const Core *core)
{
    StreamId own;
    uint64_t said = replica_said(core->replica);
    replica_own(core->replica, &own);
    for (size_t i = 0; i < core->mesh_count; i++) {
        const MeshLink *mesh = &core->mesh[i];
        if (mesh->up && !(mesh->greeted && replica_link_holds(core->replica, i, &own, said))) {
            return false;
        }
    }
    return true;
}

/* May a peer that is not there be waited for? Where our lines are safe elsewhere, only one that is
 * on its way for the first time. */
static bool is_hopeful(const Core *core, const Link *link, bool kept_elsewhere)
{
    if (!core->input_ended || !link_counts(link) || link->state == LINK_UP) {
        return false;
    }
    bool waits =
        link->known && link->classic ? link->queue_count > 0 : replica_said(core->replica) > 0;
    return waits && (!kept_elsewhere || (link->known && link->classic) || link->failures == 0);
}

static bool leave_has_to_wait(const Core *core)
{
    if (core->pending_count > 0) {
        return true;
    }
    if (replica_said(core->replica) > 0 && !is_on_every_link(core)) {
        return true;
    }
    bool kept_elsewhere = kept_here_only(core) == 0;
    for (size_t i = 0; i < core->links_count; i++) {
        const Link *link = &core->links[i];
        bool sends = link->state == LINK_UP && link->queue_count > 0;
        if (sends || is_hopeful(core, link, kept_elsewhere)) {
            return true;
        }
    }
    return false;
}

static bool report_links(Step *step)
{
    bool all_delivered = true;
    for (size_t i = 0; i < step->core->links_count; i++) {
        const Link *link = &step->core->links[i];
        size_t lines = link->undelivered + link->queue_count;
        if (!link_counts(link) || !link->known || !link->classic || lines == 0) {
            continue;
        }
        all_delivered = false;
        step_notice(step, NOTICE_WARNING, "%zu %s not delivered to %s%s%s", lines,
                    lines == 1 ? "line was" : "lines were", link->address,
                    link->down_reason[0] != '\0' ? ": " : "", link->down_reason);
    }
    return all_delivered;
}

/* Is there anybody who keeps a log, or will be? Classic nodes do not: where there are only such,
 * what they have taken has arrived. */
static bool others_keep_logs(const Core *core)
{
    if (mesh_is_linked(core, NULL)) {
        return true;
    }
    for (size_t i = 0; i < core->links_count; i++) {
        const Link *link = &core->links[i];
        if (link_counts(link) && !(link->known && link->classic)) {
            return true;
        }
    }
    return false;
}

static bool leave_report(Step *step)
{
    Core *core = step->core;
    bool all_delivered = report_links(step);
    if (core->pending_count > 0) {
        step_notice(step, NOTICE_ERROR, "%zu %s not written to the disk, and lost%s%s",
                    core->pending_count, core->pending_count == 1 ? "line was" : "lines were",
                    core->store_reason != NULL ? ": " : "",
                    core->store_reason != NULL ? core->store_reason : "");
        return false;
    }
    uint64_t here_only = others_keep_logs(core) ? kept_here_only(core) : 0;
    if (here_only == 0) {
        return all_delivered;
    }
    step_notice(step, NOTICE_WARNING,
                "%llu %s on this node's disk only: no other node has told that it has %s. %s when "
                "this node runs again",
                (unsigned long long)here_only, here_only == 1 ? "line is" : "lines are",
                here_only == 1 ? "it" : "them", here_only == 1 ? "It goes out" : "They go out");
    return false;
}

void leave_check(Step *step)
{
    Core *core = step->core;
    if (!core->leaving || (leave_has_to_wait(core) && step->event->mono_ms < core->leave_at_ms)) {
        return;
    }
    log_show_all(step);
    bool all_delivered = leave_report(step);
    mesh_leave(step);
    log_reject_pending(step, MESH_BYE_LEAVING);
    core->quit = true;
    Action *action = step_add(step, ACTION_QUIT);
    action->exit_code = core->input_ended && (!all_delivered || core->input_failed) ? 1 : 0;
}

uint64_t leave_wake_at(const Core *core)
{
    return core->leaving ? core->leave_at_ms : 0;
}
