/* What was asked for on the command line of a node:
 *
 *   chat_node PORT [NODES.JSON]
 *   chat_node init NETWORK [PORT [NODES.JSON]]     makes a private network first
 *   chat_node join LINE [PORT [NODES.JSON]]        joins one first
 */
#pragma once

#include "core/invite.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SETTINGS_EXIT_USAGE = 2,
    SETTINGS_PORT_DEFAULT = 50051, /* of init and join */
};

typedef enum SettingsStart { START_NODE, START_INIT, START_JOIN } SettingsStart;

/* Texts are borrowed from argv. */
typedef struct Settings {
    SettingsStart start;
    uint16_t port;
    const char *nodes_path; /* NULL: not given */
    const char *name;       /* NULL: ask, or take $USER */
    const char *data;       /* NULL: by the port */
    const char *listen;     /* NULL: not given or, in open mode, localhost */
    bool insecure;
    bool headless;
    bool json;
    bool no_color;
    uint32_t clients_max;
    uint32_t coalesce_ms;
    const char *network; /* INIT: its name */
    char *line; /* JOIN: the invitation, or "-": on standard input. Wiped once it is read */
    const char *addresses[INVITE_ADDRESSES_MAX]; /* INIT: for the invitation, as typed */
    size_t addresses_count;
    bool no_start; /* INIT, JOIN: that was all */
} Settings;

/* Is that first argument init or join? NULL is not. */
bool settings_is_start(const char *word);
/* Exits where they are wrong, or --help is asked for. */
Settings settings_parse(int argc, char **argv);
/* Exits where --listen is no address or, in open mode, opens the chat to the world without a
 * word. */
void settings_check_listen(Settings *settings, bool open_mode);
