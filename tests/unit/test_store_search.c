/* Search: in every script, newest first, whatever is typed. */
#include "store_home.h"

static void on_unsearched(void *context, const StoreHits *result)
{
    assert_int_equal(result->err, ERR_OK);
    *(StoreHits *)context = (StoreHits){.unsearched = result->unsearched};
}

/* ---- search ---- */

static void search_finds_words_in_every_script(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "Ann");
    add(&home, &ann, "Grüße aus MÜNCHEN");
    add(&home, &ann, "私は東京に住んでいます");
    add(&home, &ann, "всё хорошо, Москва");
    add(&home, &ann, "deploy done 👍🏽 great");
    add(&home, &ann, "สวัสดีครับ");
    add(&home, &ann, "हिन्दी में लिखा");
    assert_words(&home, "münchen", "Grüße aus [MÜNCHEN];");
    assert_words(&home, "grusse", "");
    assert_words(&home, "MUNCHEN gruße", "[Grüße] aus [MÜNCHEN];");
    assert_words(&home, "東京", "私は[東京]に住んでいます;");
    assert_words(&home, "京東", "");
    assert_words(&home, "москва", "всё хорошо, [Москва];");
    assert_words(&home, "👍", "deploy done [👍]🏽 great;");
    assert_words(&home, "สวัสดี", "[สวัสดี]ครับ;");
    assert_words(&home, "हिन्दी", "[हिन्दी] में लिखा;");
    assert_words(&home, "हिन्द", ""); /* marks are part of a word */
    assert_words(&home, "depl*", "[deploy] done 👍🏽 great;");
    assert_words(&home, "dep", "");
    assert_words(&home, "de*", ""); /* too little: the word "de" */
    home_done(&home);
}

static void search_takes_what_is_typed_as_words_alone(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    bob.hlc += 100;
    add(&home, &ann, "to be OR not to be");
    add(&home, &bob, "body: NEAR(a b) \"quoted\" it's");
    add(&home, &bob, "not to worry");
    assert_words(&home, "not", "[not] to worry;to be OR [not] to be;");
    assert_words(&home, "be or", "to [be] [OR] not to [be];");
    assert_words(&home, "\"not to be\"", "to be OR [not to be];");
    assert_words(&home, "\"not to", "[not to] worry;to be OR [not to] be;");
    assert_words(&home, "NEAR(a", "body: [NEAR(a] b) \"quoted\" it's;");
    assert_words(&home, "body:", "[body]: NEAR(a b) \"quoted\" it's;");
    assert_words(&home, "it's", "body: NEAR(a b) \"quoted\" [it's];");
    assert_words(&home, "!!! not ---", "[not] to worry;to be OR [not] to be;");
    const char *nothing[] = {"", "   ", "\"", "\"\"", "*", "!!!", "(", "AND", "{", "^", "- -"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        assert_words(&home, nothing[i], "");
    }
    assert_words(&home, "ann", "to be OR not to be;"); /* who said it counts too */
    StoreSearch search = {.words = "not", .sender = "ann"};
    assert_search(&home, &search, "to be OR [not] to be;");
    search.sender = "an";
    assert_search(&home, &search, "");
    search = (StoreSearch){.words = "not", .room = "lobby", .max_hits = 1};
    assert_search(&home, &search, "[not] to worry;+");
    search.room = "lob";
    assert_search(&home, &search, "");
    search = (StoreSearch){.words = "not", .until_hlc = START + 50};
    assert_search(&home, &search, "to be OR [not] to be;");
    search = (StoreSearch){.words = "\xff"};
    assert_int_equal(store_search(home.store, &search, on_hits, NULL), ERR_INVALID);
    char large[STORE_SEARCH_MAX_BYTES + 2] = {0};
    memset(large, 'x', sizeof(large) - 1);
    search.words = large;
    assert_int_equal(store_search(home.store, &search, on_hits, NULL), ERR_LIMIT);
    home_done(&home);
}

static void search_gives_the_newest_first_however_late_they_came(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author new_one = author_of(1, 7, "ann");
    Author old_one = author_of(2, 7, "bob");
    Author odd = author_of(3, 7, "eve");
    odd.room = "#!";
    new_one.hlc = START + 5 * DAY;
    add(&home, &new_one, "hit five");
    new_one.hlc = START + 7 * DAY;
    add(&home, &new_one, "hit seven");
    old_one.hlc = START + 1 * DAY;
    add(&home, &old_one, "hit one");
    old_one.hlc = START + 6 * DAY;
    add(&home, &old_one, "hit six");
    add(&home, &odd, "hit zero");
    assert_words(&home, "hit", "[hit] seven;[hit] six;[hit] five;[hit] one;[hit] zero;");
    StoreSearch search = {.words = "hit", .max_hits = 2};
    assert_search(&home, &search, "[hit] seven;[hit] six;+");
    search.until_hlc = START + 6 * DAY - 1;
    assert_search(&home, &search, "[hit] five;[hit] one;+");
    search = (StoreSearch){.words = "hit", .room = "#!"}; /* a name without a word in it */
    assert_search(&home, &search, "[hit] zero;");
    home_done(&home);
}

static void start_of_a_word_is_found_in_text_and_name(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "Annabel");
    add(&home, &ann, "Münchner in München");
    add(&home, &ann, "it's-sometimes so");
    add(&home, &ann, "so it's");
    add(&home, &ann, "東京タワー");
    add(&home, &ann, "wool \"quoted\" worn-out work");
    assert_words(&home, "mün*", "[Münchner] in [München];");
    assert_words(&home, "MUNCHE*", "Münchner in [München];");
    assert_words(&home, "münchen*", "Münchner in [München];");
    assert_words(&home, "münchens*", "");
    assert_words(&home, "wor*", "wool \"quoted\" [worn]-out [work];");
    assert_words(&home, "worn* work* wool", "[wool] \"quoted\" [worn]-out [work];");
    assert_words(&home, "worn* munc*", "");
    assert_words(&home, "\"quoted\"worn*", "wool \"[quoted]\" [worn]-out work;");
    assert_words(&home, "it's-some*", "[it's-sometimes] so;"); /* the last of three words */
    assert_words(&home, "it's-s*", "");                        /* too little: the word "s" */
    assert_words(&home, "東京*", "[東京]タワー;");
    assert_words(&home, "!!!*", "");
    assert_words(&home, "***", "");
    StoreSearch search = {.words = "annab*", .max_hits = 1};
    assert_search(&home, &search, "wool \"quoted\" worn-out work;+");
    home_done(&home);
}

/* More texts than the search looks at one by one. */
static void start_of_a_word_is_found_among_many_words_that_start_alike(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    add(&home, &ann, "something rare");
    fill(&home, &ann, 1500);
    add(&home, &ann, "somebody");
    fill(&home, &ann, 1500);
    home_close(&home);
    home_open(&home);
    StoreHits hits = {.unsearched = 1};
    while (hits.unsearched > 0) {
        StoreSearch search = {.words = "nothing"};
        assert_int_equal(store_search(home.store, &search, on_unsearched, &hits), ERR_OK);
        turn(&home);
    }
    assert_words(&home, "someth*", "[something] rare;");
    assert_words(&home, "somebo*", "[somebody];");
    assert_words(&home, "someth* rar*", "[something] [rare];");
    StoreSearch search = {.words = "somet* someb*"};
    assert_search(&home, &search, "");
    search = (StoreSearch){.words = "some*", .max_hits = 1};
    const char *newest = "[some] words that fill a line of the log, one after another;+";
    assert_search(&home, &search, newest);
    search.until_hlc = START + 1;
    assert_search(&home, &search, "[something] rare;");
    home_done(&home);
}

static void name_of_a_room_is_not_among_the_words_of_its_texts(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    ann.room = "dev ops";
    add(&home, &ann, "hello there");
    ann.room = "dev";
    add(&home, &ann, "hello dev");
    assert_words(&home, "dev", "hello [dev];");
    assert_words(&home, "ops", "");
    StoreSearch search = {.words = "hello", .room = "dev"};
    assert_search(&home, &search, "[hello] dev;");
    search.room = "dev ops";
    assert_search(&home, &search, "[hello] there;");
    search.room = "ops";
    assert_search(&home, &search, "");
    home_done(&home);
}

static void text_is_found_at_once_and_also_after_a_restart(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    for (int i = 0; i < 20; i++) {
        char text[16];
        char expected[20];
        snprintf(text, sizeof(text), "word%d", i);
        snprintf(expected, sizeof(expected), "[word%d];", i);
        add(&home, &ann, text);
        if (i % 3 == 0) { /* closed before anybody searched */
            home_close(&home);
            home_open(&home);
        }
        assert_words(&home, text, expected);
        assert_words(&home, text, expected); /* once */
    }
    home_done(&home);
}

/* The search is behind it in the same queue. */
static void search_behind_what_waits_for_the_disk_is_a_search(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    for (unsigned i = 0; i < 20; i++) {
        Answers answers = {0};
        char text[16];
        char expected[20];
        snprintf(text, sizeof(text), "word%u", i);
        snprintf(expected, sizeof(expected), "[word%u];", i);
        LogEvent *event = event_by(&ann, text);
        assert_int_equal(give(&home, &event, 1, STORE_LAZY, &answers), ERR_OK);
        assert_words(&home, text, expected);
        assert_int_equal(answers.count, 1);
        assert_int_equal(answers.failed, 0);
        event_unref(event);
    }
    home_done(&home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_finds_words_in_every_script),
        cmocka_unit_test(search_takes_what_is_typed_as_words_alone),
        cmocka_unit_test(search_gives_the_newest_first_however_late_they_came),
        cmocka_unit_test(start_of_a_word_is_found_in_text_and_name),
        cmocka_unit_test(start_of_a_word_is_found_among_many_words_that_start_alike),
        cmocka_unit_test(name_of_a_room_is_not_among_the_words_of_its_texts),
        cmocka_unit_test(text_is_found_at_once_and_also_after_a_restart),
        cmocka_unit_test(search_behind_what_waits_for_the_disk_is_a_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
