/* What to ask of whom, and when to ask somebody else. */
#include "core/replica_state.h"

#include <string.h>
#include <utlist.h>

static void say_on(ReplicaLink *link, Stream *stream)
{
    LinkStream *on_link = link_stream(link, stream);
    link->news = true;
    if (!on_link->to_say) {
        on_link->to_say = true;
        index_list_add(&link->to_say, stream->index);
    }
}

/* Two round trips, and what the peer may hold back (as we do) on its way. */
static uint32_t first_repair_ms(const Replica *replica, const ReplicaLink *link)
{
    uint32_t rtt_ms = link->rtt_known ? link->rtt_ms : RTT_UNKNOWN_MS;
    uint32_t wait_ms = 2 * (rtt_ms + replica->config.coalesce_ms);
    return wait_ms > REPAIR_MIN_MS ? wait_ms : REPAIR_MIN_MS;
}

void pull_from(RStep *step, Stream *stream, size_t index)
{
    Replica *replica = step->replica;
    if (stream->upstream != NO_LINK && stream->upstream != index) {
        ReplicaLink *old = &replica->links[stream->upstream];
        link_stream(old, stream)->wanted = false;
        say_on(old, stream);
    }
    ReplicaLink *link = &replica->links[index];
    stream->upstream = index;
    stream->progress_ms = step->input->mono_ms;
    if (stream->repair_wait_ms == 0) {
        stream->repair_wait_ms = first_repair_ms(replica, link);
    }
    link_stream(link, stream)->wanted = true;
    say_on(link, stream);
    if (!link->rtt_known && link->ping == 0) {
        pull_ping(step, link);
    }
}

/* Is it the better upstream? One that was not asked in vain, and then the nearer one. */
static bool is_better(ReplicaLink *link, ReplicaLink *best, const Stream *stream)
{
    uint8_t failures = link_stream(link, stream)->failures;
    uint8_t best_failures = link_stream(best, stream)->failures;
    return failures != best_failures ? failures < best_failures : link->rtt_ms < best->rtt_ms;
}

/* The best first among those that are ahead; where nobody is, one that does not itself wait for
 * us. */
static size_t best_link(Replica *replica, const Stream *stream, size_t except)
{
    size_t best = NO_LINK;
    bool best_ahead = false;
    for (size_t i = 0; i < replica->links_cap; i++) {
        ReplicaLink *link = &replica->links[i];
        if (!link->up || !link->greeted || i == except) {
            continue;
        }
        const LinkStream *on_link = link_stream(link, stream);
        bool ahead = on_link->peer_hi > stream->applied;
        if (!ahead && (best_ahead || on_link->next != 0)) {
            continue;
        }
        if (best == NO_LINK || (ahead && !best_ahead) ||
            (ahead == best_ahead && is_better(link, &replica->links[best], stream))) {
            best = i;
            best_ahead = ahead;
        }
    }
    return best;
}

size_t pull_hub(const Replica *replica)
{
    size_t hub = NO_LINK;
    const uint8_t *lowest = replica->config.signer.public_key;
    for (size_t i = 0; replica->config.frugal && i < replica->links_cap; i++) {
        const ReplicaLink *link = &replica->links[i];
        if (link->up && link->greeted && memcmp(link->key, lowest, EVENT_KEY_BYTES) < 0) {
            hub = i;
            lowest = link->key;
        }
    }
    return hub;
}

bool pull_is_own(const Replica *replica, const Stream *stream)
{
    return stream == replica->own ||
           (stream->id.epoch == replica->config.epoch &&
            memcmp(stream->id.origin, replica->config.signer.public_key, EVENT_KEY_BYTES) == 0);
}

void pull_stream(RStep *step, Stream *stream)
{
    Replica *replica = step->replica;
    if (stream->upstream != NO_LINK || stream_is_closed(stream) || pull_is_own(replica, stream) ||
        (!stream->behind && !stream_is_newest(stream))) {
        return;
    }
    size_t hub = pull_hub(replica);
    size_t link = hub != NO_LINK ? hub : best_link(replica, stream, NO_LINK);
    if (link != NO_LINK) {
        pull_from(step, stream, link);
    }
}

void pull_all_from(RStep *step, size_t link)
{
    Replica *replica = step->replica;
    for (size_t i = 0; i < replica->streams_count; i++) {
        Stream *stream = replica->streams[i];
        bool may_go_on = stream->behind || stream_is_newest(stream);
        if (stream->upstream != link && may_go_on && !stream_is_closed(stream) &&
            !pull_is_own(replica, stream)) {
            pull_from(step, stream, link);
        }
    }
}

static void leave_behind(Replica *replica, Stream *stream)
{
    if (stream->behind) {
        stream->behind = false;
        DL_DELETE(replica->behind, stream);
    }
}

void pull_target(RStep *step, Stream *stream, uint64_t hi, size_t link)
{
    if (hi > stream->target) {
        stream->target = hi;
    }
    if (stream_goal(stream) <= stream->applied || stream_is_closed(stream) ||
        pull_is_own(step->replica, stream)) {
        return;
    }
    if (!stream->behind) {
        stream->behind = true;
        stream->progress_ms = step->input->mono_ms;
        DL_APPEND(step->replica->behind, stream);
    } else if (link != stream->upstream && stream->upstream != NO_LINK) {
        /* Here is one who has it: no need to be patient with one who does not send it. */
        ReplicaLink *upstream = &step->replica->links[stream->upstream];
        uint32_t first_ms = first_repair_ms(step->replica, upstream);
        stream->repair_wait_ms =
            stream->repair_wait_ms < first_ms ? stream->repair_wait_ms : first_ms;
    }
    pull_stream(step, stream);
}

void pull_progress(RStep *step, Stream *stream)
{
    stream->progress_ms = step->input->mono_ms;
    stream->repair_wait_ms =
        stream->upstream != NO_LINK
            ? first_repair_ms(step->replica, &step->replica->links[stream->upstream])
            : 0;
    stream->vain = 0;
    if (stream->applied >= stream_goal(stream)) {
        leave_behind(step->replica, stream);
    }
    if (stream_is_closed(stream)) {
        pull_stop(step, stream); /* all that counts is here */
    }
}

void pull_stop(RStep *step, Stream *stream)
{
    Replica *replica = step->replica;
    leave_behind(replica, stream);
    if (stream->upstream != NO_LINK) {
        ReplicaLink *link = &replica->links[stream->upstream];
        link_stream(link, stream)->wanted = false;
        say_on(link, stream);
        stream->upstream = NO_LINK;
    }
}

void pull_end(RStep *step, Stream *stream)
{
    Replica *replica = step->replica;
    pull_stop(step, stream);
    for (size_t i = 0; i < replica->links_cap; i++) {
        if (replica->links[i].up) {
            link_stream(&replica->links[i], stream)->next = 0;
        }
    }
}

/* What only the lost one had told of is not waited for: it may have lied. */
static void lower_target(Replica *replica, Stream *stream)
{
    stream->target = stream->applied;
    for (size_t i = 0; i < replica->links_cap; i++) {
        ReplicaLink *link = &replica->links[i];
        uint64_t hi = link->up ? link_stream(link, stream)->peer_hi : 0;
        stream->target = hi > stream->target ? hi : stream->target;
    }
    if (stream_goal(stream) <= stream->applied) {
        leave_behind(replica, stream);
    }
}

/* What was told of it was kept. Who is asked already is asked once more: it may have sent what
 * could not be taken then. */
void pull_review(RStep *step, Stream *stream)
{
    if (stream_is_closed(stream) || pull_is_own(step->replica, stream)) {
        pull_stop(step, stream);
        return;
    }
    lower_target(step->replica, stream);
    if (stream->behind && stream->upstream != NO_LINK) {
        pull_from(step, stream, stream->upstream);
    }
    pull_target(step, stream, 0, stream->upstream);
    pull_stream(step, stream);
}

/* It was asked for of everybody who told of it, patiently, and never came. Who does hold it will
 * tell again: roots differ. */
static void forget_claims(RStep *step, Stream *stream)
{
    Replica *replica = step->replica;
    for (size_t i = 0; i < replica->links_cap; i++) {
        ReplicaLink *link = &replica->links[i];
        LinkStream *on_link = link->up ? link_stream(link, stream) : NULL;
        if (on_link != NULL && on_link->peer_hi > stream->applied) {
            on_link->peer_hi = stream->applied;
        }
    }
    lower_target(replica, stream);
    stream->vain = 0;
    size_t link = best_link(replica, stream, NO_LINK);
    if (link != NO_LINK && link != stream->upstream && stream->applied > 0) {
        pull_from(step, stream, link); /* what may come comes from an honest one */
    }
}

void pull_link_lost(RStep *step, size_t index)
{
    Replica *replica = step->replica;
    for (size_t i = 0; i < replica->streams_count; i++) {
        Stream *stream = replica->streams[i];
        if (stream->behind) {
            lower_target(replica, stream);
        }
        if (stream->upstream == index) {
            stream->upstream = NO_LINK;
            pull_stream(step, stream);
        }
    }
}

/* ---- time ---- */

static uint64_t repair_at(const Stream *stream)
{
    return stream->progress_ms +
           (stream->repair_wait_ms > 0 ? stream->repair_wait_ms : REPAIR_MIN_MS);
}

/* Somebody has it, and whom we asked does not send it: asks another, more patiently each time. */
static void repair(RStep *step, Stream *stream)
{
    size_t link = best_link(step->replica, stream, stream->upstream);
    uint32_t wait = 2 * stream->repair_wait_ms;
    stream->progress_ms = step->input->mono_ms;
    if (stream->upstream != NO_LINK) {
        LinkStream *asked = link_stream(&step->replica->links[stream->upstream], stream);
        asked->failures = (uint8_t)(asked->failures < UINT8_MAX ? asked->failures + 1 : UINT8_MAX);
    }
    if (stream->repair_wait_ms == REPAIR_MAX_MS && ++stream->vain > VAIN_MAX) {
        forget_claims(step, stream);
        return;
    }
    if (link != NO_LINK &&
        link_stream(&step->replica->links[link], stream)->peer_hi > stream->applied) {
        step->replica->stats.repairs++;
        pull_from(step, stream, link);
    } else if (stream->upstream != NO_LINK) {
        pull_from(step, stream, stream->upstream); /* nobody else: ask once more */
    }
    stream->repair_wait_ms = wait < REPAIR_MAX_MS ? wait : REPAIR_MAX_MS;
}

static void tell_news(RStep *step)
{
    Replica *replica = step->replica;
    replica->have_at_ms = step->input->mono_ms + replica->config.have_interval_ms;
    size_t hub_index = pull_hub(replica);
    const ReplicaLink *hub = hub_index != NO_LINK ? &replica->links[hub_index] : NULL;
    size_t told = 0;
    size_t most = replica->news_for_all ? replica->links_cap : replica->config.have_fanout;
    replica->news_for_all = false;
    for (size_t n = 0; n < replica->links_cap && told < most; n++) {
        ReplicaLink *link = &replica->links[(replica->have_turn + n) % replica->links_cap];
        if (link->up && link->greeted &&
            (!replica->config.frugal || link->is_child || link == hub)) {
            link->have_due = true;
            link->news = true;
            told++;
        }
    }
    replica->have_turn++;
    replica->news = false;
    for (size_t i = 0; i < replica->streams_count; i++) {
        replica->streams[i]->news = false;
    }
}

/* On a partial mesh a node whose neighbours all have higher keys has no hub, and there are
 * several of these: as many trees, that touch at links on which neither end takes anything from
 * the other. There nobody would ever hear of the streams of the other tree. It is enough that
 * the lower one is told: what it pulls across makes each of them tell the other from then on. */
static void tell_borders(RStep *step)
{
    Replica *replica = step->replica;
    replica->border_at_ms = 0;
    for (size_t i = 0; i < replica->links_cap; i++) {
        ReplicaLink *link = &replica->links[i];
        if (link->up && link->greeted &&
            memcmp(link->key, replica->config.signer.public_key, EVENT_KEY_BYTES) < 0) {
            link->have_due = true;
            link->news = true;
        }
    }
}

void pull_ping(RStep *step, ReplicaLink *link)
{
    link->ping = step->input->random | 1;
    link->ping_due = true;
    link->ping_sent_ms = step->input->mono_ms;
    link->news = true;
}

static void send_pings(RStep *step)
{
    Replica *replica = step->replica;
    replica->root_at_ms = step->input->mono_ms + ROOT_INTERVAL_MS;
    size_t hub = pull_hub(replica);
    for (size_t i = 0; i < replica->links_cap; i++) {
        ReplicaLink *link = &replica->links[i];
        if (link->up && link->greeted && (hub == NO_LINK || hub == i)) {
            pull_ping(step, link);
        }
    }
}

void pull_timer(RStep *step)
{
    Replica *replica = step->replica;
    uint64_t now_ms = step->input->mono_ms;
    Stream *stream;
    Stream *next;
    DL_FOREACH_SAFE(replica->behind, stream, next) {
        if (repair_at(stream) <= now_ms) {
            repair(step, stream);
        }
    }
    if (replica->news && replica->have_at_ms <= now_ms) {
        tell_news(step);
    }
    if (replica->border_at_ms != 0 && replica->border_at_ms <= now_ms) {
        tell_borders(step);
    }
    if (replica->root_at_ms <= now_ms) {
        send_pings(step);
    }
}

uint64_t pull_wake_at(const Replica *replica)
{
    uint64_t wake = replica->root_at_ms;
    for (const Stream *stream = replica->behind; stream != NULL; stream = stream->next) {
        uint64_t at = repair_at(stream);
        wake = at < wake ? at : wake;
    }
    if (replica->news && replica->have_at_ms < wake) {
        wake = replica->have_at_ms;
    }
    if (replica->border_at_ms != 0 && replica->border_at_ms < wake) {
        wake = replica->border_at_ms;
    }
    for (size_t i = 0; i < replica->links_cap; i++) {
        uint64_t at = replica->links[i].send_at_ms;
        wake = at != 0 && at < wake ? at : wake;
    }
    return wake;
}
