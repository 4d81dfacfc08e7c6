/* What stands before the line being typed. */
#include "face/prompt.h"

#include <string.h>

#include "face/line_view.h"
#include "unit.h"

static void assert_prompt(const Prompt *prompt, const char *room, const char *expected)
{
    AUTO_STRBUF StrBuf out = {0};
    prompt_text(prompt, room, &out);
    assert_string_equal(out.text, expected);
}

static void take(Prompt *prompt, uint64_t hlc, size_t by, size_t known)
{
    Message message = {.refs = 1, .hlc = hlc, .own = true};
    prompt_take_kept(prompt, &message, (Kept){by, known});
}

static void room_is_named_where_it_is_not_the_lobby(void **state)
{
    (void)state;
    Prompt prompt = {0};
    assert_prompt(&prompt, MESSAGE_LOBBY, "> ");
    assert_prompt(&prompt, "dev", "dev> ");
    assert_prompt(&prompt, "@bob", "@bob> ");
}

static void last_message_is_followed_until_all_have_it(void **state)
{
    (void)state;
    Prompt prompt = {0};
    take(&prompt, 10, 0, 2);
    assert_prompt(&prompt, MESSAGE_LOBBY, "(kept here only) > ");
    take(&prompt, 10, 1, 2);
    assert_prompt(&prompt, MESSAGE_LOBBY, "(1 of 2) > ");
    assert_prompt(&prompt, "@bob", "(1 of 2) @bob> ");
    take(&prompt, 10, 2, 2);
    assert_prompt(&prompt, MESSAGE_LOBBY, "> ");
}

static void older_message_changes_nothing(void **state)
{
    (void)state;
    Prompt prompt = {0};
    take(&prompt, 10, 1, 2);
    take(&prompt, 11, 0, 2);
    take(&prompt, 10, 2, 2);
    assert_prompt(&prompt, MESSAGE_LOBBY, "(kept here only) > ");
    take(&prompt, 12, 1, 2);
    assert_prompt(&prompt, MESSAGE_LOBBY, "(1 of 2) > ");
}

static void alone_there_is_nothing_to_wait_for(void **state)
{
    (void)state;
    Prompt prompt = {0};
    take(&prompt, 10, 0, 0);
    assert_prompt(&prompt, MESSAGE_LOBBY, "> ");
    take(&prompt, 11, 0, 1);
    take(&prompt, 11, 0, 0); /* the only other one is no longer known */
    assert_prompt(&prompt, MESSAGE_LOBBY, "> ");
    take(&prompt, 11, 2, 1); /* one that has it is gone */
    assert_prompt(&prompt, MESSAGE_LOBBY, "> ");
}

static void what_may_have_been_missed_is_not_told(void **state)
{
    (void)state;
    Prompt prompt = {0};
    take(&prompt, 10, 1, 2);
    prompt_forget(&prompt);
    assert_prompt(&prompt, "dev", "dev> ");
    take(&prompt, 10, 1, 3);
    assert_prompt(&prompt, "dev", "(1 of 3) dev> ");
}

static void cursor_stands_behind_a_wide_and_a_hostile_room(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf text = {0};
    AUTO_STRBUF StrBuf out = {0};
    LineView view = {0};
    Prompt prompt = {0};
    take(&prompt, 10, 1, 2);
    prompt_text(&prompt, "日本\033[2J", &text);
    line_view_resize(&view, 40, 10);
    LineToDraw line = {.prompt = text.text, .text = "hi", .len = 2, .cursor = 1};
    line_view_draw(&view, &out, &line);
    assert_string_equal(out.text, "(1 of 2) 日本␛[2J> hi\r\033[20C");
    line_view_done(&view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_named_where_it_is_not_the_lobby),
        cmocka_unit_test(last_message_is_followed_until_all_have_it),
        cmocka_unit_test(older_message_changes_nothing),
        cmocka_unit_test(alone_there_is_nothing_to_wait_for),
        cmocka_unit_test(what_may_have_been_missed_is_not_told),
        cmocka_unit_test(cursor_stands_behind_a_wide_and_a_hostile_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
