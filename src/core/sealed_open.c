/* Into a sealed event and out of it, and the keys that are made on the way. */
#include "core/sealed_state.h"

#include "core/proto_arena.h"

#include <chat.pb-c.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    CONTENT_MAX_BYTES = EVENT_BODY_MAX_BYTES + EVENT_SEALED_EXTRA_BYTES,
    OPEN_ARENA_BYTES = 4 * CONTENT_MAX_BYTES,
};

_Static_assert(SEALED_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "as libsodium has");
_Static_assert(SEALED_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "as above");
_Static_assert(SEALED_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "as above");
_Static_assert(BOX_SEAL_BYTES == crypto_box_SEALBYTES, "as above");

/* ---- what a text is bound to ---- */

static const char SEALED_DOMAIN[] = "chat_node sealed 1";

typedef struct Binding {
    uint8_t bytes[sizeof(SEALED_DOMAIN) + EVENT_NETWORK_BYTES + EVENT_KEY_BYTES +
                  SEALED_ROOM_BYTES + SEALED_KEY_ID_BYTES];
} Binding;

/* All parts but the last have one length. */
static Binding binding_of(const Keyring *keyring, const uint8_t *origin, const char *room,
                          uint64_t key_id)
{
    Binding binding;
    uint8_t *at = binding.bytes;
    memcpy(at, SEALED_DOMAIN, sizeof(SEALED_DOMAIN));
    at += sizeof(SEALED_DOMAIN);
    memcpy(at, keyring->network, EVENT_NETWORK_BYTES);
    at += EVENT_NETWORK_BYTES;
    memcpy(at, origin, EVENT_KEY_BYTES);
    at += EVENT_KEY_BYTES;
    memcpy(at, room, SEALED_ROOM_BYTES);
    at += SEALED_ROOM_BYTES;
    memcpy(at, &key_id, SEALED_KEY_ID_BYTES);
    return binding;
}

/* ---- opening ---- */

/* "@NAME": of whom it is said to. */
static void talk_name(const Keyring *keyring, const KeyRoom *room, const EventFields *fields,
                      char ret_name[EVENT_ROOM_MAX_BYTES + 1])
{
    bool own = memcmp(fields->stream.origin, keyring->own_key, EVENT_KEY_BYTES) == 0;
    const Person *other = room_other(keyring, room);
    const uint8_t *key = own && other != NULL ? other->key : keyring->own_key;
    const KeyringPeople *people = &keyring->people;
    const char *name = people->name != NULL ? people->name(people->context, key) : NULL;
    if (name != NULL && name[0] != '\0') {
        snprintf(ret_name, EVENT_ROOM_MAX_BYTES + 1, "@%.*s", EVENT_ROOM_MAX_BYTES - 1, name);
    } else {
        snprintf(ret_name, EVENT_ROOM_MAX_BYTES + 1, "@%02x%02x%02x%02x", key[0], key[1], key[2],
                 key[3]);
    }
}

/* Who opens it, and from which room. */
typedef struct Opening {
    const Keyring *keyring;
    Keyring *names; /* the same, where the room is to have its shown name; NULL: its id */
    const KeyRoom *room;
    const LogEvent *event;
} Opening;

static LogEvent *open_as(const Opening *opening, const EventFields *fields)
{
    char shown[EVENT_ROOM_MAX_BYTES + 1];
    Keyring *keyring = opening->names;
    const KeyRoom *room = opening->room;
    const LogEvent *event = opening->event;
    if (keyring == NULL) {
        return event_opened(event, fields);
    }
    if (room->is_talk) {
        talk_name(keyring, room, &event->fields, shown);
    } else {
        keyring_name_rooms(keyring);
        memcpy(shown, room->shown, sizeof(shown));
    }
    EventFields named = *fields;
    named.room = shown;
    named.room_len = strlen(shown);
    return shown[0] != '\0' ? event_opened(event, &named) : NULL;
}

static bool may_be_within(int kind)
{
    return kind == LOG_TEXT || kind == LOG_ACTION || kind == LOG_NICK || kind == LOG_TOPIC;
}

static LogEvent *open_content(const Opening *opening, const uint8_t *content, size_t len)
{
    enum { SENDER = 2, STAMP = 5 };
    uint8_t *memory = mem_alloc(OPEN_ARENA_BYTES);
    ProtoArena arena;
    LogEvent *opened = NULL;
    const Chat__SealedContent *wire = chat__sealed_content__unpack(
        proto_arena_reset(&arena, memory, OPEN_ARENA_BYTES), len, content);
    if (wire != NULL && may_be_within((int)wire->kind)) {
        EventFields fields = opening->event->fields;
        fields.kind = (int)wire->kind;
        fields.sender = wire->sender;
        fields.sender_len = proto_string_len(content, len, SENDER);
        fields.body = wire->body.data != NULL ? wire->body.data : (const uint8_t *)"";
        fields.body_len = wire->body.len;
        fields.id = wire->id.data;
        fields.id_len = wire->id.len;
        fields.stamp = wire->stamp;
        fields.stamp_len = proto_string_len(content, len, STAMP);
        fields.heard = wire->heard;
        opened = open_as(opening, &fields);
    }
    sodium_memzero(memory, arena.used);
    mem_free(memory);
    return opened;
}

static LogEvent *open_with(const Opening *opening, const SealKey *key, const Chat__Sealed *sealed)
{
    size_t len = sealed->content.len - SEALED_TAG_BYTES;
    uint8_t *content = mem_alloc(len + 1);
    Binding binding = binding_of(opening->keyring, opening->event->fields.stream.origin,
                                 opening->room->id, key->id);
    LogEvent *opened = NULL;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            content, NULL, NULL, sealed->content.data, sealed->content.len, binding.bytes,
            sizeof(binding.bytes), sealed->nonce.data, key->key) == 0) {
        opened = open_content(opening, content, len);
    }
    sodium_memzero(content, len);
    mem_free(content);
    return opened;
}

static const Chat__Sealed *read_sealed(const EventFields *fields, ProtoArena *arena,
                                       uint8_t *memory, size_t size)
{
    const Chat__Sealed *sealed = chat__sealed__unpack(proto_arena_reset(arena, memory, size),
                                                      fields->body_len, fields->body);
    bool good = sealed != NULL && sealed->key_id.len == SEALED_KEY_ID_BYTES &&
                sealed->nonce.len == SEALED_NONCE_BYTES && sealed->content.len >= SEALED_TAG_BYTES;
    return good ? sealed : NULL;
}

static LogEvent *open_sealed(const Opening *opening)
{
    _Alignas(PROTO_ARENA_ALIGN) uint8_t memory[2 * CONTENT_MAX_BYTES];
    ProtoArena arena;
    const Chat__Sealed *sealed =
        read_sealed(&opening->event->fields, &arena, memory, sizeof(memory));
    const SealKey *key =
        sealed != NULL ? room_find_key(opening->room, seal_key_number(sealed->key_id.data)) : NULL;
    return key != NULL ? open_with(opening, key, sealed) : NULL;
}

/* The founder is let in by entering; all others are there before they enter. */
static LogEvent *open_move(const Opening *opening)
{
    const KeyRoom *room = opening->room;
    const LogEvent *event = opening->event;
    KeysRead read;
    if (room->is_talk || !keys_read(event->fields.body, event->fields.body_len, &read)) {
        return NULL;
    }
    RoomMove move = read.wire.move;
    keys_read_done(&read);
    if (move == ROOM_STAY) {
        return NULL;
    }
    EventFields fields = event->fields;
    fields.kind = move == ROOM_ENTER ? LOG_JOIN : LOG_PART;
    fields.body = (const uint8_t *)"";
    fields.body_len = 0;
    return open_as(opening, &fields);
}

/* A leave is the author's last word in the room: it counts as the event before did. */
static bool author_was_in(const KeyRoom *room, const EventFields *fields)
{
    RoomPlace place = room_place(fields);
    const Person *author = room_find_person(room, fields->stream.origin);
    if (author == NULL) {
        return false;
    }
    for (size_t i = 0; i < author->changes_count; i++) {
        if (room_place_compare(&author->changes[i].place, &place) == 0) {
            return true; /* it lets its author in, or takes him out */
        }
    }
    return room_was_in(author, &place);
}

static bool is_sealed_kind(const EventFields *fields)
{
    return fields->kind == LOG_SEALED || fields->kind == LOG_ROOM_KEY;
}

/* In the clear nobody speaks in a sealed room, nor to one alone. */
static LogEvent *plain_event(LogEvent *event)
{
    char sign = event->fields.room[0];
    return sign == '!' || sign == '@' ? NULL : event_ref(event);
}

static bool is_of_network(const Keyring *keyring, const EventFields *fields)
{
    return fields->network != NULL &&
           memcmp(fields->network, keyring->network, EVENT_NETWORK_BYTES) == 0 &&
           sealed_is_id(fields->room, fields->room_len);
}

LogEvent *keyring_open(Keyring *keyring, LogEvent *event)
{
    const EventFields *fields = &event->fields;
    if (keyring == NULL) {
        return event_ref(event);
    }
    if (!is_sealed_kind(fields)) {
        return plain_event(event);
    }
    if (!is_of_network(keyring, fields)) {
        return NULL;
    }
    const KeyRoom *room = keyring_folded(keyring, fields->room, fields->room_len);
    if (room == NULL || room->keys_count == 0 || !author_was_in(room, fields)) {
        return NULL;
    }
    Opening opening = {.keyring = keyring, .names = keyring, .room = room, .event = event};
    return fields->kind == LOG_SEALED ? open_sealed(&opening) : open_move(&opening);
}

LogEvent *keyring_unseal(const Keyring *keyring, LogEvent *event)
{
    const EventFields *fields = &event->fields;
    if (!is_sealed_kind(fields)) {
        return plain_event(event);
    }
    const KeyRoom *room = fields->kind == LOG_SEALED && is_of_network(keyring, fields)
                              ? keyring_find(keyring, fields->room, fields->room_len)
                              : NULL;
    Opening opening = {.keyring = keyring, .room = room, .event = event};
    return room != NULL ? open_sealed(&opening) : NULL;
}

bool keyring_opens_since(const Keyring *keyring, const EventFields *fields, uint64_t take)
{
    _Alignas(PROTO_ARENA_ALIGN) uint8_t memory[2 * CONTENT_MAX_BYTES];
    ProtoArena arena;
    const KeyRoom *room = fields->kind == LOG_SEALED && is_of_network(keyring, fields)
                              ? keyring_find(keyring, fields->room, fields->room_len)
                              : NULL;
    const Chat__Sealed *sealed =
        room != NULL ? read_sealed(fields, &arena, memory, sizeof(memory)) : NULL;
    const SealKey *key =
        sealed != NULL ? room_find_key(room, seal_key_number(sealed->key_id.data)) : NULL;
    return key != NULL && key->take >= take;
}

/* ---- sealing ---- */

static size_t pack_content(const EventFields *fields, uint8_t *data)
{
    Chat__SealedContent wire = CHAT__SEALED_CONTENT__INIT;
    AUTO_FREE char *sender = mem_copy_text(fields->sender, fields->sender_len);
    AUTO_FREE char *stamp =
        mem_copy_text(fields->stamp != NULL ? fields->stamp : "", fields->stamp_len);
    wire.kind = (Chat__EventKind)fields->kind;
    wire.sender = sender;
    wire.body.data = (uint8_t *)(uintptr_t)fields->body;
    wire.body.len = fields->body_len;
    wire.id.data = (uint8_t *)(uintptr_t)fields->id;
    wire.id.len = fields->id_len;
    wire.stamp = stamp;
    wire.heard = fields->heard;
    return chat__sealed_content__pack(&wire, data);
}

static Bytes *seal_content(Keyring *keyring, const KeyRoom *room, const SealKey *key,
                           const uint8_t *content, size_t len)
{
    uint8_t nonce[SEALED_NONCE_BYTES];
    uint8_t key_id[SEALED_KEY_ID_BYTES];
    uint8_t sealed[CONTENT_MAX_BYTES];
    Binding binding = binding_of(keyring, keyring->own_key, room->id, key->id);
    keyring_draw(keyring, content, len, nonce, sizeof(nonce));
    memcpy(key_id, &key->id, sizeof(key_id));
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, content, len, binding.bytes,
                                               sizeof(binding.bytes), NULL, nonce, key->key);
    Chat__Sealed wire = CHAT__SEALED__INIT;
    wire.key_id = (ProtobufCBinaryData){.len = sizeof(key_id), .data = key_id};
    wire.nonce = (ProtobufCBinaryData){.len = sizeof(nonce), .data = nonce};
    wire.content = (ProtobufCBinaryData){.len = len + SEALED_TAG_BYTES, .data = sealed};
    Bytes *body = bytes_new_empty(chat__sealed__get_packed_size(&wire));
    chat__sealed__pack(&wire, bytes_fill(body));
    return body;
}

Err keyring_seal(Keyring *keyring, const char *id, const EventFields *fields, Bytes **ret_body)
{
    const KeyRoom *room = keyring_folded(keyring, id, strlen(id));
    const SealKey *key = room != NULL ? room_fitting_key(keyring, room) : NULL;
    if (key == NULL) {
        return ERR_NOT_FOUND;
    }
    uint8_t content[CONTENT_MAX_BYTES];
    size_t len = pack_content(fields, content);
    *ret_body = seal_content(keyring, room, key, content, len);
    sodium_memzero(content, len);
    return ERR_OK;
}

/* ---- making keys ---- */

void key_bodies_done(KeyBodies *bodies)
{
    for (size_t i = 0; i < bodies->count; i++) {
        bytes_unref(bodies->items[i]);
    }
    mem_free(TAKE(bodies->items));
    bodies->count = 0;
}

static void add_body(KeyBodies *bodies, const KeysWire *wire)
{
    bodies->items = mem_resize(bodies->items, bodies->count + 1, sizeof(Bytes *));
    bodies->items[bodies->count++] = keys_write(wire);
}

/* What is given to whom. */
typedef struct Giving {
    Keyring *keyring;
    const char *room;
    const uint8_t *salt;
    RoomMove move;
    uint8_t (*key_ids)[SEALED_KEY_ID_BYTES];
    GrantContent content;
    GrantWire *grants;
    size_t count;
} Giving;

/* crypto_box_seal, with the ephemeral key from keyring_draw. */
static bool box_seal(Keyring *keyring, const uint8_t *member, const uint8_t *data, size_t len,
                     uint8_t *ret_sealed)
{
    uint8_t box_key[BOX_BYTES];
    uint8_t seed[crypto_box_SEEDBYTES];
    uint8_t secret[crypto_box_SECRETKEYBYTES];
    uint8_t nonce[crypto_box_NONCEBYTES];
    crypto_generichash_state state;
    if (crypto_sign_ed25519_pk_to_curve25519(box_key, member) != 0) {
        return false;
    }
    keyring_draw(keyring, data, len, seed, sizeof(seed));
    crypto_box_seed_keypair(ret_sealed, secret, seed);
    crypto_generichash_init(&state, NULL, 0, sizeof(nonce));
    crypto_generichash_update(&state, ret_sealed, BOX_BYTES);
    crypto_generichash_update(&state, box_key, BOX_BYTES);
    crypto_generichash_final(&state, nonce, sizeof(nonce));
    bool sealed = crypto_box_easy(ret_sealed + BOX_BYTES, data, len, nonce, box_key, secret) == 0;
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(secret, sizeof(secret));
    return sealed;
}

/* To somebody who has no usable key nothing is given: nobody is let in with one. */
static bool give(Giving *giving, const uint8_t *member, bool lets_in)
{
    uint8_t data[GRANT_CONTENT_MAX_BYTES];
    room_context(giving->keyring, giving->keyring->own_key, giving->room, member,
                 giving->content.context);
    size_t len = grant_content_write(&giving->content, data);
    uint8_t *sealed = mem_alloc(len + BOX_SEAL_BYTES);
    bool good = box_seal(giving->keyring, member, data, len, sealed);
    sodium_memzero(data, len);
    if (!good) {
        mem_free(sealed);
        return false;
    }
    giving->grants = mem_resize(giving->grants, giving->count + 1, sizeof(GrantWire));
    giving->grants[giving->count++] = (GrantWire){
        .member = member, .lets_in = lets_in, .sealed = sealed, .sealed_len = len + BOX_SEAL_BYTES};
    return true;
}

/* As many events as it takes. All grants have one size. */
static void giving_write(const Giving *giving, KeyBodies *bodies)
{
    enum { GRANT_EXTRA_BYTES = 64, FIXED_BYTES = 64, KEY_ID_EXTRA_BYTES = 2 };
    size_t fixed =
        FIXED_BYTES + giving->content.keys_count * (SEALED_KEY_ID_BYTES + KEY_ID_EXTRA_BYTES);
    size_t each = giving->count > 0 ? giving->grants[0].sealed_len + GRANT_EXTRA_BYTES : 1;
    size_t fit = (EVENT_BODY_MAX_BYTES - fixed) / each;
    for (size_t at = 0; at < giving->count || at == 0; at += fit) {
        size_t left = giving->count - at;
        bool first = at == 0;
        KeysWire wire = {
            .salt = first ? giving->salt : NULL,
            .move = first ? giving->move : ROOM_STAY,
            .key_ids = (const uint8_t(*)[SEALED_KEY_ID_BYTES])giving->key_ids,
            .keys_count = giving->content.keys_count,
            .grants = giving->grants != NULL ? giving->grants + at : NULL,
            .grants_count = left < fit ? left : fit,
        };
        add_body(bodies, &wire);
    }
}

static Giving *giving_new(Keyring *keyring, const char *room, const char *name)
{
    Giving *giving = mem_new(Giving);
    giving->keyring = keyring;
    giving->room = room;
    giving->key_ids = mem_array(ROOM_EVENT_KEYS_MAX, SEALED_KEY_ID_BYTES);
    snprintf(giving->content.name, sizeof(giving->content.name), "%s", name);
    return giving;
}

static void giving_free(Giving *giving)
{
    for (size_t i = 0; i < giving->count; i++) {
        mem_free((uint8_t *)(uintptr_t)giving->grants[i].sealed);
    }
    mem_free(giving->grants);
    mem_free(giving->key_ids);
    sodium_memzero(giving, sizeof(*giving));
    mem_free(giving);
}

static void add_key(Giving *giving, const uint8_t *key)
{
    size_t at = giving->content.keys_count++;
    memcpy(giving->content.keys[at], key, SEALED_KEY_BYTES);
    seal_key_id(giving->room, key, giving->key_ids[at]);
}

static void add_new_key(Giving *giving)
{
    uint8_t key[SEALED_KEY_BYTES];
    keyring_draw(giving->keyring, giving->room, strlen(giving->room), key, sizeof(key));
    add_key(giving, key);
    sodium_memzero(key, sizeof(key));
}

Err keyring_found(Keyring *keyring, const char *name, char ret_id[SEALED_ROOM_BYTES + 1],
                  KeyBodies *ret_bodies)
{
    uint8_t salt[SEALED_SALT_BYTES];
    if (name[0] == '\0' || strlen(name) > SEALED_NAME_MAX_BYTES) {
        return ERR_INVALID;
    }
    keyring_draw(keyring, name, strlen(name), salt, sizeof(salt));
    room_id_of_founder(keyring, keyring->own_key, salt, ret_id);
    Giving *giving = giving_new(keyring, ret_id, name);
    giving->salt = salt;
    giving->move = ROOM_ENTER;
    add_new_key(giving);
    (void)give(giving, keyring->own_key, true);
    *ret_bodies = (KeyBodies){0};
    giving_write(giving, ret_bodies);
    giving_free(giving);
    return ERR_OK;
}

/* A new key for all who are in it, and for one more or NULL, who comes in. */
static Err give_new_key(Keyring *keyring, const KeyRoom *room, const uint8_t *more,
                        KeyBodies *bodies)
{
    Giving *giving = giving_new(keyring, room->id, room->name);
    add_new_key(giving);
    bool good = more == NULL || give(giving, more, true);
    for (size_t i = 0; i < room->people_count && good; i++) {
        const Person *person = room->people[i];
        if (person->in && person_counts(keyring, person)) {
            (void)give(giving, person->key, false);
        }
    }
    if (good) {
        giving_write(giving, bodies);
    }
    giving_free(giving);
    return good ? ERR_OK : ERR_INVALID;
}

/* All keys that are known here, the oldest first; it is let in with the last of them. */
static Err give_past(Keyring *keyring, const KeyRoom *room, const uint8_t *key, KeyBodies *bodies)
{
    for (size_t at = 0; at < room->keys_count; at += ROOM_EVENT_KEYS_MAX) {
        Giving *giving = giving_new(keyring, room->id, room->name);
        size_t left = room->keys_count - at;
        size_t count = left < ROOM_EVENT_KEYS_MAX ? left : ROOM_EVENT_KEYS_MAX;
        for (size_t i = 0; i < count; i++) {
            add_key(giving, room->keys[at + i].key);
        }
        bool good = give(giving, key, count == left);
        if (good) {
            giving_write(giving, bodies);
        }
        giving_free(giving);
        if (!good) {
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

static const KeyRoom *own_room(Keyring *keyring, const char *id)
{
    const KeyRoom *room = keyring_folded(keyring, id, strlen(id));
    const Person *own = room != NULL ? room_find_person(room, keyring->own_key) : NULL;
    return own != NULL && own->in ? room : NULL;
}

Err keyring_admit(Keyring *keyring, const char *id, const uint8_t key[EVENT_KEY_BYTES], bool past,
                  KeyBodies *ret_bodies)
{
    const KeyRoom *room = own_room(keyring, id);
    if (room == NULL || room->is_talk) {
        return ERR_NOT_FOUND;
    }
    const Person *person = room_find_person(room, key);
    if (person != NULL && person->in) {
        return ERR_EXISTS;
    }
    size_t people = 0;
    while (keyring_person(keyring, id, people) != NULL) {
        people++;
    }
    if (people >= ROOM_PEOPLE_MAX ||
        (person == NULL && room->people_count == ROOM_PEOPLE_EVER_MAX)) {
        return ERR_LIMIT;
    }
    *ret_bodies = (KeyBodies){0};
    Err err = past && room->keys_count > 0 ? give_past(keyring, room, key, ret_bodies)
                                           : give_new_key(keyring, room, key, ret_bodies);
    if (err != ERR_OK) {
        key_bodies_done(ret_bodies);
    }
    return err;
}

Err keyring_move(Keyring *keyring, const char *id, bool enter, KeyBodies *ret_bodies)
{
    if (own_room(keyring, id) == NULL) {
        return ERR_NOT_FOUND;
    }
    *ret_bodies = (KeyBodies){0};
    add_body(ret_bodies, &(KeysWire){.move = enter ? ROOM_ENTER : ROOM_LEAVE});
    return ERR_OK;
}

Err keyring_renew(Keyring *keyring, const char *id, const uint8_t *to_key, KeyBodies *ret_bodies)
{
    KeyRoom *room = to_key != NULL ? keyring_get(keyring, id, keyring->own_key) : NULL;
    if (room != NULL && room->is_talk && !room_make_talk(keyring, room, to_key)) {
        return ERR_LIMIT;
    }
    const KeyRoom *own = own_room(keyring, id);
    if (own == NULL) {
        return to_key != NULL && room == NULL ? ERR_LIMIT : ERR_NOT_FOUND;
    }
    *ret_bodies = (KeyBodies){0};
    if (room_fitting_key(keyring, own) != NULL) {
        return ERR_OK;
    }
    return give_new_key(keyring, own, NULL, ret_bodies);
}
