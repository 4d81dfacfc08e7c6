/* Mesh links: one for each pair of nodes, whichever side has dialled; and who is at which node.
 *
 *   link UP, of our kind --> ACTION_MESH_OPEN --+
 *   EVENT_MESH_UP (somebody dialled us) --------+--> hellos --> greeted: is there another one with
 *                                                               that node? one of the two goes
 *
 * Which one goes both sides know without a word: of two that were dialled from both ends the one
 * that the lower node id dialled stays; of two from the same end the younger. */
#include "core/core_state.h"

#include <stdio.h>
#include <string.h>

static const char *name_to_tell(const char *name)
{
    return name[0] != '\0' ? name : "somebody without a name";
}

static bool is_outgoing(const Core *core, size_t mesh)
{
    return mesh < core->links_count;
}

static void clear_mesh(MeshLink *mesh)
{
    *mesh = (MeshLink){.up = false};
}

static size_t find_greeted(const Core *core, const NodeId *peer, size_t except)
{
    for (size_t i = 0; i < core->mesh_count; i++) {
        const MeshLink *mesh = &core->mesh[i];
        if (i != except && mesh->up && mesh->greeted &&
            memcmp(&mesh->peer, peer, sizeof(*peer)) == 0) {
            return i;
        }
    }
    return core->mesh_count;
}

size_t mesh_of_link(const Core *core, const Link *link)
{
    return find_greeted(core, &link->peer_id, core->mesh_count);
}

bool mesh_is_linked(const Core *core, const uint8_t *key)
{
    for (size_t i = 0; i < core->mesh_count; i++) {
        const MeshLink *mesh = &core->mesh[i];
        if (mesh->up && mesh->greeted &&
            (key == NULL || memcmp(mesh->key, key, EVENT_KEY_BYTES) == 0)) {
            return true;
        }
    }
    return false;
}

static void reopen_later(Step *step, const NodeId *peer, uint64_t delay_ms)
{
    for (size_t i = 0; i < step->core->links_count; i++) {
        Link *link = &step->core->links[i];
        if (link->state == LINK_UP && !link->classic &&
            memcmp(&link->peer_id, peer, sizeof(*peer)) == 0) {
            link->mesh_at_ms = step->event->mono_ms + delay_ms;
        }
    }
}

/* The slot is free again; the link that leads there may want another. */
static void forget(Step *step, size_t index, uint64_t delay_ms)
{
    Core *core = step->core;
    MeshLink *mesh = &core->mesh[index];
    NodeId peer = mesh->peer;
    bool greeted = mesh->greeted;
    clear_mesh(mesh);
    if (greeted) {
        reopen_later(step, &peer, delay_ms);
    } else if (is_outgoing(core, index)) {
        Link *link = &core->links[index];
        uint32_t doublings = link->mesh_failures++;
        doublings = doublings < MESH_REOPEN_DOUBLINGS ? doublings : MESH_REOPEN_DOUBLINGS;
        link->mesh_at_ms = step->event->mono_ms + (delay_ms << doublings);
    }
}

static void close_mesh(Step *step, size_t index, const char *text)
{
    Action *action = step_add(step, ACTION_MESH_CLOSE);
    action->mesh = index;
    action->text = mem_copy_string(text);
}

/* ---- coming up ---- */

static void set_proved(MeshLink *mesh, const uint8_t *key)
{
    mesh->proved = key != NULL;
    if (key != NULL) {
        memcpy(mesh->key, key, EVENT_KEY_BYTES);
    }
}

static void set_up(Step *step, size_t index, const uint8_t *key, const char *address)
{
    Core *core = step->core;
    MeshLink *mesh = &core->mesh[index];
    mesh->up = true;
    mesh->up_ms = step->event->mono_ms;
    set_proved(mesh, key);
    snprintf(mesh->address, sizeof(mesh->address), "%s", address);
    core->silent_at_ms = earlier(core->silent_at_ms, mesh->up_ms + MESH_HELLO_MS);
}

void mesh_want(Step *step, Link *link)
{
    Core *core = step->core;
    size_t index = (size_t)(link - core->links);
    link->mesh_at_ms = 0;
    size_t there = mesh_of_link(core, link);
    if (there != core->mesh_count) {
        memcpy(link->peer_key, core->mesh[there].key, EVENT_KEY_BYTES);
    }
    if (core->mesh[index].up || there != core->mesh_count) {
        return;
    }
    if (network_is_removed(core) || (link->proved && !network_counts(core, link->proved_key))) {
        link->mesh_at_ms = step->event->mono_ms + MESH_REOPEN_OLD_MS;
        return;
    }
    set_up(step, index, link->proved ? link->proved_key : NULL, link->address);
    step_add(step, ACTION_MESH_OPEN)->link = index;
    log_input(step, (ReplicaInput){.kind = REPLICA_LINK_UP,
                                   .link = index,
                                   .dialled = true,
                                   .binding = link->proved ? link->binding : NULL,
                                   .peer_key = link->proved ? link->proved_key : NULL});
}

/* What is wrong with somebody who has dialled us; NULL: nothing. */
static const char *why_not(const Step *step)
{
    const Core *core = step->core;
    const Event *event = step->event;
    if (network_is_removed(core)) {
        return MESH_BYE_REMOVED;
    }
    if (core->members != NULL && (event->key == NULL || event->binding == NULL)) {
        return "only members of this network may link";
    }
    bool counts = event->key == NULL || network_counts(core, event->key);
    return counts ? NULL : "it is no member of this network any more";
}

void mesh_up(Step *step)
{
    Core *core = step->core;
    size_t index = step->event->mesh;
    const char *address = step->event->text;
    const char *reason = why_not(step);
    clear_mesh(&core->mesh[index]);
    if (reason != NULL) {
        close_mesh(step, index, reason);
        return;
    }
    set_up(step, index, step->event->key, address != NULL ? address : "");
    log_input(step, (ReplicaInput){.kind = REPLICA_LINK_UP,
                                   .link = index,
                                   .binding = step->event->binding,
                                   .peer_key = step->event->key});
}

/* True where a stays. */
static bool stays(const Core *core, size_t a, size_t b, const NodeId *peer)
{
    if (is_outgoing(core, a) == is_outgoing(core, b)) {
        return true; /* the younger: the other one's end has not been noticed here yet */
    }
    bool ours = memcmp(&core->node_id, peer, sizeof(*peer)) < 0;
    return is_outgoing(core, a) == ours;
}

/* By the key it is known again in another life. */
static void note_key(Core *core, const MeshLink *mesh)
{
    for (size_t i = 0; i < core->links_count; i++) {
        Link *link = &core->links[i];
        if (link->state == LINK_UP && !link->classic &&
            memcmp(&link->peer_id, &mesh->peer, sizeof(NodeId)) == 0) {
            memcpy(link->peer_key, mesh->key, EVENT_KEY_BYTES);
        }
    }
}

/* It was waited for, but is here: it has dialled us first. */
static void hurry_link(Step *step, const MeshLink *mesh)
{
    for (size_t i = 0; i < step->core->links_count; i++) {
        Link *link = &step->core->links[i];
        if (link->state == LINK_WAITING && link->known &&
            memcmp(link->peer_key, mesh->key, EVENT_KEY_BYTES) == 0) {
            link->retry_at_ms = step->event->mono_ms;
        }
    }
}

bool mesh_link_leads_to(const Core *core, const NodeId *peer)
{
    for (size_t i = 0; i < core->links_count; i++) {
        const Link *link = &core->links[i];
        if (link->state == LINK_UP && memcmp(&link->peer_id, peer, sizeof(*peer)) == 0) {
            return true;
        }
    }
    return false;
}

static void tell_presences(Step *step, size_t index)
{
    const Core *core = step->core;
    for (size_t i = 0; i < presences_count(core->presences); i++) {
        log_input(step, (ReplicaInput){.kind = REPLICA_TELL,
                                       .link = index,
                                       .presences = presences_at(core->presences, i),
                                       .presences_count = 1});
    }
}

static void drop_mesh(Step *step, size_t index, const char *reason)
{
    log_input(step, (ReplicaInput){.kind = REPLICA_LINK_DOWN, .link = index});
    close_mesh(step, index, reason);
    clear_mesh(&step->core->mesh[index]);
}

void mesh_greeted(Step *step, size_t index, const FrameHello *hello)
{
    Core *core = step->core;
    MeshLink *mesh = &core->mesh[index];
    if (memcmp(&hello->node_id, &core->node_id, sizeof(NodeId)) == 0) {
        drop_mesh(step, index, "this node has dialled itself");
        return;
    }
    if (mesh->proved && memcmp(mesh->key, hello->key, EVENT_KEY_BYTES) != 0) {
        drop_mesh(step, index, "it says hello with another key than its connection's");
        return;
    }
    mesh->greeted = true;
    mesh->peer = hello->node_id;
    memcpy(mesh->key, hello->key, EVENT_KEY_BYTES);
    snprintf(mesh->name, sizeof(mesh->name), "%s", hello->name);
    size_t other = find_greeted(core, &mesh->peer, index);
    if (other != core->mesh_count) {
        bool this_one = stays(core, index, other, &mesh->peer);
        drop_mesh(step, this_one ? other : index, MESH_BYE_TWIN);
        if (!this_one) {
            return;
        }
    }
    if (is_outgoing(core, index)) {
        Link *link = &core->links[index];
        link->mesh_failures = 0;
        link->peer_id = mesh->peer;
    } else if (other == core->mesh_count && !mesh_link_leads_to(core, &mesh->peer)) {
        step_notice(step, NOTICE_INFO, "%s has connected, from %s", name_to_tell(mesh->name),
                    mesh->address);
        core->told_alone = false;
    }
    if (mesh->name[0] != '\0') {
        lines_remember_name(core, mesh->name);
        names_heard(core, mesh->key, mesh->name);
    }
    sync_begun(step);
    note_key(core, mesh);
    hurry_link(step, mesh);
    tell_presences(step, index);
}

/* ---- going down ---- */

static void announce_lost(Step *step, const MeshLink *mesh, size_t index, const char *reason)
{
    const Core *core = step->core;
    if (mesh->greeted && !is_outgoing(core, index) && !mesh_link_leads_to(core, &mesh->peer)) {
        step_notice(step, NOTICE_WARNING, "lost %s, at %s: %s", name_to_tell(mesh->name),
                    mesh->address, reason);
    }
}

/* It said so in parting. Those beyond are told: its own last word may not have got through. */
static void hear_that_it_leaves(Step *step, size_t index)
{
    const Core *core = step->core;
    const MeshLink *mesh = &core->mesh[index];
    for (size_t i = 0; mesh->greeted && i < presences_count(core->presences); i++) {
        FramePresence row = *presences_at(core->presences, i);
        if (memcmp(&row.node_id, &mesh->peer, sizeof(NodeId)) == 0) {
            row.gone = true;
            row.version++;
            mesh_heard(step, index, &row, 1);
            return;
        }
    }
}

void mesh_down(Step *step)
{
    Core *core = step->core;
    const Event *event = step->event;
    size_t index = event->mesh;
    if (!core->mesh[index].up) {
        return;
    }
    AUTO_FREE char *reason = mem_copy_text(event->text, event->text_len);
    if (strstr(reason, MESH_BYE_LEAVING) != NULL) {
        hear_that_it_leaves(step, index);
    }
    log_input(step, (ReplicaInput){.kind = REPLICA_LINK_DOWN, .link = index});
    announce_lost(step, &core->mesh[index], index, reason);
    if (event->classic) {
        step_notice(step, NOTICE_WARNING,
                    "%s runs an older version, which keeps no log: nothing is exchanged with it "
                    "until it is updated",
                    core->mesh[index].address);
    }
    forget(step, index, event->classic ? MESH_REOPEN_OLD_MS : MESH_REOPEN_MS);
}

void mesh_lost(Step *step, size_t index)
{
    if (step->core->mesh[index].up) {
        drop_mesh(step, index, "the connection is gone");
    }
}

void mesh_close_key(Step *step, const uint8_t *key, const char *reason)
{
    const Core *core = step->core;
    for (size_t i = 0; i < core->mesh_count; i++) {
        const MeshLink *mesh = &core->mesh[i];
        if (mesh->up && mesh->proved && memcmp(mesh->key, key, EVENT_KEY_BYTES) == 0) {
            drop_mesh(step, i, reason);
        }
    }
}

void mesh_close_all(Step *step, const char *reason)
{
    for (size_t i = 0; i < step->core->mesh_count; i++) {
        if (step->core->mesh[i].up) {
            drop_mesh(step, i, reason);
        }
    }
}

/* Who has proved its key is told by the name under which it was let in, whatever it says itself. */
static const char *name_of_dropped(const Core *core, const MeshLink *mesh)
{
    const char *name = mesh->proved ? network_name(core, mesh->key) : mesh->name;
    return name[0] != '\0' ? name : mesh->address;
}

void mesh_dropped(Step *step, size_t index, const char *reason)
{
    Core *core = step->core;
    MeshLink *mesh = &core->mesh[index];
    bool leaving = strstr(reason, MESH_BYE_LEAVING) != NULL;
    bool plain = leaving || strstr(reason, MESH_BYE_TWIN) != NULL;
    if (leaving) {
        hear_that_it_leaves(step, index);
        announce_lost(step, mesh, index, MESH_BYE_LEAVING);
    } else if (!plain) {
        step_notice(step, NOTICE_WARNING, "the exchange with %s has ended: %s",
                    name_of_dropped(core, mesh), reason);
    }
    close_mesh(step, index, reason);
    forget(step, index, plain ? MESH_REOPEN_MS : CORE_DRAIN_MS);
}

/* ---- who is where ---- */

static void tell(Step *step, const FramePresence *row, size_t except)
{
    log_input(step, (ReplicaInput){.kind = REPLICA_TELL,
                                   .link = REPLICA_LINKS_MAX,
                                   .except = except,
                                   .presences = row,
                                   .presences_count = 1});
}

static void tell_own(Step *step)
{
    FramePresence own;
    presences_tell_own(step->core->presences, step->event->mono_ms, &own);
    tell(step, &own, REPLICA_LINKS_MAX);
}

/* A peer's new name, wherever it stands. */
static void rename_peer(Core *core, const FramePresence *row)
{
    for (size_t i = 0; i < core->mesh_count; i++) {
        MeshLink *mesh = &core->mesh[i];
        if (mesh->greeted && memcmp(&mesh->peer, &row->node_id, sizeof(NodeId)) == 0) {
            memcpy(mesh->name, row->name, sizeof(mesh->name));
        }
    }
    for (size_t i = 0; i < core->links_count; i++) {
        Link *link = &core->links[i];
        if (link->state == LINK_UP && memcmp(&link->peer_id, &row->node_id, sizeof(NodeId)) == 0) {
            memcpy(link->peer_name, row->name, sizeof(link->peer_name));
        }
    }
}

/* Of those it is linked with itself, the node tells when they connect and are lost. */
static void tell_change(Step *step, const FramePresence *row, PresenceChange change,
                        const char *name_before)
{
    const Core *core = step->core;
    bool linked = find_greeted(core, &row->node_id, core->mesh_count) != core->mesh_count ||
                  mesh_link_leads_to(core, &row->node_id);
    if (linked || (change != PRESENCE_CAME && change != PRESENCE_LEFT)) {
        return;
    }
    const char *name = change == PRESENCE_LEFT ? name_before : row->name;
    step_notice(step, NOTICE_INFO, "%s %s", name_to_tell(name),
                change == PRESENCE_CAME ? "is here" : "has left");
}

void mesh_heard(Step *step, size_t index, const FramePresence *rows, size_t count)
{
    Core *core = step->core;
    for (size_t i = 0; i < count; i++) {
        bool news = false;
        PresenceChange change = PRESENCE_SAME;
        FramePresence before;
        if (!network_counts(core, rows[i].key)) {
            continue; /* of a stranger, or of one whose membership has not come yet: told again */
        }
        if (presences_hear(core->presences, &rows[i], index, step->event->mono_ms, &news, &change,
                           &before) != ERR_OK) {
            continue;
        }
        if (news && !rows[i].gone) {
            names_heard(core, rows[i].key, rows[i].name);
        }
        if (change == PRESENCE_CAME || change == PRESENCE_RENAMED) {
            rename_peer(core, &rows[i]);
            if (rows[i].name[0] != '\0') {
                lines_remember_name(core, rows[i].name);
            }
        }
        tell_change(step, &rows[i], change, before.name);
        if (news) {
            tell(step, &rows[i], index);
        }
    }
    if (presences_own_is_due(core->presences, step->event->mono_ms)) {
        tell_own(step);
    }
}

void mesh_rename(Step *step)
{
    presences_rename(step->core->presences, step->core->name);
    log_input(step, (ReplicaInput){.kind = REPLICA_RENAME, .name = step->core->name});
    tell_own(step);
}

void mesh_leave(Step *step)
{
    presences_leave(step->core->presences);
    tell_own(step);
}

/* ---- time ---- */

static bool is_silent(const MeshLink *mesh)
{
    return mesh->up && !mesh->greeted;
}

static void drop_silent(Step *step)
{
    Core *core = step->core;
    if (core->silent_at_ms == 0 || core->silent_at_ms > step->event->mono_ms) {
        return;
    }
    core->silent_at_ms = 0;
    for (size_t i = 0; i < core->mesh_count; i++) {
        uint64_t at_ms = core->mesh[i].up_ms + MESH_HELLO_MS;
        if (is_silent(&core->mesh[i]) && at_ms <= step->event->mono_ms) {
            log_input(step, (ReplicaInput){.kind = REPLICA_LINK_DOWN, .link = i});
            close_mesh(step, i, "it did not say who it is");
            forget(step, i, MESH_REOPEN_MS);
        } else if (is_silent(&core->mesh[i])) {
            core->silent_at_ms = earlier(core->silent_at_ms, at_ms);
        }
    }
}

void mesh_timer(Step *step)
{
    Core *core = step->core;
    uint64_t now_ms = step->event->mono_ms;
    drop_silent(step);
    for (size_t i = 0; i < core->links_count; i++) {
        Link *link = &core->links[i];
        if (link->mesh_at_ms != 0 && link->mesh_at_ms <= now_ms) {
            link->mesh_at_ms = 0;
            if (link->state == LINK_UP && !link->classic) {
                mesh_want(step, link);
            }
        }
    }
    if (!core->leaving && presences_own_is_due(core->presences, now_ms)) {
        tell_own(step);
    }
    FramePresence gone;
    while (presences_expire(core->presences, now_ms, &gone)) {
        tell_change(step, &gone, PRESENCE_LEFT, gone.name);
    }
}

uint64_t mesh_wake_at(const Core *core)
{
    uint64_t wake = earlier(presences_wake_at(core->presences), core->silent_at_ms);
    for (size_t i = 0; i < core->links_count; i++) {
        wake = earlier(wake, core->links[i].mesh_at_ms);
    }
    return wake;
}
