/* Sealed rooms and conversations among whole cores of a private network: ann and bob speak, cyd
 * passes on what he cannot read. */
#include "core/members.h"
#include "core_world.h"
#include "unit.h"

enum { ANN, BOB, CYD, NODES };

/* Ann has founded the network, and let the others in before any of them started. */
typedef struct Net {
    World *world;
    Bytes *genesis;
    Bytes *proofs[NODES];
    LogEvent *memberships[NODES];
    LogEvent *controls[WORLD_NODES_MAX * 64]; /* of the node that starts */
} Net;

static LogEvent *membership_of(const Members *members, const char *name, uint64_t seq)
{
    EventSigner ann = trace_signer("ann");
    EventSigner other = trace_signer(name);
    Bytes *body = membership_new(members, &ann, other.public_key, name, NULL, 0, TRACE_WALL_MS);
    EventFields fields = {
        .network = members_network(members),
        .stream.epoch = 1,
        .seq = seq,
        .hlc = 1,
        .room = MESSAGE_LOBBY,
        .room_len = strlen(MESSAGE_LOBBY),
        .kind = LOG_MEMBER,
        .sender = "ann",
        .sender_len = 3,
        .body = bytes_data(body),
        .body_len = bytes_len(body),
    };
    memcpy(fields.stream.origin, ann.public_key, EVENT_KEY_BYTES);
    fields.prev_hash.bytes[0] = seq > 1;
    LogEvent *event = event_new(&fields);
    bytes_unref(body);
    return event;
}

static void configure(World *world, size_t node, CoreConfig *config)
{
    Net *net = world->context;
    size_t count = 0;
    for (size_t i = BOB; i < NODES; i++) {
        net->controls[count++] = net->memberships[i];
    }
    const WorldNode *at = &world->nodes[node];
    for (size_t i = 0; i < at->durable && count < sizeof(net->controls) / sizeof(net->controls[0]);
         i++) {
        if (at->trace.disk[i]->fields.kind == LOG_ROOM_KEY) {
            net->controls[count++] = at->trace.disk[i];
        }
    }
    config->control_events = net->controls;
    config->control_count = count;
}

static Net *net_new(void)
{
    /* In a row: ann - cyd - bob. */
    static const char *const dials[] = {"c", "c", ""};
    static const uint8_t salt[16] = {1};
    Net *net = mem_new(Net);
    EventSigner ann = trace_signer("ann");
    Members *members = NULL;
    const char *reason = "";
    assert_int_equal(
        genesis_new("tea", ann.public_key, salt, TRACE_WALL_MS, &net->genesis, &reason), ERR_OK);
    assert_int_equal(
        members_new(bytes_data(net->genesis), bytes_len(net->genesis), &members, &reason), ERR_OK);
    for (size_t i = BOB; i < NODES; i++) {
        net->memberships[i] = membership_of(members, WORLD_NAMES[i], i);
    }
    net->world = world_new(dials, NODES);
    for (size_t i = 0; i < NODES; i++) {
        if (i > ANN) {
            (void)members_take(members, net->memberships[i]);
        }
        net->proofs[i] = members_proof(members, trace_signer(WORLD_NAMES[i]).public_key);
        net->world->nodes[i].genesis = net->genesis;
        net->world->nodes[i].proof = net->proofs[i];
    }
    members_free(members);
    net->world->context = net;
    net->world->configure = configure;
    world_start_all(net->world);
    world_wait(net->world, 1000);
    return net;
}

static void net_free(Net *net)
{
    world_free(net->world);
    for (size_t i = BOB; i < NODES; i++) {
        event_unref(net->memberships[i]);
    }
    for (size_t i = 0; i < NODES; i++) {
        bytes_unref(net->proofs[i]);
    }
    bytes_unref(net->genesis);
    mem_free(net);
}

/* What one node alone was told of the last step. */
static const char *told(const Net *net, size_t at, const char *needle)
{
    char row[512];
    snprintf(row, sizeof(row), "%s| %s", WORLD_NAMES[at], needle);
    return strstr(strbuf_text(&net->world->text), row);
}

/* A node's first event takes a moment to be known of behind a relay. */
static void say(Net *net, size_t at, const char *text)
{
    enum { LONG_ENOUGH_MS = 1000 };
    world_line(net->world, at, text);
    world_run(net->world, net->world->now_ms + LONG_ENOUGH_MS);
}

/* Ann's room, with bob in it. */
static Net *net_with_team(void)
{
    Net *net = net_new();
    say(net, ANN, "/seal team");
    say(net, ANN, "/admit bob");
    say(net, BOB, "/join !team");
    return net;
}

/* All events of a room that node has on its disk, as the answer to a question of that kind. */
static const char *answer(Net *net, size_t at, QueryKind kind, const char *room)
{
    WorldNode *node = &net->world->nodes[at];
    LogEvent **events = mem_array(node->durable + 1, sizeof(LogEvent *));
    Query query = {.kind = kind, .count = 50, .wanted = kind == QUERY_HISTORY ? 20 : 0};
    size_t count = 0;
    snprintf(query.room, sizeof(query.room), "%s", room);
    snprintf(query.words, sizeof(query.words), "words");
    for (size_t i = 0; i < node->durable; i++) {
        const EventFields *fields = &node->trace.disk[i]->fields;
        if (fields->room_len == strlen(room) && memcmp(fields->room, room, fields->room_len) == 0) {
            events[count++] = node->trace.disk[i];
        }
    }
    strbuf_clear(&net->world->text);
    world_step(
        net->world, at,
        (Event){.kind = EVENT_ANSWER, .query = &query, .events = events, .events_count = count});
    mem_free(events);
    return strbuf_text(&net->world->text);
}

/* Of the only sealed room or conversation that the disk knows. */
static const char *room_on_disk(const Net *net, size_t at)
{
    const WorldNode *node = &net->world->nodes[at];
    for (size_t i = node->durable; i > 0; i--) {
        const EventFields *fields = &node->trace.disk[i - 1]->fields;
        if (fields->kind == LOG_SEALED) {
            return fields->room;
        }
    }
    return NULL;
}

static bool disk_has(const Net *net, size_t at, const char *text)
{
    const WorldNode *node = &net->world->nodes[at];
    size_t len = strlen(text);
    for (size_t i = 0; i < node->durable; i++) {
        const Bytes *bytes = node->trace.disk[i]->bytes;
        if (memmem(bytes_data(bytes), bytes_len(bytes), text, len) != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- rooms ---- */

static void who_is_let_in_is_told_and_reads(void **state)
{
    (void)state;
    Net *net = net_new();
    say(net, ANN, "/seal Team");
    assert_non_null(told(net, ANN,
                         "info: what you type goes to !team; /history shows what was "
                         "said\n"));
    assert_string_equal(core_room(world_core(net->world, ANN)), "!team");
    say(net, ANN, "/admit bob");
    assert_non_null(told(net, BOB, "info: ann let you into !team; /join !team\n"));
    assert_non_null(told(net, ANN, "info: bob can read !team from now on\n"));
    say(net, BOB, "/join !team");
    assert_non_null(told(net, ANN, "show [#!team] bob joins\n"));
    say(net, BOB, "plan nine");
    assert_non_null(told(net, ANN, "show [#!team] bob: plan nine\n"));
    assert_non_null(told(net, BOB, "show [#!team] bob: plan nine\n"));
    assert_null(told(net, CYD, "show"));
    net_free(net);
}

static void a_relay_holds_what_it_cannot_read(void **state)
{
    (void)state;
    Net *net = net_with_team();
    say(net, ANN, "plan nine");
    assert_non_null(told(net, BOB, "show [#!team] ann: plan nine\n"));
    assert_int_equal(net->world->nodes[CYD].durable, net->world->nodes[BOB].durable);
    assert_false(disk_has(net, CYD, "plan nine"));
    assert_false(disk_has(net, BOB, "plan nine"));
    assert_false(disk_has(net, CYD, "!team"));
    const char *room = room_on_disk(net, CYD);
    assert_non_null(room);
    assert_null(strstr(answer(net, CYD, QUERY_HISTORY, room), "plan nine"));
    assert_null(strstr(answer(net, CYD, QUERY_SEARCH, room), "plan nine"));
    assert_non_null(told(net, CYD, "info: nothing found for: words\n"));
    net_free(net);
}

static void history_and_search_show_what_can_be_read(void **state)
{
    (void)state;
    Net *net = net_with_team();
    say(net, ANN, "plan nine");
    const char *room = room_on_disk(net, BOB);
    say(net, BOB, "/history 5");
    char asked[128];
    snprintf(asked, sizeof(asked), "query history %s", room);
    assert_non_null(told(net, BOB, asked));
    assert_non_null(strstr(answer(net, BOB, QUERY_HISTORY, room), "[#!team] ann: plan nine"));
    assert_non_null(strstr(answer(net, BOB, QUERY_HISTORY, room), "[#!team] bob joins"));
    assert_non_null(strstr(answer(net, BOB, QUERY_SEARCH, room), "[#!team] ann: plan nine"));
    net_free(net);
}

static void who_has_left_reads_no_more(void **state)
{
    (void)state;
    Net *net = net_with_team();
    say(net, ANN, "before");
    say(net, BOB, "/part");
    assert_non_null(told(net, ANN, "show [#!team] bob parts\n"));
    assert_non_null(told(net, BOB, "info: what you type goes to the lobby again\n"));
    say(net, ANN, "after");
    assert_null(told(net, BOB, "show"));
    say(net, BOB, "/to !team hello?");
    assert_non_null(told(net, BOB, "error: not sent: you are not in this room any more"));
    say(net, BOB, "/join !team");
    assert_non_null(told(net, BOB, "error: you are in no sealed room !team"));
    assert_null(strstr(answer(net, BOB, QUERY_HISTORY, room_on_disk(net, BOB)), "after"));
    net_free(net);
}

static void the_past_is_given_or_not(void **state)
{
    (void)state;
    Net *net = net_with_team();
    say(net, ANN, "of old");
    say(net, ANN, "/admit cyd");
    assert_null(strstr(answer(net, CYD, QUERY_HISTORY, room_on_disk(net, CYD)), "of old"));
    say(net, CYD, "/join !team");
    say(net, CYD, "/part");
    say(net, ANN, "/admit cyd past");
    assert_non_null(told(net, ANN, "info: cyd can read !team, and what was said in it before\n"));
    assert_non_null(strstr(answer(net, CYD, QUERY_HISTORY, room_on_disk(net, CYD)), "of old"));
    net_free(net);
}

static void a_node_that_starts_again_is_in_its_rooms(void **state)
{
    (void)state;
    Net *net = net_with_team();
    say(net, ANN, "before");
    world_kill(net->world, BOB);
    world_start(net->world, BOB);
    world_wait(net->world, 12000);
    say(net, ANN, "after");
    assert_non_null(told(net, BOB, "show [#!team] ann: after\n"));
    say(net, BOB, "/to !team here again");
    assert_non_null(told(net, ANN, "show [#!team] bob: here again\n"));
    say(net, BOB, "/names !team");
    assert_non_null(told(net, BOB, "info: !team: here: ann, bob\n"));
    net_free(net);
}

static void what_cannot_be_done_is_told(void **state)
{
    (void)state;
    Net *net = net_with_team();
    say(net, ANN, "/admit zoe");
    assert_non_null(told(net, ANN, "error: no member of this network is called zoe"));
    say(net, ANN, "/admit bob");
    assert_non_null(told(net, ANN, "error: bob is in !team already\n"));
    say(net, CYD, "/admit ann");
    assert_non_null(told(net, CYD, "error: you are not in a sealed room"));
    say(net, CYD, "/to !team hello");
    assert_non_null(told(net, CYD, "error: not sent: there is no sealed room"));
    say(net, CYD, "/seal two words");
    assert_non_null(told(net, CYD, "error: /seal NAME: "));
    net_free(net);
}

static void open_mode_has_no_sealed_rooms(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_step(&trace, (Event){.kind = EVENT_START});
    assert_non_null(strstr(trace_line(&trace, "/seal team"), "error: only a private network"));
    assert_non_null(strstr(trace_line(&trace, "/join !team"), "what you type goes to #!team"));
    trace_done(&trace);
}

/* ---- conversations ---- */

static void two_talk_and_the_third_sees_nothing(void **state)
{
    (void)state;
    Net *net = net_new();
    say(net, ANN, "/msg bob psst");
    assert_non_null(told(net, ANN, "show [@bob] ann: psst\n"));
    assert_non_null(told(net, BOB, "show [@bob] ann: psst\n"));
    assert_null(told(net, CYD, "show"));
    assert_false(disk_has(net, CYD, "psst"));
    say(net, BOB, "/msg ann what?");
    assert_non_null(told(net, ANN, "show [@ann] bob: what?\n"));
    const char *room = room_on_disk(net, ANN);
    const char *history = answer(net, ANN, QUERY_HISTORY, room);
    assert_non_null(strstr(history, "[@bob] ann: psst"));
    assert_non_null(strstr(history, "[@ann] bob: what?"));
    assert_null(strstr(answer(net, CYD, QUERY_HISTORY, room), "psst"));
    say(net, ANN, "/msg zoe hello");
    assert_non_null(told(net, ANN, "error: no member of this network is called zoe"));
    say(net, ANN, "/msg ann hello");
    assert_non_null(told(net, ANN, "error: ann is you\n"));
    net_free(net);
}

static void a_conversation_is_entered_and_left(void **state)
{
    (void)state;
    Net *net = net_new();
    say(net, ANN, "/msg bob");
    assert_non_null(told(net, ANN, "info: what you type goes to bob alone; /part ends that\n"));
    say(net, ANN, "psst");
    assert_non_null(told(net, BOB, "show [@bob] ann: psst\n"));
    say(net, ANN, "/part");
    assert_string_equal(core_room(world_core(net->world, ANN)), MESSAGE_LOBBY);
    net_free(net);
}

/* A program at ann's node, by SendMessage. */
static void a_program_speaks_in_its_nodes_sealed_room(void **state)
{
    (void)state;
    Net *net = net_with_team();
    MessageDraft draft = {.sender = "bot",
                          .sender_len = 3,
                          .content = "built",
                          .content_len = 5,
                          .room = "!team",
                          .room_len = 5,
                          .id = (const uint8_t *)"12345678",
                          .id_len = 8};
    strbuf_clear(&net->world->text);
    net->world->nodes[ANN].trace.requests++;
    world_step(net->world, ANN, (Event){.kind = EVENT_RECEIVED, .draft = &draft, .token = net});
    world_run(net->world, net->world->now_ms);
    assert_non_null(told(net, BOB, "show [#!team] bot: built\n"));
    assert_false(disk_has(net, CYD, "built"));
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_let_in_is_told_and_reads),
        cmocka_unit_test(a_relay_holds_what_it_cannot_read),
        cmocka_unit_test(history_and_search_show_what_can_be_read),
        cmocka_unit_test(who_has_left_reads_no_more),
        cmocka_unit_test(the_past_is_given_or_not),
        cmocka_unit_test(a_node_that_starts_again_is_in_its_rooms),
        cmocka_unit_test(what_cannot_be_done_is_told),
        cmocka_unit_test(open_mode_has_no_sealed_rooms),
        cmocka_unit_test(two_talk_and_the_third_sees_nothing),
        cmocka_unit_test(a_conversation_is_entered_and_left),
        cmocka_unit_test(a_program_speaks_in_its_nodes_sealed_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
