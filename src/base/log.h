/* The log: what an operator may want to know, for standard error. Not the chat, and not what a
 * person at the terminal must read (that is a notice, see io/bus.h).
 *
 * Any thread may log. Each line is one write. A sink, where one is set, gets the lines instead
 * (the terminal, which must not be written over); it is called on whichever thread logs. */
#pragma once

#include <stdbool.h>

typedef enum LogLevel { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG } LogLevel;

typedef void (*LogSink)(void *context, LogLevel level, const char *line);

/* Default: LOG_WARNING. */
void log_set_level(LogLevel level);
bool log_enabled(LogLevel level);
/* "error", "warning", "info", "debug"; false where name is none of them. */
bool log_level_parse(const char *name, LogLevel *ret_level);
const char *log_level_name(LogLevel level);

/* NULL: back to standard error. Set before other threads log. */
void log_set_sink(LogSink sink, void *context);

[[gnu::format(printf, 2, 3)]] void log_write(LogLevel level, const char *format, ...);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) (log_enabled(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)
