/* argp, with one table of options for all three, and one for each of init and join beside it. */
#include "face/settings.h"

#include "base/log.h"
#include "core/message.h"
#include "face/tool.h"
#include "io/chat_servicer.h"
#include "io/host.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { COALESCE_MAX_MS = 5000 /* longer would look like a fault */ };

enum {
    OPTION_LISTEN = 0x100,
    OPTION_INSECURE,
    OPTION_HEADLESS,
    OPTION_JSON,
    OPTION_NO_COLOR,
    OPTION_LOG_LEVEL,
    OPTION_MAX_CLIENTS,
    OPTION_DATA,
    OPTION_COALESCE,
    OPTION_ADDRESS,
    OPTION_NO_START,
};

const char *argp_program_version = "chat_node " CHAT_VERSION;

static const struct argp_option OPTIONS[] = {
    {"name", 'n', "NAME", 0,
     "Go by NAME (of a private network: as it came in; asked for on a terminal; else $USER)", 0},
    {"data", OPTION_DATA, "DIR", 0,
     "Keep the conversation in DIR (default: $XDG_DATA_HOME/chat_node/PORT)", 0},
    {"listen", OPTION_LISTEN, "ADDRESS", 0,
     "Listen on this IPv4 or IPv6 address (default: of a private network, all of this machine's; "
     "else 127.0.0.1 and ::1, this machine only)",
     0},
    {"insecure", OPTION_INSECURE, NULL, 0,
     "Allow --listen beyond this machine outside a private network: anyone who reaches the port "
     "can read and write, and nothing is encrypted",
     0},
    {"headless", OPTION_HEADLESS, NULL, 0,
     "Read no input; run until SIGTERM or SIGINT, with messages on standard output", 0},
    {"json", OPTION_JSON, NULL, 0, "One JSON object a line, in and out", 0},
    {"no-color", OPTION_NO_COLOR, NULL, 0, "No colours (also where NO_COLOR is set)", 0},
    {"max-clients", OPTION_MAX_CLIENTS, "N", 0,
     "Serve at most N clients (open streams) at once (default 10000)", 0},
    {"coalesce", OPTION_COALESCE, "MS", 0,
     "Hold what goes to a busy node up to MS milliseconds, to send it in fewer frames (default 0)",
     0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL", 0,
     "Log to standard error: error, warning (default), info or debug", 0},
    {0},
};

static const struct argp_option INIT_OPTIONS[] = {
    {"address", OPTION_ADDRESS, "HOST[:PORT]", 0,
     "Where others reach this node, for the invitation; up to four times (default: this machine's "
     "addresses)",
     1},
    {"no-start", OPTION_NO_START, NULL, 0, "Make the network, print the invitation, and end", 1},
    {0},
};

static const struct argp_option JOIN_OPTIONS[] = {
    {"no-start", OPTION_NO_START, NULL, 0, "Join, and end", 1},
    {0},
};

static const char DOC[] =
    "A node of a group chat without a server. It links to the nodes named in NODES.JSON (default: "
    "nodes.json, made with localhost 50051, 50052 and 50053 where there is none; of a private "
    "network, that in the data directory), and whatever is typed at one is shown at all.\v"
    "Exit status: 0 left cleanly; 1 failure, or lines read from a pipe were not delivered; 2 wrong "
    "usage or configuration; 3 the address or the data directory is in use.\n\n"
    "Type /help inside for the commands. See chat_node(1) for the rest.";

static const char INIT_DOC[] =
    "init: makes a private network, and runs its first node.\v"
    "Nodes of a private network link over TLS 1.3, and only those that a member has invited. The "
    "first invitation is shown at the start; chat_node invite makes more.\n\n"
    "The data directory must not hold a conversation yet. From then on `chat_node PORT' runs the "
    "node. PORT is 50051 where it is not given. See chat_node(1) for the rest.";

static const char JOIN_DOC[] =
    "join: joins the private network of an invitation, and runs a node of it.\v"
    "LINE is what chat_node invite has printed. Spaces and line ends in it do not matter. With - "
    "it is read from standard input, so that no history of a shell keeps it.\n\n"
    "The data directory must not hold a conversation yet. From then on `chat_node PORT' runs the "
    "node. PORT is 50051 where it is not given. See chat_node(1) for the rest.";

/* ---- numbers ---- */

static bool parse_number(const char *text, long min, long max, long *ret_value)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || errno != 0 || end == text || *end != '\0' ||
        value < min || value > max) {
        return false;
    }
    *ret_value = value;
    return true;
}

static uint32_t take_number(struct argp_state *state, const char *option, const char *text,
                            long min, long max)
{
    long number = 0;
    if (!parse_number(text, min, max, &number)) {
        argp_error(state, "%s must be a number from %ld to %ld, not \"%s\"", option, min, max,
                   text);
    }
    return (uint32_t)number;
}

/* ---- arguments ---- */

/* What stands in front of PORT. */
static void take_first(Settings *settings, char *argument)
{
    if (settings->start == START_INIT) {
        settings->network = argument;
    } else {
        settings->line = argument;
    }
}

static error_t parse_argument(char *argument, struct argp_state *state)
{
    Settings *settings = state->input;
    unsigned number = state->arg_num;
    long port = 0;
    if (settings->start != START_NODE) {
        if (number == 0) {
            take_first(settings, argument);
            return 0;
        }
        number--;
    }
    if (number == 0) {
        if (tool_is_command(argument) || settings_is_start(argument)) {
            argp_error(state, "a command stands before its options: chat_node %s ...", argument);
        } else if (!parse_number(argument, 1, UINT16_MAX, &port)) {
            argp_error(state, "the port must be a number from 1 to 65535, not \"%s\"", argument);
        }
        settings->port = (uint16_t)port;
        return 0;
    }
    if (number == 1) {
        settings->nodes_path = argument;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static void miss_arguments(const Settings *settings, struct argp_state *state)
{
    switch (settings->start) {
    case START_NODE:
        argp_error(state, "which port? For example: chat_node 50051");
        break;
    case START_INIT:
        argp_error(state, "which name is the network to have? For example: chat_node init garden");
        break;
    case START_JOIN:
        argp_error(state, "which invitation? It is a line that starts with CHAT1-, made by "
                          "chat_node invite; or - to read it from standard input");
        break;
    }
}

/* ---- options ---- */

static error_t parse_switch(int key, Settings *settings)
{
    switch (key) {
    case OPTION_INSECURE:
        settings->insecure = true;
        return 0;
    case OPTION_HEADLESS:
        settings->headless = true;
        return 0;
    case OPTION_JSON:
        settings->json = true;
        return 0;
    case OPTION_NO_COLOR:
        settings->no_color = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void take_name(Settings *settings, struct argp_state *state, const char *argument)
{
    const char *reason = "";
    if (message_check_name(argument, strlen(argument), &reason) != ERR_OK) {
        argp_error(state, "--name: %s", reason);
    }
    settings->name = argument;
}

static void take_log_level(struct argp_state *state, const char *argument)
{
    LogLevel level = LOG_WARNING;
    if (!log_level_parse(argument, &level)) {
        argp_error(state, "--log-level must be error, warning, info or debug, not \"%s\"",
                   argument);
    }
    log_set_level(level);
}

/* Of all three. */
static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    Settings *settings = state->input;
    switch (key) {
    case 'n':
        take_name(settings, state, argument);
        return 0;
    case OPTION_DATA:
        settings->data = argument;
        return 0;
    case OPTION_LISTEN:
        settings->listen = argument;
        return 0;
    case OPTION_MAX_CLIENTS:
        settings->clients_max = take_number(state, "--max-clients", argument, 1, 100000);
        return 0;
    case OPTION_COALESCE:
        settings->coalesce_ms = take_number(state, "--coalesce", argument, 0, COALESCE_MAX_MS);
        return 0;
    case OPTION_LOG_LEVEL:
        take_log_level(state, argument);
        return 0;
    case ARGP_KEY_ARG:
        return parse_argument(argument, state);
    case ARGP_KEY_NO_ARGS:
        miss_arguments(settings, state);
        return 0;
    default:
        return parse_switch(key, settings);
    }
}

static const struct argp COMMON = {.options = OPTIONS, .parser = parse_option};
static const struct argp_child CHILDREN[] = {{.argp = &COMMON}, {0}};

/* Of init and join. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is argp's */
static error_t parse_start_option(int key, char *argument, struct argp_state *state)
{
    Settings *settings = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = settings;
        return 0;
    case OPTION_ADDRESS:
        if (settings->addresses_count == INVITE_ADDRESSES_MAX) {
            argp_error(state, "--address may be given %d times", INVITE_ADDRESSES_MAX);
        }
        settings->addresses[settings->addresses_count++] = argument;
        return 0;
    case OPTION_NO_START:
        settings->no_start = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The commands come from their table. */
static char *help_with_commands(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) {
        return (char *)(uintptr_t)text;
    }
    StrBuf help = {0};
    strbuf_add_string(&help, "Private networks (each command has its --help):\n"
                             "  init     makes one, and runs its first node\n"
                             "  join     joins one by an invitation, and runs a node\n\n"
                             "Commands, which read, copy or change what a node keeps (each has its "
                             "--help):\n");
    tool_add_summary(&help);
    strbuf_addf(&help, "\n%s", text != NULL ? text : "");
    return strbuf_take(&help);
}

static const struct argp NODE_PARSER = {.options = OPTIONS,
                                        .parser = parse_option,
                                        .args_doc = "PORT [NODES.JSON]\nCOMMAND [PORT]",
                                        .doc = DOC,
                                        .help_filter = help_with_commands};
static const struct argp INIT_PARSER = {.options = INIT_OPTIONS,
                                        .parser = parse_start_option,
                                        .args_doc = "NETWORK [PORT [NODES.JSON]]",
                                        .doc = INIT_DOC,
                                        .children = CHILDREN};
static const struct argp JOIN_PARSER = {.options = JOIN_OPTIONS,
                                        .parser = parse_start_option,
                                        .args_doc = "LINE [PORT [NODES.JSON]]",
                                        .doc = JOIN_DOC,
                                        .children = CHILDREN};

static SettingsStart start_of(const char *word)
{
    if (word != NULL && strcmp(word, "init") == 0) {
        return START_INIT;
    }
    return word != NULL && strcmp(word, "join") == 0 ? START_JOIN : START_NODE;
}

bool settings_is_start(const char *word)
{
    return start_of(word) != START_NODE;
}

Settings settings_parse(int argc, char **argv)
{
    static const struct argp *const parsers[] = {
        [START_NODE] = &NODE_PARSER, [START_INIT] = &INIT_PARSER, [START_JOIN] = &JOIN_PARSER};
    static char init_name[] = "chat_node init"; /* how argp calls the program in what it says */
    static char join_name[] = "chat_node join";
    Settings settings = {.start = start_of(argc > 1 ? argv[1] : NULL),
                         .clients_max = CLIENTS_MAX_DEFAULT};
    int shift = 0;
    if (settings.start != START_NODE) {
        settings.port = SETTINGS_PORT_DEFAULT;
        argv[1] = settings.start == START_INIT ? init_name : join_name;
        shift = 1;
    }
    argp_err_exit_status = SETTINGS_EXIT_USAGE;
    error_t error =
        argp_parse(parsers[settings.start], argc - shift, argv + shift, 0, NULL, &settings);
    if (error != 0) {
        fprintf(stderr, "chat_node: %s\n", strerror(error));
        exit(SETTINGS_EXIT_USAGE);
    }
    return settings;
}

/* ---- --listen ---- */

static bool is_ip_address(const char *text)
{
    struct sockaddr_storage storage;
    return uv_ip4_addr(text, 1, (struct sockaddr_in *)&storage) == 0 ||
           uv_ip6_addr(text, 1, (struct sockaddr_in6 *)&storage) == 0;
}

void settings_check_listen(Settings *settings, bool open_mode)
{
    if (settings->listen == NULL) {
        return;
    }
    if (strcmp(settings->listen, "localhost") == 0) {
        settings->listen = open_mode ? NULL : "127.0.0.1";
        return;
    }
    if (!is_ip_address(settings->listen)) {
        fprintf(stderr,
                "chat_node: --listen takes an IPv4 or IPv6 address of this machine, not \"%s\"\n",
                settings->listen);
        exit(SETTINGS_EXIT_USAGE);
    }
    if (open_mode && !host_is_loopback(settings->listen) && !settings->insecure) {
        fprintf(stderr,
                "chat_node: --listen %s lets anyone who reaches this machine read and write the "
                "chat, and nothing is encrypted. Make a private network instead (chat_node init), "
                "or, if that is what you want, add --insecure\n",
                settings->listen);
        exit(SETTINGS_EXIT_USAGE);
    }
}
