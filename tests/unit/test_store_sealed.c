/* The search finds what this node can read of what is sealed, and nothing else; what it learns to
 * read later too. */
#include "core/sealed.h"
#include "store_home.h"

static const uint8_t NETWORK[EVENT_NETWORK_BYTES] = {7};

/* Ann's node, which has founded a room, and her stream; the store is another member's. */
typedef struct Ann {
    Author author;
    Keyring *keyring;
    char room[SEALED_ROOM_BYTES + 1];
} Ann;

static void say(Home *home, Ann *ann, int kind, const Bytes *body)
{
    EventFields fields = {
        .network = NETWORK,
        .stream = ann->author.stream,
        .seq = ++ann->author.seq,
        .prev_hash = ann->author.last,
        .hlc = ++ann->author.hlc,
        .room = ann->room,
        .room_len = strlen(ann->room),
        .kind = kind,
        .sender = SEALED_SENDER,
        .sender_len = strlen(SEALED_SENDER),
        .body = bytes_data(body),
        .body_len = bytes_len(body),
    };
    LogEvent *event = event_new(&fields);
    event_sign(event, &ann->author.signer);
    ann->author.last = event->hash;
    (void)keyring_take(ann->keyring, event);
    assert_int_equal(append(home, &event, 1, 0).err, ERR_OK);
    event_unref(event);
}

static void say_keys(Home *home, Ann *ann, KeyBodies *bodies)
{
    for (size_t i = 0; i < bodies->count; i++) {
        say(home, ann, LOG_ROOM_KEY, bodies->items[i]);
    }
    key_bodies_done(bodies);
}

static Ann ann_new(Home *home)
{
    uint8_t seed[EVENT_SEED_BYTES];
    memset(seed, 1, sizeof(seed));
    Ann ann = {.author = author_of(1, 7, "ann"), .keyring = keyring_new(seed, NETWORK)};
    KeyBodies bodies;
    assert_int_equal(keyring_found(ann.keyring, "team", ann.room, &bodies), ERR_OK);
    say_keys(home, &ann, &bodies);
    return ann;
}

static void line(Home *home, Ann *ann, const char *text)
{
    KeyBodies bodies;
    Bytes *body = NULL;
    EventFields fields = {.kind = LOG_TEXT,
                          .sender = "ann",
                          .sender_len = 3,
                          .body = (const uint8_t *)text,
                          .body_len = strlen(text)};
    assert_int_equal(keyring_renew(ann->keyring, ann->room, NULL, &bodies), ERR_OK);
    say_keys(home, ann, &bodies);
    assert_int_equal(keyring_seal(ann->keyring, ann->room, &fields, &body), ERR_OK);
    say(home, ann, LOG_SEALED, body);
    bytes_unref(body);
}

/* The store's owner. */
static void admit(Home *home, Ann *ann, bool past)
{
    EventSigner own;
    KeyBodies bodies;
    event_signer_init(&own, store_seed(home->store));
    assert_int_equal(keyring_admit(ann->keyring, ann->room, own.public_key, past, &bodies), ERR_OK);
    say_keys(home, ann, &bodies);
}

static void ann_done(Ann *ann)
{
    keyring_free(ann->keyring);
}

static void reopen(Home *home)
{
    home_close(home);
    home_open(home);
}

static void what_cannot_be_read_is_not_found(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Ann ann = ann_new(&home);
    line(&home, &ann, "plan nine");
    assert_words(&home, "plan", "");
    admit(&home, &ann, false);
    line(&home, &ann, "plan ten");
    assert_words(&home, "plan", "[plan] ten;");
    reopen(&home);
    assert_words(&home, "plan", "[plan] ten;");
    line(&home, &ann, "plan eleven");
    assert_words(&home, "plan", "[plan] eleven;[plan] ten;");
    ann_done(&ann);
    home_close(&home);
    home_done(&home);
}

static void a_past_that_is_given_is_found_from_then_on(void **state)
{
    (void)state;
    enum { LINES = 700 }; /* more than one pass of the index */
    Home home = home_new();
    home_open(&home);
    Ann ann = ann_new(&home);
    line(&home, &ann, "first of all");
    for (int i = 0; i < LINES; i++) {
        line(&home, &ann, "filler");
    }
    assert_words(&home, "first", "");
    reopen(&home);
    assert_words(&home, "first", "");
    admit(&home, &ann, true);
    line(&home, &ann, "last of all");
    assert_words(&home, "first", "[first] of all;");
    assert_words(&home, "all", "last of [all];first of [all];");
    StoreSearch in_room = {.words = "first", .room = ann.room, .sender = "ann"};
    assert_search(&home, &in_room, "[first] of all;");
    reopen(&home);
    assert_words(&home, "first", "[first] of all;");
    ann_done(&ann);
    home_close(&home);
    home_done(&home);
}

/* Key and lines in one pass of the index: each line once. */
static void a_line_is_found_once(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Ann ann = ann_new(&home);
    line(&home, &ann, "plan nine");
    admit(&home, &ann, true);
    line(&home, &ann, "plan ten");
    assert_words(&home, "plan", "[plan] ten;[plan] nine;");
    ann_done(&ann);
    home_close(&home);
    home_done(&home);
}

static void a_reader_beside_finds_what_the_owner_can_read(void **state)
{
    (void)state;
    char *error = NULL;
    Home home = home_new();
    home_open(&home);
    Ann ann = ann_new(&home);
    admit(&home, &ann, false);
    line(&home, &ann, "plan nine");
    assert_words(&home, "plan", "[plan] nine;");
    Home reader = home;
    assert_int_equal(home_try_open(&reader, true, &error), ERR_OK);
    assert_words(&reader, "plan", "[plan] nine;");
    home_close(&reader);
    ann_done(&ann);
    home_close(&home);
    home_done(&home);
}

static void on_cut(void *context, Err err)
{
    (void)context;
    assert_int_equal(err, ERR_OK);
}

static void what_is_cut_off_is_found_no_more(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Ann ann = ann_new(&home);
    admit(&home, &ann, false);
    line(&home, &ann, "plan nine");
    uint64_t kept = ann.author.seq;
    line(&home, &ann, "plan ten");
    assert_words(&home, "plan", "[plan] ten;[plan] nine;");
    store_cut(home.store, &ann.author.stream, kept, on_cut, NULL);
    assert_words(&home, "plan", "[plan] nine;");
    assert_words(&home, "ten", "");
    ann_done(&ann);
    home_close(&home);
    home_done(&home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_read_is_not_found),
        cmocka_unit_test(a_past_that_is_given_is_found_from_then_on),
        cmocka_unit_test(a_line_is_found_once),
        cmocka_unit_test(a_reader_beside_finds_what_the_owner_can_read),
        cmocka_unit_test(what_is_cut_off_is_found_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
