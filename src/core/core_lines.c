/* What people and programs say: typed lines, commands, and SendMessage. */
#include "core/core_state.h"

#include <string.h>

void lines_remember_name(Core *core, const char *name)
{
    size_t at = 0;
    while (at < core->recent_count && strcmp(core->recent_names[at], name) != 0) {
        at++;
    }
    if (at == 0 && core->recent_count > 0) {
        return;
    }
    char *entry;
    if (at < core->recent_count) {
        entry = core->recent_names[at];
    } else {
        entry = mem_copy_string(name);
        if (core->recent_count == CORE_NAMES_MAX) {
            at = CORE_NAMES_MAX - 1;
            mem_free(core->recent_names[at]);
        } else {
            core->recent_count++;
        }
    }
    memmove(&core->recent_names[1], &core->recent_names[0], at * sizeof(char *));
    core->recent_names[0] = entry;
}

static void show(Step *step, Message *message)
{
    lines_remember_name(step->core, message->sender);
    memcpy(step->core->last_place, message->place, sizeof(message->place));
    Action *action = step_add(step, ACTION_SHOW);
    action->message = message_ref(message);
}

/* ---- what the log holds, on its way to the screen ---- */

/* For those who subscribe: every event once, in the order of the fold. */
static void pass(Step *step, const FoldShown *shown, Message *message)
{
    Action *action = step_add(step, ACTION_PASSED);
    action->stream = shown->event->fields.stream;
    action->from = shown->event->fields.seq;
    action->own = shown->link == REPLICA_LINKS_MAX;
    action->message = message != NULL ? message_ref(message) : NULL;
}

/* The same line may have been written by two nodes: a client called both, or a classic node did. */
static bool is_first_of_its_kind(Step *step, const EventFields *fields, const Message *message)
{
    Core *core = step->core;
    if (fields->id_len > 0) {
        return seen_id(core->seen, &message->id);
    }
    if (!message->heard || !message->clock_told) {
        return true;
    }
    NodeId source;
    MessageDraft draft = {
        .sender = message->sender,
        .sender_len = strlen(message->sender),
        .content = message->content,
        .content_len = message->content_len,
    };
    memcpy(source.bytes, fields->stream.origin, sizeof(source.bytes));
    return classic_line_is_new(core->classic_lines, &draft, message->second_of_day,
                               message->time_ms, &source);
}

void lines_recalled(Step *step, const LogEvent *event)
{
    Message *message = message_of_event(event, step->event->utc_offset_s);
    if (message != NULL) {
        (void)is_first_of_its_kind(step, &event->fields, message);
        names_mark(step->core, event->fields.stream.origin, message);
        message_unref(message);
    }
}

static void shown_own(Step *step, const LogEvent *event, Message *message, PendingLine *pending)
{
    Core *core = step->core;
    if (message_is_in_lobby(message) && message->kind <= MESSAGE_ACTION) {
        message->for_classic = pending != NULL && pending->for_classic;
        links_pass_on(step, message);
    }
    if (!rooms_sees(core, message)) {
        return;
    }
    message_unref(core->kept_message);
    core->kept_message = message_ref(message);
    core->kept_stream = event->fields.stream;
    core->kept_seq = event->fields.seq;
    core->kept = (Kept){0};
}

void lines_shown(Step *step, const FoldShown *shown)
{
    Core *core = step->core;
    AUTO_EVENT LogEvent *opened = keyring_open(core->keyring, shown->event);
    const EventFields *fields = opened != NULL ? &opened->fields : &shown->event->fields;
    bool own = shown->link == REPLICA_LINKS_MAX;
    PendingLine *pending = own ? log_pending_take(core, &fields->stream, fields->seq) : NULL;
    sealed_shown(step, shown->event);
    if (opened != NULL && opened == shown->event) {
        rooms_apply(core->rooms, fields);
    }
    Message *message = NULL;
    if (pending != NULL && pending->message != NULL) {
        message = message_ref(pending->message);
        message_set_place(message, fields, &shown->tag);
    } else if (opened != NULL) {
        message = message_of_tagged(opened, &shown->tag, step->event->utc_offset_s);
    }
    if (message == NULL) {
        pass(step, shown, NULL);
        log_accept(step, pending, NULL);
        return;
    }
    message->late = shown->late && hlc_time_ms(fields->hlc) + LATE_MS < step->event->wall_ms;
    message->incomplete = shown->incomplete;
    bool is_new = own || is_first_of_its_kind(step, fields, message);
    /* Said here in an earlier life too: it comes back to a disk that has lost it. */
    message->own = own || memcmp(fields->stream.origin, core->key, EVENT_KEY_BYTES) == 0;
    message->missed = !message->own && hlc_time_ms(fields->hlc) + MISSED_MS < step->event->wall_ms;
    names_mark(core, fields->stream.origin, message);
    if (own) {
        shown_own(step, shown->event, message, pending);
    }
    pass(step, shown, is_new ? message : NULL);
    bool ignored = ignore_has(core, fields->stream.origin);
    if (is_new && !ignored && rooms_sees(core, message)) {
        history_arrived(step, message, shown->link);
        show(step, message);
        if (message->missed) {
            history_missed(step, message);
        }
    }
    log_accept(step, pending, message);
    message_unref(message);
}

/* ---- SendMessage ---- */

static bool is_new_from_caller(Step *step, const MessageDraft *draft, Message *message)
{
    Core *core = step->core;
    if (draft->id_len > 0) {
        return seen_id(core->seen, &message->id);
    }
    message->heard = !draft->once;
    return draft->once || !message->clock_told ||
           classic_line_is_new(core->classic_lines, draft, message->second_of_day, message->time_ms,
                               NULL);
}

static void reject(Step *step, Err err, const char *text)
{
    Action *action = step_add(step, ACTION_REJECT);
    action->token = step->event->token;
    action->err = err;
    action->text = mem_copy_string(text);
}

/* What is not durable yet is not promised to anybody: it waits with the first. */
static void accept_repeat(Step *step, Message *message, bool has_id)
{
    if (has_id && log_wait(step->core, step->event->token, message)) {
        return;
    }
    Action *action = step_add(step, ACTION_ACCEPT);
    action->token = step->event->token;
}

static size_t body_of(MessageKind kind, const Message *message, const uint8_t **ret_body)
{
    const char *body = kind == MESSAGE_ACTION ? message_shown_content(message) : message->content;
    *ret_body = (const uint8_t *)body;
    return message->content_len - (size_t)(body - message->content);
}

static EventFields fields_of(const Message *message)
{
    EventFields fields = {
        .room = message->room,
        .room_len = strlen(message->room),
        .kind = message->kind == MESSAGE_ACTION ? LOG_ACTION : LOG_TEXT,
        .sender = message->sender,
        .sender_len = strlen(message->sender),
    };
    fields.body_len = body_of(message->kind, message, &fields.body);
    return fields;
}

/* The room of a caller's draft, by the name that it has in the log. */
static Err name_room(MessageDraft *draft, char name[EVENT_ROOM_MAX_BYTES + 1],
                     const char **ret_reason)
{
    if (draft->room_len == 0) {
        return ERR_OK;
    }
    if (draft->room[0] == '@') {
        *ret_reason = "room is a person: only rooms can be spoken to from outside";
        return ERR_INVALID;
    }
    Err err = room_name_parse(draft->room, draft->room_len, name, ret_reason);
    draft->room = name;
    draft->room_len = err == ERR_OK ? strlen(name) : 0;
    return err;
}

/* From a client, or a classic node. It is answered when it is durable. */
void lines_received(Step *step)
{
    const Event *event = step->event;
    char room[EVENT_ROOM_MAX_BYTES + 1];
    MessageDraft named = *event->draft;
    const MessageDraft *draft = &named;
    const char *reason = "";
    Err err = message_check(draft, &reason);
    err = err == ERR_OK ? name_room(&named, room, &reason) : err;
    if (err == ERR_OK && step->core->leaving) {
        /* What is on its way to the disk would else never be all there. */
        err = ERR_UNAVAILABLE;
        reason = MESH_BYE_LEAVING;
    } else if (err == ERR_OK && names_sender_is_taken(step->core, draft)) {
        err = ERR_DENIED;
        reason = "sender is the name of another node's member, or looks like one: take another";
    } else if (err == ERR_OK) {
        err = log_may_say(step->core, &reason);
    }
    if (err != ERR_OK) {
        reject(step, err, reason);
        return;
    }
    Message *message = message_new(draft, event->wall_ms, event->utc_offset_s);
    message->by_client = true;
    if (!is_new_from_caller(step, draft, message)) {
        accept_repeat(step, message, draft->id_len > 0);
    } else {
        LogLine line = {
            .fields = fields_of(message),
            .message = message,
            .for_classic = draft->id_len > 0 || draft->once,
            .token = event->token,
            .more = event->more,
        };
        line.fields.id = draft->id;
        line.fields.id_len = draft->id_len;
        line.fields.stamp = draft->timestamp;
        line.fields.stamp_len = draft->timestamp_len;
        line.fields.heard = message->heard;
        err = sealed_say(step, &line, &reason);
        if (err != ERR_OK) {
            seen_forget_id(step->core->seen, &message->id);
            reject(step, err, reason);
        }
    }
    message_unref(message);
}

/* ---- what is typed ---- */

/* The first line nobody else hears: says so, and what will become of it. */
static void say_alone(Step *step)
{
    Core *core = step->core;
    if (core->told_alone || core_links_up(core) > 0 || mesh_is_linked(core, NULL)) {
        return;
    }
    core->told_alone = true;
    if (core_links_count(core) == 0) {
        step_notice(step, NOTICE_WARNING,
                    "no other node is configured: lines are shown here and to this node's clients "
                    "only. Name nodes in nodes.json and start again");
        return;
    }
    step_notice(step, NOTICE_WARNING,
                "nobody is connected: your lines are kept here, and sent when nodes connect. /list "
                "says why they are down");
}

bool lines_say(Step *step, const char *room, MessageKind kind, const char *text, size_t len)
{
    const Event *event = step->event;
    Core *core = step->core;
    AUTO_STRBUF StrBuf content = {0};
    if (kind == MESSAGE_ACTION) {
        strbuf_add_string(&content, "/me ");
        strbuf_add(&content, text, len);
    }
    MessageDraft draft = {
        .sender = core->name,
        .sender_len = strlen(core->name),
        .content = kind == MESSAGE_ACTION ? content.text : text,
        .content_len = kind == MESSAGE_ACTION ? content.len : len,
        .room = room,
        .room_len = strlen(room),
        .time_ms = event->wall_ms,
        .kind = kind,
    };
    const char *reason = "";
    if (message_check(&draft, &reason) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "not sent: %s", reason);
        core->input_failed = true;
        return false;
    }
    Message *message = message_new(&draft, event->wall_ms, event->utc_offset_s);
    LogLine line = {.fields = fields_of(message), .message = message, .for_classic = true};
    bool said = sealed_say(step, &line, &reason) == ERR_OK;
    if (!said) {
        step_notice(step, NOTICE_ERROR, "not sent: %s", reason);
        core->input_failed = true;
    } else {
        say_alone(step);
    }
    message_unref(message);
    return said;
}

void lines_typed(Step *step)
{
    const char *text = step->event->text;
    size_t len = step->event->text_len;
    if (step->core->leaving || len == 0) {
        return;
    }
    if (text[0] != '/') {
        lines_say(step, step->core->room, MESSAGE_TEXT, text, len);
    } else if (len > 1 && text[1] == '/') {
        lines_say(step, step->core->room, MESSAGE_TEXT, text + 1, len - 1);
    } else {
        command_run(step, text, len);
    }
}
