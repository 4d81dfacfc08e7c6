/* Readers of the feed against a plain list of what was said: in memory, behind, and on the way from
 * one to the other. */
#include "io/feed.h"
#include "store_home.h"

#include <chat.pb-c.h>
#include <inttypes.h>

enum { SAID_MAX = 20000, ROOMS = 3, BIG_BYTES = 7000 };

static const char *const ROOM[ROOMS] = {"lobby", "dev", "ops"};

typedef struct World {
    Home home;
    Feed *feed;
    Author ann;
    unsigned room_of[SAID_MAX + 1]; /* of each position */
    uint64_t said;
    uint64_t random;
} World;

typedef struct Listener {
    FeedReader reader;
    World *world;
    unsigned rooms; /* bits */
    uint64_t last;
    unsigned heard;
    unsigned parts;
    unsigned wakes;
    bool lazy;   /* does not read when woken */
    bool leaves; /* when woken */
    bool failed;
} Listener;

static uint64_t next_random(World *world)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return world->random;
}

static void world_open(World *world)
{
    *world = (World){.home = home_new(), .random = 88172645463325252u};
    home_open(&world->home);
    world->ann = author_of(1, 7, "ann");
    world->feed = feed_new(world->home.store, store_position(world->home.store));
}

static void world_close(World *world)
{
    home_close(&world->home);
    feed_free(world->feed);
    home_done(&world->home);
}

/* Stored and journaled, then added; the readers are woken once. */
static void say(World *world, unsigned room, unsigned count, size_t bytes)
{
    LogEvent *events[64];
    assert_true(count <= 64);
    AUTO_FREE char *text = mem_array(bytes + 1, 1);
    memset(text, 'x', bytes);
    for (unsigned i = 0; i < count; i++) {
        world->ann.room = ROOM[room];
        events[i] = event_by(&world->ann, text);
        world->room_of[world->said + 1 + i] = room;
    }
    StoreBatch batch = {
        .events = events, .count = count, .flags = STORE_JOURNAL, .position = world->said + 1};
    Answers answers = {0};
    assert_int_equal(store_append(world->home.store, &batch, on_appended, &answers), ERR_OK);
    while (answers.count == 0) {
        turn(&world->home);
    }
    assert_int_equal(answers.failed, 0);
    for (unsigned i = 0; i < count; i++) {
        Message *message = message_of_event(events[i], 0);
        feed_add(world->feed, ++world->said, message);
        message_unref(message);
        event_unref(events[i]);
    }
    feed_flush(world->feed);
}

/* ---- listeners ---- */

static void hear(Listener *listener, const FeedPart *part)
{
    World *world = listener->world;
    Chat__SubscribeResponse *response =
        chat__subscribe_response__unpack(NULL, part->len, bytes_data(part->bytes) + part->offset);
    assert_non_null(response);
    assert_true(response->n_messages > 0);
    for (size_t i = 0; i < response->n_messages; i++) {
        uint64_t position = response->messages[i]->position;
        assert_true(position > listener->last && position <= world->said);
        for (uint64_t at = listener->last + 1; at < position; at++) {
            /* Nothing of its rooms lies between. */
            assert_int_equal(listener->rooms >> world->room_of[at] & 1, 0);
        }
        unsigned room = world->room_of[position];
        assert_int_equal(listener->rooms >> room & 1, 1);
        assert_string_equal(response->messages[i]->room, room == 0 ? "" : ROOM[room]);
        assert_string_equal(response->messages[i]->sender, "ann");
        listener->last = position;
        listener->heard++;
    }
    listener->parts++;
    chat__subscribe_response__free_unpacked(response, NULL);
}

/* At most so many parts; true where there is nothing more for now. */
static bool drink(Listener *listener, unsigned parts)
{
    FeedPart part;
    for (; parts > 0; parts--) {
        switch (feed_next(listener->world->feed, &listener->reader, &part)) {
        case FEED_PART:
            hear(listener, &part);
            break;
        case FEED_WAIT:
            return true;
        case FEED_FAILED:
            listener->failed = true;
            return true;
        }
    }
    return false;
}

static void on_wake(FeedReader *reader)
{
    Listener *listener = reader->owner;
    listener->wakes++;
    if (listener->leaves) {
        feed_unfollow(listener->world->feed, reader);
    } else if (!listener->lazy) {
        drink(listener, UINT32_MAX);
    }
}

static void follow(World *world, Listener *listener, unsigned rooms, uint64_t position)
{
    const char *names[2 * ROOMS];
    size_t count = 0;
    for (unsigned i = ROOMS; i-- > 0;) { /* not in order, and one of them twice */
        if ((rooms >> i & 1) != 0) {
            names[count++] = ROOM[i];
        }
    }
    names[count] = names[0];
    *listener = (Listener){.world = world, .rooms = rooms, .last = position};
    listener->reader.wake = on_wake;
    listener->reader.owner = listener;
    feed_follow(world->feed, &listener->reader, names, count + 1, position);
    drink(listener, UINT32_MAX);
}

static unsigned expected(const World *world, unsigned rooms, uint64_t after)
{
    unsigned count = 0;
    for (uint64_t at = after + 1; at <= world->said; at++) {
        count += rooms >> world->room_of[at] & 1;
    }
    return count;
}

static void assert_heard_all(Listener *listener, uint64_t after)
{
    while (!drink(listener, UINT32_MAX) || listener->reader.read != NULL ||
           listener->reader.parked) {
        turn(&listener->world->home);
    }
    assert_false(listener->failed);
    assert_int_equal(listener->heard, expected(listener->world, listener->rooms, after));
}

/* ---- tests ---- */

static void a_lone_message_goes_alone_and_what_gathers_goes_together(void **state)
{
    (void)state;
    World world;
    world_open(&world);
    Listener quick;
    Listener busy;
    follow(&world, &quick, 1, 0);
    follow(&world, &busy, 1, 0);
    busy.lazy = true;
    for (int i = 0; i < 10; i++) {
        say(&world, 0, 1, 20);
    }
    assert_int_equal(quick.heard, 10);
    assert_int_equal(quick.parts, 10);
    assert_int_equal(busy.wakes, 1); /* and not again before it has read */
    assert_true(drink(&busy, UINT32_MAX));
    assert_int_equal(busy.heard, 10);
    assert_int_equal(busy.parts, 1);
    say(&world, 0, 50, 20);
    assert_int_equal(quick.wakes, 11);
    assert_int_equal(quick.parts, 11);
    feed_unfollow(world.feed, &quick.reader);
    feed_unfollow(world.feed, &busy.reader);
    world_close(&world);
}

static void readers_at_one_place_share_the_bytes(void **state)
{
    (void)state;
    World world;
    world_open(&world);
    Listener one;
    Listener other;
    follow(&world, &one, 3, 0);
    follow(&world, &other, 3, 0);
    one.lazy = true;
    other.lazy = true;
    say(&world, 1, 5, 20);
    FeedPart a;
    FeedPart b;
    assert_int_equal(feed_next(world.feed, &one.reader, &a), FEED_PART);
    assert_int_equal(feed_next(world.feed, &other.reader, &b), FEED_PART);
    assert_ptr_equal(a.bytes, b.bytes);
    assert_int_equal(a.offset, b.offset);
    assert_int_equal(a.len, b.len);
    feed_unfollow(world.feed, &one.reader);
    feed_unfollow(world.feed, &other.reader);
    world_close(&world);
}

static void a_cursor_goes_on_from_the_disk_where_memory_has_none(void **state)
{
    (void)state;
    World world;
    world_open(&world);
    for (unsigned i = 0; i < 1000; i++) {
        say(&world, i % ROOMS, 1 + i % 7, 50);
    }
    for (uint64_t after = 0; after <= world.said; after += 333) {
        Listener listener;
        follow(&world, &listener, after % 2 == 0 ? 1 : 6, after);
        assert_heard_all(&listener, after);
        say(&world, 0, 1, 10); /* and on, live */
        say(&world, 1, 1, 10);
        assert_heard_all(&listener, after);
        feed_unfollow(world.feed, &listener.reader);
    }
    world_close(&world);
}

static void who_is_too_far_behind_is_served_from_the_disk_and_comes_up_again(void **state)
{
    (void)state;
    World world;
    world_open(&world);
    Listener slow;
    Listener quick;
    follow(&world, &quick, 1, 0);
    follow(&world, &slow, 1, 0);
    slow.lazy = true;
    for (int i = 0; i < 60; i++) { /* more than FEED_VIEW_MAX_BYTES */
        say(&world, 0, 40, BIG_BYTES);
    }
    assert_int_equal(quick.heard, world.said);
    assert_true(drink(&slow, 1));
    assert_non_null(slow.reader.read); /* what it stood in was dropped: the disk */
    slow.lazy = false;
    assert_heard_all(&slow, 0);
    unsigned parts = slow.parts;
    say(&world, 0, 1, 10);
    assert_int_equal(slow.parts, parts + 1); /* in memory again */
    feed_unfollow(world.feed, &slow.reader);
    feed_unfollow(world.feed, &quick.reader);
    world_close(&world);
}

static void a_reader_may_leave_at_any_moment(void **state)
{
    (void)state;
    World world;
    world_open(&world);
    say(&world, 0, 30, 50);
    Listener waits;
    Listener reads;
    Listener leaves;
    Listener stays;
    follow(&world, &waits, 1, world.said);
    follow(&world, &leaves, 1, world.said);
    leaves.leaves = true;
    follow(&world, &stays, 1, world.said);
    follow(&world, &reads, 1, 0); /* asks the store */
    assert_non_null(reads.reader.read);
    feed_unfollow(world.feed, &reads.reader);
    feed_unfollow(world.feed, &waits.reader);
    say(&world, 0, 1, 50);
    assert_int_equal(stays.heard, 1);
    assert_int_equal(leaves.wakes, 1);
    feed_unfollow(world.feed, &stays.reader);
    assert_int_equal(feed_readers(world.feed), 0);
    world_close(&world);
}

static void a_hundred_come_up_from_the_disk_a_few_at_a_time(void **state)
{
    (void)state;
    enum { COUNT = 150 };
    World world;
    world_open(&world);
    say(&world, 0, 40, 50);
    AUTO_FREE Listener *listeners = mem_array(COUNT, sizeof(Listener));
    for (unsigned i = 0; i < COUNT; i++) {
        follow(&world, &listeners[i], 1, i % 40);
    }
    assert_true(listeners[COUNT - 1].reader.parked);
    feed_unfollow(world.feed, &listeners[COUNT - 1].reader);
    for (unsigned i = 0; i < COUNT - 1; i++) {
        assert_heard_all(&listeners[i], i % 40);
        feed_unfollow(world.feed, &listeners[i].reader);
    }
    world_close(&world);
}

/* Readers that come, read a little, sleep and leave, while much and little is said. */
static void whatever_readers_do_each_hears_all_of_its_rooms_once(void **state)
{
    (void)state;
    enum { COUNT = 24 };
    World world;
    world_open(&world);
    Listener listeners[COUNT];
    uint64_t after[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        after[i] = 0;
        follow(&world, &listeners[i], 1 + i % 7, 0);
    }
    for (int round = 0; round < 1500; round++) {
        if (world.said < SAID_MAX - 64) {
            uint64_t kind = next_random(&world) % 20;
            say(&world, (unsigned)(next_random(&world) % ROOMS),
                kind == 0 ? 60 : 1 + (unsigned)(kind % 5), kind == 1 ? BIG_BYTES : 60);
        }
        Listener *listener = &listeners[next_random(&world) % COUNT];
        switch (next_random(&world) % 4) {
        case 0:
            listener->lazy = !listener->lazy;
            drink(listener, 1);
            break;
        case 1:
            feed_unfollow(world.feed, &listener->reader);
            after[listener - listeners] = world.said - next_random(&world) % (world.said + 1);
            follow(&world, listener, listener->rooms, after[listener - listeners]);
            break;
        case 2:
            drink(listener, (unsigned)(next_random(&world) % 3));
            break;
        default:
            uv_run(loop_uv(world.home.loop), UV_RUN_NOWAIT);
        }
    }
    for (unsigned i = 0; i < COUNT; i++) {
        listeners[i].lazy = false;
        assert_heard_all(&listeners[i], after[i]);
        feed_unfollow(world.feed, &listeners[i].reader);
    }
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_message_goes_alone_and_what_gathers_goes_together),
        cmocka_unit_test(readers_at_one_place_share_the_bytes),
        cmocka_unit_test(a_cursor_goes_on_from_the_disk_where_memory_has_none),
        cmocka_unit_test(who_is_too_far_behind_is_served_from_the_disk_and_comes_up_again),
        cmocka_unit_test(a_reader_may_leave_at_any_moment),
        cmocka_unit_test(a_hundred_come_up_from_the_disk_a_few_at_a_time),
        cmocka_unit_test(whatever_readers_do_each_hears_all_of_its_rooms_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
