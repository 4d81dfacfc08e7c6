/* What is said here and is not shown yet: it is on its way to the disk, or through the fold.
 *
 *   log_say --> replica --> ... APPLY --> fold --> lines_shown --> log_pending_take, log_accept
 *      +------> pending, in the order said ---------------------------^
 *                  full disk, leaving: its callers are told (log_reject_pending), the lines stay
 *                  this node's stream is cut: they are not said after all (log_cut_pending) */
#include "core/core_state.h"

#include <string.h>
#include <utlist.h>

Err log_may_say(const Core *core, const char **ret_text)
{
    if (!network_is_in(core)) {
        *ret_text = network_why_out(core);
        return ERR_UNAVAILABLE;
    }
    if (core->store_reason != NULL) {
        *ret_text = core->store_reason;
        return ERR_UNAVAILABLE;
    }
    if (core->pending_count + core->repeats_count >= PENDING_MAX_LINES ||
        !replica_may_say(core->replica)) {
        *ret_text = "too many lines wait for the disk: try again in a moment";
        return ERR_LIMIT;
    }
    return ERR_OK;
}

/* Own lines get to the disk in their order: whatever is there when the last one is. */
bool log_wait(Core *core, void *token, Message *message)
{
    if (core->pending == NULL) {
        return false;
    }
    PendingRepeat *repeat = mem_new(PendingRepeat);
    repeat->token = token;
    repeat->message = message_ref(message);
    LL_PREPEND(core->pending_last->repeats, repeat);
    core->repeats_count++;
    return true;
}

static void pending_add(Core *core, PendingLine *pending)
{
    pending->next = NULL;
    if (core->pending == NULL) {
        core->pending = pending;
    } else {
        core->pending_last->next = pending;
    }
    core->pending_last = pending;
    core->pending_count++;
    core->pending_bytes += pending->bytes;
}

Err log_say(Step *step, const LogLine *line, const char **ret_text)
{
    Core *core = step->core;
    Err err = log_may_say(core, ret_text);
    if (err != ERR_OK) {
        return err;
    }
    PendingLine *pending = mem_new(PendingLine);
    pending->message = line->message != NULL ? message_ref(line->message) : NULL;
    pending->for_classic = line->for_classic;
    pending->token = line->token;
    if (line->newcomer != NULL) {
        pending->admits = true;
        memcpy(pending->newcomer, line->newcomer, EVENT_KEY_BYTES);
    }
    StreamId own;
    replica_own(core->replica, &own);
    pending->epoch = own.epoch;
    pending->seq = replica_said(core->replica) + 1;
    pending->bytes = line->fields.body_len + sizeof(PendingLine);
    pending_add(core, pending);

    EventFields fields = line->fields;
    fields.after_count = fold_take_after(core->fold, &own, fields.after);
    log_input(step, (ReplicaInput){.kind = REPLICA_SAY, .fields = &fields, .more = line->more});
    return ERR_OK;
}

static PendingLine *take_first(Core *core)
{
    PendingLine *pending = core->pending;
    core->pending = pending->next;
    core->pending_count--;
    core->pending_bytes -= pending->bytes;
    return pending;
}

PendingLine *log_pending_take(Core *core, const StreamId *stream, uint64_t seq)
{
    const PendingLine *first = core->pending;
    bool is_it = first != NULL && first->epoch == stream->epoch && first->seq == seq;
    return is_it ? take_first(core) : NULL;
}

static PendingRepeat *take_repeat(Core *core, PendingLine *pending)
{
    PendingRepeat *repeat = pending->repeats;
    if (repeat != NULL) {
        LL_DELETE(pending->repeats, repeat);
        core->repeats_count--;
    }
    return repeat;
}

static void repeat_free(PendingRepeat *repeat)
{
    message_unref(repeat->message);
    mem_free(repeat);
}

static void pending_free(Core *core, PendingLine *pending)
{
    PendingRepeat *repeat;
    while ((repeat = take_repeat(core, pending)) != NULL) {
        repeat_free(repeat);
    }
    message_unref(pending->message);
    mem_free(pending);
}

static void add_accept(Step *step, void *token, Message *message)
{
    Action *action = step_add(step, ACTION_ACCEPT);
    action->token = token;
    action->message = message != NULL ? message_ref(message) : NULL;
}

void log_accept(Step *step, PendingLine *pending, Message *message)
{
    if (pending == NULL) {
        return;
    }
    if (pending->token != NULL && pending->admits) {
        network_welcome(step, pending->token, pending->newcomer);
    } else if (pending->token != NULL) {
        add_accept(step, pending->token, message);
    }
    PendingRepeat *repeat;
    while ((repeat = take_repeat(step->core, pending)) != NULL) {
        add_accept(step, repeat->token, repeat->message);
        repeat_free(repeat);
    }
    pending_free(step->core, pending);
}

void log_pending_free(Core *core)
{
    while (core->pending != NULL) {
        pending_free(core, take_first(core));
    }
}

/* ---- where it does not go on ---- */

static void reject_token(Step *step, void *token, const char *text)
{
    Action *action = step_add(step, ACTION_REJECT);
    action->token = token;
    action->err = ERR_UNAVAILABLE;
    action->text = mem_copy_string(text);
}

static void reject_pending(Step *step, PendingLine *pending, const char *text)
{
    if (pending->token != NULL && pending->admits) {
        network_turn_away(step, TAKE(pending->token), text);
    } else if (pending->token != NULL) {
        reject_token(step, TAKE(pending->token), text);
    }
    PendingRepeat *repeat;
    while ((repeat = take_repeat(step->core, pending)) != NULL) {
        reject_token(step, repeat->token, text);
        repeat_free(repeat);
    }
}

void log_reject_pending(Step *step, const char *text)
{
    PendingLine *pending;
    LL_FOREACH(step->core->pending, pending) {
        reject_pending(step, pending, text);
    }
}

static const char *why_cut(const Core *core)
{
    return network_is_in(core)
               ? "a copy of this node says something else in its place: say it again"
               : network_why_out(core);
}

void log_cut_pending(Step *step, const StreamId *stream, uint64_t hi)
{
    Core *core = step->core;
    PendingLine *left = core->pending;
    size_t typed = 0;
    core->pending = NULL;
    core->pending_count = 0;
    core->pending_bytes = 0;
    while (left != NULL) {
        PendingLine *pending = left;
        left = pending->next;
        if (pending->epoch != stream->epoch || pending->seq <= hi) {
            pending_add(core, pending);
            continue;
        }
        if (pending->message != NULL) {
            typed += !pending->message->by_client;
            seen_forget_id(core->seen, &pending->message->id);
        }
        reject_pending(step, pending, why_cut(core));
        pending_free(core, pending);
    }
    if (typed > 0) {
        core->input_failed = true;
        step_notice(step, NOTICE_ERROR, "%zu %s not sent: %s", typed,
                    typed == 1 ? "line was" : "lines were", why_cut(core));
    }
    if (core->kept_message != NULL && core->kept_seq > hi &&
        stream_id_compare(&core->kept_stream, stream) == 0) {
        message_unref(TAKE(core->kept_message));
    }
}
