/* The table of commands, and one run from opening to closing. */
#include "face/tool.h"

#include "base/text.h"
#include "face/json_proto.h"
#include "face/tool_impl.h"
#include "io/data_dir.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const ToolCommand TOOL_COMMANDS[] = {
    {"history", "[PORT]", "the last lines of a room, oldest first", NULL, TOOL_HISTORY_OPTIONS,
     TOOL_WANTS_NOTHING, false, tool_history},
    {"search", "[PORT] WORDS...", "lines with all of these words, newest first",
     "Case and accents do not count. '\"two words\"' stand side by side, wor* is how a word "
     "starts. "
     "An argument of digits alone that comes first is PORT, unless --data is given.",
     TOOL_SEARCH_OPTIONS, TOOL_WANTS_WORDS, false, tool_search},
    {"export", "[PORT]", "all of the log, of all rooms",
     "In the order of streams and of the numbers in them, which is the same at every node that "
     "holds the same log.",
     TOOL_EXPORT_OPTIONS, TOOL_WANTS_NOTHING, false, tool_export},
    {"backup", "[PORT] FILE", "copies the log to FILE, while the node runs or not",
     "FILE must not exist yet. The node's identity is not in it.", TOOL_COPY_OPTIONS,
     TOOL_WANTS_FILE, false, tool_backup},
    {"restore", "[PORT] FILE", "puts a backup into the log's place; what was there is kept",
     "The node must not run. All of FILE is checked first.", TOOL_COPY_OPTIONS, TOOL_WANTS_FILE,
     true, tool_restore},
    {"id", "[PORT]", "who this node is: key, fingerprint, network",
     "People compare fingerprints to know that they speak of the same node. Programs that connect "
     "from elsewhere have to be given the certificate that --certificate prints.",
     TOOL_ID_OPTIONS, TOOL_WANTS_NOTHING, true, tool_id},
    {"invite", "[PORT]", "an invitation to this node's private network, as one line",
     "It is good for one person, and to be given to nobody else: who has the line can join. The "
     "node has to run when it is used.",
     TOOL_INVITE_OPTIONS, TOOL_WANTS_NOTHING, true, tool_invite},
    {"members", "[PORT]", "who is in the private network",
     "Of a node that runs what it knows, else what its log holds.", TOOL_COPY_OPTIONS,
     TOOL_WANTS_NOTHING, false, tool_members},
    {"revoke", "WHO [PORT]", "ends a membership; the founder's node alone, while it runs",
     "WHO is a name, a fingerprint, or how one starts. What was said until now stays, or, with "
     "--since, what was said until then.",
     TOOL_REVOKE_OPTIONS, TOOL_WANTS_WHO, true, tool_revoke},
    {"token", "add NAME [PORT]\nlist [PORT]\nrevoke NAME [PORT]",
     "tokens, by which programs elsewhere may use this node",
     "add makes one and prints it, once. A program shows it with each call, as metadata "
     "`authorization: Bearer TOKEN', and speaks as NAME.",
     TOOL_TOKEN_OPTIONS, TOOL_WANTS_TOKEN, true, tool_token},
};
const size_t TOOL_COMMANDS_COUNT = sizeof(TOOL_COMMANDS) / sizeof(TOOL_COMMANDS[0]);

static const int SIGNALS[TOOL_SIGNALS_COUNT] = {SIGINT, SIGTERM, SIGHUP};

static const ToolCommand *find_command(const char *word)
{
    for (size_t i = 0; word != NULL && i < TOOL_COMMANDS_COUNT; i++) {
        if (strcmp(word, TOOL_COMMANDS[i].name) == 0) {
            return &TOOL_COMMANDS[i];
        }
    }
    return NULL;
}

bool tool_is_command(const char *word)
{
    return find_command(word) != NULL;
}

void tool_add_summary(StrBuf *out)
{
    for (size_t i = 0; i < TOOL_COMMANDS_COUNT; i++) {
        strbuf_addf(out, "  %-8s %s\n", TOOL_COMMANDS[i].name, TOOL_COMMANDS[i].summary);
    }
}

/* ---- what is said besides the answer ---- */

[[gnu::format(printf, 3, 0)]] static void add_note(Tool *tool, const char *mark, const char *format,
                                                   va_list args)
{
    AUTO_STRBUF StrBuf text = {0};
    strbuf_vaddf(&text, format, args);
    strbuf_add_string(&tool->notes, mark);
    text_sanitise(&tool->notes, strbuf_text(&text), text.len);
    strbuf_add_char(&tool->notes, '\n');
}

void tool_note(Tool *tool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_note(tool, "-- ", format, args);
    va_end(args);
}

/* ---- closing ---- */

static void tool_store_closed(void *context)
{
    Tool *tool = context;
    loop_stop(tool->loop);
}

static void tool_writer_closed(void *context)
{
    Tool *tool = context;
    store_close(TAKE(tool->store), tool_store_closed, tool);
}

static void tool_close(Tool *tool)
{
    if (tool->closing) {
        return;
    }
    tool->closing = true;
    for (size_t i = 0; i < TOOL_SIGNALS_COUNT; i++) {
        uv_close((uv_handle_t *)&tool->signals[i], NULL);
    }
    writer_close(TAKE(tool->writer), tool_writer_closed, tool);
}

/* A backup that is cut short is to leave nothing behind, so closing has its order here too. */
static void tool_signal(uv_signal_t *handle, int number)
{
    (void)number;
    Tool *tool = handle->data;
    tool->exit_code = TOOL_EXIT_FAILURE;
    tool_close(tool);
}

/* ---- output ---- */

static void tool_taken(void *context)
{
    Tool *tool = context;
    if (!tool->closing && tool->next != NULL) {
        void (*next)(Tool *) = TAKE(tool->next);
        next(tool);
    }
}

static void tool_broken(void *context, int error)
{
    Tool *tool = context;
    if (error != EPIPE) { /* a reader that has what it wanted is no failure */
        tool_note(tool, "standard output: %s", strerror(error));
        tool->exit_code = TOOL_EXIT_FAILURE;
    }
    tool_close(tool);
}

static const WriterEvents WRITER_EVENTS = {.on_idle = tool_taken, .on_broken = tool_broken};

void tool_flush(Tool *tool, void (*next)(Tool *tool))
{
    if (tool->closing) {
        return;
    }
    tool->next = next;
    writer_add(tool->writer, strbuf_text(&tool->out), tool->out.len);
    strbuf_clear(&tool->out);
    if (writer_pending(tool->writer) == 0 && writer_error(tool->writer) == 0) {
        tool_taken(tool);
    }
}

void tool_end(Tool *tool)
{
    tool_flush(tool, tool_close);
}

void tool_fail(Tool *tool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_note(tool, "chat_node: ", format, args);
    va_end(args);
    tool->exit_code = TOOL_EXIT_FAILURE;
    if (tool->loop != NULL) {
        tool_end(tool);
    }
}

void tool_fail_read(Tool *tool, Err err)
{
    tool_fail(tool, "cannot read the log in %s: %s", tool->directory, err_text(err));
}

bool tool_add_event(Tool *tool, LogEvent *event, const char *snippet)
{
    int32_t utc_offset_s = loop_utc_offset_s(hlc_time_ms(event->fields.hlc));
    AUTO_EVENT LogEvent *opened = tool_open_event(tool, event);
    Message *message = opened != NULL ? message_of_event(opened, utc_offset_s) : NULL;
    if (message == NULL) {
        return false;
    }
    static const Kept unknown = {0};
    if (tool->options.json) {
        json_add_history(&tool->out, message, unknown, snippet, utc_offset_s);
    } else {
        tool->format.utc_offset_s = utc_offset_s;
        line_format_history(&tool->out, &tool->format, message, unknown, snippet, tool->now_ms);
    }
    message_unref(message);
    return true;
}

/* ---- one run ---- */

static bool tool_choose_directory(Tool *tool)
{
    const ToolOptions *options = &tool->options;
    AUTO_FREE char *text = NULL;
    Err err = options->port != 0
                  ? data_dir_of(options->data, options->port, &tool->directory, &text)
                  : data_dir_find(options->data, &tool->directory, &text);
    if (err != ERR_OK) {
        tool_fail(tool, "%s", text);
        tool->exit_code =
            err == ERR_EXISTS || err == ERR_INVALID ? TOOL_EXIT_USAGE : TOOL_EXIT_FAILURE;
    }
    return err == ERR_OK;
}

static bool tool_open_store(Tool *tool)
{
    AUTO_FREE char *text = NULL;
    StoreOptions options = {.directory = tool->directory, .read_only = true};
    Loop *loop = loop_new();
    Err err = store_open(&options, loop, &tool->store, &text);
    if (err == ERR_OK) {
        tool->loop = loop;
        tool_open_seals(tool);
        return true;
    }
    tool_fail(tool, "%s%s", text,
              err == ERR_NOT_FOUND ? ": no node has kept anything there yet" : "");
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
    return false;
}

static void tool_open_output(Tool *tool)
{
    const char *no_color = getenv("NO_COLOR");
    tool->now_ms = loop_wall_ms();
    tool->format.color = isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0');
    tool->writer = writer_open(tool->loop, STDOUT_FILENO, &WRITER_EVENTS, tool);
    for (size_t i = 0; i < TOOL_SIGNALS_COUNT; i++) {
        uv_signal_init(loop_uv(tool->loop), &tool->signals[i]);
        tool->signals[i].data = tool;
        uv_signal_start(&tool->signals[i], tool_signal, SIGNALS[i]);
    }
}

static void tool_run(Tool *tool)
{
    if (!tool_choose_directory(tool)) {
        return;
    }
    if (tool->command->without_store) {
        tool->command->start(tool);
        return;
    }
    if (!tool_open_store(tool)) {
        return;
    }
    tool_open_output(tool);
    tool->command->start(tool);
    loop_run(tool->loop);
    loop_free(tool->loop);
    if (tool->work_free != NULL) {
        tool->work_free(tool->work);
    }
    tool_close_seals(tool);
}

int tool_main(int argc, char **argv)
{
    Tool tool = {.command = find_command(argv[1]), .options = {.since_ms = -1}};
    tool_parse(&tool, argc, argv);
    tool_run(&tool);
    fputs(strbuf_text(&tool.notes), stderr);
    strbuf_done(&tool.notes);
    strbuf_done(&tool.out);
    mem_free(tool.directory);
    mem_free(tool.options.words);
    return tool.exit_code;
}
