/* The log's lines go to standard error, one write(2) each, so that lines of several threads and
 * processes do not mix.
 *
 *   any thread -> format -> sanitise -> [mutex] -> sink, or write(2)
 *
 * Logging never blocks: where nobody reads standard error (a pager that was stopped, a terminal
 * after Ctrl-S) the line is dropped, and the next one that gets through says how many were. */
#include "base/log.h"

#include "base/strbuf.h"
#include "base/text.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* At most what a pipe that poll calls writable takes without blocking: PIPE_BUF, pipe(7). */
enum { LOG_LINE_MAX_BYTES = 4096 };

static const char *const LEVEL_NAMES[] = {"error", "warning", "info", "debug"};

static atomic_int log_level = LOG_WARNING;
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static LogSink log_sink;      /* under log_mutex */
static void *log_context;     /* under log_mutex */
static unsigned long dropped; /* lines; under log_mutex */

void log_set_level(LogLevel level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

bool log_enabled(LogLevel level)
{
    return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

bool log_level_parse(const char *name, LogLevel *ret_level)
{
    for (size_t i = 0; i < sizeof(LEVEL_NAMES) / sizeof(LEVEL_NAMES[0]); i++) {
        if (strcmp(name, LEVEL_NAMES[i]) == 0) {
            *ret_level = (LogLevel)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(LogLevel level)
{
    return LEVEL_NAMES[level];
}

void log_set_sink(LogSink sink, void *context)
{
    /* Once this returns, the old sink is not being called and will not be. */
    pthread_mutex_lock(&log_mutex);
    log_sink = sink;
    log_context = context;
    pthread_mutex_unlock(&log_mutex);
}

static void add_time(StrBuf *out)
{
    struct timespec now;
    struct tm local;
    char text[sizeof("2026-11-22 16:00:00")];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
    strbuf_addf(out, "%s.%03d", text, (int)(now.tv_nsec / 1000000));
}

/* Under log_mutex. */
static void write_line(LogLevel level, const char *text)
{
    AUTO_STRBUF StrBuf line = {0};
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&ready, 1, 0) == 0) {
        dropped++;
        return;
    }
    add_time(&line);
    strbuf_addf(&line, " %s: ", log_level_name(level));
    if (dropped > 0) {
        strbuf_addf(&line, "(%lu lines before were dropped: nobody read them) ", dropped);
        dropped = 0;
    }
    strbuf_add_string(&line, text);
    if (line.len >= LOG_LINE_MAX_BYTES) {
        line.len = LOG_LINE_MAX_BYTES - 1;
    }
    strbuf_add_char(&line, '\n');
    /* Where even this fails there is nobody left to tell. */
    ssize_t written = write(STDERR_FILENO, line.text, line.len);
    (void)written;
}

void log_write(LogLevel level, const char *format, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    AUTO_STRBUF StrBuf raw = {0};
    AUTO_STRBUF StrBuf safe = {0};
    va_list args;
    va_start(args, format);
    strbuf_vaddf(&raw, format, args);
    va_end(args);
    text_sanitise(&safe, strbuf_text(&raw), raw.len);

    pthread_mutex_lock(&log_mutex);
    if (log_sink != NULL) {
        log_sink(log_context, level, strbuf_text(&safe));
    } else {
        write_line(level, strbuf_text(&safe));
    }
    pthread_mutex_unlock(&log_mutex);
}
