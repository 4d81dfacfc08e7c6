/* The ring and its followers. */
#include "io/bus.h"
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct Reader {
    Follower follower;
    Bus *bus;
    StrBuf read;
    unsigned wakes;
    bool lazy;
    struct Reader *leaves; /* unfollowed when this one is woken */
} Reader;

static void reader_read(Reader *reader)
{
    const BusItem *item = NULL;
    uint64_t lost = 0;
    for (;;) {
        if (bus_next(reader->bus, &reader->follower, &item, &lost) != ERR_OK) {
            strbuf_addf(&reader->read, "lost %" PRIu64 ";", lost);
        } else if (item == NULL) {
            return;
        } else {
            strbuf_addf(&reader->read, "%s;", item->text != NULL ? item->text : "-");
        }
    }
}

static void reader_wake(Follower *follower)
{
    Reader *reader = follower->owner;
    reader->wakes++;
    if (reader->leaves != NULL) {
        bus_unfollow(reader->bus, &TAKE(reader->leaves)->follower);
    }
    if (!reader->lazy) {
        reader_read(reader);
    }
}

static void reader_follow(Reader *reader, Bus *bus)
{
    reader->bus = bus;
    reader->follower.owner = reader;
    reader->follower.wake = reader_wake;
    bus_follow(bus, &reader->follower);
}

static void reader_done(Reader *reader)
{
    bus_unfollow(reader->bus, &reader->follower);
    strbuf_done(&reader->read);
}

static void say(Bus *bus, const char *text)
{
    bus_notice(bus, NOTICE_INFO, text, 0);
}

static void each_reads_what_came_after_it_joined(void **state)
{
    (void)state;
    Bus *bus = bus_new();
    Reader first = {0};
    Reader second = {0};
    reader_follow(&first, bus);
    say(bus, "a");
    reader_follow(&second, bus);
    say(bus, "b");
    assert_string_equal(strbuf_text(&first.read), "a;b;");
    assert_string_equal(strbuf_text(&second.read), "b;");
    reader_done(&first);
    reader_done(&second);
    bus_free(bus);
}

static void busy_one_is_not_woken_again(void **state)
{
    (void)state;
    Bus *bus = bus_new();
    Reader reader = {.lazy = true};
    reader_follow(&reader, bus);
    say(bus, "a");
    say(bus, "b");
    say(bus, "c");
    assert_int_equal(reader.wakes, 1);
    assert_int_equal(bus_pending(bus, &reader.follower), 3);
    reader_read(&reader);
    assert_string_equal(strbuf_text(&reader.read), "a;b;c;");
    say(bus, "d");
    assert_int_equal(reader.wakes, 2);
    reader_done(&reader);
    bus_free(bus);
}

static void slow_one_falls_off_and_is_told_how_much_it_lost(void **state)
{
    (void)state;
    Bus *bus = bus_new();
    Reader slow = {.lazy = true};
    Reader quick = {0};
    reader_follow(&slow, bus);
    reader_follow(&quick, bus);
    for (int i = 0; i < BUS_MAX_ITEMS + 10; i++) {
        say(bus, "x");
    }
    assert_int_equal(strlen(strbuf_text(&quick.read)), 2 * (BUS_MAX_ITEMS + 10));
    reader_read(&slow);
    assert_memory_equal(strbuf_text(&slow.read), "lost 10;x;x;", 12);
    assert_int_equal(strlen(strbuf_text(&slow.read)), strlen("lost 10;") + 2 * BUS_MAX_ITEMS);
    reader_done(&slow);
    reader_done(&quick);
    bus_free(bus);
}

static void ring_is_bounded_in_bytes(void **state)
{
    (void)state;
    Bus *bus = bus_new();
    Reader slow = {.lazy = true};
    reader_follow(&slow, bus);
    static char text[64 * 1024];
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < 200; i++) {
        say(bus, text);
    }
    const BusItem *item = NULL;
    uint64_t lost = 0;
    assert_int_equal(bus_next(bus, &slow.follower, &item, &lost), ERR_GONE);
    assert_in_range(lost, 200 - BUS_MAX_BYTES / (64 * 1024), 200 - BUS_MAX_BYTES / (64 * 1024) + 2);
    reader_done(&slow);
    bus_free(bus);
}

static void one_may_leave_while_another_is_woken(void **state)
{
    (void)state;
    Bus *bus = bus_new();
    Reader second = {0};
    Reader first = {.leaves = &second};
    reader_follow(&first, bus);
    reader_follow(&second, bus);
    say(bus, "a");
    say(bus, "b");
    assert_string_equal(strbuf_text(&first.read), "a;b;");
    assert_string_equal(strbuf_text(&second.read), "");
    reader_done(&first);
    bus_free(bus);
}

static void more_is_announced_only_where_a_message_follows(void **state)
{
    (void)state;
    Bus *bus = bus_new();
    Reader reader = {.lazy = true};
    reader_follow(&reader, bus);
    MessageDraft draft = {.sender = "a", .sender_len = 1, .content = "b", .content_len = 1};
    Message *message = message_new(&draft, 1, 0);
    assert_false(bus_has_public(bus, &reader.follower));
    bus_show(bus, message, 0);
    assert_true(bus_has_public(bus, &reader.follower));
    const BusItem *item = NULL;
    uint64_t lost = 0;
    assert_int_equal(bus_next(bus, &reader.follower, &item, &lost), ERR_OK);
    assert_ptr_equal(item->message, message);
    say(bus, "only a notice");
    assert_false(bus_has_public(bus, &reader.follower));
    message_unref(message);
    reader_done(&reader);
    bus_free(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reads_what_came_after_it_joined),
        cmocka_unit_test(busy_one_is_not_woken_again),
        cmocka_unit_test(slow_one_falls_off_and_is_told_how_much_it_lost),
        cmocka_unit_test(ring_is_bounded_in_bytes),
        cmocka_unit_test(one_may_leave_while_another_is_woken),
        cmocka_unit_test(more_is_announced_only_where_a_message_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
