/* From the keyboard to the node.
 *
 *   one line     typed, Enter -----------------------------------------+
 *   one line     pasted: into the line being typed                     +--> [outbox] --> node_line
 *   many lines   pasted: "send these 5 lines? y/n" -- y: one by one ---+
 *
 * The outbox is empty most of the time. It fills where a paste is longer than what a peer's queue
 * takes at once (node_input_should_wait), and keeps what is typed meanwhile in order behind it. */
#include "face/terminal.h"

#include "base/text.h"

#include <string.h>

enum {
    LINES_A_TURN = 256,
    /* A whole paste, and a little more: then the keyboard waits. */
    OUTBOX_MAX_BYTES = PASTE_MAX_BYTES + 64 * 1024,
    KEY_CTRL_D = 'D' - '@',
    KEY_CTRL_G = 'G' - '@',
};

/* ---- outbox ---- */

static void on_node_ready(void *context)
{
    terminal_wake(context);
}

static bool outbox_empty(const Terminal *terminal)
{
    return terminal->outbox_sent >= terminal->outbox.len;
}

bool terminal_outbox_full(const Terminal *terminal)
{
    return terminal->outbox.len - terminal->outbox_sent > OUTBOX_MAX_BYTES;
}

bool terminal_send(Terminal *terminal)
{
    for (int i = 0; i < LINES_A_TURN && !outbox_empty(terminal); i++) {
        if (node_input_should_wait(terminal->node, on_node_ready, terminal)) {
            return false;
        }
        const char *line = terminal->outbox.text + terminal->outbox_sent;
        size_t len = strcspn(line, "\n");
        AUTO_FREE char *copy = mem_copy_text(line, len);
        terminal->outbox_sent += len + 1;
        node_line(terminal->node, copy, len);
    }
    if (outbox_empty(terminal)) {
        strbuf_clear(&terminal->outbox);
        terminal->outbox_sent = 0;
        return false;
    }
    return true;
}

/* ---- lines typed ---- */

static bool too_long(const char *line, size_t len)
{
    bool escaped = line[0] == '/' && line[1] == '/';
    return len - (escaped ? 1 : 0) > MESSAGE_CONTENT_MAX_BYTES;
}

static bool on_line(void *context, const char *line)
{
    Terminal *terminal = context;
    size_t len = strlen(line);
    terminal->dirty = true;
    if (!outbox_empty(terminal)) {
        strbuf_add(&terminal->outbox, line, len);
        strbuf_add_char(&terminal->outbox, '\n');
        return true;
    }
    node_line(terminal->node, line, len);
    return !too_long(line, len); /* it was refused: whoever wrote so much may want to cut it */
}

static void on_end(void *context)
{
    Terminal *terminal = context;
    node_leave(terminal->node);
}

static void on_matches(void *context, const char *matches)
{
    terminal_note(context, NOTICE_INFO, matches);
}

static const char *name_at(void *context, size_t index)
{
    const Terminal *terminal = context;
    return node_recent_name(terminal->node, index);
}

const LineEditorEvents TERMINAL_EDITOR_EVENTS = {
    .on_line = on_line,
    .on_end = on_end,
    .on_matches = on_matches,
    .name_at = name_at,
};

/* ---- pastes ---- */

/* Adds the lines of text, each with "\n", without the empty ones; counts them. */
static size_t add_lines(StrBuf *out, const char *text, size_t len)
{
    size_t count = 0;
    size_t start = 0;
    for (size_t at = 0; at <= len; at++) {
        if (at < len && text[at] != '\n' && text[at] != '\r') {
            continue;
        }
        if (at > start) {
            strbuf_add(out, text + start, at - start);
            strbuf_add_char(out, '\n');
            count++;
        }
        start = at + 1;
    }
    return count;
}

/* One line goes where the cursor is, as it will be shown; tabs may stay. */
static void insert_line(const char *line, size_t len)
{
    AUTO_STRBUF StrBuf safe = {0};
    for (size_t at = 0; at < len;) {
        const char *tab = memchr(line + at, '\t', len - at);
        size_t end = tab != NULL ? (size_t)(tab - line) : len;
        text_sanitise(&safe, line + at, end - at);
        if (tab != NULL) {
            strbuf_add_char(&safe, '\t');
            end++;
        }
        at = end;
    }
    line_editor_insert(strbuf_text(&safe));
}

static void take_paste(Terminal *terminal, const char *text, size_t len)
{
    AUTO_STRBUF StrBuf lines = {0};
    size_t count = add_lines(&lines, text, len);
    if (count == 1 && terminal->pasted_count == 0) {
        insert_line(lines.text, lines.len - 1);
    } else if (count > 0) {
        strbuf_add(&terminal->pasted, lines.text, lines.len);
        terminal->pasted_count += count;
    }
}

/* What was typed around the paste belongs to its first and its last line. */
static void send_paste(Terminal *terminal)
{
    LineToDraw typed = line_editor_line("");
    strbuf_add(&terminal->outbox, typed.text, typed.cursor);
    strbuf_add(&terminal->outbox, terminal->pasted.text, terminal->pasted.len);
    if (typed.cursor < typed.len) {
        terminal->outbox.len--; /* its "\n" */
        strbuf_add(&terminal->outbox, typed.text + typed.cursor, typed.len - typed.cursor);
        strbuf_add_char(&terminal->outbox, '\n');
    }
    line_editor_clear();
}

static void take_answer(Terminal *terminal, char key)
{
    bool yes = key == 'y' || key == 'Y';
    bool no = key == 'n' || key == 'N' || key == KEY_CTRL_D || key == KEY_CTRL_G;
    if (!yes && !no) {
        return;
    }
    if (yes) {
        send_paste(terminal);
    } else {
        terminal_note(terminal, NOTICE_INFO, "the pasted lines were not sent");
    }
    strbuf_clear(&terminal->pasted);
    terminal->pasted_count = 0;
}

LineToDraw terminal_line(Terminal *terminal, StrBuf *question)
{
    if (terminal->pasted_count == 0) {
        return line_editor_line(strbuf_text(&terminal->prompt_text));
    }
    strbuf_addf(question, "send these %zu lines? y/n ", terminal->pasted_count);
    return (LineToDraw){.prompt = question->text, .text = ""};
}

/* ---- keys ---- */

static void take_typed(Terminal *terminal, const char *keys, size_t len)
{
    while (len > 0 && terminal->pasted_count > 0) {
        take_answer(terminal, *keys);
        keys++;
        len--;
    }
    line_editor_feed(keys, len);
}

static void on_keys(void *context, const char *data, size_t len)
{
    Terminal *terminal = context;
    keys_add(&terminal->keys, data, len);
    const char *text = NULL;
    size_t text_len = 0;
    for (;;) {
        KeysKind kind = keys_next(&terminal->keys, &text, &text_len);
        if (kind == KEYS_NONE || terminal->closing) {
            break;
        }
        if (kind == KEYS_TYPED) {
            take_typed(terminal, text, text_len);
        } else if (kind == KEYS_PASTED) {
            take_paste(terminal, text, text_len);
        } else {
            terminal_note(
                terminal, NOTICE_ERROR,
                "the pasted text is longer than 1 MiB and was not taken: send it in parts");
        }
    }
    terminal->dirty = true;
    terminal_wake(terminal);
}

static void on_keys_end(void *context, int error)
{
    (void)error; /* EIO: the terminal hung up. There is nobody to tell */
    on_end(context);
}

const ReaderEvents TERMINAL_READER_EVENTS = {.on_data = on_keys, .on_end = on_keys_end};
