/* What was asked for: argp, a table of options for each command. */
#include "face/tool_impl.h"

#include "base/moment.h"
#include "base/text.h"
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

static void take_port(Parse *parse, struct argp_state *state)
{
    const char *text = parse->arguments[0];
    long port = parse_number(text, UINT16_MAX);
    if (parse->tool->options.data != NULL) {
        argp_error(state, "--data and the port %s: one of them is enough", text);
    }
    if (port == 0) {
        argp_error(state, "the port must be a number from 1 to 65535, not \"%s\"", text);
    }
    parse->tool->options.port = (uint16_t)port;
    parse->arguments++;
    parse->count--;
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
        return ARGP_ERR_UNKNOWN;
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
