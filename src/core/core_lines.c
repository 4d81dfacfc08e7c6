/* What people and programs say: typed lines, commands, and SendMessage. */
#include "core/command.h"
#include "core/core_state.h"

#include <inttypes.h>
#include <stdio.h>
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

/* Our own id for a line that has none: the node's, then the line's number, most significant byte
 * first. */
static void own_message_id(const Core *core, uint64_t number, MessageId *ret_id)
{
    memcpy(ret_id->bytes, core->node_id.bytes, NODE_ID_BYTES);
    for (unsigned i = 0; i < sizeof(number); i++) {
        ret_id->bytes[NODE_ID_BYTES + i] = (uint8_t)(number >> (8 * (sizeof(number) - 1 - i)));
    }
    ret_id->len = NODE_ID_BYTES + sizeof(number);
}

static bool is_own_line_of(const MessageDraft *draft)
{
    return draft->id_len == NODE_ID_BYTES + sizeof(uint64_t) &&
           memcmp(draft->id, draft->node_id, NODE_ID_BYTES) == 0;
}

static void show(Step *step, Message *message)
{
    lines_remember_name(step->core, message->sender);
    Action *action = step_add(step, ACTION_SHOW);
    action->message = message_ref(message);
}

/* Numbers a line that enters the mesh here, shows it and hands it to the links. */
static void enter_mesh(Step *step, Message *message, bool for_classic)
{
    message->node_seq = ++step->core->passed_on;
    message->for_classic = for_classic;
    if (message->id.len == 0) {
        own_message_id(step->core, message->node_seq, &message->id);
    }
    show(step, message);
    links_pass_on(step, message);
}

/* ---- SendMessage ---- */

/* Learns what a peer calls itself from the lines its own people say. */
static void learn_peer_name(Core *core, const MessageDraft *draft)
{
    if (draft->heard || !is_own_line_of(draft)) {
        return;
    }
    for (size_t i = 0; i < core->links_count; i++) {
        Link *link = &core->links[i];
        if (link->state == LINK_UP && !link->classic &&
            memcmp(link->peer_id.bytes, draft->node_id, NODE_ID_BYTES) == 0) {
            snprintf(link->peer_name, sizeof(link->peer_name), "%.*s", (int)draft->sender_len,
                     draft->sender);
        }
    }
}

static bool is_new_from_node(Step *step, const MessageDraft *draft, const Message *message)
{
    Core *core = step->core;
    NodeId origin;
    memcpy(origin.bytes, draft->node_id, sizeof(origin.bytes));
    if (memcmp(&origin, &core->node_id, sizeof(origin)) == 0) {
        return false; /* it was ours, and is shown */
    }
    if (!seen_from_node(core->seen, &origin, draft->node_seq)) {
        return false;
    }
    if (message->heard && message->clock_told) {
        return classic_line_is_new(core->classic_lines, draft, message->second_of_day,
                                   message->time_ms, &origin);
    }
    learn_peer_name(core, draft);
    return draft->id_len == 0 || is_own_line_of(draft) || seen_id(core->seen, &message->id);
}

/* From a client, or a classic node. */
static bool is_new_from_caller(Step *step, const MessageDraft *draft, Message *message)
{
    Core *core = step->core;
    if (draft->id_len > 0) {
        return seen_id(core->seen, &message->id);
    }
    message->heard = true;
    return !message->clock_told ||
           classic_line_is_new(core->classic_lines, draft, message->second_of_day, message->time_ms,
                               NULL);
}

void lines_received(Step *step)
{
    const Event *event = step->event;
    const MessageDraft *draft = event->draft;
    const char *reason = "";
    Err err = message_check(draft, &reason);
    if (err != ERR_OK) {
        Action *action = step_add(step, ACTION_REJECT);
        action->err = err;
        action->text = mem_copy_string(reason);
        return;
    }
    Message *message = message_new(draft, event->wall_ms, event->utc_offset_s);
    bool from_node = draft->node_id_len > 0;
    bool is_new = from_node ? is_new_from_node(step, draft, message)
                            : is_new_from_caller(step, draft, message);
    if (is_new && from_node) {
        show(step, message);
    } else if (is_new) {
        enter_mesh(step, message, draft->id_len > 0);
    }
    Action *action = step_add(step, ACTION_ACCEPT);
    action->message = is_new ? message_ref(message) : NULL;
    message_unref(message);
}

/* ---- what is typed ---- */

/* The first line nobody else hears: says so, and what will become of it. */
static void say_alone(Step *step)
{
    Core *core = step->core;
    if (core->told_alone || core_links_up(core) > 0) {
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
                "nobody is connected: your lines are kept (up to %d for each node) and sent when "
                "nodes connect. /list says why they are down",
                LINK_QUEUE_MAX_LINES);
}

static void say(Step *step, MessageKind kind, const char *content, size_t len)
{
    const Event *event = step->event;
    Core *core = step->core;
    MessageDraft draft = {
        .sender = core->name,
        .sender_len = strlen(core->name),
        .content = content,
        .content_len = len,
        .time_ms = event->wall_ms,
        .kind = kind,
    };
    const char *reason = "";
    if (message_check(&draft, &reason) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "not sent: %s", reason);
        core->input_failed = true;
        return;
    }
    Message *message = message_new(&draft, event->wall_ms, event->utc_offset_s);
    enter_mesh(step, message, true);
    message_unref(message);
    say_alone(step);
}

static void say_action(Step *step, const char *format, const char *text, size_t len)
{
    AUTO_STRBUF StrBuf content = {0};
    strbuf_add_string(&content, format);
    strbuf_add(&content, text, len);
    say(step, MESSAGE_ACTION, content.text, content.len);
}

static void command_nick(Step *step, const char *name, size_t len)
{
    Core *core = step->core;
    const char *reason = "";
    if (len == 0) {
        step_notice(step, NOTICE_ERROR, "/nick NAME: you are %s", core->name);
        return;
    }
    if (message_check_name(name, len, &reason) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "the name is not taken: %s", reason);
        return;
    }
    if (strlen(core->name) == len && memcmp(core->name, name, len) == 0) {
        step_notice(step, NOTICE_INFO, "you are %s already", core->name);
        return;
    }
    say_action(step, "/me is now known as ", name, len);
    memcpy(core->name, name, len);
    core->name[len] = '\0';
}

static void command_help(Step *step)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        const CommandInfo *command = &COMMANDS[i];
        step_notice(step, NOTICE_INFO, "%s%s%s: %s", command->name,
                    command->argument[0] != '\0' ? " " : "", command->argument, command->help);
    }
    step_notice(step, NOTICE_INFO, "a line that starts with // is sent with one slash");
}

static void run_command(Step *step, const CommandInfo *command, const char *rest, size_t len)
{
    if (command->argument[0] == '\0' && len > 0) {
        step_notice(step, NOTICE_ERROR, "%s takes nothing behind it; nothing was done",
                    command->name);
        return;
    }
    switch (command->id) {
    case COMMAND_LIST:
        step_add(step, ACTION_LIST);
        return;
    case COMMAND_RETRY:
        links_retry(step);
        return;
    case COMMAND_ME:
        if (len == 0) {
            step_notice(step, NOTICE_ERROR, "/me TEXT: say what you do");
            return;
        }
        say_action(step, "/me ", rest, len);
        return;
    case COMMAND_NICK:
        command_nick(step, rest, len);
        return;
    case COMMAND_HELP:
        command_help(step);
        return;
    case COMMAND_QUIT:
        leave_begin(step, false);
        return;
    }
}

static size_t trim(const char **text, size_t len)
{
    while (len > 0 && **text == ' ') {
        (*text)++;
        len--;
    }
    while (len > 0 && (*text)[len - 1] == ' ') {
        len--;
    }
    return len;
}

void lines_typed(Step *step)
{
    const char *text = step->event->text;
    size_t len = step->event->text_len;
    if (step->core->leaving || len == 0) {
        return;
    }
    if (text[0] != '/') {
        say(step, MESSAGE_TEXT, text, len);
        return;
    }
    if (len > 1 && text[1] == '/') {
        say(step, MESSAGE_TEXT, text + 1, len - 1);
        return;
    }
    const char *space = memchr(text, ' ', len);
    size_t name_len = space != NULL ? (size_t)(space - text) : len;
    const char *rest = text + name_len;
    size_t rest_len = trim(&rest, len - name_len);
    const CommandInfo *command = command_find(text, name_len);
    if (command == NULL) {
        step_notice(step, NOTICE_ERROR,
                    "no such command: %.*s; nothing was sent. /help lists them, // sends a line "
                    "that starts with a slash",
                    (int)(name_len < 64 ? name_len : 64), text);
        step->core->input_failed = true;
        return;
    }
    run_command(step, command, rest, rest_len);
}
