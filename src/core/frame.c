/* Frames over protobuf-c. */
#include "core/frame.h"

#include <chat.pb-c.h>
#include <stdio.h>
#include <string.h>

size_t frame_event_bytes(const LogEvent *event)
{
    return bytes_len(event->bytes) + (event->is_signed ? EVENT_SIGNATURE_BYTES : 0);
}

uint64_t event_hash_head(const EventHash *hash)
{
    uint64_t head = 0;
    for (size_t i = 0; i < sizeof(head); i++) {
        head |= (uint64_t)hash->bytes[i] << (8 * i);
    }
    return head;
}

static ProtobufCBinaryData binary(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

/* ---- encoding: the structs and their pointer arrays in one block each ---- */

static Chat__Have *fill_haves(const FrameOut *frame, Chat__Have ***ret_rows)
{
    Chat__Have *haves = mem_array(frame->haves_count, sizeof(*haves));
    *ret_rows = mem_array(frame->haves_count, sizeof(Chat__Have *));
    for (size_t i = 0; i < frame->haves_count; i++) {
        haves[i] = (Chat__Have)CHAT__HAVE__INIT;
        haves[i].origin = binary(frame->haves[i].stream.origin, EVENT_KEY_BYTES);
        haves[i].epoch = frame->haves[i].stream.epoch;
        haves[i].lo = frame->haves[i].lo;
        haves[i].hi = frame->haves[i].hi;
        haves[i].head = frame->haves[i].head;
        (*ret_rows)[i] = &haves[i];
    }
    return haves;
}

static Chat__Want *fill_wants(const FrameOut *frame, Chat__Want ***ret_rows)
{
    Chat__Want *wants = mem_array(frame->wants_count, sizeof(*wants));
    *ret_rows = mem_array(frame->wants_count, sizeof(Chat__Want *));
    for (size_t i = 0; i < frame->wants_count; i++) {
        wants[i] = (Chat__Want)CHAT__WANT__INIT;
        wants[i].origin = binary(frame->wants[i].stream.origin, EVENT_KEY_BYTES);
        wants[i].epoch = frame->wants[i].stream.epoch;
        wants[i].from = frame->wants[i].from;
        (*ret_rows)[i] = &wants[i];
    }
    return wants;
}

static Chat__Stop *fill_stops(const FrameOut *frame, Chat__Stop ***ret_rows)
{
    Chat__Stop *stops = mem_array(frame->stops_count, sizeof(*stops));
    *ret_rows = mem_array(frame->stops_count, sizeof(Chat__Stop *));
    for (size_t i = 0; i < frame->stops_count; i++) {
        stops[i] = (Chat__Stop)CHAT__STOP__INIT;
        stops[i].origin = binary(frame->stops[i].stream.origin, EVENT_KEY_BYTES);
        stops[i].epoch = frame->stops[i].stream.epoch;
        (*ret_rows)[i] = &stops[i];
    }
    return stops;
}

static Chat__Presence *fill_presences(const FrameOut *frame, Chat__Presence ***ret_rows)
{
    Chat__Presence *presences = mem_array(frame->presences_count, sizeof(*presences));
    *ret_rows = mem_array(frame->presences_count, sizeof(Chat__Presence *));
    for (size_t i = 0; i < frame->presences_count; i++) {
        const FramePresence *presence = &frame->presences[i];
        presences[i] = (Chat__Presence)CHAT__PRESENCE__INIT;
        presences[i].node_id = binary(presence->node_id.bytes, NODE_ID_BYTES);
        presences[i].key = binary(presence->key, EVENT_KEY_BYTES);
        presences[i].version = presence->version;
        presences[i].name = (char *)(uintptr_t)presence->name;
        presences[i].gone = presence->gone;
        (*ret_rows)[i] = &presences[i];
    }
    return presences;
}

static size_t count_events(const FrameRun *runs, size_t runs_count)
{
    size_t count = 0;
    for (size_t i = 0; i < runs_count; i++) {
        count += runs[i].count;
    }
    return count;
}

typedef struct EncodedRuns {
    Chat__Events *runs;
    Chat__Events **run_rows;
    Chat__SignedEvent *events;
    Chat__SignedEvent **event_rows;
} EncodedRuns;

static EncodedRuns fill_runs(const FrameRun *runs, size_t runs_count)
{
    size_t events = count_events(runs, runs_count);
    EncodedRuns out = {
        .runs = mem_array(runs_count, sizeof(*out.runs)),
        .run_rows = mem_array(runs_count, sizeof(Chat__Events *)),
        .events = mem_array(events, sizeof(*out.events)),
        .event_rows = mem_array(events, sizeof(Chat__SignedEvent *)),
    };
    size_t at = 0;
    for (size_t i = 0; i < runs_count; i++) {
        const FrameRun *run = &runs[i];
        out.runs[i] = (Chat__Events)CHAT__EVENTS__INIT;
        out.runs[i].events = &out.event_rows[at];
        out.runs[i].n_events = run->count;
        out.run_rows[i] = &out.runs[i];
        for (size_t j = 0; j < run->count; j++, at++) {
            const LogEvent *event = run->events[j];
            out.events[at] = (Chat__SignedEvent)CHAT__SIGNED_EVENT__INIT;
            out.events[at].event = binary(bytes_data(event->bytes), bytes_len(event->bytes));
            out.events[at].signature =
                binary(event->signature, event->is_signed ? EVENT_SIGNATURE_BYTES : 0);
            out.event_rows[at] = &out.events[at];
        }
    }
    return out;
}

static void runs_done(EncodedRuns *runs)
{
    mem_free(runs->runs);
    mem_free(runs->run_rows);
    mem_free(runs->events);
    mem_free(runs->event_rows);
}

typedef struct EncodedProofs {
    FrameRun *sides;
    EncodedRuns runs;
    Chat__Proof *proofs;
    Chat__Proof **rows;
} EncodedProofs;

static EncodedProofs fill_proofs(const FrameOut *frame)
{
    size_t count = frame->proofs_count;
    EncodedProofs out = {
        .sides = mem_array(2 * count, sizeof(FrameRun)),
        .proofs = mem_array(count, sizeof(Chat__Proof)),
        .rows = mem_array(count, sizeof(Chat__Proof *)),
    };
    for (size_t i = 0; i < count; i++) {
        out.sides[2 * i] = frame->proofs[i].a;
        out.sides[2 * i + 1] = frame->proofs[i].b;
    }
    out.runs = fill_runs(out.sides, 2 * count);
    for (size_t i = 0; i < count; i++) {
        out.proofs[i] = (Chat__Proof)CHAT__PROOF__INIT;
        out.proofs[i].a = &out.runs.runs[2 * i];
        out.proofs[i].b = &out.runs.runs[2 * i + 1];
        out.rows[i] = &out.proofs[i];
    }
    return out;
}

static void proofs_done(EncodedProofs *proofs)
{
    runs_done(&proofs->runs);
    mem_free(proofs->sides);
    mem_free(proofs->proofs);
    mem_free(proofs->rows);
}

static Chat__LinkHello hello_of(const FrameHello *hello)
{
    Chat__LinkHello out = CHAT__LINK_HELLO__INIT;
    out.version = hello->version;
    out.network = binary(hello->network, hello->network != NULL ? EVENT_NETWORK_BYTES : 0);
    out.key = binary(hello->key, EVENT_KEY_BYTES);
    out.epoch = hello->epoch;
    out.root = hello->root;
    out.node_id = binary(hello->node_id.bytes, NODE_ID_BYTES);
    out.name = (char *)(uintptr_t)hello->name;
    out.binding = binary(hello->binding, hello->is_bound ? EVENT_SIGNATURE_BYTES : 0);
    return out;
}

Bytes *frame_encode(const FrameOut *frame)
{
    Chat__Frame out = CHAT__FRAME__INIT;
    Chat__LinkHello hello;
    if (frame->hello != NULL) {
        hello = hello_of(frame->hello);
        out.hello = &hello;
    }
    Chat__Have *haves = fill_haves(frame, &out.have);
    Chat__Want *wants = fill_wants(frame, &out.want);
    Chat__Stop *stops = fill_stops(frame, &out.stop);
    Chat__Presence *presences = fill_presences(frame, &out.presence);
    EncodedRuns runs = fill_runs(frame->runs, frame->runs_count);
    EncodedProofs proofs = fill_proofs(frame);
    out.n_presence = frame->presences_count;
    out.n_have = frame->haves_count;
    out.n_want = frame->wants_count;
    out.n_stop = frame->stops_count;
    out.events = runs.run_rows;
    out.n_events = frame->runs_count;
    out.proof = proofs.rows;
    out.n_proof = frame->proofs_count;
    out.credit = frame->credit;
    out.ping = frame->ping;
    out.pong = frame->pong;
    out.root = frame->root;
    if (frame->bye != NULL) {
        out.bye = (char *)(uintptr_t)frame->bye;
    }
    Bytes *bytes = bytes_new_empty(chat__frame__get_packed_size(&out));
    chat__frame__pack(&out, bytes_fill(bytes));
    mem_free(haves);
    mem_free(wants);
    mem_free(stops);
    mem_free(presences);
    mem_free(out.presence);
    mem_free(out.have);
    mem_free(out.want);
    mem_free(out.stop);
    runs_done(&runs);
    proofs_done(&proofs);
    return bytes;
}

/* ---- decoding ---- */

static Err invalid(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return ERR_INVALID;
}

static bool read_stream(ProtobufCBinaryData origin, uint64_t epoch, StreamId *ret_stream)
{
    if (origin.len != EVENT_KEY_BYTES || epoch == 0) {
        return false;
    }
    memcpy(ret_stream->origin, origin.data, EVENT_KEY_BYTES);
    ret_stream->epoch = epoch;
    return true;
}

/* What is no name is shown as none. */
static void read_name(const char *name, char ret_name[MESSAGE_SENDER_MAX_BYTES + 1])
{
    const char *reason = "";
    bool usable = message_check_label(name, strlen(name), &reason) == ERR_OK;
    snprintf(ret_name, MESSAGE_SENDER_MAX_BYTES + 1, "%s", usable ? name : "");
}

static Err read_hello(const Chat__LinkHello *hello, FrameIn *frame, const char **ret_reason)
{
    bool network = hello->network.len == EVENT_NETWORK_BYTES;
    if (hello->key.len != EVENT_KEY_BYTES || hello->epoch == 0 ||
        hello->node_id.len != NODE_ID_BYTES || (hello->network.len != 0 && !network)) {
        return invalid(ret_reason, "a hello without an epoch, or with a key or id too short");
    }
    bool is_bound = hello->binding.len == EVENT_SIGNATURE_BYTES;
    if (hello->binding.len != 0 && !is_bound) {
        return invalid(ret_reason, "a hello with a binding of the wrong length");
    }
    frame->has_hello = true;
    frame->hello = (FrameHello){
        .version = hello->version,
        .network = network ? frame->network : NULL,
        .epoch = hello->epoch,
        .root = hello->root,
        .is_bound = is_bound,
    };
    if (is_bound) {
        memcpy(frame->hello.binding, hello->binding.data, EVENT_SIGNATURE_BYTES);
    }
    memcpy(frame->hello.key, hello->key.data, EVENT_KEY_BYTES);
    memcpy(frame->hello.node_id.bytes, hello->node_id.data, NODE_ID_BYTES);
    read_name(hello->name, frame->hello.name);
    if (network) {
        memcpy(frame->network, hello->network.data, EVENT_NETWORK_BYTES);
    }
    return ERR_OK;
}

static Err read_rows(const Chat__Frame *in, FrameIn *frame, const char **ret_reason)
{
    frame->haves = mem_array(in->n_have, sizeof(FrameHave));
    frame->wants = mem_array(in->n_want, sizeof(FrameWant));
    frame->stops = mem_array(in->n_stop, sizeof(FrameWant));
    for (size_t i = 0; i < in->n_have; i++) {
        FrameHave *have = &frame->haves[frame->haves_count++];
        if (!read_stream(in->have[i]->origin, in->have[i]->epoch, &have->stream)) {
            return invalid(ret_reason, "a HAVE without a stream");
        }
        have->lo = in->have[i]->lo;
        have->hi = in->have[i]->hi;
        have->head = in->have[i]->head;
    }
    for (size_t i = 0; i < in->n_want; i++) {
        FrameWant *want = &frame->wants[frame->wants_count++];
        want->from = in->want[i]->from;
        if (!read_stream(in->want[i]->origin, in->want[i]->epoch, &want->stream) ||
            want->from == 0) {
            return invalid(ret_reason, "a WANT without a stream or a number");
        }
    }
    for (size_t i = 0; i < in->n_stop; i++) {
        FrameWant *stop = &frame->stops[frame->stops_count++];
        if (!read_stream(in->stop[i]->origin, in->stop[i]->epoch, &stop->stream)) {
            return invalid(ret_reason, "a STOP without a stream");
        }
    }
    return ERR_OK;
}

static Err read_presences(const Chat__Frame *in, FrameIn *frame, const char **ret_reason)
{
    frame->presences = mem_array(in->n_presence, sizeof(FramePresence));
    for (size_t i = 0; i < in->n_presence; i++) {
        const Chat__Presence *row = in->presence[i];
        if (row->node_id.len != NODE_ID_BYTES || row->key.len != EVENT_KEY_BYTES) {
            return invalid(ret_reason, "a presence without a node");
        }
        FramePresence *presence = &frame->presences[frame->presences_count++];
        memcpy(presence->node_id.bytes, row->node_id.data, NODE_ID_BYTES);
        memcpy(presence->key, row->key.data, EVENT_KEY_BYTES);
        presence->version = row->version;
        presence->gone = row->gone;
        read_name(row->name, presence->name);
    }
    return ERR_OK;
}

/* Its author signs the last of each group, and no group is larger than that. */
static bool groups_fit(const FrameRun *run)
{
    size_t count = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < run->count; i++) {
        count++;
        bytes += bytes_len(run->events[i]->bytes);
        if (count > EVENT_GROUP_MAX || bytes > EVENT_GROUP_MAX_BYTES) {
            return false;
        }
        if (run->events[i]->is_signed) {
            count = 0;
            bytes = 0;
        }
    }
    return true;
}

static Err read_run(const Chat__Events *in, FrameRun *run, const char **ret_reason)
{
    run->events = mem_array(in->n_events, sizeof(LogEvent *));
    for (size_t i = 0; i < in->n_events; i++) {
        const Chat__SignedEvent *row = in->events[i];
        bool is_signed = row->signature.len == EVENT_SIGNATURE_BYTES;
        if (row->signature.len != 0 && !is_signed) {
            return invalid(ret_reason, "a signature of the wrong length");
        }
        Bytes *bytes = bytes_new(row->event.data, row->event.len);
        LogEvent *event = NULL;
        Err err = event_decode(bytes, is_signed ? row->signature.data : NULL, &event, ret_reason);
        bytes_unref(bytes);
        if (err != ERR_OK) {
            return err;
        }
        run->events[run->count++] = event;
        const EventFields *first = &run->events[0]->fields;
        if (event->fields.seq != first->seq + i ||
            stream_id_compare(&event->fields.stream, &first->stream) != 0) {
            return invalid(ret_reason, "a run with a gap, or of two streams");
        }
    }
    if (run->count == 0) {
        return invalid(ret_reason, "a run of no events");
    }
    if (!groups_fit(run)) {
        return invalid(ret_reason, "a group of more than 256 events, or 64 KiB");
    }
    return ERR_OK;
}

static size_t run_bytes(const FrameRun *run)
{
    size_t bytes = 0;
    for (size_t i = 0; i < run->count; i++) {
        bytes += frame_event_bytes(run->events[i]);
    }
    return bytes;
}

static bool ends_signed(const FrameRun *run)
{
    return run->events[run->count - 1]->is_signed;
}

static Err read_proof(const Chat__Proof *in, FrameProof *proof, const char **ret_reason)
{
    if (in->a == NULL || in->b == NULL) {
        return invalid(ret_reason, "a proof of one run");
    }
    Err err = read_run(in->a, &proof->a, ret_reason);
    if (err == ERR_OK) {
        err = read_run(in->b, &proof->b, ret_reason);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (!ends_signed(&proof->a) || !ends_signed(&proof->b)) {
        return invalid(ret_reason, "a proof of a run that does not end with a signature");
    }
    if (stream_id_compare(&proof->a.events[0]->fields.stream, &proof->b.events[0]->fields.stream) !=
        0) {
        return invalid(ret_reason, "a proof of two streams");
    }
    if (run_bytes(&proof->a) + run_bytes(&proof->b) > FRAME_PROOF_MAX_BYTES) {
        *ret_reason = "a proof over 128 KiB";
        return ERR_LIMIT;
    }
    return ERR_OK;
}

static Err read_runs(const Chat__Frame *in, FrameIn *frame, const char **ret_reason)
{
    Err err = ERR_OK;
    frame->runs = mem_array(in->n_events, sizeof(FrameRun));
    for (size_t i = 0; err == ERR_OK && i < in->n_events; i++) {
        FrameRun *run = &frame->runs[frame->runs_count++];
        err = read_run(in->events[i], run, ret_reason);
        frame->events_bytes += run_bytes(run);
    }
    frame->proofs = mem_array(in->n_proof, sizeof(FrameProof));
    for (size_t i = 0; err == ERR_OK && i < in->n_proof; i++) {
        err = read_proof(in->proof[i], &frame->proofs[frame->proofs_count++], ret_reason);
    }
    return err;
}

static Err read_frame(const Chat__Frame *in, FrameIn *frame, const char **ret_reason)
{
    if (in->n_have > FRAME_ROWS_MAX || in->n_want > FRAME_ROWS_MAX || in->n_stop > FRAME_ROWS_MAX ||
        in->n_events > FRAME_ROWS_MAX || in->n_presence > FRAME_ROWS_MAX ||
        in->n_proof > FRAME_PROOFS_MAX) {
        *ret_reason = "too many rows in one frame";
        return ERR_LIMIT;
    }
    Err err = in->hello != NULL ? read_hello(in->hello, frame, ret_reason) : ERR_OK;
    if (err == ERR_OK) {
        err = read_rows(in, frame, ret_reason);
    }
    if (err == ERR_OK) {
        err = read_presences(in, frame, ret_reason);
    }
    if (err == ERR_OK) {
        err = read_runs(in, frame, ret_reason);
    }
    frame->credit = in->credit;
    frame->ping = in->ping;
    frame->pong = in->pong;
    frame->root = in->root;
    frame->has_bye = in->bye[0] != '\0';
    snprintf(frame->bye, sizeof(frame->bye), "%s", in->bye);
    return err;
}

Err frame_decode(const uint8_t *data, size_t len, FrameIn *ret_frame, const char **ret_reason)
{
    memset(ret_frame, 0, sizeof(*ret_frame));
    if (len > FRAME_MAX_BYTES) {
        *ret_reason = "a frame over 256 KiB";
        return ERR_LIMIT;
    }
    Chat__Frame *in = chat__frame__unpack(NULL, len, data);
    if (in == NULL) {
        return invalid(ret_reason, "not an encoded Frame");
    }
    Err err = read_frame(in, ret_frame, ret_reason);
    chat__frame__free_unpacked(in, NULL);
    if (err != ERR_OK) {
        frame_done(ret_frame);
    }
    return err;
}

static void run_done(FrameRun *run)
{
    for (size_t i = 0; i < run->count; i++) {
        event_unref(run->events[i]);
    }
    mem_free(run->events);
}

void frame_done(FrameIn *frame)
{
    for (size_t i = 0; i < frame->runs_count; i++) {
        run_done(&frame->runs[i]);
    }
    for (size_t i = 0; i < frame->proofs_count; i++) {
        run_done(&frame->proofs[i].a);
        run_done(&frame->proofs[i].b);
    }
    mem_free(frame->runs);
    mem_free(frame->proofs);
    mem_free(frame->haves);
    mem_free(frame->wants);
    mem_free(frame->stops);
    mem_free(frame->presences);
    memset(frame, 0, sizeof(*frame));
}
