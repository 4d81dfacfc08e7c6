/* What the hostile relay may do, a row each. "The second" is the node that is to be deceived: what
 * comes from the first passes here on its way to it. */
#include "relay.h"

#include "base/random.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    REPLAYS = 5,
    FLOOD_FRAMES = 120,
    FLOOD_ROWS = 1000,
    OVERSIZED_BYTES = 300 * 1024,
    GARBAGE_BYTES = 1000,
    NAME_BYTES = 32,
};

static End *second(Relay *relay)
{
    return &relay->ends[relay->ends_count - 1];
}

static bool is_origin(const ProtobufCBinaryData *data, const uint8_t key[EVENT_KEY_BYTES])
{
    return data->len == EVENT_KEY_BYTES && memcmp(data->data, key, EVENT_KEY_BYTES) == 0;
}

/* ---- events of its own making ---- */

static EventFields fields_of(const Relay *relay, const StreamId *stream, uint64_t seq)
{
    return (EventFields){.network = relay->network,
                         .stream = *stream,
                         .seq = seq,
                         .hlc = (uint64_t)loop_wall_ms() << 16,
                         .room = MESSAGE_LOBBY,
                         .room_len = strlen(MESSAGE_LOBBY),
                         .kind = LOG_TEXT,
                         .sender = "mallory",
                         .sender_len = strlen("mallory")};
}

static LogEvent *make_event(const Relay *relay, const StreamId *stream, uint64_t seq,
                            const EventHash *before, const char *text, const EventSigner *signer)
{
    EventFields fields = fields_of(relay, stream, seq);
    fields.body = (const uint8_t *)text;
    fields.body_len = strlen(text);
    if (before != NULL) {
        fields.prev_hash = *before;
    }
    LogEvent *event = event_new(&fields);
    event_sign(event, signer);
    return event;
}

static StreamId own_stream(const Relay *relay)
{
    StreamId stream = {.epoch = relay->epoch};
    memcpy(stream.origin, relay->signer.public_key, sizeof(stream.origin));
    return stream;
}

/* Tells of it, and sends it unasked. */
static void push_event(End *end, LogEvent *event)
{
    FrameHave have = {.stream = event->fields.stream,
                      .lo = 1,
                      .hi = event->fields.seq,
                      .head = event_hash_head(&event->hash)};
    FrameRun run = {.events = &event, .count = 1};
    end_send(end, frame_encode(&(FrameOut){
                      .haves = &have, .haves_count = 1, .runs = &run, .runs_count = 1}));
}

static void push_own(Relay *relay)
{
    for (size_t i = 0; i < relay->ends_count; i++) {
        if (relay->own[i] != NULL) {
            push_event(&relay->ends[i], relay->own[i]);
        }
    }
}

/* Who asks for the stream of its own making gets it; neither is told what the other has. */
static bool own_frame(Relay *relay, const End *from, End *to, Chat__Frame *frame)
{
    LogEvent *own = relay->own[from->index];
    size_t kept = 0;
    (void)to;
    for (size_t i = 0; own != NULL && i < frame->n_want; i++) {
        if (is_origin(&frame->want[i]->origin, own->fields.stream.origin) &&
            frame->want[i]->epoch == own->fields.stream.epoch) {
            push_event(&relay->ends[from->index], own);
        }
    }
    for (size_t i = 0; own != NULL && i < frame->n_have; i++) {
        Chat__Have *have = frame->have[i];
        if (is_origin(&have->origin, own->fields.stream.origin)) {
            chat__have__free_unpacked(have, NULL);
        } else {
            frame->have[kept++] = have;
        }
    }
    frame->n_have = own != NULL ? kept : frame->n_have;
    return true;
}

static void equivocate_go(Relay *relay)
{
    static const char *const TEXTS[ENDS_MAX] = {"it is white", "it is black"};
    StreamId stream = own_stream(relay);
    for (size_t i = 0; i < ENDS_MAX; i++) {
        relay->own[i] = make_event(relay, &stream, 1, NULL, TEXTS[i], &relay->signer);
    }
    push_own(relay);
}

/* What it says of others in its own name, signed as it should be. */
static void push_control(Relay *relay, LogKind kind, const Bytes *body)
{
    StreamId stream = own_stream(relay);
    EventFields fields = fields_of(relay, &stream, 1);
    fields.kind = (int)kind;
    fields.body = bytes_data(body);
    fields.body_len = bytes_len(body);
    LogEvent *event = event_new(&fields);
    event_sign(event, &relay->signer);
    for (size_t i = 0; i < relay->ends_count; i++) {
        relay->own[i] = event_ref(event);
    }
    event_unref(event);
    push_own(relay);
    relay_tell("did say");
}

/* The second, as the founder may say it alone. */
static void revoke_go(Relay *relay)
{
    uint8_t id[8];
    Bytes **parts = NULL;
    size_t count = 0;
    random_bytes(id, sizeof(id));
    if (revocation_new(second(relay)->peer.key, id, NULL, 0, &parts, &count) == ERR_OK) {
        push_control(relay, LOG_REVOKE, parts[0]); /* without cuts it is one */
    }
    for (size_t i = 0; i < count; i++) {
        bytes_unref(parts[i]);
    }
    mem_free(parts);
}

/* As if the first had let somebody in. */
static void false_member_go(Relay *relay)
{
    uint8_t key[EVENT_KEY_BYTES];
    EventSigner seeming = relay->signer;
    random_bytes(key, sizeof(key));
    memcpy(seeming.public_key, relay->ends[0].peer.key, sizeof(seeming.public_key));
    Bytes *body = membership_new(relay->members, &seeming, key, "sybil", NULL, 0, loop_wall_ms());
    push_control(relay, LOG_MEMBER, body);
    bytes_unref(body);
}

/* A stream of a key that nobody has let in, signed as it should be. */
static void stranger_go(Relay *relay)
{
    EventSigner signer;
    uint8_t seed[EVENT_SEED_BYTES];
    random_bytes(seed, sizeof(seed));
    event_signer_init(&signer, seed);
    StreamId stream = {.epoch = relay->epoch};
    memcpy(stream.origin, signer.public_key, sizeof(stream.origin));
    LogEvent *event = make_event(relay, &stream, 1, NULL, "let me in", &signer);
    for (size_t i = 0; i < relay->ends_count; i++) {
        relay->own[i] = event_ref(event);
    }
    event_unref(event);
    push_own(relay);
    relay_tell("did push");
}

/* With the identity of somebody who was revoked: goes on where that one was cut off, and begins a
 * new stream. */
static void smuggle_go(Relay *relay)
{
    const EventSigner *stolen = &relay->stolen;
    const Seen *seen = relay_seen(relay, stolen->public_key);
    StreamId fresh = {.epoch = relay->epoch};
    memcpy(fresh.origin, stolen->public_key, sizeof(fresh.origin));
    if (seen == NULL) {
        relay_tell("nothing of that author was seen");
        return;
    }
    LogEvent *more =
        make_event(relay, &seen->stream, seen->seq + 1, &seen->hash, "after the cut", stolen);
    LogEvent *anew = make_event(relay, &fresh, 1, NULL, "after the cut, anew", stolen);
    for (size_t i = 0; i < relay->ends_count; i++) {
        push_event(&relay->ends[i], more);
        push_event(&relay->ends[i], anew);
        relay->own[i] = event_ref(more);
    }
    event_unref(more);
    event_unref(anew);
    relay_tell("did smuggle");
}

/* What would be the first's next event, by another hand. */
static void forge_go(Relay *relay)
{
    const Seen *seen = relay_seen(relay, relay->ends[0].peer.key);
    if (seen == NULL) {
        relay_tell("nothing of that author was seen");
        return;
    }
    LogEvent *event = make_event(relay, &seen->stream, seen->seq + 1, &seen->hash,
                                 "I never said that", &relay->signer);
    push_event(second(relay), event);
    event_unref(event);
    relay_tell("did forge");
}

/* ---- runs on their way ---- */

static void alter_event(ProtobufCBinaryData *bytes)
{
    Chat__Event *event = chat__event__unpack(NULL, bytes->len, bytes->data);
    if (event == NULL || event->body.len == 0) {
        return;
    }
    event->body.data[event->body.len - 1] ^= 1;
    mem_free(bytes->data);
    bytes->len = chat__event__get_packed_size(event);
    bytes->data = mem_alloc(bytes->len);
    chat__event__pack(event, bytes->data);
    chat__event__free_unpacked(event, NULL);
}

static bool alter_frame(Relay *relay, const End *from, End *to, Chat__Frame *frame)
{
    (void)relay;
    (void)to;
    for (size_t i = 0; from->index == 0 && i < frame->n_events; i++) {
        for (size_t k = 0; k < frame->events[i]->n_events; k++) {
            alter_event(&frame->events[i]->events[k]->event);
        }
        relay_tell("did alter");
    }
    return true;
}

static void drop_runs(Chat__Frame *frame)
{
    for (size_t i = 0; i < frame->n_events; i++) {
        chat__events__free_unpacked(frame->events[i], NULL);
    }
    frame->n_events = 0;
}

/* All that the first has said; that there is more, the second is told. */
static bool withhold_frame(Relay *relay, const End *from, End *to, Chat__Frame *frame)
{
    (void)relay;
    (void)to;
    if (from->index == 0 && frame->n_events > 0) {
        drop_runs(frame);
        relay_tell("did withhold");
    }
    return true;
}

static bool gap_frame(Relay *relay, const End *from, End *to, Chat__Frame *frame)
{
    (void)to;
    if (from->index == 0 && frame->n_events > 0 && !relay->done) {
        relay->done = true;
        drop_runs(frame);
        relay_tell("did leave out");
    }
    return true;
}

/* Each second run before the one that was first. */
static bool reorder_frame(Relay *relay, const End *from, End *to, Chat__Frame *frame)
{
    if (from->index != 0 || frame->n_events == 0) {
        return true;
    }
    if (relay->held != NULL) {
        end_send_frame(to, frame);
        end_send(to, TAKE(relay->held));
        relay_tell("did reorder");
        return false;
    }
    Chat__Frame runs = CHAT__FRAME__INIT;
    runs.n_events = frame->n_events;
    runs.events = frame->events;
    relay->held = bytes_new_empty(chat__frame__get_packed_size(&runs));
    chat__frame__pack(&runs, bytes_fill(relay->held));
    drop_runs(frame);
    return true;
}

static void replay_go(Relay *relay)
{
    for (size_t n = 0; n < REPLAYS; n++) {
        for (size_t i = 0; i < relay->kept_count; i++) {
            end_send(second(relay), bytes_ref(relay->kept[i]));
        }
    }
    relay_tell("did replay %zu", relay->kept_count);
}

/* ---- floods ---- */

static void flood_haves_go(Relay *relay)
{
    FrameHave *haves = mem_array(FLOOD_ROWS, sizeof(*haves));
    for (size_t n = 0; n < FLOOD_FRAMES; n++) {
        for (size_t i = 0; i < FLOOD_ROWS; i++) {
            random_bytes(&haves[i].stream, sizeof(haves[i].stream));
            haves[i].lo = 1;
            haves[i].hi = 1 + (random_u64() & 0xff);
        }
        end_send(second(relay),
                 frame_encode(&(FrameOut){.haves = haves, .haves_count = FLOOD_ROWS}));
    }
    mem_free(haves);
    relay_tell("did flood");
}

/* Of the first's key, which counts: streams that it never wrote. */
static void flood_epochs_go(Relay *relay)
{
    FrameHave *haves = mem_array(FLOOD_ROWS, sizeof(*haves));
    for (size_t n = 0; n < FLOOD_FRAMES; n++) {
        for (size_t i = 0; i < FLOOD_ROWS; i++) {
            memcpy(haves[i].stream.origin, relay->ends[0].peer.key, EVENT_KEY_BYTES);
            haves[i].stream.epoch = random_u64() >> 1;
            haves[i].lo = 1;
            haves[i].hi = 1;
        }
        end_send(second(relay),
                 frame_encode(&(FrameOut){.haves = haves, .haves_count = FLOOD_ROWS}));
    }
    mem_free(haves);
    relay_tell("did flood");
}

/* All of the first's stream, again and again, with room for it each time. */
static void flood_wants_go(Relay *relay)
{
    const Seen *seen = relay_seen(relay, relay->ends[0].peer.key);
    if (seen == NULL) {
        relay_tell("nothing of that author was seen");
        return;
    }
    FrameWant *wants = mem_array(FLOOD_ROWS, sizeof(*wants));
    for (size_t i = 0; i < FLOOD_ROWS; i++) {
        wants[i] = (FrameWant){.stream = seen->stream, .from = 1};
    }
    for (size_t n = 0; n < 10 * FLOOD_FRAMES; n++) {
        end_send(
            second(relay),
            frame_encode(&(FrameOut){
                .wants = wants, .wants_count = FLOOD_ROWS, .credit = 1024 * 1024, .ping = n + 1}));
    }
    mem_free(wants);
    relay_tell("did flood");
}

static void flood_presences_go(Relay *relay)
{
    FramePresence *rows = mem_array(FLOOD_ROWS, sizeof(*rows));
    for (size_t n = 0; n < FLOOD_FRAMES / 10; n++) {
        for (size_t i = 0; i < FLOOD_ROWS; i++) {
            random_bytes(&rows[i], sizeof(rows[i]));
            rows[i].version = 1;
            rows[i].gone = false;
            snprintf(rows[i].name, sizeof(rows[i].name), "ghost%zu", n * FLOOD_ROWS + i);
        }
        end_send(second(relay),
                 frame_encode(&(FrameOut){.presences = rows, .presences_count = FLOOD_ROWS}));
    }
    mem_free(rows);
    relay_tell("did flood");
}

/* ---- frames that are none ---- */

static void send_random(Relay *relay, size_t len)
{
    Bytes *bytes = bytes_new_empty(len);
    random_bytes(bytes_fill(bytes), len);
    end_send(second(relay), bytes);
    relay_tell("did send");
}

static void oversized_go(Relay *relay)
{
    send_random(relay, OVERSIZED_BYTES);
}

static void garbage_go(Relay *relay)
{
    send_random(relay, GARBAGE_BYTES);
}

/* ---- HTTP/2 that is none of gRPC's ---- */

/* RFC 9113 sections 3.4, 6.5, 6.7. */
static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                              "\0\0\0\4\0\0\0\0\0";
static const char PING[] = "\0\0\x8\6\0\0\0\0\0"
                           "12345678";

static void speak_pings(int fd)
{
    enum { PINGS = 20000, PING_BYTES = sizeof(PING) - 1 };
    AUTO_FREE char *words = mem_alloc(sizeof(PREFACE) - 1 + (size_t)PINGS * PING_BYTES);
    char *at = mempcpy(words, PREFACE, sizeof(PREFACE) - 1);
    for (size_t i = 0; i < PINGS; i++) {
        at = mempcpy(at, PING, PING_BYTES);
    }
    /* As much as is taken at once. */
    for (const char *from = words; from < at;) {
        ssize_t count = send(fd, from, (size_t)(at - from), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count <= 0) {
            break;
        }
        from += count;
    }
    relay_tell("did ping");
}

static void pings_go(Relay *relay)
{
    end_redial(second(relay));
}

/* ---- hellos ---- */

/* As if it stood between two members unseen: what the first has said to it, the second gets. */
static void other_hello(Relay *relay, const End *to, Chat__LinkHello *hello)
{
    const Bytes *said = relay->ends[0].hello;
    if (to->index != 0) {
        /* For as long as it runs. */
        Chat__Frame *theirs = chat__frame__unpack(NULL, bytes_len(said), bytes_data(said));
        *hello = *theirs->hello;
    }
}

/* Signed, and for the connection to the first. */
static void binding_hello(Relay *relay, const End *to, Chat__LinkHello *hello)
{
    if (to->index != 0) {
        relay_sign_hello(relay, relay->ends[0].peer.binding, hello->binding.data);
    }
}

static void unsigned_hello(Relay *relay, const End *to, Chat__LinkHello *hello)
{
    (void)relay;
    if (to->index != 0) {
        hello->binding = (ProtobufCBinaryData){0, NULL};
    }
}

const Trick TRICKS[] = {
    {.name = "honest"},
    {.name = "alter", .frame = alter_frame},
    {.name = "forge", .go = forge_go},
    {.name = "stranger", .frame = own_frame, .go = stranger_go},
    {.name = "smuggle", .frame = own_frame, .go = smuggle_go},
    {.name = "revoke", .frame = own_frame, .go = revoke_go},
    {.name = "false-member", .frame = own_frame, .go = false_member_go},
    {.name = "replay", .go = replay_go},
    {.name = "reorder", .frame = reorder_frame},
    {.name = "withhold", .frame = withhold_frame},
    {.name = "gap", .frame = gap_frame},
    {.name = "equivocate", .frame = own_frame, .go = equivocate_go},
    {.name = "flood-haves", .go = flood_haves_go},
    {.name = "flood-epochs", .go = flood_epochs_go},
    {.name = "flood-wants", .go = flood_wants_go},
    {.name = "flood-presences", .go = flood_presences_go},
    {.name = "oversized", .go = oversized_go},
    {.name = "garbage", .go = garbage_go},
    {.name = "pings", .go = pings_go, .speak = speak_pings},
    {.name = "hello-of-another", .hello = other_hello},
    {.name = "hello-for-another", .hello = binding_hello},
    {.name = "hello-unsigned", .hello = unsigned_hello},
    {.name = NULL},
};
