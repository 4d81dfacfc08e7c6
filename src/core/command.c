/* The commands, once for the parser, the help and the completion. */
#include "core/command.h"

#include <string.h>

const CommandInfo COMMANDS[] = {
    {COMMAND_LIST, "/list", "", "the other nodes: state, name, round-trip time"},
    {COMMAND_RETRY, "/retry", "", "connect at once to those that are down"},
    {COMMAND_ME, "/me", "TEXT", "say what you do: * ann waves"},
    {COMMAND_NICK, "/nick", "NAME", "go by another name"},
    {COMMAND_JOIN, "/join", "ROOM", "enter a room; what you type goes there"},
    {COMMAND_PART, "/part", "[ROOM]", "leave the room"},
    {COMMAND_ROOMS, "/rooms", "", "the rooms that there are"},
    {COMMAND_NAMES, "/names", "[ROOM]", "who is there"},
    {COMMAND_SEAL, "/seal", "NAME", "make a sealed room, and enter it: a private network's"},
    {COMMAND_ADMIT, "/admit", "WHO [past]", "let a member into the sealed room you are in"},
    {COMMAND_MSG, "/msg", "NAME TEXT", "say something to one person"},
    {COMMAND_TO, "/to", "ROOM TEXT", "say something in another room"},
    {COMMAND_IGNORE, "/ignore", "[WHO]", "show nothing more of WHO here; alone: who that is"},
    {COMMAND_UNIGNORE, "/unignore", "WHO", "show WHO's lines again"},
    {COMMAND_HISTORY, "/history", "[N | since TIME]", "what was said before in this room"},
    {COMMAND_SEARCH, "/search", "WORDS", "find what was said"},
    {COMMAND_WHY, "/why", "[ID]", "where a message comes from, and who has it"},
    {COMMAND_INVITE, "/invite", "[HOURS] [HOST:PORT...]", "make a line that lets somebody in"},
    {COMMAND_MEMBERS, "/members", "", "who is in this private network"},
    {COMMAND_REVOKE, "/revoke", "WHO [since TIME]", "remove a member; what was said before stays"},
    {COMMAND_BAN, "/ban", "WHO", "remove a member, and all that was said there"},
    {COMMAND_WHOIS, "/whois", "[WHO]", "somebody's key, and how that came to be here"},
    {COMMAND_ID, "/id", "", "this node's key and network"},
    {COMMAND_HELP, "/help", "", "this list"},
    {COMMAND_QUIT, "/quit", "", "leave (also Ctrl-C, or Ctrl-D on an empty line)"},
};

const size_t COMMANDS_COUNT = sizeof(COMMANDS) / sizeof(COMMANDS[0]);

const CommandInfo *command_find(const char *name, size_t len)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (strlen(COMMANDS[i].name) == len && memcmp(COMMANDS[i].name, name, len) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}
