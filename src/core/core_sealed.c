/* Sealed rooms, and what two say to each other alone, in a private network: the keyring within the
 * core.
 *
 *   /seal, /admit, /join, /part --> keyring_... --> ROOM_KEY events --log_say--> the log
 *   a line in "!team" or "@bob" --> keyring_renew, keyring_seal -------^
 *   APPLY --> keyring_take          the fold --> keyring_open --> lines_shown */
#include "core/core_state.h"

#include <stdio.h>
#include <string.h>

enum { WHO_HEX_MIN = 4 };

/* ---- who is who ---- */

static bool same_key(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, EVENT_KEY_BYTES) == 0;
}

/* As it calls itself now; else as it was let in. */
static const char *name_of(const Core *core, const uint8_t *key)
{
    if (same_key(key, core->key)) {
        return core->name;
    }
    for (size_t i = 0; i < presences_count(core->presences); i++) {
        const FramePresence *presence = presences_at(core->presences, i);
        if (same_key(presence->key, key) && presence->name[0] != '\0') {
            return presence->name;
        }
    }
    const Member *member = members_find(core->members, key);
    return member != NULL ? member->name : "";
}

static bool is_here(const Core *core, const uint8_t *key)
{
    for (size_t i = 0; i < presences_count(core->presences); i++) {
        if (same_key(presences_at(core->presences, i)->key, key)) {
            return true;
        }
    }
    return false;
}

/* "3f2a-91bc...": as it is shown, or its digits alone; a beginning is enough. */
static bool fingerprint_begins(const uint8_t *key, const char *text, size_t len)
{
    char fingerprint[FINGERPRINT_BYTES];
    fingerprint_text(key, fingerprint);
    const char *at = fingerprint;
    size_t digits = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '-') {
            continue;
        }
        at += *at == '-';
        char digit = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] - 'A' + 'a' : text[i]);
        if (*at == '\0' || *at != digit) {
            return false;
        }
        at++;
        digits++;
    }
    return digits >= WHO_HEX_MIN;
}

/* By the name, the name and a piece of the fingerprint ("bob~3f2a"), or the fingerprint. */
static bool is_called(const Core *core, const Member *member, const char *who, size_t len)
{
    const char *name = name_of(core, member->key);
    const char *tilde = memchr(who, '~', len);
    size_t name_len = tilde != NULL ? (size_t)(tilde - who) : len;
    bool named = (strlen(name) == name_len && memcmp(name, who, name_len) == 0) ||
                 (strlen(member->name) == name_len && memcmp(member->name, who, name_len) == 0);
    if (tilde != NULL) {
        return named && fingerprint_begins(member->key, tilde + 1, len - name_len - 1);
    }
    return named || fingerprint_begins(member->key, who, len);
}

/* How many are called that, those revoked not among them; the first of them. */
static size_t find_people(const Core *core, const char *who, size_t len, const uint8_t **ret_key)
{
    size_t count = 0;
    for (size_t i = 0; i < members_count(core->members); i++) {
        const Member *member = members_at(core->members, i);
        if (members_state(core->members, member->key) == MEMBER_GOOD &&
            is_called(core, member, who, len)) {
            *ret_key = count == 0 ? member->key : *ret_key;
            count++;
        }
    }
    return count;
}

static const uint8_t *find_person(Step *step, const char *who, size_t len)
{
    const uint8_t *key = NULL;
    int shown = (int)(len < EVENT_SENDER_MAX_BYTES ? len : EVENT_SENDER_MAX_BYTES);
    size_t count = find_people(step->core, who, len, &key);
    if (count == 1) {
        return key;
    }
    if (count == 0) {
        step_notice(step, NOTICE_ERROR,
                    "no member of this network is called %.*s; /members lists "
                    "them",
                    shown, who);
    } else {
        step_notice(step, NOTICE_ERROR,
                    "%zu members are called %.*s: take the fingerprint of the one you mean, as "
                    "/members shows it",
                    count, shown, who);
    }
    return NULL;
}

/* What one person alone is called. */
static void unique_name(const Core *core, const uint8_t *key, char *ret_name, size_t size)
{
    const uint8_t *found = NULL;
    const char *name = name_of(core, key);
    char fingerprint[FINGERPRINT_BYTES];
    fingerprint_text(key, fingerprint);
    if (name[0] == '\0') {
        snprintf(ret_name, size, "%s", fingerprint);
    } else if (same_key(key, core->key) || find_people(core, name, strlen(name), &found) <= 1) {
        snprintf(ret_name, size, "%s", name);
    } else {
        snprintf(ret_name, size, "%s~%.4s", name, fingerprint);
    }
}

/* ---- the keyring ---- */

static bool counts(void *context, const uint8_t key[EVENT_KEY_BYTES])
{
    const Core *core = context;
    return members_state(core->members, key) != MEMBER_REVOKED;
}

static const char *name_for_keyring(void *context, const uint8_t key[EVENT_KEY_BYTES])
{
    Core *core = context;
    unique_name(core, key, core->person_name, sizeof(core->person_name));
    return core->person_name;
}

void sealed_begin(Core *core, const CoreConfig *config)
{
    if (core->members == NULL) {
        return;
    }
    KeyringPeople people = {.counts = counts, .name = name_for_keyring, .context = core};
    /* A secret key of Ed25519 begins with its seed, as libsodium keeps it. */
    core->keyring = keyring_new(config->signer.secret, members_network(core->members));
    keyring_set_people(core->keyring, &people);
    keyring_stir(core->keyring, config->epoch, config->wall_ms);
    sealed_apply(core, config->control_events, config->control_count);
}

void sealed_end(Core *core)
{
    keyring_free(TAKE(core->keyring));
}

void sealed_apply(Core *core, LogEvent *const *events, size_t count)
{
    for (size_t i = 0; i < count && core->keyring != NULL; i++) {
        (void)keyring_take(core->keyring, events[i]);
    }
}

bool sealed_is_shown(const Core *core, const char *room)
{
    return core->keyring != NULL && (room[0] == '!' || room[0] == '@');
}

static void tell_let_in(Step *step, const SealedRoom *room, const uint8_t *by, const uint8_t *key)
{
    const Core *core = step->core;
    if (same_key(key, core->key)) {
        step_notice(step, NOTICE_INFO, "%s let you into %s; /join %s", name_of(core, by),
                    room->shown, room->shown);
    } else if (room->entered) {
        char name[EVENT_SENDER_MAX_BYTES + 16];
        unique_name(core, key, name, sizeof(name));
        step_notice(step, NOTICE_INFO, "%s let %s into %s",
                    same_key(by, core->key) ? "you" : name_of(core, by), name, room->shown);
    }
}

void sealed_shown(Step *step, const LogEvent *event)
{
    const EventFields *fields = &event->fields;
    Keyring *keyring = step->core->keyring;
    if (keyring == NULL || fields->kind != LOG_ROOM_KEY || fields->room[0] != '!') {
        return;
    }
    const SealedRoom *room = keyring_room(keyring, fields->room, fields->room_len);
    const uint8_t *key;
    for (size_t i = 0; room != NULL && (key = keyring_let_in(keyring, fields, i)) != NULL; i++) {
        if (!same_key(key, fields->stream.origin)) { /* the founder is there by himself */
            tell_let_in(step, room, fields->stream.origin, key);
        }
    }
}

/* ---- saying ---- */

/* more: a line follows, in the same group. */
static Err say_keys(Step *step, const char *id, KeyBodies *bodies, bool more, const char **ret_text)
{
    Core *core = step->core;
    Err err = ERR_OK;
    for (size_t i = 0; i < bodies->count && err == ERR_OK; i++) {
        LogLine line = {
            .fields = {.kind = LOG_ROOM_KEY,
                       .room = id,
                       .room_len = strlen(id),
                       .sender = core->name,
                       .sender_len = strlen(core->name),
                       .body = bytes_data(bodies->items[i]),
                       .body_len = bytes_len(bodies->items[i])},
            .more = more || i + 1 < bodies->count,
        };
        err = log_say(step, &line, ret_text);
        if (err == ERR_OK) {
            (void)keyring_take(core->keyring, replica_last_said(core->replica));
        }
    }
    key_bodies_done(bodies);
    return err;
}

static void stir(Step *step)
{
    keyring_stir(step->core->keyring, step->event->random, step->event->wall_ms);
}

/* Of a shown name: the room's id, and of a conversation the other's key (else NULL). */
static Err find_id(Core *core, const char *shown, size_t len, const uint8_t **ret_other,
                   char ret_id[EVENT_ROOM_MAX_BYTES + 1], const char **ret_text)
{
    *ret_other = NULL;
    if (shown[0] == '@') {
        if (find_people(core, shown + 1, len - 1, ret_other) != 1) {
            *ret_text = "no member, or more than one, is called that";
            return ERR_NOT_FOUND;
        }
        keyring_talk_id(core->keyring, *ret_other, ret_id);
        return ERR_OK;
    }
    const SealedRoom *room = keyring_room_shown(core->keyring, shown, len);
    if (room == NULL) {
        *ret_text = "there is no sealed room of that name that this node was ever let into";
        return ERR_NOT_FOUND;
    }
    snprintf(ret_id, EVENT_ROOM_MAX_BYTES + 1, "%s", room->id);
    return ERR_OK;
}

static Err say_sealed(Step *step, const LogLine *line, const char *id, const char **ret_text)
{
    Bytes *body = NULL;
    if (keyring_seal(step->core->keyring, id, &line->fields, &body) != ERR_OK) {
        *ret_text = "there is no key for this room";
        return ERR_UNAVAILABLE;
    }
    LogLine sealed = *line;
    sealed.fields = (EventFields){.kind = LOG_SEALED,
                                  .room = id,
                                  .room_len = strlen(id),
                                  .sender = SEALED_SENDER,
                                  .sender_len = strlen(SEALED_SENDER),
                                  .body = bytes_data(body),
                                  .body_len = bytes_len(body)};
    Err err = log_say(step, &sealed, ret_text);
    bytes_unref(body);
    return err;
}

Err sealed_say(Step *step, const LogLine *line, const char **ret_text)
{
    Core *core = step->core;
    char id[EVENT_ROOM_MAX_BYTES + 1];
    const uint8_t *other = NULL;
    KeyBodies bodies;
    if (!sealed_is_shown(core, line->fields.room)) {
        return log_say(step, line, ret_text);
    }
    Err err = find_id(core, line->fields.room, line->fields.room_len, &other, id, ret_text);
    err = err == ERR_OK ? log_may_say(core, ret_text) : err;
    if (err != ERR_OK) {
        return err;
    }
    stir(step);
    err = keyring_renew(core->keyring, id, other, &bodies);
    if (err != ERR_OK) {
        *ret_text = err == ERR_LIMIT ? "too many rooms are known here"
                                     : "you are not in this room any more: somebody in it can "
                                       "/admit you";
        return err;
    }
    err = say_keys(step, id, &bodies, true, ret_text);
    return err == ERR_OK ? say_sealed(step, line, id, ret_text) : err;
}

/* ---- commands ---- */

bool sealed_room_id(Step *step, const char *shown, char ret_id[EVENT_ROOM_MAX_BYTES + 1])
{
    const uint8_t *other = NULL;
    const char *reason = "";
    if (find_id(step->core, shown, strlen(shown), &other, ret_id, &reason) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "%s: %s", shown, reason);
        return false;
    }
    return true;
}

bool sealed_person(Step *step, const char *who, size_t len, char ret_room[EVENT_ROOM_MAX_BYTES + 1])
{
    const Core *core = step->core;
    const uint8_t *key = find_person(step, who, len);
    if (key == NULL) {
        return false;
    }
    if (same_key(key, core->key)) {
        step_notice(step, NOTICE_ERROR, "%.*s is you", (int)len, who);
        return false;
    }
    char name[EVENT_SENDER_MAX_BYTES + 16];
    unique_name(core, key, name, sizeof(name));
    if (strlen(name) >= EVENT_ROOM_MAX_BYTES) { /* with the sign in front it does not fit */
        fingerprint_text(key, name);
    }
    snprintf(ret_room, EVENT_ROOM_MAX_BYTES + 1, "@%s", name);
    return true;
}

/* False, and said: open mode has no keys. */
static bool is_private(Step *step)
{
    if (step->core->keyring == NULL) {
        step_notice(step, NOTICE_ERROR,
                    "only a private network has sealed rooms: chat_node init makes one");
        return false;
    }
    stir(step);
    return true;
}

static bool say_or_tell(Step *step, const char *id, KeyBodies *bodies)
{
    const char *reason = "";
    if (say_keys(step, id, bodies, false, &reason) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "nothing was done: %s", reason);
        return false;
    }
    return true;
}

void sealed_make(Step *step, const char *name, size_t len)
{
    Core *core = step->core;
    char parsed[EVENT_ROOM_MAX_BYTES + 1];
    char id[SEALED_ROOM_BYTES + 1];
    const char *reason = "";
    KeyBodies bodies;
    if (!is_private(step)) {
        return;
    }
    if (len > 0 && name[0] == '!') {
        name++;
        len--;
    }
    if (room_name_parse(name, len, parsed, &reason) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "/seal NAME: %s", reason);
    } else if (parsed[0] == '!' || strchr(parsed, '~') != NULL) {
        step_notice(step, NOTICE_ERROR,
                    "/seal NAME: the name of a sealed room holds no ! and no ~");
    } else if (keyring_found(core->keyring, parsed, id, &bodies) != ERR_OK) {
        step_notice(step, NOTICE_ERROR,
                    "/seal NAME: the name of a sealed room has at most %d bytes",
                    SEALED_NAME_MAX_BYTES);
    } else if (say_or_tell(step, id, &bodies)) {
        const SealedRoom *room = keyring_room(core->keyring, id, strlen(id));
        if (room != NULL) {
            rooms_go_to(step, room->shown);
            step_notice(step, NOTICE_INFO, "nobody else can read it; /admit WHO lets a member in");
        }
    }
}

/* "WHO", or "WHO past". */
static bool take_past(const char *rest, size_t *len)
{
    static const char past[] = " past";
    size_t past_len = sizeof(past) - 1;
    if (*len <= past_len || memcmp(rest + *len - past_len, past, past_len) != 0) {
        return false;
    }
    *len -= past_len;
    while (*len > 0 && rest[*len - 1] == ' ') {
        --*len;
    }
    return true;
}

static void admit(Step *step, const SealedRoom *room, const uint8_t *key, bool past)
{
    KeyBodies bodies;
    char id[SEALED_ROOM_BYTES + 1];
    char name[EVENT_SENDER_MAX_BYTES + 16];
    memcpy(id, room->id, sizeof(id));
    unique_name(step->core, key, name, sizeof(name));
    switch (keyring_admit(step->core->keyring, id, key, past, &bodies)) {
    case ERR_OK:
        if (say_or_tell(step, id, &bodies)) {
            step_notice(step, NOTICE_INFO,
                        past ? "%s can read %s, and what was said in it before"
                             : "%s can read %s from now on",
                        name, step->core->room);
        }
        return;
    case ERR_EXISTS:
        step_notice(step, NOTICE_ERROR, "%s is in %s already", name, step->core->room);
        return;
    case ERR_LIMIT:
        step_notice(step, NOTICE_ERROR, "%s is full: a sealed room holds %d people",
                    step->core->room, ROOM_PEOPLE_MAX);
        return;
    default:
        step_notice(step, NOTICE_ERROR, "you are not in %s any more", step->core->room);
    }
}

void sealed_admit(Step *step, const char *rest, size_t len)
{
    Core *core = step->core;
    if (!is_private(step)) {
        return;
    }
    bool past = take_past(rest, &len);
    const SealedRoom *room = keyring_room_shown(core->keyring, core->room, strlen(core->room));
    if (len == 0) {
        step_notice(step, NOTICE_ERROR,
                    "/admit WHO [past]: WHO is a member; with \"past\" what was "
                    "said before can be read too");
    } else if (room == NULL) {
        step_notice(step, NOTICE_ERROR,
                    "you are not in a sealed room: /seal NAME makes one, /join !NAME goes to one");
    } else {
        const uint8_t *key = find_person(step, rest, len);
        if (key != NULL) {
            admit(step, room, key, past);
        }
    }
}

void sealed_join(Step *step, const char *shown)
{
    Keyring *keyring = step->core->keyring;
    const SealedRoom *room = keyring_room_shown(keyring, shown, strlen(shown));
    if (room == NULL || !room->inside) {
        step_notice(step, NOTICE_ERROR,
                    "you are in no sealed room %s: somebody in it can /admit you, or /seal makes "
                    "a new one",
                    shown);
        return;
    }
    KeyBodies bodies;
    char id[SEALED_ROOM_BYTES + 1];
    memcpy(id, room->id, sizeof(id));
    if (!room->entered &&
        (keyring_move(keyring, id, true, &bodies) != ERR_OK || !say_or_tell(step, id, &bodies))) {
        return;
    }
    rooms_go_to(step, shown);
}

bool sealed_part(Step *step, const char *shown)
{
    Keyring *keyring = step->core->keyring;
    const SealedRoom *room = keyring_room_shown(keyring, shown, strlen(shown));
    if (room == NULL || !room->inside) {
        step_notice(step, NOTICE_ERROR, "you are not in %s", shown);
        return false;
    }
    KeyBodies bodies;
    char id[SEALED_ROOM_BYTES + 1];
    memcpy(id, room->id, sizeof(id));
    return keyring_move(keyring, id, false, &bodies) == ERR_OK && say_or_tell(step, id, &bodies);
}

void sealed_names(Step *step, const char *shown)
{
    Core *core = step->core;
    const SealedRoom *room = keyring_room_shown(core->keyring, shown, strlen(shown));
    AUTO_STRBUF StrBuf here = {0};
    AUTO_STRBUF StrBuf away = {0};
    if (room == NULL) {
        step_notice(step, NOTICE_ERROR, "you are not in %s", shown);
        return;
    }
    const uint8_t *key;
    for (size_t i = 0; (key = keyring_person(core->keyring, room->id, i)) != NULL; i++) {
        StrBuf *list = is_here(core, key) ? &here : &away;
        strbuf_add_string(list, list->len > 0 ? ", " : "");
        strbuf_add_string(list, name_for_keyring(core, key));
    }
    step_notice(step, NOTICE_INFO, "%s: here: %s%s%s", shown, here.len > 0 ? here.text : "nobody",
                away.len > 0 ? "; away: " : "", strbuf_text(&away));
}

const char *sealed_row(const Core *core, const char *id, size_t *ret_people, bool *ret_entered)
{
    const SealedRoom *room = keyring_room(core->keyring, id, strlen(id));
    if (room == NULL || room->shown[0] == '\0') {
        return "";
    }
    *ret_people = room->people;
    *ret_entered = room->entered;
    return room->shown;
}

const char *sealed_room_text(Core *core, const char *room)
{
    const SealedRoom *found = keyring_room(core->keyring, room, strlen(room));
    if (found == NULL) {
        return "this room";
    }
    return found->shown[0] != '\0' ? found->shown : "what you two say to each other";
}
