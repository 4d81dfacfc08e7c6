/* What a person types: a line to send, or a command. One table is the parser, the help text and
 * the list of completions. */
#pragma once

#include "base/err.h"

#include <stddef.h>

typedef enum CommandId {
    COMMAND_LIST,
    COMMAND_RETRY,
    COMMAND_ME,
    COMMAND_NICK,
    COMMAND_JOIN,
    COMMAND_PART,
    COMMAND_ROOMS,
    COMMAND_NAMES,
    COMMAND_SEAL,
    COMMAND_ADMIT,
    COMMAND_MSG,
    COMMAND_TO,
    COMMAND_IGNORE,
    COMMAND_UNIGNORE,
    COMMAND_HISTORY,
    COMMAND_SEARCH,
    COMMAND_WHY,
    COMMAND_INVITE,
    COMMAND_MEMBERS,
    COMMAND_REVOKE,
    COMMAND_BAN,
    COMMAND_WHOIS,
    COMMAND_ID,
    COMMAND_HELP,
    COMMAND_QUIT,
} CommandId;

typedef struct CommandInfo {
    CommandId id;
    const char *name;     /* with its slash */
    const char *argument; /* for the help text; "" where it takes none */
    const char *help;
} CommandInfo;

extern const CommandInfo COMMANDS[];
extern const size_t COMMANDS_COUNT;

/* NULL where no command has that name. */
const CommandInfo *command_find(const char *name, size_t len);
