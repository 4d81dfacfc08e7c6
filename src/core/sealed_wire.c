/* Ids, and the messages within ROOM_KEY events. */
#include "core/proto_arena.h"
#include "core/rooms.h"
#include "core/sealed_state.h"

#include <chat.pb-c.h>
#include <sodium.h>
#include <string.h>

enum {
    /* For one body of 8 KiB: its fields, and a struct for each grant, of which a good one has more
     * than a hundred bytes. */
    KEYS_ARENA_BYTES = 64 * 1024,
    CONTENT_ARENA_BYTES = 32 * 1024,
};

/* ---- ids ---- */

static void add_base32(const uint8_t *data, size_t len, char *ret_text)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    enum { DIGIT_BITS = 5, DIGIT_MASK = 31 };
    unsigned waiting = 0;
    unsigned bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        waiting = waiting << BITS_PER_BYTE | data[i];
        for (bits += BITS_PER_BYTE; bits >= DIGIT_BITS; bits -= DIGIT_BITS) {
            ret_text[at++] = digits[waiting >> (bits - DIGIT_BITS) & DIGIT_MASK];
        }
        waiting &= (1U << bits) - 1;
    }
    if (bits > 0) {
        ret_text[at++] = digits[waiting << (DIGIT_BITS - bits) & DIGIT_MASK];
    }
    ret_text[at] = '\0';
}

/* domain has its NUL hashed with it, so that none is the beginning of another. */
static void hash_of(const char *domain, const Keyring *keyring, const uint8_t *a, const uint8_t *b,
                    size_t b_len, char sign, char ret_id[SEALED_ROOM_BYTES + 1])
{
    crypto_generichash_state state;
    uint8_t hash[SEALED_HASH_BYTES];
    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    crypto_generichash_update(&state, (const uint8_t *)domain, strlen(domain) + 1);
    crypto_generichash_update(&state, keyring->network, EVENT_NETWORK_BYTES);
    crypto_generichash_update(&state, a, EVENT_KEY_BYTES);
    crypto_generichash_update(&state, b, b_len);
    crypto_generichash_final(&state, hash, sizeof(hash));
    ret_id[0] = sign;
    add_base32(hash, sizeof(hash), ret_id + 1);
}

void room_id_of_founder(const Keyring *keyring, const uint8_t founder[EVENT_KEY_BYTES],
                        const uint8_t salt[SEALED_SALT_BYTES], char ret_id[SEALED_ROOM_BYTES + 1])
{
    hash_of("chat_node room 1", keyring, founder, salt, SEALED_SALT_BYTES, '!', ret_id);
}

void keyring_talk_id(const Keyring *keyring, const uint8_t other[EVENT_KEY_BYTES],
                     char ret_id[SEALED_ROOM_BYTES + 1])
{
    bool first = memcmp(keyring->own_key, other, EVENT_KEY_BYTES) <= 0;
    hash_of("chat_node talk 1", keyring, first ? keyring->own_key : other,
            first ? other : keyring->own_key, EVENT_KEY_BYTES, '@', ret_id);
}

bool sealed_is_id(const char *room, size_t len)
{
    if (len != SEALED_ROOM_BYTES || (room[0] != '!' && room[0] != '@')) {
        return false;
    }
    for (size_t i = 1; i < len; i++) {
        if (!((room[i] >= 'a' && room[i] <= 'z') || (room[i] >= '2' && room[i] <= '7'))) {
            return false;
        }
    }
    return true;
}

void room_context(const Keyring *keyring, const uint8_t *origin, const char *room,
                  const uint8_t *member, uint8_t ret_context[SEALED_CONTEXT_BYTES])
{
    static const char domain[] = "chat_node grant 1";
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, SEALED_CONTEXT_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)domain, sizeof(domain));
    crypto_generichash_update(&state, keyring->network, EVENT_NETWORK_BYTES);
    crypto_generichash_update(&state, origin, EVENT_KEY_BYTES);
    crypto_generichash_update(&state, member, EVENT_KEY_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)room, strlen(room));
    crypto_generichash_final(&state, ret_context, SEALED_CONTEXT_BYTES);
}

void seal_key_id(const char *room, const uint8_t key[SEALED_KEY_BYTES],
                 uint8_t ret_id[SEALED_KEY_ID_BYTES])
{
    static const char domain[] = "chat_node room key 1";
    crypto_generichash_state state;
    uint8_t hash[SEALED_HASH_BYTES];
    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    crypto_generichash_update(&state, (const uint8_t *)domain, sizeof(domain));
    crypto_generichash_update(&state, (const uint8_t *)room, strlen(room));
    crypto_generichash_update(&state, key, SEALED_KEY_BYTES);
    crypto_generichash_final(&state, hash, sizeof(hash));
    memcpy(ret_id, hash, SEALED_KEY_ID_BYTES);
    sodium_memzero(&state, sizeof(state));
}

uint64_t seal_key_number(const uint8_t id[SEALED_KEY_ID_BYTES])
{
    uint64_t number = 0;
    memcpy(&number, id, sizeof(number));
    return number;
}

/* ---- reading ---- */

static bool keys_are_sound(const Chat__RoomKeys *keys)
{
    if ((keys->salt.len != 0 && keys->salt.len != SEALED_SALT_BYTES) ||
        keys->n_key_ids > ROOM_EVENT_KEYS_MAX || keys->n_grants > UINT16_MAX ||
        (int)keys->move < ROOM_STAY || (int)keys->move > ROOM_LEAVE) {
        return false;
    }
    for (size_t i = 0; i < keys->n_key_ids; i++) {
        if (keys->key_ids[i].len != SEALED_KEY_ID_BYTES) {
            return false;
        }
    }
    for (size_t i = 0; i < keys->n_grants; i++) {
        if (keys->grants[i]->member.len != EVENT_KEY_BYTES) {
            return false;
        }
    }
    return true;
}

bool keys_read(const uint8_t *body, size_t len, KeysRead *ret_read)
{
    if (len > EVENT_BODY_MAX_BYTES) {
        return false;
    }
    uint8_t *memory = mem_alloc(KEYS_ARENA_BYTES);
    ProtoArena arena;
    const Chat__RoomKeys *keys =
        chat__room_keys__unpack(proto_arena_reset(&arena, memory, KEYS_ARENA_BYTES), len, body);
    if (keys == NULL || !keys_are_sound(keys)) {
        mem_free(memory);
        return false;
    }
    *ret_read = (KeysRead){
        .key_ids = mem_array(keys->n_key_ids + 1, SEALED_KEY_ID_BYTES),
        .grants = mem_array(keys->n_grants + 1, sizeof(GrantWire)),
        .memory = memory,
    };
    for (size_t i = 0; i < keys->n_key_ids; i++) {
        memcpy(ret_read->key_ids[i], keys->key_ids[i].data, SEALED_KEY_ID_BYTES);
    }
    for (size_t i = 0; i < keys->n_grants; i++) {
        const Chat__RoomGrant *grant = keys->grants[i];
        ret_read->grants[i] = (GrantWire){.member = grant->member.data,
                                          .lets_in = grant->lets_in,
                                          .sealed = grant->sealed.data,
                                          .sealed_len = grant->sealed.len};
    }
    ret_read->wire = (KeysWire){
        .salt = keys->salt.len > 0 ? keys->salt.data : NULL,
        .move = (RoomMove)keys->move,
        .key_ids = (const uint8_t(*)[SEALED_KEY_ID_BYTES])ret_read->key_ids,
        .keys_count = keys->n_key_ids,
        .grants = ret_read->grants,
        .grants_count = keys->n_grants,
    };
    return true;
}

void keys_read_done(KeysRead *read)
{
    mem_free(read->key_ids);
    mem_free(read->grants);
    mem_free(read->memory);
}

/* A name as nobody types it is shown to nobody. */
static bool name_is_sound(const char *name, size_t len)
{
    char parsed[EVENT_ROOM_MAX_BYTES + 1];
    const char *reason;
    return len == 0 || (len <= SEALED_NAME_MAX_BYTES && name[0] != '!' &&
                        room_name_parse(name, len, parsed, &reason) == ERR_OK &&
                        memcmp(parsed, name, len) == 0);
}

static bool content_take(const Chat__RoomGrantContent *wire, GrantContent *content)
{
    if (wire->context.len != SEALED_CONTEXT_BYTES || wire->n_keys > ROOM_EVENT_KEYS_MAX) {
        return false;
    }
    memcpy(content->context, wire->context.data, SEALED_CONTEXT_BYTES);
    content->keys_count = wire->n_keys;
    for (size_t i = 0; i < wire->n_keys; i++) {
        if (wire->keys[i].len != SEALED_KEY_BYTES) {
            return false;
        }
        memcpy(content->keys[i], wire->keys[i].data, SEALED_KEY_BYTES);
    }
    return true;
}

bool grant_content_read(const uint8_t *data, size_t len, GrantContent *ret_content)
{
    enum { NAME = 1 };
    uint8_t *memory = mem_alloc(CONTENT_ARENA_BYTES);
    ProtoArena arena;
    const Chat__RoomGrantContent *wire = chat__room_grant_content__unpack(
        proto_arena_reset(&arena, memory, CONTENT_ARENA_BYTES), len, data);
    size_t name_len = wire != NULL ? proto_string_len(data, len, NAME) : 0;
    *ret_content = (GrantContent){0};
    bool good =
        wire != NULL && name_is_sound(wire->name, name_len) && content_take(wire, ret_content);
    if (good) {
        memcpy(ret_content->name, wire->name, name_len);
    }
    sodium_memzero(memory, CONTENT_ARENA_BYTES);
    mem_free(memory);
    return good;
}

/* ---- writing ---- */

static ProtobufCBinaryData binary(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

Bytes *keys_write(const KeysWire *wire)
{
    Chat__RoomKeys keys = CHAT__ROOM_KEYS__INIT;
    AUTO_FREE ProtobufCBinaryData *ids = mem_array(wire->keys_count + 1, sizeof(*ids));
    AUTO_FREE Chat__RoomGrant *grants = mem_array(wire->grants_count + 1, sizeof(*grants));
    AUTO_FREE Chat__RoomGrant **rows = mem_array(wire->grants_count + 1, sizeof(Chat__RoomGrant *));
    for (size_t i = 0; i < wire->keys_count; i++) {
        ids[i] = binary(wire->key_ids[i], SEALED_KEY_ID_BYTES);
    }
    for (size_t i = 0; i < wire->grants_count; i++) {
        const GrantWire *grant = &wire->grants[i];
        grants[i] = (Chat__RoomGrant)CHAT__ROOM_GRANT__INIT;
        grants[i].member = binary(grant->member, EVENT_KEY_BYTES);
        grants[i].sealed = binary(grant->sealed, grant->sealed_len);
        grants[i].lets_in = grant->lets_in;
        rows[i] = &grants[i];
    }
    keys.salt = binary(wire->salt, wire->salt != NULL ? SEALED_SALT_BYTES : 0);
    keys.n_key_ids = wire->keys_count;
    keys.key_ids = ids;
    keys.n_grants = wire->grants_count;
    keys.grants = rows;
    keys.move = (Chat__RoomMove)wire->move;
    Bytes *body = bytes_new_empty(chat__room_keys__get_packed_size(&keys));
    chat__room_keys__pack(&keys, bytes_fill(body));
    return body;
}

size_t grant_content_write(const GrantContent *content, uint8_t *data)
{
    Chat__RoomGrantContent wire = CHAT__ROOM_GRANT_CONTENT__INIT;
    ProtobufCBinaryData keys[ROOM_EVENT_KEYS_MAX];
    for (size_t i = 0; i < content->keys_count; i++) {
        keys[i] = binary(content->keys[i], SEALED_KEY_BYTES);
    }
    wire.name = (char *)(uintptr_t)content->name;
    wire.n_keys = content->keys_count;
    wire.keys = keys;
    wire.context = binary(content->context, SEALED_CONTEXT_BYTES);
    return chat__room_grant_content__pack(&wire, data);
}
