/* Random stories of invitations and revocations: the answers do not depend on the order in which
 * they arrive, and are those of a model that is as simple as can be. */
#include "members_world.h"

enum { CROWD = 10, EVENTS_MAX = 400, EPOCHS = 3, SEEDS = 150, SHUFFLES = 4 };

static uint64_t next_random(uint64_t *at)
{
    /* SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
    uint64_t z = *at += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(uint64_t *random, size_t count)
{
    return (size_t)(next_random(random) % count);
}

/* What was said, for a model that is as simple as can be. */
typedef struct Said {
    size_t by, who;
    uint64_t epoch, seq;
} Said;

typedef struct Story {
    LogEvent *events[EVENTS_MAX];
    size_t count;
    Said said[EVENTS_MAX];
    size_t said_count;
    bool revoked[CROWD];
    uint64_t cuts[CROWD][EPOCHS + 1];
} Story;

static void story_invite(Story *story, const People *people, uint64_t *random)
{
    Said said = {
        .by = below(random, CROWD),
        .who = below(random, CROWD),
        .epoch = 1 + below(random, EPOCHS),
        .seq = 1 + below(random, 40),
    };
    story->events[story->count++] = people_invites(people, said.by, said.who, said.epoch, said.seq);
    story->said[story->said_count++] = said;
}

/* Now and then a part is lost, and it does not count. */
static void story_revoke(Story *story, const People *people, uint64_t *random, uint8_t number)
{
    enum { MANY = 2 * REVOCATION_CUTS_MAX };
    size_t whom = below(random, CROWD);
    MemberCut cuts[EPOCHS + MANY];
    size_t count = 0;
    uint64_t of_epoch[EPOCHS + 1] = {0};
    for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
        if (below(random, 3) > 0) {
            of_epoch[epoch] = 1 + below(random, 40);
            cuts[count++] = (MemberCut){.epoch = epoch, .seq = of_epoch[epoch]};
        }
    }
    for (size_t i = below(random, 2) * MANY; i > 0; i--) {
        cuts[count++] = (MemberCut){.epoch = EPOCHS + i, .seq = 1};
    }
    size_t parts = people_revokes(people, whom, number, cuts, count, 1 + number * 4U,
                                  story->events + story->count);
    story->count += parts;
    if (parts > 1 && below(random, 3) == 0) {
        event_unref(story->events[--story->count]);
        return;
    }
    if (whom == 0) {
        return;
    }
    for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
        uint64_t before = story->revoked[whom] ? story->cuts[whom][epoch] : UINT64_MAX;
        story->cuts[whom][epoch] = of_epoch[epoch] < before ? of_epoch[epoch] : before;
    }
    story->revoked[whom] = true;
}

/* The founder, and whoever one of them has let in, as often as it takes. */
static void model(const Story *story, bool *rooted)
{
    memset(rooted, 0, CROWD * sizeof(bool));
    rooted[0] = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < story->said_count; i++) {
            const Said *said = &story->said[i];
            bool counts =
                rooted[said->by] && said->who != said->by &&
                (!story->revoked[said->by] || said->seq <= story->cuts[said->by][said->epoch]);
            changed = changed || (counts && !rooted[said->who]);
            rooted[said->who] = rooted[said->who] || counts;
        }
    }
}

static void check_model(const Story *story, const People *people, const Members *members)
{
    bool rooted[CROWD];
    model(story, rooted);
    for (size_t i = 0; i < CROWD; i++) {
        MemberState good = rooted[i] ? MEMBER_GOOD : MEMBER_NONE;
        assert_int_equal(people_state(members, people, i),
                         story->revoked[i] ? MEMBER_REVOKED : good);
        for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
            uint64_t cut = story->revoked[i] ? story->cuts[i][epoch] : UINT64_MAX;
            assert_true(people_cut(members, people, i, epoch) == (rooted[i] ? cut : 0));
        }
    }
}

static Members *play(Story *story, const People *people, uint64_t *random)
{
    Members *members = people_members(people);
    for (size_t i = story->count; i > 1; i--) {
        size_t other = below(random, i);
        LogEvent *event = story->events[i - 1];
        story->events[i - 1] = story->events[other];
        story->events[other] = event;
    }
    for (size_t i = 0; i < story->count; i++) {
        members_take(members, story->events[i]);
        if (below(random, 8) == 0) {
            members_count(members); /* asked in between, it is worked out in between */
        }
    }
    return members;
}

static void check_equal(const People *people, const Members *a, const Members *b)
{
    assert_int_equal(members_count(a), members_count(b));
    for (size_t i = 0; i < members_count(a); i++) {
        const Member *x = members_at(a, i);
        const Member *y = members_at(b, i);
        assert_memory_equal(x->key, y->key, EVENT_KEY_BYTES);
        assert_memory_equal(x->inviter, y->inviter, EVENT_KEY_BYTES);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->since_ms, y->since_ms);
        assert_int_equal(x->revoked, y->revoked);
    }
    for (size_t i = 0; i < CROWD; i++) {
        Bytes *x = members_proof(a, people_key(people, i));
        Bytes *y = members_proof(b, people_key(people, i));
        assert_int_equal(x == NULL, y == NULL);
        if (x != NULL) {
            assert_int_equal(bytes_len(x), bytes_len(y));
            assert_memory_equal(bytes_data(x), bytes_data(y), bytes_len(x));
        }
        bytes_unref(x);
        bytes_unref(y);
    }
}

/* invites: so many that the caps of a key do not matter, or that they do. */
static void check_story(uint64_t seed, size_t invites, bool has_model)
{
    People people;
    people_init(&people, CROWD);
    uint64_t random = seed;
    Story story = {.count = 0};
    for (size_t i = 0; i < invites; i++) {
        story_invite(&story, &people, &random);
    }
    for (size_t i = below(&random, 5); i > 0; i--) {
        story_revoke(&story, &people, &random, (uint8_t)i);
    }
    Members *first = play(&story, &people, &random);
    if (has_model) {
        check_model(&story, &people, first);
    }
    for (size_t i = 0; i < SHUFFLES; i++) {
        Members *other = play(&story, &people, &random);
        check_equal(&people, first, other);
        if (has_model) {
            check_model(&story, &people, other);
        }
        members_free(other);
    }
    members_free(first);
    for (size_t i = 0; i < story.count; i++) {
        event_unref(story.events[i]);
    }
    people_done(&people);
}

static void answers_do_not_depend_on_the_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("%d%c", (int)seed, seed % 25 == 0 ? '\n' : ' '); /* the last one failed */
        check_story(seed, 10 + seed % 20, true);
    }
}

static void nor_where_there_is_more_than_may_be_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS / 5; seed++) {
        print_message("%d%c", (int)(1000 + seed), seed % 25 == 0 ? '\n' : ' ');
        check_story(1000 + seed, 200, false);
    }
}

static bool is_past(const LogEvent *event, const StreamId *stream, uint64_t hi)
{
    return event->fields.kind == LOG_MEMBER && event->fields.seq > hi &&
           stream_id_compare(&event->fields.stream, stream) == 0;
}

/* Some streams are cut, and may come again. */
static void check_cut(uint64_t seed)
{
    People people;
    people_init(&people, CROWD);
    uint64_t random = seed;
    Story story = {.count = 0};
    for (size_t i = 0; i < 40; i++) {
        story_invite(&story, &people, &random);
    }
    story_revoke(&story, &people, &random, 1);
    Members *cut = play(&story, &people, &random);
    Members *without = people_members(&people);
    Members *all = play(&story, &people, &random);
    StreamId stream = {.epoch = 1 + below(&random, EPOCHS)};
    memcpy(stream.origin, people_key(&people, below(&random, CROWD)), EVENT_KEY_BYTES);
    uint64_t hi = below(&random, 40);
    members_cut_events(cut, &stream, hi);
    for (size_t i = 0; i < story.count; i++) {
        if (!is_past(story.events[i], &stream, hi)) {
            members_take(without, story.events[i]);
        }
    }
    check_equal(&people, without, cut);
    for (size_t i = 0; i < story.count; i++) {
        if (is_past(story.events[i], &stream, hi)) {
            members_take(cut, story.events[i]);
        }
    }
    check_equal(&people, all, cut);
    members_free(cut);
    members_free(without);
    members_free(all);
    for (size_t i = 0; i < story.count; i++) {
        event_unref(story.events[i]);
    }
    people_done(&people);
}

static void what_is_cut_is_as_if_it_had_never_been_said(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("%d%c", (int)(2000 + seed), seed % 25 == 0 ? '\n' : ' ');
        check_cut(2000 + seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_do_not_depend_on_the_order),
        cmocka_unit_test(what_is_cut_is_as_if_it_had_never_been_said),
        cmocka_unit_test(nor_where_there_is_more_than_may_be_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
