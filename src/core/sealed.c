/* The keyring: what ROOM_KEY events say, kept; and who asks is told what follows. */
#include "core/sealed_state.h"

#include <sodium.h>
#include <string.h>

/* ---- what is kept because of whom ---- */

static Share *share_find(const Keyring *keyring, const uint8_t author[EVENT_KEY_BYTES])
{
    Share *share;
    HASH_FIND(hh, keyring->shares, author, EVENT_KEY_BYTES, share);
    return share;
}

static Share *share_of(Keyring *keyring, const uint8_t author[EVENT_KEY_BYTES])
{
    Share *share = share_find(keyring, author);
    if (share == NULL) {
        share = mem_new(Share);
        memcpy(share->key, author, EVENT_KEY_BYTES);
        HASH_ADD(hh, keyring->shares, key, EVENT_KEY_BYTES, share);
    }
    return share;
}

static void share_drop_if_empty(Keyring *keyring, Share *share)
{
    if (share->rooms == 0 && share->events == 0) {
        HASH_DEL(keyring->shares, share);
        mem_free(share);
    }
}

/* ---- life ---- */

Keyring *keyring_new(const uint8_t seed[EVENT_SEED_BYTES], const uint8_t *network)
{
    static const char domain[] = "chat_node chance 1";
    Keyring *keyring = mem_new(Keyring);
    EventSigner signer;
    event_signer_init(&signer, seed);
    memcpy(keyring->own_key, signer.public_key, EVENT_KEY_BYTES);
    memcpy(keyring->network, network, EVENT_NETWORK_BYTES);
    crypto_generichash(keyring->chance, sizeof(keyring->chance), (const uint8_t *)domain,
                       sizeof(domain), seed, EVENT_SEED_BYTES);
    /* RFC 8032's keys as RFC 7748's: the one is made of the other. */
    (void)crypto_sign_ed25519_sk_to_curve25519(keyring->box_secret, signer.secret);
    (void)crypto_scalarmult_base(keyring->box_public, keyring->box_secret);
    event_signer_done(&signer);
    return keyring;
}

static void event_free(Keyring *keyring, RoomEvent *event)
{
    keyring->grants_count -= event->grants_count;
    event->share->grants -= event->grants_count;
    event->share->events--;
    share_drop_if_empty(keyring, event->share);
    mem_free(event->key_ids);
    mem_free(event->grants);
    mem_free(event);
}

static void room_free(Keyring *keyring, KeyRoom *room)
{
    HASH_CLEAR(hh, room->by_key);
    for (size_t i = 0; i < room->people_count; i++) {
        mem_free(room->people[i]->changes);
        mem_free(room->people[i]);
    }
    for (size_t i = 0; i < room->events_count; i++) {
        event_free(keyring, room->events[i]);
    }
    for (size_t i = 0; i < room->keys_count; i++) {
        sodium_memzero(room->keys[i].key, SEALED_KEY_BYTES);
        mem_free(room->keys[i].holders);
    }
    mem_free(room->people);
    mem_free(room->events);
    mem_free(room->keys);
    room->share->rooms--;
    share_drop_if_empty(keyring, room->share);
    mem_free(room);
}

void keyring_free(Keyring *keyring)
{
    if (keyring == NULL) {
        return;
    }
    KeyRoom *room;
    KeyRoom *next;
    HASH_ITER(hh, keyring->rooms, room, next) {
        HASH_DEL(keyring->rooms, room);
        room_free(keyring, room);
    }
    sodium_memzero(keyring, sizeof(*keyring));
    mem_free(keyring);
}

void keyring_set_people(Keyring *keyring, const KeyringPeople *people)
{
    keyring->people = *people;
}

/* ---- chance ---- */

void keyring_stir(Keyring *keyring, uint64_t random, int64_t wall_ms)
{
    struct {
        uint64_t random;
        int64_t wall_ms;
        uint64_t draws;
    } fresh = {random, wall_ms, ++keyring->draws};
    uint8_t chance[sizeof(keyring->chance)];
    crypto_generichash(chance, sizeof(chance), (const uint8_t *)&fresh, sizeof(fresh),
                       keyring->chance, sizeof(keyring->chance));
    memcpy(keyring->chance, chance, sizeof(chance));
    sodium_memzero(chance, sizeof(chance));
}

/* What it is for goes into it: were the fresh numbers ever the same, two nonces of one key would
 * still be equal for equal texts alone. */
void keyring_draw(Keyring *keyring, const void *about, size_t about_len, uint8_t *ret, size_t len)
{
    crypto_generichash_state state;
    uint64_t draw = ++keyring->draws;
    crypto_generichash_init(&state, keyring->chance, sizeof(keyring->chance), len);
    crypto_generichash_update(&state, (const uint8_t *)&draw, sizeof(draw));
    crypto_generichash_update(&state, about, about_len);
    crypto_generichash_final(&state, ret, len);
    sodium_memzero(&state, sizeof(state));
}

/* ---- rooms ---- */

static bool forget_one(Keyring *keyring)
{
    KeyRoom *first = NULL;
    for (KeyRoom *room = keyring->rooms; room != NULL; room = room->hh.next) {
        if (room->keys_count == 0 && (first == NULL || room->share->rooms > first->share->rooms)) {
            first = room;
        }
    }
    if (first != NULL) {
        HASH_DEL(keyring->rooms, first);
        room_free(keyring, first);
    }
    return first != NULL;
}

KeyRoom *keyring_get(Keyring *keyring, const char *id, const uint8_t author[EVENT_KEY_BYTES])
{
    KeyRoom *room = keyring_find(keyring, id, SEALED_ROOM_BYTES);
    if (room != NULL) {
        return room;
    }
    if (HASH_COUNT(keyring->rooms) >= KEYRING_ROOMS_MAX && !forget_one(keyring)) {
        return NULL;
    }
    room = mem_new(KeyRoom);
    memcpy(room->id, id, SEALED_ROOM_BYTES);
    room->is_talk = id[0] == '@';
    room->stale = true;
    room->share = share_of(keyring, author);
    room->share->rooms++;
    HASH_ADD(hh, keyring->rooms, id[0], SEALED_ROOM_BYTES, room);
    return room;
}

bool room_make_talk(Keyring *keyring, KeyRoom *room, const uint8_t *other)
{
    return room_person(room, keyring->own_key) != NULL && room_person(room, other) != NULL;
}

static bool is_talk_with(const Keyring *keyring, const uint8_t *key, const char *id)
{
    char talk[SEALED_ROOM_BYTES + 1];
    if (memcmp(key, keyring->own_key, EVENT_KEY_BYTES) == 0) {
        return false;
    }
    keyring_talk_id(keyring, key, talk);
    return strcmp(talk, id) == 0;
}

/* Conversations of others are not kept: their ids tell. */
static KeyRoom *room_of(Keyring *keyring, const EventFields *fields, const KeysWire *wire)
{
    char id[SEALED_ROOM_BYTES + 1];
    memcpy(id, fields->room, SEALED_ROOM_BYTES);
    id[SEALED_ROOM_BYTES] = '\0';
    if (id[0] == '!') {
        return keyring_get(keyring, id, fields->stream.origin);
    }
    const uint8_t *origin = fields->stream.origin;
    const uint8_t *other = is_talk_with(keyring, origin, id) ? origin : NULL;
    bool own = memcmp(origin, keyring->own_key, EVENT_KEY_BYTES) == 0;
    for (size_t i = 0; own && i < wire->grants_count && other == NULL; i++) {
        const uint8_t *member = wire->grants[i].member;
        other = is_talk_with(keyring, member, id) ? member : NULL;
    }
    KeyRoom *room = other != NULL ? keyring_get(keyring, id, fields->stream.origin) : NULL;
    return room != NULL && room_make_talk(keyring, room, other) ? room : NULL;
}

/* ---- an event ---- */

/* Where it is, or would be. */
static size_t event_at(const KeyRoom *room, const RoomPlace *place, bool *ret_found)
{
    size_t low = 0;
    size_t high = room->events_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = room_place_compare(&room->events[middle]->place, place);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    *ret_found = false;
    return low;
}

static void drop_event(Keyring *keyring, KeyRoom *room, size_t at)
{
    event_free(keyring, room->events[at]);
    room->events_count--;
    memmove(&room->events[at], &room->events[at + 1],
            (room->events_count - at) * sizeof(RoomEvent *));
    room->stale = true;
}

static bool only_gives_keys(const RoomEvent *event)
{
    if (event->founds || event->move != ROOM_STAY) {
        return false;
    }
    for (size_t i = 0; i < event->grants_count; i++) {
        if (event->grants[i].lets_in) {
            return false;
        }
    }
    return true;
}

/* What does not count goes first; then the oldest one that only gives keys: at worst a new key is
 * made where that one would have served. */
static bool make_room_for_event(Keyring *keyring, KeyRoom *room)
{
    if (room->events_count < ROOM_EVENTS_MAX) {
        return true;
    }
    room_fold(keyring, room);
    for (size_t i = 0; i < room->events_count; i++) {
        if (!room->events[i]->counts) {
            drop_event(keyring, room, i);
            return true;
        }
    }
    for (size_t i = 0; i < room->events_count; i++) {
        if (only_gives_keys(room->events[i])) {
            drop_event(keyring, room, i);
            return true;
        }
    }
    return false;
}

static bool founds(const Keyring *keyring, const KeyRoom *room, const EventFields *fields,
                   const KeysWire *wire)
{
    char id[SEALED_ROOM_BYTES + 1];
    if (wire->salt == NULL || room->is_talk) {
        return false;
    }
    room_id_of_founder(keyring, fields->stream.origin, wire->salt, id);
    return strcmp(id, room->id) == 0;
}

/* NULL: people are too many. */
static RoomEvent *event_of(Keyring *keyring, KeyRoom *room, const EventFields *fields,
                           const KeysWire *wire)
{
    const Person *author = room_person(room, fields->stream.origin);
    if (author == NULL) {
        return NULL;
    }
    RoomEvent *event = mem_new(RoomEvent);
    event->place = room_place(fields);
    event->author = author->index;
    event->move = wire->move;
    event->founds = founds(keyring, room, fields, wire);
    event->key_ids = mem_array(wire->keys_count + 1, sizeof(uint64_t));
    event->keys_count = wire->keys_count;
    for (size_t i = 0; i < wire->keys_count; i++) {
        event->key_ids[i] = seal_key_number(wire->key_ids[i]);
    }
    event->grants = mem_array(wire->grants_count + 1, sizeof(GrantRow));
    for (size_t i = 0; i < wire->grants_count; i++) {
        const GrantWire *grant = &wire->grants[i];
        bool other = room->is_talk && room_find_person(room, grant->member) == NULL;
        const Person *person = other ? NULL : room_person(room, grant->member);
        if (person != NULL) {
            event->grants[event->grants_count++] =
                (GrantRow){.person = person->index, .lets_in = grant->lets_in};
        }
    }
    keyring->grants_count += event->grants_count;
    event->share = share_of(keyring, fields->stream.origin);
    event->share->grants += event->grants_count;
    event->share->events++;
    return event;
}

static void insert_event(KeyRoom *room, size_t at, RoomEvent *event)
{
    if (room->events_count == room->events_cap) {
        room->events_cap = room->events_cap > 0 ? 2 * room->events_cap : 4;
        room->events = mem_resize(room->events, room->events_cap, sizeof(RoomEvent *));
    }
    memmove(&room->events[at + 1], &room->events[at],
            (room->events_count - at) * sizeof(RoomEvent *));
    room->events[at] = event;
    room->events_count++;
    room->stale = true;
}

/* ---- the keys in it ---- */

static void drop_key(KeyRoom *room, size_t at)
{
    sodium_memzero(room->keys[at].key, SEALED_KEY_BYTES);
    mem_free(room->keys[at].holders);
    room->keys_count--;
    memmove(&room->keys[at], &room->keys[at + 1], (room->keys_count - at) * sizeof(SealKey));
    sodium_memzero(&room->keys[room->keys_count], sizeof(SealKey));
}

/* One that nobody in the room has given goes before those that somebody has. */
static void make_room_for_key(Keyring *keyring, KeyRoom *room)
{
    if (room->keys_count < ROOM_KEYS_MAX) {
        return;
    }
    room_fold(keyring, room);
    size_t worst = 0;
    for (size_t i = 1; i < room->keys_count; i++) {
        const SealKey *key = &room->keys[i];
        const SealKey *kept = &room->keys[worst];
        bool worse = key->given != kept->given ? !key->given
                                               : room_place_compare(&key->place, &kept->place) < 0;
        worst = worse ? i : worst;
    }
    drop_key(room, worst);
}

/* All keys of the room in new memory, with none of them left behind in the old. */
static void grow_keys(KeyRoom *room)
{
    if (room->keys_count < room->keys_cap) {
        return;
    }
    size_t cap = room->keys_cap > 0 ? 2 * room->keys_cap : 4;
    SealKey *keys = mem_array(cap, sizeof(SealKey));
    if (room->keys_count > 0) {
        memcpy(keys, room->keys, room->keys_count * sizeof(SealKey));
        sodium_memzero(room->keys, room->keys_count * sizeof(SealKey));
    }
    mem_free(room->keys);
    room->keys = keys;
    room->keys_cap = cap;
}

static void add_key(Keyring *keyring, KeyRoom *room, uint64_t id, const uint8_t *key,
                    const RoomPlace *place)
{
    if (room_find_key(room, id) != NULL) {
        return;
    }
    make_room_for_key(keyring, room);
    grow_keys(room);
    SealKey *added = &room->keys[room->keys_count++];
    *added = (SealKey){.id = id, .place = *place, .take = keyring->takes};
    memcpy(added->key, key, SEALED_KEY_BYTES);
    room->stale = true;
    keyring->learned = true;
}

static void take_content(Keyring *keyring, KeyRoom *room, const EventFields *fields,
                         const KeysWire *wire, const GrantContent *content)
{
    RoomPlace place = room_place(fields);
    uint8_t context[SEALED_CONTEXT_BYTES];
    room_context(keyring, fields->stream.origin, room->id, keyring->own_key, context);
    if (sodium_memcmp(context, content->context, sizeof(context)) != 0 ||
        content->keys_count != wire->keys_count) {
        return;
    }
    for (size_t i = 0; i < content->keys_count; i++) {
        uint8_t id[SEALED_KEY_ID_BYTES];
        seal_key_id(room->id, content->keys[i], id);
        if (memcmp(id, wire->key_ids[i], sizeof(id)) == 0) {
            add_key(keyring, room, seal_key_number(id), content->keys[i], &place);
        }
    }
    bool first = room->name[0] == '\0' || room_place_compare(&place, &room->name_place) < 0;
    if (first && content->name[0] != '\0') {
        memcpy(room->name, content->name, sizeof(room->name));
        room->name_place = place;
        keyring->names_stale = true;
    }
}

static void open_grant(Keyring *keyring, KeyRoom *room, const EventFields *fields,
                       const KeysWire *wire, const GrantWire *grant)
{
    if (grant->sealed_len <= BOX_SEAL_BYTES) {
        return;
    }
    size_t len = grant->sealed_len - BOX_SEAL_BYTES;
    uint8_t *opened = mem_alloc(len);
    if (crypto_box_seal_open(opened, grant->sealed, grant->sealed_len, keyring->box_public,
                             keyring->box_secret) == 0) {
        GrantContent *content = mem_new(GrantContent);
        if (grant_content_read(opened, len, content)) {
            take_content(keyring, room, fields, wire, content);
        }
        sodium_memzero(content, sizeof(*content));
        mem_free(content);
    }
    sodium_memzero(opened, len);
    mem_free(opened);
}

static bool is_wanted(const Keyring *keyring, const EventFields *fields)
{
    return fields->kind == LOG_ROOM_KEY && fields->network != NULL &&
           memcmp(fields->network, keyring->network, EVENT_NETWORK_BYTES) == 0 &&
           sealed_is_id(fields->room, fields->room_len);
}

static bool has_room_for(const Keyring *keyring, const EventFields *fields, size_t grants)
{
    const Share *share = share_find(keyring, fields->stream.origin);
    return keyring->grants_count + grants <= KEYRING_GRANTS_MAX &&
           (share == NULL || share->grants + grants <= KEYRING_GRANTS_OF_ONE_MAX);
}

static bool take_read(Keyring *keyring, const EventFields *fields, const KeysWire *wire)
{
    KeyRoom *room = room_of(keyring, fields, wire);
    RoomPlace place = room_place(fields);
    bool found = room == NULL;
    if (room != NULL) {
        (void)event_at(room, &place, &found);
    }
    if (found || !has_room_for(keyring, fields, wire->grants_count) ||
        !make_room_for_event(keyring, room)) {
        return false;
    }
    RoomEvent *event = event_of(keyring, room, fields, wire);
    if (event == NULL) {
        return false;
    }
    insert_event(room, event_at(room, &place, &found), event);
    for (size_t i = 0; i < wire->grants_count; i++) {
        if (memcmp(wire->grants[i].member, keyring->own_key, EVENT_KEY_BYTES) == 0) {
            open_grant(keyring, room, fields, wire, &wire->grants[i]);
        }
    }
    return true;
}

bool keyring_take(Keyring *keyring, const LogEvent *event)
{
    const EventFields *fields = &event->fields;
    KeysRead read;
    keyring->learned = false;
    keyring->takes++;
    if (!is_wanted(keyring, fields) || !keys_read(fields->body, fields->body_len, &read)) {
        return false;
    }
    bool taken = take_read(keyring, fields, &read.wire);
    keys_read_done(&read);
    return taken;
}

bool keyring_learned(const Keyring *keyring)
{
    return keyring->learned;
}

uint64_t keyring_takes(const Keyring *keyring)
{
    return keyring->takes;
}

void keyring_cut(Keyring *keyring, const StreamId *stream, uint64_t seq)
{
    for (KeyRoom *room = keyring->rooms; room != NULL; room = room->hh.next) {
        for (size_t i = room->events_count; i > 0; i--) {
            const RoomPlace *place = &room->events[i - 1]->place;
            if (place->seq > seq && stream_id_compare(&place->stream, stream) == 0) {
                drop_event(keyring, room, i - 1);
            }
        }
    }
}

/* ---- questions ---- */

static const SealedRoom *view_of(Keyring *keyring, KeyRoom *room)
{
    keyring_name_rooms(keyring);
    const Person *own = room_find_person(room, keyring->own_key);
    if (own == NULL || own->changes_count == 0) {
        return NULL;
    }
    room->view = (SealedRoom){
        .id = room->id, .shown = room->shown, .inside = own->in, .entered = own->entered};
    for (size_t i = 0; i < room->people_count; i++) {
        room->view.people += room->people[i]->in && person_counts(keyring, room->people[i]);
    }
    return &room->view;
}

const SealedRoom *keyring_room(Keyring *keyring, const char *id, size_t len)
{
    KeyRoom *room = keyring_folded(keyring, id, len);
    return room != NULL ? view_of(keyring, room) : NULL;
}

const SealedRoom *keyring_room_shown(Keyring *keyring, const char *shown, size_t len)
{
    keyring_name_rooms(keyring);
    for (KeyRoom *room = keyring->rooms; room != NULL; room = room->hh.next) {
        if (len > 0 && strlen(room->shown) == len && memcmp(room->shown, shown, len) == 0) {
            return view_of(keyring, room);
        }
    }
    return NULL;
}

const SealedRoom *keyring_room_at(Keyring *keyring, size_t index)
{
    keyring_name_rooms(keyring);
    for (KeyRoom *room = keyring->rooms; room != NULL; room = room->hh.next) {
        if (room->shown[0] != '\0' && index-- == 0) {
            return view_of(keyring, room);
        }
    }
    return NULL;
}

const uint8_t *keyring_person(Keyring *keyring, const char *id, size_t index)
{
    const KeyRoom *room = keyring_folded(keyring, id, strlen(id));
    for (size_t i = 0; room != NULL && i < room->people_count; i++) {
        const Person *person = room->people[i];
        if (person->in && person_counts(keyring, person) && index-- == 0) {
            return person->key;
        }
    }
    return NULL;
}

bool keyring_has_person(Keyring *keyring, const char *id, const uint8_t key[EVENT_KEY_BYTES])
{
    const KeyRoom *room = keyring_folded(keyring, id, strlen(id));
    const Person *person = room != NULL ? room_find_person(room, key) : NULL;
    return person != NULL && person->in && person_counts(keyring, person);
}

const uint8_t *keyring_let_in(Keyring *keyring, const EventFields *fields, size_t index)
{
    const KeyRoom *room = sealed_is_id(fields->room, fields->room_len)
                              ? keyring_folded(keyring, fields->room, fields->room_len)
                              : NULL;
    RoomPlace place = room_place(fields);
    for (size_t i = 0; room != NULL && i < room->people_count; i++) {
        const Person *person = room->people[i];
        for (size_t j = 0; j < person->changes_count; j++) {
            const Change *change = &person->changes[j];
            if (change->in && room_place_compare(&change->place, &place) == 0 && index-- == 0) {
                return person->key;
            }
        }
    }
    return NULL;
}
