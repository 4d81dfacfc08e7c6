/* What was said before: asked for by a person, or shown by itself when a node comes back. */
#include "base/moment.h"
#include "base/text.h"
#include "core/core_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_LINES = 20, HISTORY_LINES_MAX = 1000, SEARCH_HITS = 20 };

Query *history_query(Step *step, QueryKind kind, const char *room)
{
    Action *action = step_add(step, ACTION_QUERY);
    action->query = mem_new(Query);
    action->query->kind = kind;
    snprintf(action->query->room, sizeof(action->query->room), "%s", room);
    return action->query;
}

/* ---- /history ---- */

/* Between the lines are keys, which are not shown; so more is asked for. */
static Query *ask_for_sealed(Step *step, size_t count)
{
    enum { MORE = 2, AND = 50 };
    char id[EVENT_ROOM_MAX_BYTES + 1];
    if (!sealed_room_id(step, step->core->room, id)) {
        return NULL;
    }
    Query *query = history_query(step, QUERY_HISTORY, id);
    query->wanted = count;
    query->count = MORE * count + AND;
    return query;
}

/* What two say to each other is in two rooms: what was said to the one, and to the other, where
 * others speak too. So more is asked for, and looked through here. */
static Query *ask_for_page(Step *step, size_t count)
{
    Core *core = step->core;
    if (sealed_is_shown(core, core->room)) {
        return ask_for_sealed(step, count);
    }
    Query *query = history_query(step, QUERY_HISTORY, core->room);
    query->count = count;
    if (core->room[0] == '@' && strlen(core->name) < EVENT_ROOM_MAX_BYTES) {
        snprintf(query->other_room, sizeof(query->other_room), "@%s", core->name);
    }
    return query;
}

static void history_since(Step *step, const char *text, size_t len)
{
    int64_t since_ms = 0;
    const Event *event = step->event;
    if (moment_parse(text, len, event->wall_ms, event->utc_offset_s, &since_ms) != ERR_OK) {
        step_notice(step, NOTICE_ERROR,
                    "/history since TIME: a time is 16:00, 2026-11-21, \"2026-11-21 16:00\", or 2h "
                    "and 3d for so long ago");
        return;
    }
    Query *query = ask_for_page(step, HISTORY_LINES_MAX);
    if (query == NULL) {
        return;
    }
    query->since_hlc = since_ms > 0 ? (uint64_t)since_ms << HLC_COUNTER_BITS : 0;
}

void history_ask(Step *step, const char *rest, size_t len)
{
    static const char since[] = "since ";
    const size_t since_len = sizeof(since) - 1;
    if (len > since_len && memcmp(rest, since, since_len) == 0) {
        history_since(step, rest + since_len, len - since_len);
        return;
    }
    size_t count = len > 0 ? 0 : HISTORY_LINES;
    for (size_t i = 0; i < len && count <= HISTORY_LINES_MAX; i++) {
        bool digit = rest[i] >= '0' && rest[i] <= '9';
        count = digit ? 10 * count + (size_t)(rest[i] - '0') : HISTORY_LINES_MAX + 1;
    }
    if (count < 1 || count > HISTORY_LINES_MAX) {
        step_notice(step, NOTICE_ERROR, "/history takes a number from 1 to %d, or since TIME",
                    HISTORY_LINES_MAX);
        return;
    }
    (void)ask_for_page(step, count);
}

void history_search(Step *step, const char *words, size_t len)
{
    if (len == 0 || len > QUERY_WORDS_MAX_BYTES || !text_is_utf8(words, len)) {
        step_notice(step, NOTICE_ERROR,
                    "/search WORDS: lines that have all of them; \"in quotes\" side by side, wor* "
                    "for a beginning; at most %d bytes",
                    QUERY_WORDS_MAX_BYTES);
        return;
    }
    Query *query = history_query(step, QUERY_SEARCH, "");
    query->count = SEARCH_HITS;
    memcpy(query->words, words, len);
}

/* ---- answers ---- */

/* A revocation may not have reached the disk yet. */
static bool is_cut_off(const Core *core, const EventFields *fields)
{
    return core->members != NULL && fields->seq > members_cut(core->members, &fields->stream, NULL);
}

/* An old message, as this node's person may see it; NULL: not for them. */
static Message *recall(Step *step, LogEvent *event)
{
    const Core *core = step->core;
    if (is_cut_off(core, &event->fields)) {
        return NULL;
    }
    AUTO_EVENT LogEvent *opened = keyring_open(core->keyring, event);
    Message *message = opened != NULL ? message_of_event(opened, step->event->utc_offset_s) : NULL;
    if (message == NULL) {
        return NULL;
    }
    /* Of an earlier life too. */
    message->own = memcmp(event->fields.stream.origin, core->key, EVENT_KEY_BYTES) == 0;
    names_mark(step->core, event->fields.stream.origin, message);
    bool asked_for = !message_is_direct(message); /* by its room, whether joined or not */
    if (ignore_has(core, event->fields.stream.origin) ||
        (!asked_for && !rooms_sees(core, message))) {
        message_unref(message);
        return NULL;
    }
    return message;
}

/* False where it is not for this node's person. */
static bool tell_line(Step *step, LogEvent *event, const char *snippet)
{
    Message *message = recall(step, event);
    if (message == NULL) {
        return false;
    }
    Action *action = step_add(step, ACTION_HISTORY);
    action->message = message;
    action->text = snippet != NULL ? mem_copy_string(snippet) : NULL;
    if (message->own) {
        action->kept = log_kept(step->core, &event->fields.stream, event->fields.seq);
    }
    return true;
}

/* Two nodes that heard a classic one have both written its line. */
static bool is_repeat_of(const LogEvent *a, const LogEvent *b)
{
    const EventFields *x = &a->fields;
    const EventFields *y = &b->fields;
    int64_t apart_ms = hlc_time_ms(x->hlc) - hlc_time_ms(y->hlc);
    return x->heard && y->heard && stream_id_compare(&x->stream, &y->stream) != 0 &&
           apart_ms < CLASSIC_SKEW_MS && x->body_len == y->body_len &&
           memcmp(x->body, y->body, x->body_len) == 0 && x->sender_len == y->sender_len &&
           memcmp(x->sender, y->sender, x->sender_len) == 0 && x->stamp_len == y->stamp_len &&
           memcmp(x->stamp, y->stamp, x->stamp_len) == 0;
}

static bool is_repeat(const Event *answer, size_t at)
{
    enum { LOOK_BACK = 32 };
    for (size_t back = 1; back <= LOOK_BACK && back <= at; back++) {
        if (is_repeat_of(answer->events[at], answer->events[at - back])) {
            return true;
        }
    }
    return false;
}

static void tell_page(Step *step, size_t from)
{
    for (size_t i = from; i < step->event->events_count; i++) {
        if (!is_repeat(step->event, i)) {
            (void)tell_line(step, step->event->events[i], NULL);
        }
    }
}

static const char *room_sign(const char *room)
{
    return room[0] == '@' ? "" : "#";
}

/* One of what this node's person and the other have said to each other alone? */
static bool is_between_two(const Core *core, const Query *query, const EventFields *fields)
{
    const char *name = query->room + 1;
    bool own = memcmp(fields->stream.origin, core->key, EVENT_KEY_BYTES) == 0;
    bool to_other = fields->room_len == strlen(query->room) &&
                    memcmp(fields->room, query->room, fields->room_len) == 0;
    bool from_other =
        fields->sender_len == strlen(name) && memcmp(fields->sender, name, fields->sender_len) == 0;
    return to_other ? own : from_other;
}

static void answer_direct(Step *step)
{
    const Event *event = step->event;
    const Query *query = event->query;
    size_t count = 0;
    size_t from = event->events_count;
    while (from > 0 && count < query->count) {
        count += is_between_two(step->core, query, &event->events[--from]->fields);
    }
    for (size_t i = from; i < event->events_count; i++) {
        if (is_between_two(step->core, query, &event->events[i]->fields)) {
            tell_line(step, event->events[i], NULL);
        }
    }
    if (count == 0) {
        step_notice(step, NOTICE_INFO, "you and %s have said nothing to each other alone%s",
                    query->room + 1, query->since_hlc > 0 ? " since" : "");
    }
}

static void answer_sealed(Step *step)
{
    const Event *event = step->event;
    const Query *query = event->query;
    size_t count = 0;
    size_t from = event->events_count;
    while (from > 0 && count < query->wanted) {
        Message *message = recall(step, event->events[--from]);
        count += message != NULL;
        message_unref(message);
    }
    for (size_t i = from; i < event->events_count; i++) {
        (void)tell_line(step, event->events[i], NULL);
    }
    if (count == 0) {
        step_notice(step, NOTICE_INFO, "nothing%s in %s", query->since_hlc > 0 ? " since" : "",
                    sealed_room_text(step->core, query->room));
    } else if (from > 0 || event->more) {
        step_notice(step, NOTICE_INFO, "these are the last %zu; /history N shows more", count);
    }
}

static void answer_history(Step *step)
{
    const Query *query = step->event->query;
    if (query->other_room[0] != '\0') {
        answer_direct(step);
        return;
    }
    if (query->wanted > 0) {
        answer_sealed(step);
        return;
    }
    if (step->event->events_count == 0) {
        step_notice(step, NOTICE_INFO, "nothing%s in %s%s", query->since_hlc > 0 ? " since" : "",
                    room_sign(query->room), query->room);
        return;
    }
    tell_page(step, 0);
    if (step->event->more) {
        step_notice(step, NOTICE_INFO, "these are the last %zu; /history N shows more",
                    step->event->events_count);
    }
}

/* Newest last: next to the line being typed. What is between others is nothing found: that it is
 * there is not to be told either. */
static void answer_search(Step *step)
{
    const Event *event = step->event;
    size_t told = 0;
    for (size_t i = event->events_count; i > 0; i--) {
        told += tell_line(step, event->events[i - 1],
                          event->snippets != NULL ? event->snippets[i - 1] : NULL);
    }
    if (told == 0) {
        step_notice(step, NOTICE_INFO, "nothing found for: %s", event->query->words);
    } else if (event->more) {
        step_notice(step, NOTICE_INFO, "there are more: these are the newest %zu", told);
    }
}

static void answer_recent(Step *step)
{
    const Event *event = step->event;
    for (size_t i = 0; i < event->events_count; i++) {
        lines_recalled(step, event->events[i]);
    }
    if (step->core->recap && event->events_count > 0) {
        size_t count = event->events_count;
        step_notice(step, NOTICE_INFO, "said here before; /history shows more:");
        tell_page(step, count > RECENT_SHOWN ? count - RECENT_SHOWN : 0);
    }
}

/* ---- what was missed ---- */

void history_missed(Step *step, Message *message)
{
    Core *core = step->core;
    if (!core->recap) {
        return;
    }
    Message **slot = &core->missed[core->missed_count++ % RECAP_LINES];
    message_unref(*slot);
    *slot = message_ref(message);
    core->missed_last_ms = step->event->mono_ms;
    if (core->missed_count == 1) {
        core->missed_first_ms = step->event->mono_ms;
    }
}

uint64_t history_wake_at(const Core *core)
{
    if (core->missed_count == 0) {
        return 0;
    }
    uint64_t quiet_ms = core->missed_last_ms + RECAP_QUIET_MS;
    uint64_t latest_ms = core->missed_first_ms + RECAP_LATEST_MS;
    return quiet_ms < latest_ms ? quiet_ms : latest_ms;
}

static int by_shown_order(const void *a, const void *b)
{
    const Message *x = *(Message *const *)a;
    const Message *y = *(Message *const *)b;
    return x->hlc < y->hlc ? -1 : x->hlc > y->hlc;
}

void history_timer(Step *step)
{
    Core *core = step->core;
    uint64_t at_ms = history_wake_at(core);
    if (at_ms == 0 || at_ms > step->event->mono_ms) {
        return;
    }
    size_t count = core->missed_count < RECAP_LINES ? core->missed_count : RECAP_LINES;
    qsort(core->missed, count, sizeof(Message *), by_shown_order);
    if (count < core->missed_count) {
        step_notice(step, NOTICE_INFO,
                    "%zu new lines from while you were away; the last %zu:", core->missed_count,
                    count);
    } else {
        step_notice(step, NOTICE_INFO, "%zu new %s from while you were away:", count,
                    count == 1 ? "line" : "lines");
    }
    for (size_t i = 0; i < count; i++) {
        Action *action = step_add(step, ACTION_HISTORY);
        action->message = TAKE(core->missed[i]);
    }
    core->missed_count = 0;
}

/* ---- /why ---- */

static void ask_why(Step *step, const StreamId *stream, uint64_t seq)
{
    if (replica_durable(step->core->replica, stream) < seq) {
        step_notice(step, NOTICE_ERROR, "it is not on the disk yet: ask again in a moment");
        return;
    }
    Query *query = history_query(step, QUERY_WHY, "");
    query->stream = *stream;
    query->seq = seq;
    query->count = 1;
}

void history_arrived(Step *step, const Message *message, size_t mesh)
{
    Core *core = step->core;
    Arrival *arrival = &core->arrivals[core->arrivals_count++ % ARRIVALS_MAX];
    memcpy(arrival->place, message->place, sizeof(arrival->place));
    arrival->mesh = mesh;
    arrival->wall_ms = step->event->wall_ms;
    arrival->by[0] = '\0';
    if (mesh < core->mesh_count) {
        memcpy(arrival->by, core->mesh[mesh].name, sizeof(arrival->by));
    }
}

static const Arrival *find_arrival(const Core *core, const char *place)
{
    size_t count = core->arrivals_count < ARRIVALS_MAX ? core->arrivals_count : ARRIVALS_MAX;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(core->arrivals[i].place, place) == 0) {
            return &core->arrivals[i];
        }
    }
    return NULL;
}

void history_why(Step *step, const char *place, size_t len)
{
    const Core *core = step->core;
    uint32_t stream = 0;
    uint64_t seq = 0;
    if (len == 0) {
        place = core->last_place;
        len = strlen(place);
    }
    if (!message_place_parse(place, len, &stream, &seq)) {
        step_notice(step, NOTICE_ERROR,
                    "/why ID: as /history shows them, 5f3a91-17 for instance; without one it is "
                    "the last message%s",
                    core->last_place[0] == '\0' ? ", and there is none yet" : "");
        return;
    }
    const StreamId *id;
    for (size_t i = 0; (id = replica_stream_at(core->replica, i)) != NULL; i++) {
        if (message_place_stream(id) == stream && replica_applied(core->replica, id) >= seq) {
            ask_why(step, id, seq);
            return;
        }
    }
    step_notice(step, NOTICE_ERROR, "no message here has the id %.*s", (int)len, place);
}

static void add_hex(StrBuf *out, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        strbuf_addf(out, "%02x", bytes[i]);
    }
}

static void tell_way(Step *step, const EventFields *fields, const char *place)
{
    const Core *core = step->core;
    const Arrival *arrival = find_arrival(core, place);
    if (arrival == NULL) {
        step_notice(step, NOTICE_INFO, "way: it was on the disk when this node started");
    } else if (arrival->mesh == REPLICA_LINKS_MAX) {
        step_notice(step, NOTICE_INFO, "way: it was said at this node");
    } else {
        int64_t took_ms = arrival->wall_ms - hlc_time_ms(fields->hlc);
        step_notice(step, NOTICE_INFO,
                    "way: it came by the node of %s, %" PRId64 " ms after it was said, as the two "
                    "clocks have it",
                    arrival->by[0] != '\0' ? arrival->by : "somebody without a name", took_ms);
    }
}

static void tell_holders(Step *step, const EventFields *fields)
{
    const Core *core = step->core;
    AUTO_STRBUF StrBuf have = {0};
    AUTO_STRBUF StrBuf lack = {0};
    bool here = replica_durable(core->replica, &fields->stream) >= fields->seq;
    strbuf_add_string(here ? &have : &lack, "this node");
    for (size_t i = 0; i < core->mesh_count; i++) {
        const MeshLink *mesh = &core->mesh[i];
        if (mesh->up && mesh->greeted) {
            StrBuf *list =
                replica_link_holds(core->replica, i, &fields->stream, fields->seq) ? &have : &lack;
            strbuf_addf(list, "%s%s", list->len > 0 ? ", " : "",
                        mesh->name[0] != '\0' ? mesh->name : mesh->address);
        }
    }
    step_notice(step, NOTICE_INFO, "on the disks of: %s%s%s", have.len > 0 ? have.text : "nobody",
                lack.len > 0 ? "; not told yet by: " : "", strbuf_text(&lack));
}

static void answer_why(Step *step)
{
    const Event *event = step->event;
    if (event->events_count == 0) {
        step_notice(step, NOTICE_ERROR, "it is not on the disk yet: ask again in a moment");
        return;
    }
    LogEvent *found = event->events[0];
    AUTO_EVENT LogEvent *opened = keyring_open(step->core->keyring, found);
    if (opened == NULL) {
        step_notice(step, NOTICE_ERROR, "it is sealed, or a key of a sealed room");
        return;
    }
    const EventFields *fields = &opened->fields;
    Message *message = recall(step, found);
    bool direct = fields->room_len > 0 && fields->room[0] == '@';
    if (message == NULL && direct) {
        step_notice(step, NOTICE_ERROR, "it is a message between others");
        return;
    }
    message_unref(message);
    char place[40];
    char clock[9];
    AUTO_STRBUF StrBuf origin = {0};
    AUTO_STRBUF StrBuf hash = {0};
    message_place_text(&fields->stream, fields->seq, place, sizeof(place));
    message_clock_text(hlc_time_ms(fields->hlc), event->utc_offset_s, clock);
    add_hex(&origin, fields->stream.origin, EVENT_KEY_BYTES / 4);
    add_hex(&hash, found->hash.bytes, EVENT_HASH_BYTES / 4);
    step_notice(step, NOTICE_INFO, "%s: said by %.*s in %s%.*s at %s (%" PRId64 ".%04x)", place,
                (int)fields->sender_len, fields->sender, direct || opened != found ? "" : "#",
                (int)fields->room_len, fields->room, clock, hlc_time_ms(fields->hlc),
                (unsigned)(fields->hlc & 0xffff));
    step_notice(step, NOTICE_INFO,
                "written by node %s, epoch %" PRIx64 ", number %" PRIu64 ", hash %s%s", origin.text,
                fields->stream.epoch, fields->seq, hash.text,
                found->is_signed ? ", signed" : ", covered by a later signature");
    tell_way(step, fields, place);
    tell_holders(step, fields);
}

void history_answer(Step *step)
{
    static void (*const answers[])(Step *) = {
        [QUERY_JOINS] = rooms_answer_joins, [QUERY_RECENT] = answer_recent,
        [QUERY_HISTORY] = answer_history,   [QUERY_SEARCH] = answer_search,
        [QUERY_WHY] = answer_why,           [QUERY_ROOMS] = rooms_answer_rooms,
        [QUERY_CUTS] = network_answer_cuts,
    };
    if (step->event->text != NULL && step->event->query->kind != QUERY_CUTS) {
        step_notice(step, NOTICE_ERROR, "the history could not be read: %s", step->event->text);
    } else {
        answers[step->event->query->kind](step);
    }
    if (step->event->query->kind == QUERY_JOINS) {
        log_rooms_known(step);
    }
}
