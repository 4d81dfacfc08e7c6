/* readline's callback interface, with every door to the outside closed.
 *
 * rl_getc_function takes keys from memory; where readline wants one more than there is (it was
 * asked to quote a character, say, by a key binding that reads on), it gets NUL, then ^G, which
 * ends whatever it is at: it never blocks. Its output goes to /dev/null; the line is drawn from
 * rl_line_buffer. */
#include "face/line_editor.h"

#include "base/mem.h"
#include "core/command.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <readline/history.h>
#include <readline/readline.h>

enum { KEY_ABORT = 'G' - '@' };

/* Ours changes while a line is typed, and readline, told so, would drop what it is asking. */
static const char NO_PROMPT[] = "";

static struct {
    const LineEditorEvents *events;
    void *context;
    FILE *nowhere;
    const char *keys; /* being fed */
    size_t left;
    bool starved;
    char *kept; /* a line that was not taken */
    size_t next_command;
    size_t next_name;
    bool line_start; /* of the word being completed */
} editor;

static int editor_getc(FILE *stream)
{
    (void)stream;
    if (editor.left == 0) {
        int key = editor.starved ? KEY_ABORT : 0;
        editor.starved = true;
        return key;
    }
    editor.left--;
    return (unsigned char)*editor.keys++;
}

static int editor_keys_wait(void)
{
    return editor.left > 0;
}

static void editor_no_redisplay(void)
{
    /* Drawn once for all keys that were fed. */
}

static void editor_no_prepare(int meta_flag)
{
    (void)meta_flag;
}

static void editor_no_restore(void)
{
}

/* ---- completion ---- */

static char *next_command(const char *text, int state)
{
    if (state == 0) {
        editor.next_command = 0;
    }
    while (editor.next_command < COMMANDS_COUNT) {
        const char *name = COMMANDS[editor.next_command++].name;
        if (strncmp(name, text, strlen(text)) == 0) {
            return mem_copy_string(name);
        }
    }
    return NULL;
}

static char *next_name(const char *text, int state)
{
    if (state == 0) {
        editor.next_name = 0;
    }
    const char *name = NULL;
    while ((name = editor.events->name_at(editor.context, editor.next_name++)) != NULL) {
        if (strncasecmp(name, text, strlen(text)) == 0) {
            return strbuf_format("%s%s", name, editor.line_start ? ":" : "");
        }
    }
    return NULL;
}

static char **editor_complete(const char *text, int start, int end)
{
    (void)end;
    rl_attempted_completion_over = 1; /* no file names */
    editor.line_start = start == 0;
    bool command = start == 0 && text[0] == '/';
    return rl_completion_matches(text, command ? next_command : next_name);
}

static void editor_show_matches(char **matches, int count, int longest)
{
    (void)longest;
    AUTO_STRBUF StrBuf text = {0};
    for (int i = 1; i <= count; i++) { /* the first is what they have in common */
        strbuf_addf(&text, "%s%s", i > 1 ? "  " : "", matches[i]);
    }
    editor.events->on_matches(editor.context, strbuf_text(&text));
}

/* ---- lines ---- */

static void remember(const char *line)
{
    HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (last == NULL || strcmp(last->line, line) != 0) {
        add_history(line);
    }
}

static void editor_take(char *line)
{
    if (line == NULL) {
        editor.events->on_end(editor.context);
        return;
    }
    if (line[0] == '\0') {
        free(line);
        return;
    }
    if (editor.events->on_line(editor.context, line)) {
        remember(line);
        free(line);
    } else {
        free(editor.kept);
        editor.kept = line;
    }
}

static void close_doors(void)
{
    editor.nowhere = fopen("/dev/null", "we");
    if (editor.nowhere == NULL) {
        fprintf(stderr, "chat_node: /dev/null cannot be opened\n");
        abort();
    }
    rl_instream = stdin; /* not read: see editor_getc */
    rl_outstream = editor.nowhere;
    rl_getc_function = editor_getc;
    rl_input_available_hook = editor_keys_wait;
    rl_redisplay_function = editor_no_redisplay;
    rl_prep_term_function = editor_no_prepare;
    rl_deprep_term_function = editor_no_restore;
    rl_catch_signals = 0;
    rl_catch_sigwinch = 0;
    rl_change_environment = 0; /* setenv is not for programs with threads */
}

/* What ~/.inputrc may say otherwise, and must not here: to ask or to page reads keys at once, and
 * the bell goes to standard error. */
static void close_settings(void)
{
    rl_variable_bind("bell-style", "none");
    rl_variable_bind("page-completions", "off");
    rl_variable_bind("show-all-if-ambiguous", "on");
    rl_variable_bind("completion-ignore-case", "on");
    rl_variable_bind("echo-control-characters", "off");
    rl_completion_query_items = 0;
    rl_sort_completion_matches = 0; /* names: who spoke last comes first */
}

/* What keyboards send, whatever TERM and its entry say; ~/.inputrc goes before. */
static void bind_keys(void)
{
    static const struct {
        const char *keys;
        rl_command_func_t *function;
    } rows[] = {
        {"\\e[H", rl_beg_of_line},     {"\\eOH", rl_beg_of_line},      {"\\e[1~", rl_beg_of_line},
        {"\\e[7~", rl_beg_of_line},    {"\\e[F", rl_end_of_line},      {"\\eOF", rl_end_of_line},
        {"\\e[4~", rl_end_of_line},    {"\\e[8~", rl_end_of_line},     {"\\e[3~", rl_delete},
        {"\\e[1;5C", rl_forward_word}, {"\\e[1;5D", rl_backward_word}, {"\\e[5C", rl_forward_word},
        {"\\e[5D", rl_backward_word},  {"\\eOc", rl_forward_word},     {"\\eOd", rl_backward_word},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rl_bind_keyseq_if_unbound(rows[i].keys, rows[i].function);
    }
}

void line_editor_open(const LineEditorEvents *events, void *context)
{
    editor.events = events;
    editor.context = context;
    close_doors();
    rl_readline_name = "chat_node";
    rl_attempted_completion_function = editor_complete;
    rl_completion_display_matches_hook = editor_show_matches;
    rl_completer_word_break_characters = " \t";
    rl_initialize();
    rl_tty_set_echoing(1);
    close_settings();
    bind_keys();
    using_history();
    stifle_history(LINE_EDITOR_HISTORY_LINES);
    rl_callback_handler_install(NO_PROMPT, editor_take);
}

void line_editor_close(void)
{
    rl_callback_handler_remove();
    rl_clear_history();
    rl_outstream = NULL;
    fclose(editor.nowhere);
    free(editor.kept);
    memset(&editor, 0, sizeof(editor));
}

void line_editor_feed(const char *keys, size_t len)
{
    editor.keys = keys;
    editor.left = len;
    while (editor.left > 0) {
        editor.starved = false;
        rl_callback_read_char();
        if (editor.kept != NULL) {
            rl_insert_text(editor.kept);
            free(TAKE(editor.kept));
        }
    }
}

void line_editor_insert(const char *text)
{
    rl_insert_text(text);
}

void line_editor_clear(void)
{
    rl_replace_line("", 1);
    rl_point = 0;
    rl_mark = 0;
}

LineToDraw line_editor_line(const char *prompt)
{
    bool asks = rl_display_prompt != NULL && strcmp(rl_display_prompt, NO_PROMPT) != 0;
    return (LineToDraw){
        .prompt = asks ? rl_display_prompt : prompt,
        .text = rl_line_buffer,
        .len = (size_t)rl_end,
        .cursor = (size_t)rl_point,
    };
}
