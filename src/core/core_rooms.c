/* Rooms and people: the commands, and what of the log is for this node's person. */
#include "core/core_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Everything said in the lobby and in rooms this node is in; what is said to a person, at that
 * person's node and at the speaker's. What a program says here is not for its person thereby. */
bool rooms_sees(const Core *core, const Message *message)
{
    if (message_is_in_lobby(message) || (message->own && !message->by_client)) {
        return true;
    }
    if (message_is_direct(message)) {
        return strcmp(message->room + 1, core->name) == 0;
    }
    if (sealed_is_shown(core, message->room)) {
        const SealedRoom *room =
            keyring_room_shown(core->keyring, message->room, strlen(message->room));
        return room != NULL && room->entered;
    }
    return rooms_joined(core->rooms, message->room);
}

void rooms_start(Step *step)
{
    history_query(step, QUERY_JOINS, "")->count = ROOMS_MEMBERS_MAX;
    step->core->rooms_asked = true;
    history_query(step, QUERY_RECENT, MESSAGE_LOBBY)->count = RECENT_LINES;
}

void rooms_answer_joins(Step *step)
{
    const Event *event = step->event;
    for (size_t i = 0; i < event->events_count; i++) {
        rooms_apply(step->core->rooms, &event->events[i]->fields);
    }
}

/* ---- entering and leaving ---- */

void rooms_go_to(Step *step, const char *room)
{
    Core *core = step->core;
    if (strcmp(core->room, room) == 0) {
        return;
    }
    snprintf(core->room, sizeof(core->room), "%s", room);
    if (strcmp(room, MESSAGE_LOBBY) == 0) {
        step_notice(step, NOTICE_INFO, "what you type goes to the lobby again");
    } else if (room[0] == '@') {
        step_notice(step, NOTICE_INFO, "what you type goes to %s alone; /part ends that", room + 1);
    } else {
        step_notice(step, NOTICE_INFO, "what you type goes to %s%s; /history shows what was said",
                    sealed_is_shown(core, room) ? "" : "#", room);
    }
}

/* False, and said, where it could not be written. */
static bool tell_membership(Step *step, LogKind kind, const char *room)
{
    const Core *core = step->core;
    const char *reason = "";
    LogLine line = {
        .fields = {.room = room,
                   .room_len = strlen(room),
                   .kind = (int)kind,
                   .sender = core->name,
                   .sender_len = strlen(core->name),
                   .body = (const uint8_t *)""},
    };
    if (log_say(step, &line, &reason) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "nothing was done: %s", reason);
        return false;
    }
    return true;
}

static bool parse_person(Step *step, const char *name, size_t len, char ret_room[])
{
    const char *reason = "";
    if (step->core->keyring != NULL) {
        return sealed_person(step, name, len, ret_room);
    }
    if (message_check_name(name, len, &reason) != ERR_OK || len >= EVENT_ROOM_MAX_BYTES) {
        step_notice(step, NOTICE_ERROR, "%.*s is nobody's name%s%s",
                    (int)(len < EVENT_ROOM_MAX_BYTES ? len : EVENT_ROOM_MAX_BYTES), name,
                    reason[0] != '\0' ? ": " : ", it is too long", reason);
        return false;
    }
    ret_room[0] = '@';
    memcpy(ret_room + 1, name, len);
    ret_room[len + 1] = '\0';
    return true;
}

/* A room as it was typed, or "@NAME". */
static bool parse_room(Step *step, const char *name, size_t len, char ret_room[])
{
    const char *reason = "";
    if (len > 1 && name[0] == '@') {
        return parse_person(step, name + 1, len - 1, ret_room);
    }
    if (room_name_parse(name, len, ret_room, &reason) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "%s", reason);
        return false;
    }
    return true;
}

void rooms_join(Step *step, const char *name, size_t len)
{
    Core *core = step->core;
    char room[EVENT_ROOM_MAX_BYTES + 1];
    if (len == 0) {
        step_notice(step, NOTICE_ERROR, "/join ROOM: you are in %s%s",
                    core->room[0] == '@' || strcmp(core->room, MESSAGE_LOBBY) == 0 ||
                            sealed_is_shown(core, core->room)
                        ? ""
                        : "#",
                    core->room);
        return;
    }
    if (!parse_room(step, name, len, room)) {
        return;
    }
    if (sealed_is_shown(core, room) && room[0] == '!') {
        sealed_join(step, room);
        return;
    }
    bool has_members = room[0] != '@' && strcmp(room, MESSAGE_LOBBY) != 0;
    if (has_members && !rooms_joined(core->rooms, room)) {
        if (rooms_enter(core->rooms, room) != ERR_OK) {
            step_notice(step, NOTICE_ERROR, "you are in %d rooms: /part one of them first",
                        ROOMS_JOINED_MAX);
            return;
        }
        if (!tell_membership(step, LOG_JOIN, room)) {
            rooms_leave(core->rooms, room);
            return;
        }
    }
    rooms_go_to(step, room);
}

void rooms_part(Step *step, const char *name, size_t len)
{
    Core *core = step->core;
    char room[EVENT_ROOM_MAX_BYTES + 1];
    snprintf(room, sizeof(room), "%s", core->room);
    if (len > 0 && !parse_room(step, name, len, room)) {
        return;
    }
    if (strcmp(room, MESSAGE_LOBBY) == 0) {
        step_notice(step, NOTICE_ERROR, "everybody is in the lobby; /quit leaves the chat");
        return;
    }
    if (room[0] == '!' && sealed_is_shown(core, room)) {
        if (!sealed_part(step, room)) {
            return;
        }
    } else if (room[0] != '@') {
        if (!rooms_joined(core->rooms, room)) {
            step_notice(step, NOTICE_ERROR, "you are not in #%s", room);
            return;
        }
        if (!tell_membership(step, LOG_PART, room)) {
            return;
        }
        rooms_leave(core->rooms, room);
    }
    if (strcmp(core->room, room) == 0) {
        rooms_go_to(step, MESSAGE_LOBBY);
    }
}

/* ---- saying something elsewhere ---- */

static bool someone_is_called(const Core *core, const char *name)
{
    for (size_t i = 0; i < presences_count(core->presences); i++) {
        if (strcmp(presences_at(core->presences, i)->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Splits "FIRST REST", at one space. */
static size_t first_word(const char **rest, size_t *len)
{
    const char *space = memchr(*rest, ' ', *len);
    size_t word = space != NULL ? (size_t)(space - *rest) : *len;
    size_t skip = word < *len ? word + 1 : word;
    *rest += skip;
    *len -= skip;
    return word;
}

void rooms_msg(Step *step, const char *rest, size_t len)
{
    char room[EVENT_ROOM_MAX_BYTES + 1];
    const char *name = rest;
    size_t name_len = first_word(&rest, &len);
    if (name_len == 0) {
        step_notice(step, NOTICE_ERROR, "/msg NAME TEXT: say something to NAME alone");
        return;
    }
    if (!parse_person(step, name, name_len, room)) {
        return;
    }
    if (!someone_is_called(step->core, room + 1)) {
        step_notice(step, NOTICE_WARNING, "nobody called %s is here now: it is kept for later",
                    room + 1);
    }
    if (len == 0) {
        rooms_go_to(step, room);
    } else {
        lines_say(step, room, MESSAGE_TEXT, rest, len);
    }
}

void rooms_to(Step *step, const char *rest, size_t len)
{
    char room[EVENT_ROOM_MAX_BYTES + 1];
    const char *name = rest;
    size_t name_len = first_word(&rest, &len);
    if (name_len == 0 || len == 0) {
        step_notice(step, NOTICE_ERROR, "/to ROOM TEXT: say TEXT in ROOM");
        return;
    }
    if (parse_room(step, name, name_len, room)) {
        lines_say(step, room, MESSAGE_TEXT, rest, len);
    }
}

/* ---- who and what there is ---- */

const FramePresence *presence_of(const Core *core, const uint8_t *key)
{
    for (size_t i = 0; i < presences_count(core->presences); i++) {
        const FramePresence *presence = presences_at(core->presences, i);
        if (memcmp(presence->key, key, EVENT_KEY_BYTES) == 0) {
            return presence;
        }
    }
    return NULL;
}

static void add_name(Core *core, StrBuf *list, const uint8_t *key, const char *name)
{
    strbuf_add_string(list, list->len > 0 ? ", " : "");
    names_add_shown(core, list, key, name);
}

static void names_of_lobby(Core *core, StrBuf *here)
{
    for (size_t i = 0; i < presences_count(core->presences); i++) {
        const FramePresence *presence = presences_at(core->presences, i);
        add_name(core, here, presence->key, presence->name);
    }
    for (size_t i = 0; i < core->links_count; i++) {
        const Link *link = &core->links[i];
        if (link->state == LINK_UP && link->classic) {
            strbuf_add_string(here, here->len > 0 ? ", " : "");
            strbuf_addf(here, "%s (classic)", link->address);
        }
    }
}

/* Of those who went into the room, the next who is a member of the network; *at goes on. */
static const RoomMember *next_member(const Core *core, const char *room, size_t *at)
{
    const RoomMember *member;
    do {
        member = rooms_member(core->rooms, room, (*at)++);
    } while (member != NULL && !network_counts(core, member->key));
    return member;
}

void rooms_names(Step *step, const char *name, size_t len)
{
    Core *core = step->core;
    char room[EVENT_ROOM_MAX_BYTES + 1];
    AUTO_STRBUF StrBuf here = {0};
    AUTO_STRBUF StrBuf away = {0};
    snprintf(room, sizeof(room), "%s", core->room);
    if (len > 0 && !parse_room(step, name, len, room)) {
        return;
    }
    if (strcmp(room, MESSAGE_LOBBY) == 0) {
        names_of_lobby(core, &here);
        step_notice(step, NOTICE_INFO, "here: %s", strbuf_text(&here));
        return;
    }
    if (room[0] == '@') {
        bool is_here = someone_is_called(core, room + 1);
        step_notice(step, NOTICE_INFO, "%s is %s", room + 1, is_here ? "here" : "away");
        return;
    }
    if (sealed_is_shown(core, room)) {
        sealed_names(step, room);
        return;
    }
    const RoomMember *member;
    for (size_t at = 0; (member = next_member(core, room, &at)) != NULL;) {
        const FramePresence *presence = presence_of(core, member->key);
        add_name(core, presence != NULL ? &here : &away, member->key,
                 presence != NULL ? presence->name : member->name);
    }
    step_notice(step, NOTICE_INFO, "#%s: here: %s%s%s", room, here.len > 0 ? here.text : "nobody",
                away.len > 0 ? "; away: " : "", strbuf_text(&away));
}

void query_rooms(Step *step)
{
    history_query(step, QUERY_ROOMS, "");
}

static void add_age(StrBuf *out, int64_t age_ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (age_ms >= units[i].ms) {
            strbuf_addf(out, "%" PRId64 " %s ago", age_ms / units[i].ms, units[i].unit);
            return;
        }
    }
    strbuf_add_string(out, "now");
}

static size_t members_of(const Core *core, const char *room)
{
    size_t count = 0;
    for (size_t at = 0; next_member(core, room, &at) != NULL; count++) {
    }
    return count;
}

/* False: it is not to be listed here. */
static bool add_room_row(const Core *core, StrBuf *row, const char *name, int64_t age_ms)
{
    bool sealed = sealed_is_shown(core, name);
    size_t people = 0;
    bool joined = false;
    const char *shown = name;
    if (sealed) {
        shown = sealed_row(core, name, &people, &joined);
    } else {
        people = members_of(core, name);
        joined = rooms_joined(core->rooms, name);
    }
    if (shown[0] == '\0') {
        return false;
    }
    strbuf_addf(row, "%s%s  ", sealed ? "" : "#", shown);
    add_age(row, age_ms);
    if (strcmp(name, MESSAGE_LOBBY) == 0) {
        strbuf_add_string(row, "  everybody");
    } else {
        strbuf_addf(row, "  %zu in it%s", people, joined ? ", you too" : "");
    }
    return true;
}

void rooms_answer_rooms(Step *step)
{
    enum { ROWS_MAX = 100 };
    const Core *core = step->core;
    const Event *event = step->event;
    size_t told = 0;
    for (size_t i = 0; i < event->rooms_count && told < ROWS_MAX; i++) {
        AUTO_FREE char *name = mem_copy_text(event->rooms[i].name, event->rooms[i].name_len);
        if (name[0] == '@') {
            continue; /* somebody's, not ours to list */
        }
        AUTO_STRBUF StrBuf row = {0};
        if (!add_room_row(core, &row, name,
                          event->wall_ms - hlc_time_ms(event->rooms[i].last_hlc))) {
            continue;
        }
        step_notice(step, NOTICE_INFO, "%s", row.text);
        told++;
    }
    if (told == 0) {
        step_notice(step, NOTICE_INFO, "nothing was said yet; everybody is in the lobby");
    } else if (event->rooms_count > ROWS_MAX) {
        step_notice(step, NOTICE_INFO, "... and some more");
    }
}
