/* What was asked for: argp, a table of options for each command. */
#include "face/tool_impl.h"

#include "base/moment.h"
#include "base/text.h"
#include "io/invites.h"
#include "io/loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    COUNT_DEFAULT = 20,
    /* What a person may want to page through; all of it is what export is for. */
    COUNT_MAX = 1000000,
    OPTION_DATA = 0x100,
    OPTION_SINCE,
    OPTION_ROOM,
    OPTION_FROM,
    OPTION_JSON,
    OPTION_HASH,
    OPTION_HOURS,
    OPTION_ADDRESS,
    OPTION_CERTIFICATE,
    OPTION_READ,
};

#define ROW_DATA                                                                                   \
    {                                                                                              \
        "data", OPTION_DATA, "DIR", 0,                                                             \
            "The node's data directory (default: that of PORT; without PORT, the only one there "  \
            "is)",                                                                                 \
            0                                                                                      \
    }

const struct argp_option TOOL_HISTORY_OPTIONS[] = {
    ROW_DATA,
    {"lines", 'n', "N", 0, "The last N lines (default 20)", 0},
    {"since", OPTION_SINCE, "TIME", 0,
     "All lines since TIME: " MOMENT_FORMS " (the last three: so long ago)", 0},
    {"room", OPTION_ROOM, "ROOM", 0, "Of this room (default lobby)", 0},
    {"json", OPTION_JSON, NULL, 0, "One JSON object a line", 0},
    {0},
};

const struct argp_option TOOL_SEARCH_OPTIONS[] = {
    ROW_DATA,
    {"lines", 'n', "N", 0, "At most N lines (default 20, at most 200)", 0},
    {"room", OPTION_ROOM, "ROOM", 0, "In this room only", 0},
    {"from", OPTION_FROM, "NAME", 0, "Said by NAME only", 0},
    {"json", OPTION_JSON, NULL, 0, "One JSON object a line", 0},
    {0},
};

const struct argp_option TOOL_EXPORT_OPTIONS[] = {
    ROW_DATA,
    {"json", OPTION_JSON, NULL, 0, "One JSON object a line", 0},
    {"hash", OPTION_HASH, NULL, 0,
     "Only the log's hash, and how many events are in it: the same for two nodes with equal logs",
     0},
    {0},
};

const struct argp_option TOOL_COPY_OPTIONS[] = {
    ROW_DATA,
    {0},
};

const struct argp_option TOOL_ID_OPTIONS[] = {
    ROW_DATA,
    {"certificate", OPTION_CERTIFICATE, NULL, 0,
     "Only the certificate that programs are to trust, as PEM", 0},
    {0},
};

const struct argp_option TOOL_INVITE_OPTIONS[] = {
    ROW_DATA,
    {"hours", OPTION_HOURS, "N", 0, "It expires after N hours (default 24, at most 720)", 0},
    {"address", OPTION_ADDRESS, "HOST[:PORT]", 0,
     "Where this node is reached; up to four times (default: this machine's addresses)", 0},
    {0},
};

const struct argp_option TOOL_REVOKE_OPTIONS[] = {
    ROW_DATA,
    {"since", OPTION_SINCE, "TIME", 0, "What was said since TIME goes too: " MOMENT_FORMS, 0},
    {0},
};

const struct argp_option TOOL_TOKEN_OPTIONS[] = {
    ROW_DATA,
    {"read", OPTION_READ, NULL, 0, "add: it may read, and not speak", 0},
    {0},
};

/* What argp collects, before it is known what is what. */
typedef struct Parse {
    Tool *tool;
    char **arguments; /* into argv, which argp has sorted */
    size_t count;
} Parse;

static bool is_number(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* 0: not a number from 1 to max. */
static long parse_number(const char *text, long max)
{
    errno = 0;
    long value = is_number(text) ? strtol(text, NULL, 10) : 0;
    return errno == 0 && value <= max ? value : 0;
}

static void parse_count(Tool *tool, struct argp_state *state, const char *argument)
{
    bool searches = tool->command->wants == TOOL_WANTS_WORDS;
    long max = searches ? (long)STORE_SEARCH_MAX_HITS : (long)COUNT_MAX;
    long count = parse_number(argument, max);
    if (count == 0) {
        argp_error(state, "-n must be a number from 1 to %ld, not \"%s\"", max, argument);
    }
    tool->options.count = (size_t)count;
}

/* In a zone with summer time, the offset of then is what the writer meant. */
static void parse_since(Tool *tool, struct argp_state *state, const char *argument)
{
    int64_t now_ms = loop_wall_ms();
    int64_t then_ms = 0;
    int32_t offset_s = loop_utc_offset_s(now_ms);
    Err err = moment_parse(argument, strlen(argument), now_ms, offset_s, &then_ms);
    if (err == ERR_OK) {
        offset_s = loop_utc_offset_s(then_ms);
        err = moment_parse(argument, strlen(argument), now_ms, offset_s, &then_ms);
    }
    if (err != ERR_OK) {
        argp_error(state, "--since takes %s, not \"%s\"", MOMENT_FORMS, argument);
    }
    tool->options.since_ms = then_ms;
    tool->options.since_text = argument;
}

static void parse_hours(Tool *tool, struct argp_state *state, const char *argument)
{
    long hours = parse_number(argument, INVITE_HOURS_MAX);
    if (hours == 0) {
        argp_error(state, "--hours must be a number from 1 to %d, not \"%s\"", INVITE_HOURS_MAX,
                   argument);
    }
    tool->options.hours = (unsigned)hours;
}

/* The port of the node stands in for a missing one later: here it is only looked at. */
static void parse_address(Tool *tool, struct argp_state *state, const char *argument)
{
    ToolOptions *options = &tool->options;
    OwnAddresses addresses = {0};
    char *error = NULL;
    if (options->addresses_count == INVITE_ADDRESSES_MAX) {
        argp_error(state, "--address may be given %d times", INVITE_ADDRESSES_MAX);
    }
    if (own_addresses_add(&addresses, argument, 1, &error) != ERR_OK) {
        argp_error(state, "%s", error);
    }
    options->addresses[options->addresses_count++] = argument;
}

static const char *parse_name(struct argp_state *state, const char *option, const char *argument)
{
    size_t len = strlen(argument);
    if (len == 0 || len > EVENT_ROOM_MAX_BYTES || !text_is_utf8(argument, len)) {
        argp_error(state, "%s takes a name of 1 to %d bytes of UTF-8", option,
                   EVENT_ROOM_MAX_BYTES);
    }
    return argument;
}

/* ---- what is no option ---- */

static void check_port(Parse *parse, struct argp_state *state, const char *text)
{
    long port = parse_number(text, UINT16_MAX);
    if (parse->tool->options.data != NULL) {
        argp_error(state, "--data and the port %s: one of them is enough", text);
    }
    if (port == 0) {
        argp_error(state, "the port must be a number from 1 to 65535, not \"%s\"", text);
    }
    parse->tool->options.port = (uint16_t)port;
}

static void take_port(Parse *parse, struct argp_state *state)
{
    check_port(parse, state, parse->arguments[0]);
    parse->arguments++;
    parse->count--;
}

/* Behind those that are wanted. */
static void take_last_port(Parse *parse, struct argp_state *state, size_t wanted)
{
    if (parse->count > wanted + 1) {
        argp_error(state, "\"%s\" is too much", parse->arguments[wanted + 1]);
    }
    if (parse->count == wanted + 1) {
        check_port(parse, state, parse->arguments[wanted]);
    }
}

static void take_who(Parse *parse, struct argp_state *state)
{
    if (parse->count == 0 || parse->arguments[0][0] == '\0') {
        argp_error(state, "WHO is to go? chat_node members tells who is there");
    }
    parse->tool->options.words = mem_copy_string(parse_name(state, "WHO", parse->arguments[0]));
    take_last_port(parse, state, 1);
}

static void take_token(Parse *parse, struct argp_state *state)
{
    static const char *const names[] = {
        [TOKEN_ADD] = "add", [TOKEN_LIST] = "list", [TOKEN_REVOKE] = "revoke"};
    ToolOptions *options = &parse->tool->options;
    const char *word = parse->count > 0 ? parse->arguments[0] : "";
    options->token_action = TOKEN_ADD;
    while (options->token_action <= TOKEN_REVOKE &&
           strcmp(word, names[options->token_action]) != 0) {
        options->token_action++;
    }
    if (options->token_action > TOKEN_REVOKE) {
        argp_error(state, "add, list or revoke?");
    }
    if (options->token_action == TOKEN_LIST) {
        take_last_port(parse, state, 1);
        return;
    }
    if (parse->count < 2) {
        argp_error(state, "which NAME?");
    }
    options->token_name = parse->arguments[1];
    take_last_port(parse, state, 2);
}

static void take_file(Parse *parse, struct argp_state *state)
{
    ToolOptions *options = &parse->tool->options;
    if (parse->count == 2) {
        take_port(parse, state);
    }
    const char *file = parse->count == 1 ? parse->arguments[0] : NULL;
    if (file == NULL) {
        argp_error(state, parse->count == 0 ? "which FILE?" : "one FILE is enough");
        return;
    }
    if (options->port == 0 && options->data == NULL && is_number(file)) {
        argp_error(state, "which FILE? (\"%s\" looks like the port; a file of that name is ./%s)",
                   file, file);
    }
    if (strcmp(file, "-") == 0) {
        argp_error(state, "FILE must be a file: a log is not read or written in one go");
    }
    options->file = file;
}

static void take_words(Parse *parse, struct argp_state *state)
{
    ToolOptions *options = &parse->tool->options;
    StrBuf words = {0};
    if (parse->count > 0 && options->data == NULL && is_number(parse->arguments[0])) {
        take_port(parse, state);
    }
    if (parse->count == 0) {
        argp_error(state,
                   options->port != 0 ? "which words? (%u was taken for the port)" : "which words?",
                   (unsigned)options->port);
    }
    for (size_t i = 0; i < parse->count; i++) {
        strbuf_addf(&words, "%s%s", i > 0 ? " " : "", parse->arguments[i]);
    }
    if (words.len > STORE_SEARCH_MAX_BYTES) {
        argp_error(state, "the words have %zu bytes, and %d is the most", words.len,
                   STORE_SEARCH_MAX_BYTES);
    }
    options->words = strbuf_take(&words);
}

static void take_arguments(Parse *parse, struct argp_state *state)
{
    switch (parse->tool->command->wants) {
    case TOOL_WANTS_NOTHING:
        if (parse->count > 1) {
            argp_error(state, "one port is enough, and \"%s\" is too much", parse->arguments[1]);
        }
        if (parse->count == 1) {
            take_port(parse, state);
        }
        break;
    case TOOL_WANTS_WORDS:
        take_words(parse, state);
        break;
    case TOOL_WANTS_FILE:
        take_file(parse, state);
        break;
    case TOOL_WANTS_WHO:
        take_who(parse, state);
        break;
    case TOOL_WANTS_TOKEN:
        take_token(parse, state);
        break;
    }
}

/* Of what is about a private network. */
static error_t parse_network_option(int key, char *argument, struct argp_state *state)
{
    Parse *parse = state->input;
    ToolOptions *options = &parse->tool->options;
    switch (key) {
    case OPTION_HOURS:
        parse_hours(parse->tool, state, argument);
        return 0;
    case OPTION_ADDRESS:
        parse_address(parse->tool, state, argument);
        return 0;
    case OPTION_CERTIFICATE:
        options->certificate = true;
        return 0;
    case OPTION_READ:
        options->read_only = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    Parse *parse = state->input;
    ToolOptions *options = &parse->tool->options;
    switch (key) {
    case OPTION_DATA:
        options->data = argument;
        return 0;
    case 'n':
        parse_count(parse->tool, state, argument);
        return 0;
    case OPTION_SINCE:
        parse_since(parse->tool, state, argument);
        return 0;
    case OPTION_ROOM:
        options->room = parse_name(state, "--room", argument);
        return 0;
    case OPTION_FROM:
        options->from = parse_name(state, "--from", argument);
        return 0;
    case OPTION_JSON:
        options->json = true;
        return 0;
    case OPTION_HASH:
        options->hash = true;
        return 0;
    case ARGP_KEY_ARGS:
        parse->arguments = state->argv + state->next;
        parse->count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        take_arguments(parse, state);
        return 0;
    default:
        return parse_network_option(key, argument, state);
    }
}

void tool_parse(Tool *tool, int argc, char **argv)
{
    const ToolCommand *command = tool->command;
    AUTO_STRBUF StrBuf name = {0};
    AUTO_STRBUF StrBuf doc = {0};
    strbuf_addf(&name, "chat_node %s", command->name);
    strbuf_addf(&doc, "%s: %s.\v%s%sSee chat_node(1) for the rest.\n", command->name,
                command->summary, command->doc != NULL ? command->doc : "",
                command->doc != NULL ? "\n\n" : "");
    struct argp parser = {.options = command->options,
                          .parser = parse_option,
                          .args_doc = command->arguments,
                          .doc = strbuf_text(&doc)};
    Parse parse = {.tool = tool};
    argp_err_exit_status = TOOL_EXIT_USAGE;
    argv[1] = name.text; /* how argp calls the program in what it says */
    error_t error = argp_parse(&parser, argc - 1, argv + 1, 0, NULL, &parse);
    argv[1] = (char *)(uintptr_t)command->name;
    if (error != 0) {
        fprintf(stderr, "%s: %s\n", name.text, strerror(error));
        exit(TOOL_EXIT_USAGE);
    }
    if (tool->options.count == 0 && tool->options.since_ms < 0) {
        tool->options.count = COUNT_DEFAULT;
    }
}
