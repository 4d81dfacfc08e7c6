/* Positions, shares, and what is released when. */
#include "base/strbuf.h"
#include "io/journal.h"
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void on_release(void *context, uint64_t position, Message *message)
{
    StrBuf *out = context;
    strbuf_addf(out, "%" PRIu64 ":%s;", position, message != NULL ? message->content : "-");
}

static Message *message_of(const char *text)
{
    MessageDraft draft = {
        .sender = "ann", .sender_len = 3, .content = text, .content_len = strlen(text)};
    return message_new(&draft, 0, 0);
}

static void pass(Journal *journal, uint64_t seq, const char *text)
{
    StreamId stream = {.epoch = 7};
    Message *message = text != NULL ? message_of(text) : NULL;
    journal_pass(journal, &stream, seq, message);
    message_unref(message);
}

static void own(Journal *journal, const char *text)
{
    Message *message = text != NULL ? message_of(text) : NULL;
    journal_own(journal, message);
    message_unref(message);
}

static void assert_share(JournalShare share, size_t passed, uint64_t position, uint64_t last)
{
    assert_int_equal(share.passed_count, passed);
    assert_int_equal(share.position, position);
    assert_int_equal(share.last, last);
    mem_free(share.passed);
}

static void what_others_say_is_released_once_its_share_is_durable(void **state)
{
    (void)state;
    StrBuf out = {0};
    Journal *journal = journal_new(10, on_release, &out);
    assert_false(journal_waits(journal));
    pass(journal, 1, "a");
    pass(journal, 2, NULL); /* no place, but the store hears that it was passed */
    pass(journal, 3, "b");
    assert_true(journal_waits(journal));
    JournalShare share = journal_take(journal, 0);
    assert_true(share.passed[0].shown);
    assert_false(share.passed[1].shown);
    assert_int_equal(share.passed[1].seq, 2);
    assert_share(share, 3, 11, 12);
    assert_false(journal_waits(journal));
    journal_durable(journal, 11);
    assert_string_equal(strbuf_text(&out), "11:a;");
    journal_durable(journal, 12);
    journal_durable(journal, 12);
    journal_durable(journal, 0);
    assert_string_equal(strbuf_text(&out), "11:a;12:b;");
    journal_free(journal);
    strbuf_done(&out);
}

static void own_events_have_their_place_before_they_are_shown(void **state)
{
    (void)state;
    StrBuf out = {0};
    Journal *journal = journal_new(0, on_release, &out);
    pass(journal, 1, "before");
    assert_share(journal_take(journal, 2), 1, 1, 3);
    pass(journal, 2, "after"); /* while the own ones are being written */
    assert_share(journal_take(journal, 1), 1, 4, 5);
    journal_durable(journal, 5);
    assert_string_equal(strbuf_text(&out), "1:before;");
    own(journal, "x");
    own(journal, NULL);
    assert_string_equal(strbuf_text(&out), "1:before;2:x;3:-;4:after;");
    own(journal, "z");
    journal_settle(journal);
    assert_string_equal(strbuf_text(&out), "1:before;2:x;3:-;4:after;5:z;");
    journal_free(journal);
    strbuf_done(&out);
}

static void an_own_event_that_is_not_shown_holds_up_nobody(void **state)
{
    (void)state;
    StrBuf out = {0};
    Journal *journal = journal_new(0, on_release, &out);
    assert_share(journal_take(journal, 2), 0, 1, 2);
    pass(journal, 1, "b");
    assert_share(journal_take(journal, 1), 1, 3, 4);
    journal_durable(journal, 3);
    own(journal, "a");
    journal_settle(journal); /* the second never came */
    assert_string_equal(strbuf_text(&out), "1:a;2:-;3:b;");
    journal_durable(journal, 4);
    own(journal, "c");
    assert_string_equal(strbuf_text(&out), "1:a;2:-;3:b;4:c;");
    own(journal, "one too many");
    assert_string_equal(strbuf_text(&out), "1:a;2:-;3:b;4:c;");
    journal_free(journal);
    strbuf_done(&out);
}

/* Thousands wait, own and others' in turn; each comes once, in its place. */
static void many_wait_in_order(void **state)
{
    (void)state;
    StrBuf out = {0};
    StrBuf expected = {0};
    char text[16];
    Journal *journal = journal_new(0, on_release, &out);
    for (uint64_t i = 1; i <= 5000; i += 2) {
        snprintf(text, sizeof(text), "o%" PRIu64, i);
        pass(journal, i, text);
        strbuf_addf(&expected, "%" PRIu64 ":%s;%" PRIu64 ":own;", i, text, i + 1);
        assert_share(journal_take(journal, 1), 1, i, i + 1);
    }
    for (uint64_t i = 1; i <= 2500; i++) {
        journal_durable(journal, 2 * i);
        own(journal, "own");
    }
    journal_settle(journal);
    assert_string_equal(strbuf_text(&out), strbuf_text(&expected));
    pass(journal, 9999, "left");
    journal_free(journal); /* with what waits */
    strbuf_done(&out);
    strbuf_done(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_say_is_released_once_its_share_is_durable),
        cmocka_unit_test(own_events_have_their_place_before_they_are_shown),
        cmocka_unit_test(an_own_event_that_is_not_shown_holds_up_nobody),
        cmocka_unit_test(many_wait_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
