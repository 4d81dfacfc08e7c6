/* What the commands share: one run of one of them.
 *
 *   tool_options.c   what was asked for
 *   tool.c           opens store and output -> command->start -> tool_flush ... -> tool_end
 *   tool_history.c, tool_search.c, tool_export.c, tool_backup.c, tool_network.c, tool_token.c
 *
 * Output goes through tool->out, a piece at a time: the next piece is read from the store when the
 * last has been taken, so that a slow reader costs no memory. */
#pragma once

#include "core/invite.h"
#include "core/sealed.h"
#include "face/line_format.h"
#include "face/writer.h"
#include "io/store.h"

#include <argp.h>

enum { TOOL_EXIT_FAILURE = 1, TOOL_EXIT_USAGE = 2, TOOL_SIGNALS_COUNT = 3 };

typedef struct Tool Tool;

/* What is on the command line besides options and PORT. */
typedef enum ToolWants {
    TOOL_WANTS_NOTHING,
    TOOL_WANTS_WORDS,
    TOOL_WANTS_FILE,
    TOOL_WANTS_WHO,   /* and PORT behind it */
    TOOL_WANTS_TOKEN, /* add NAME, list, revoke NAME; and PORT behind it */
} ToolWants;

typedef enum TokenAction { TOKEN_ADD, TOKEN_LIST, TOKEN_REVOKE } TokenAction;

typedef struct ToolCommand {
    const char *name;
    const char *arguments; /* as --help shows them */
    const char *summary;   /* one line */
    const char *doc;       /* what else there is to know; may be NULL */
    const struct argp_option *options;
    ToolWants wants;
    bool without_store; /* start does all of it, and no loop runs */
    void (*start)(Tool *tool);
} ToolCommand;

typedef struct ToolOptions {
    uint16_t port; /* 0: not given */
    const char *data;
    size_t count;
    int64_t since_ms;       /* -1: not given */
    const char *since_text; /* the same as typed */
    const char *room;       /* NULL: not given */
    const char *from;
    bool json;
    bool hash;
    char *words; /* owned; WHO */
    const char *file;
    unsigned hours; /* 0: not given */
    const char *addresses[INVITE_ADDRESSES_MAX];
    size_t addresses_count;
    bool certificate;
    bool read_only;
    TokenAction token_action;
    const char *token_name;
} ToolOptions;

struct Tool {
    const ToolCommand *command;
    ToolOptions options;
    char *directory;
    Loop *loop;
    Store *store;
    struct ToolSeals *seals; /* tool_sealed.c; NULL: open mode, or who asks may not read keys */
    Writer *writer;
    uv_signal_t signals[TOOL_SIGNALS_COUNT];
    StrBuf out;   /* what tool_flush writes */
    StrBuf notes; /* for standard error, behind all that goes out */
    LineFormat format;
    int64_t now_ms;
    void (*next)(Tool *tool); /* once what waits has been taken */
    void *work;               /* the command's own; freed after the loop's end */
    void (*work_free)(void *work);
    bool closing; /* whatever is answered now is not wanted any more */
    int exit_code;
};

extern const ToolCommand TOOL_COMMANDS[];
extern const size_t TOOL_COMMANDS_COUNT;

/* The options of a row of the table. */
extern const struct argp_option TOOL_HISTORY_OPTIONS[];
extern const struct argp_option TOOL_SEARCH_OPTIONS[];
extern const struct argp_option TOOL_EXPORT_OPTIONS[];
extern const struct argp_option TOOL_COPY_OPTIONS[];
extern const struct argp_option TOOL_ID_OPTIONS[];
extern const struct argp_option TOOL_INVITE_OPTIONS[];
extern const struct argp_option TOOL_REVOKE_OPTIONS[];
extern const struct argp_option TOOL_TOKEN_OPTIONS[];

/* Exits where they are wrong, or --help is asked for. */
void tool_parse(Tool *tool, int argc, char **argv);

void tool_history(Tool *tool);
void tool_search(Tool *tool);
void tool_export(Tool *tool);
void tool_backup(Tool *tool);
void tool_restore(Tool *tool);
void tool_id(Tool *tool);
void tool_invite(Tool *tool);
void tool_members(Tool *tool);
void tool_revoke(Tool *tool);
void tool_token(Tool *tool);

/* Writes what is in out; then calls next, unless the tool is closing by then. */
void tool_flush(Tool *tool, void (*next)(Tool *tool));
/* Writes what is in out, then closes everything. */
void tool_end(Tool *tool);
/* As tool_end, with "chat_node: TEXT" on standard error; the exit code is 1. */
[[gnu::format(printf, 2, 3)]] void tool_fail(Tool *tool, const char *format, ...);
/* Of a read that ended with err. */
void tool_fail_read(Tool *tool, Err err);
/* "-- TEXT" on standard error: what is no part of the answer. */
[[gnu::format(printf, 2, 3)]] void tool_note(Tool *tool, const char *format, ...);

/* ---- tool_sealed.c ---- */

/* Once the store is open. */
void tool_open_seals(Tool *tool);
void tool_close_seals(Tool *tool);
/* keyring_open, with whatever keys there are. The caller has a reference; NULL: not to be shown. */
LogEvent *tool_open_event(Tool *tool, LogEvent *event);
/* The room in the log that --room means: "!team" and "@bob" have names of their own there. False:
 * there is none, and that was said. */
bool tool_room_id(Tool *tool, const char *room, char ret_id[EVENT_ROOM_MAX_BYTES + 1]);

/* Adds an event's message to out, as a line or, with --json, as an object; snippet may be NULL.
 * False: it is of a kind that is not shown. */
bool tool_add_event(Tool *tool, LogEvent *event, const char *snippet);
