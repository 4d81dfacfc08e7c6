/* Events from anybody. What decodes must be whole: every field within its cap, and encode the same
 * way where it is said again. */
#include "core/event.h"
#include "fuzz.h"

#include <stdlib.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Bytes *bytes = bytes_new(data, size);
    LogEvent *event = NULL;
    const char *reason = NULL;
    if (event_decode(bytes, NULL, &event, &reason) == ERR_OK) {
        const EventFields *fields = &event->fields;
        if (fields->room_len > EVENT_ROOM_MAX_BYTES || fields->body_len > EVENT_BODY_MAX_BYTES ||
            fields->after_count > EVENT_AFTER_MAX || fields->seq == 0) {
            abort();
        }
        LogEvent *again = event_new(fields);
        if (event_compare(&again->fields, fields) != 0) {
            abort();
        }
        event_unref(again);
        event_unref(event);
    } else if (reason == NULL) {
        abort();
    }
    bytes_unref(bytes);
    return 0;
}
