/* The log to a file and back. What happened is said in words, on standard output. */
#include "face/tool_impl.h"

#include "base/text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void add_size(StrBuf *out, int64_t bytes)
{
    static const int64_t kib = 1024;
    if (bytes < kib * kib) {
        strbuf_addf(out, "%lld KiB", (long long)((bytes + kib - 1) / kib));
    } else {
        strbuf_addf(out, "%.1f MiB", (double)bytes / (double)(kib * kib));
    }
}

static void on_backup(void *context, Err err, const char *text)
{
    Tool *tool = context;
    if (tool->closing) {
        tool_note(tool, "given up: %s is not there", tool->options.file);
        return;
    }
    if (err != ERR_OK) {
        tool_fail(tool, "%s", text);
        return;
    }
    AUTO_STRBUF StrBuf said = {0};
    struct stat status;
    strbuf_addf(&said, "copied the log in %s to %s", tool->directory, tool->options.file);
    if (stat(tool->options.file, &status) == 0) {
        strbuf_add_string(&said, " (");
        add_size(&said, status.st_size);
        strbuf_add_string(&said, ")");
    }
    strbuf_add_string(&said, "; the node's identity is not in it");
    text_sanitise(&tool->out, said.text, said.len);
    strbuf_add_char(&tool->out, '\n');
    tool_end(tool);
}

void tool_backup(Tool *tool)
{
    const char *file = tool->options.file;
    struct stat status;
    if (lstat(file, &status) == 0) { /* the store would find out after the copying */
        tool_fail(tool, "%s exists already: name another file, or move it away", file);
        return;
    }
    Err err = store_backup(tool->store, file, on_backup, tool);
    if (err != ERR_OK) {
        tool_fail(tool, "cannot copy the log in %s: %s", tool->directory, err_text(err));
    }
}

/* Nothing else runs in the process, so that it may block; being cut short in the middle would only
 * leave a draft behind. */
void tool_restore(Tool *tool)
{
    const char *file = tool->options.file;
    struct stat status;
    if (stat(file, &status) != 0) {
        tool_fail(tool, "cannot open %s: %s", file, strerror(errno));
        return;
    }
    if (!S_ISREG(status.st_mode)) {
        tool_fail(tool, "%s is not a file", file);
        return;
    }
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    AUTO_FREE char *text = NULL;
    Err err = store_restore(tool->directory, file, &text);
    if (err != ERR_OK) {
        tool_fail(tool, "%s", text);
        return;
    }
    AUTO_STRBUF StrBuf safe = {0};
    text_sanitise(&safe, text, strlen(text));
    printf("%s\n", strbuf_text(&safe));
}
