/* "connected to NAME, n messages synced": said once in a life, when the first link of a private
 * network has brought what was missing. */
#include "core/core_state.h"

void sync_begun(Step *step)
{
    Core *core = step->core;
    if (core->members != NULL && !core->sync_told) {
        core->sync_at_ms = step->event->mono_ms;
    }
}

void sync_applied(Step *step, LogEvent *const *events, size_t count)
{
    Core *core = step->core;
    if (core->sync_told || core->sync_at_ms == 0) {
        return;
    }
    core->sync_at_ms = step->event->mono_ms;
    for (size_t i = 0; i < count; i++) {
        int kind = events[i]->fields.kind;
        core->sync_count += kind == LOG_TEXT || kind == LOG_ACTION || kind == LOG_SEALED;
    }
}

uint64_t sync_wake_at(const Core *core)
{
    return core->sync_told || core->sync_at_ms == 0 ? 0 : core->sync_at_ms + SYNC_QUIET_MS;
}

void sync_timer(Step *step)
{
    Core *core = step->core;
    uint64_t at_ms = sync_wake_at(core);
    if (at_ms == 0 || at_ms > step->event->mono_ms) {
        return;
    }
    if (!mesh_is_linked(core, NULL)) {
        core->sync_at_ms = 0; /* lost again: with the next one */
    } else if (replica_behind(core->replica) > 0) {
        core->sync_at_ms = step->event->mono_ms;
    } else {
        core->sync_told = true;
        step_notice(step, NOTICE_INFO, "connected to %s, %zu %s synced",
                    members_network_name(core->members), core->sync_count,
                    core->sync_count == 1 ? "message" : "messages");
    }
}
