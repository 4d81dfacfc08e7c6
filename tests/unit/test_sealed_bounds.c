/* One member cannot fill a keyring so that others' rooms find no place in it. */
#include "core/sealed.h"
#include "unit.h"

#include <chat.pb-c.h>
#include <string.h>

static const uint8_t NETWORK[EVENT_NETWORK_BYTES] = {1, 2, 3};

/* Who says ROOM_KEY events. */
typedef struct Member {
    EventSigner signer;
    uint64_t seq;
    EventHash hash;
} Member;

static Member member_of(uint8_t number)
{
    Member member = {0};
    const uint8_t seed[EVENT_SEED_BYTES] = {number};
    event_signer_init(&member.signer, seed);
    return member;
}

static Keyring *ring_of(uint8_t number)
{
    const uint8_t seed[EVENT_SEED_BYTES] = {number};
    return keyring_new(seed, NETWORK);
}

/* What the keyring says to it. */
static bool give(Keyring *ring, Member *member, const char *room, const void *body, size_t len)
{
    EventFields fields = {
        .kind = LOG_ROOM_KEY,
        .room = room,
        .room_len = SEALED_ROOM_BYTES,
        .sender = SEALED_SENDER,
        .sender_len = strlen(SEALED_SENDER),
        .body = body,
        .body_len = len,
        .network = NETWORK,
        .stream.epoch = 1,
        .seq = ++member->seq,
        .prev_hash = member->hash,
    };
    fields.hlc = (UINT64_C(1700000000000) << HLC_COUNTER_BITS) + fields.seq;
    memcpy(fields.stream.origin, member->signer.public_key, EVENT_KEY_BYTES);
    LogEvent *event = event_new(&fields);
    member->hash = event->hash;
    bool taken = keyring_take(ring, event);
    event_unref(event);
    return taken;
}

/* To the one who says it, and to another. */
static void give_all(Keyring *own, Keyring *other, Member *member, const char *room,
                     KeyBodies *bodies)
{
    for (size_t i = 0; i < bodies->count; i++) {
        const Bytes *body = bodies->items[i];
        Member before = *member;
        assert_true(give(own, member, room, bytes_data(body), bytes_len(body)));
        *member = before;
        assert_true(give(other, member, room, bytes_data(body), bytes_len(body)));
    }
    key_bodies_done(bodies);
}

static void name_room(unsigned number, char ret_id[SEALED_ROOM_BYTES + 1])
{
    memset(ret_id, 'a', SEALED_ROOM_BYTES);
    ret_id[0] = '!';
    ret_id[SEALED_ROOM_BYTES] = '\0';
    for (char *at = ret_id + 1; number > 0; number /= 26) {
        *at++ = (char)('a' + number % 26);
    }
}

/* A body of so many grants that nobody can open. Returns its length. */
static size_t grants_write(size_t count, uint8_t data[EVENT_BODY_MAX_BYTES])
{
    enum { GRANTS_MAX = 200 };
    static uint8_t keys[GRANTS_MAX][EVENT_KEY_BYTES];
    static uint8_t sealed[1] = {1};
    Chat__RoomGrant grants[GRANTS_MAX];
    Chat__RoomGrant *rows[GRANTS_MAX];
    assert_true(count <= GRANTS_MAX);
    for (size_t i = 0; i < count; i++) {
        keys[i][0] = (uint8_t)(i + 1);
        grants[i] = (Chat__RoomGrant)CHAT__ROOM_GRANT__INIT;
        grants[i].member = (ProtobufCBinaryData){EVENT_KEY_BYTES, keys[i]};
        grants[i].sealed = (ProtobufCBinaryData){sizeof(sealed), sealed};
        rows[i] = &grants[i];
    }
    Chat__RoomKeys body = CHAT__ROOM_KEYS__INIT;
    body.n_grants = count;
    body.grants = rows;
    assert_true(chat__room_keys__get_packed_size(&body) <= EVENT_BODY_MAX_BYTES);
    return chat__room_keys__pack(&body, data);
}

/* Ann founds a room that Bob knows of, Dan does his worst, and Ann lets Bob in. */
typedef struct Scene {
    Member ann, dan;
    Keyring *anns, *bobs;
    uint8_t bob[EVENT_KEY_BYTES];
    char room[SEALED_ROOM_BYTES + 1];
} Scene;

static Scene scene_new(void)
{
    Scene scene = {
        .ann = member_of(1), .dan = member_of(3), .anns = ring_of(1), .bobs = ring_of(2)};
    Member bob = member_of(2);
    memcpy(scene.bob, bob.signer.public_key, EVENT_KEY_BYTES);
    KeyBodies bodies;
    assert_int_equal(keyring_found(scene.anns, "team", scene.room, &bodies), ERR_OK);
    give_all(scene.anns, scene.bobs, &scene.ann, scene.room, &bodies);
    return scene;
}

static void scene_end_well(Scene *scene)
{
    KeyBodies bodies;
    assert_int_equal(keyring_admit(scene->anns, scene->room, scene->bob, true, &bodies), ERR_OK);
    give_all(scene->anns, scene->bobs, &scene->ann, scene->room, &bodies);
    const SealedRoom *room = keyring_room_shown(scene->bobs, "!team", 5);
    assert_non_null(room);
    assert_true(room->inside);
    assert_int_equal(room->people, 2);
    keyring_free(scene->anns);
    keyring_free(scene->bobs);
}

static void who_makes_most_rooms_loses_them_first(void **state)
{
    (void)state;
    Scene scene = scene_new();
    uint8_t body[EVENT_BODY_MAX_BYTES];
    size_t len = grants_write(1, body);
    for (unsigned i = 0; i < KEYRING_ROOMS_MAX + 100; i++) {
        char id[SEALED_ROOM_BYTES + 1];
        name_room(i, id);
        assert_true(give(scene.bobs, &scene.dan, id, body, len));
    }
    scene_end_well(&scene);
}

static void who_gives_keys_without_end_is_passed_over(void **state)
{
    (void)state;
    enum { EACH = 128, EVENTS = KEYRING_GRANTS_OF_ONE_MAX / EACH };
    Scene scene = scene_new();
    uint8_t body[EVENT_BODY_MAX_BYTES];
    size_t len = grants_write(EACH, body);
    for (unsigned i = 0; i < EVENTS; i++) {
        char id[SEALED_ROOM_BYTES + 1];
        name_room(i / 100, id);
        assert_true(give(scene.bobs, &scene.dan, id, body, len));
    }
    assert_false(give(scene.bobs, &scene.dan, scene.room, body, len));
    scene_end_well(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_makes_most_rooms_loses_them_first),
        cmocka_unit_test(who_gives_keys_without_end_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
