/* What the core wants to know of the store: runs of events for peers that are behind, and the
 * answers to a person's questions.
 *
 *   ACTION_READ  --> store_read_run  --> EVENT_READ_DONE
 *   ACTION_QUERY --> store_read_page, store_search, ... --> EVENT_ANSWER
 *
 * What is not there any more is answered with no events. A read that the store cannot take, or
 * that fails, is tried again after a moment: the core is told of what came, not of trouble that
 * passes. */
#pragma once

#include "core/core.h"
#include "io/store.h"

typedef struct LogReader LogReader;

typedef struct LogReaderOptions {
    Loop *loop;
    Store *store;
    void (*report)(void *context, Event *event);
    void *context;
} LogReaderOptions;

LogReader *log_reader_new(const LogReaderOptions *options);
/* Once the store is closed. The loop frees it. NULL is fine. */
void log_reader_free(LogReader *reader);

void log_reader_read(LogReader *reader, const Action *action);
void log_reader_query(LogReader *reader, const Query *query);
