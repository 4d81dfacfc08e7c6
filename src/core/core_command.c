/* What starts with a slash. */
#include "core/command.h"
#include "core/core_state.h"

#include <string.h>

/* Others see it as somebody else's. */
static void warn_of_mark(Step *step)
{
    Core *core = step->core;
    if (names_misleads(core->names, core->key, core->name)) {
        char print[NAME_FINGERPRINT_BYTES];
        name_fingerprint(core->key, print);
        step_notice(step, NOTICE_WARNING,
                    "the name is somebody else's, or could be taken for one: others may see you as "
                    "%s~%s. /nick takes another",
                    core->name, print);
    }
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
    AUTO_STRBUF StrBuf text = {0};
    strbuf_add_string(&text, "is now known as ");
    strbuf_add(&text, name, len);
    if (!lines_say(step, MESSAGE_LOBBY, MESSAGE_ACTION, text.text, text.len)) {
        return;
    }
    memcpy(core->name, name, len);
    core->name[len] = '\0';
    names_rename_own(core->names, core->name);
    mesh_rename(step);
    warn_of_mark(step);
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

static void command_me(Step *step, const char *text, size_t len)
{
    if (len == 0) {
        step_notice(step, NOTICE_ERROR, "/me TEXT: say what you do");
        return;
    }
    lines_say(step, step->core->room, MESSAGE_ACTION, text, len);
}

static void command_about_members(Step *step, CommandId id, const char *rest, size_t len)
{
    switch (id) {
    case COMMAND_INVITE:
        network_invite(step, rest, len);
        return;
    case COMMAND_MEMBERS:
        network_members(step);
        return;
    case COMMAND_REVOKE:
        network_revoke(step, rest, len);
        return;
    case COMMAND_BAN:
        network_ban(step, rest, len);
        return;
    case COMMAND_WHOIS:
        network_whois(step, rest, len);
        return;
    default:
        network_id(step);
        return;
    }
}

static void command_do(Step *step, const CommandInfo *command, const char *rest, size_t len)
{
    switch (command->id) {
    case COMMAND_LIST:
        step_add(step, ACTION_LIST);
        return;
    case COMMAND_RETRY:
        links_retry(step);
        return;
    case COMMAND_ME:
        command_me(step, rest, len);
        return;
    case COMMAND_NICK:
        command_nick(step, rest, len);
        return;
    case COMMAND_JOIN:
        rooms_join(step, rest, len);
        return;
    case COMMAND_PART:
        rooms_part(step, rest, len);
        return;
    case COMMAND_ROOMS:
        query_rooms(step);
        return;
    case COMMAND_NAMES:
        rooms_names(step, rest, len);
        return;
    case COMMAND_SEAL:
        sealed_make(step, rest, len);
        return;
    case COMMAND_ADMIT:
        sealed_admit(step, rest, len);
        return;
    case COMMAND_MSG:
        rooms_msg(step, rest, len);
        return;
    case COMMAND_TO:
        rooms_to(step, rest, len);
        return;
    case COMMAND_IGNORE:
        ignore_add(step, rest, len);
        return;
    case COMMAND_UNIGNORE:
        ignore_end(step, rest, len);
        return;
    case COMMAND_HISTORY:
        history_ask(step, rest, len);
        return;
    case COMMAND_SEARCH:
        history_search(step, rest, len);
        return;
    case COMMAND_WHY:
        history_why(step, rest, len);
        return;
    case COMMAND_INVITE:
    case COMMAND_MEMBERS:
    case COMMAND_REVOKE:
    case COMMAND_BAN:
    case COMMAND_WHOIS:
    case COMMAND_ID:
        command_about_members(step, command->id, rest, len);
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

void command_run(Step *step, const char *text, size_t len)
{
    const char *space = memchr(text, ' ', len);
    size_t name_len = space != NULL ? (size_t)(space - text) : len;
    const char *rest = text + name_len;
    const CommandInfo *command = command_find(text, name_len);
    size_t rest_len = len - name_len;
    bool verbatim = command != NULL && (command->id == COMMAND_MSG || command->id == COMMAND_TO);
    if (verbatim && rest_len > 0) {
        rest++; /* the one space; all that follows the name is to be said as it is */
        rest_len--;
    } else {
        rest_len = trim(&rest, rest_len);
    }
    if (command == NULL) {
        step_notice(step, NOTICE_ERROR,
                    "no such command: %.*s; nothing was sent. /help lists them, // sends a line "
                    "that starts with a slash",
                    (int)(name_len < 64 ? name_len : 64), text);
        step->core->input_failed = true;
    } else if (command->argument[0] == '\0' && rest_len > 0) {
        step_notice(step, NOTICE_ERROR, "%s takes nothing behind it; nothing was done",
                    command->name);
    } else {
        command_do(step, command, rest, rest_len);
    }
}

/* ---- from elsewhere ---- */

/* Is all of its answer notices of the same step? */
static bool answers_at_once(CommandId id)
{
    switch (id) {
    case COMMAND_INVITE:
    case COMMAND_MEMBERS:
    case COMMAND_REVOKE:
    case COMMAND_BAN:
    case COMMAND_WHOIS:
    case COMMAND_ID:
    case COMMAND_SEAL:
    case COMMAND_ADMIT:
        return true;
    default:
        return false;
    }
}

void command_replied(Step *step)
{
    Action *action = step_add(step, ACTION_REPLIED);
    action->token = step->token;
    action->err = step->reply_err;
    step->replies = false;
}

void command_asked(Step *step)
{
    Core *core = step->core;
    const Event *event = step->event;
    const char *space = event->text_len > 0 ? memchr(event->text, ' ', event->text_len) : NULL;
    size_t name_len = space != NULL ? (size_t)(space - event->text) : event->text_len;
    const CommandInfo *command = command_find(event->text, name_len);
    bool input_failed = core->input_failed;
    step->replies = true;
    step->token = event->token;
    if (core->leaving) {
        step_notice(step, NOTICE_ERROR, MESH_BYE_LEAVING);
    } else if (command == NULL || !answers_at_once(command->id)) {
        step_notice(step, NOTICE_ERROR,
                    "%.*s is not answered here: /members, /invite, /revoke, /ban, /whois and /id "
                    "are; all others are typed in the chat itself",
                    (int)(name_len < 64 ? name_len : 64), event->text);
    } else {
        command_run(step, event->text, event->text_len);
    }
    core->input_failed = input_failed; /* not typed by this node's person */
    if (!step->replies_later) {
        command_replied(step);
    }
    step->replies = false;
}
