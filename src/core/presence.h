#pragma once
#include "core/frame.h"
typedef struct Presences Presences;
enum { PRESENCES_MAX = 1024, PRESENCE_TELL_MS = 20000, PRESENCE_GONE_MS = 60000 };
typedef enum PresenceChange {
    PRESENCE_SAME,
    PRESENCE_CAME,
    PRESENCE_RENAMED,
    PRESENCE_LEFT
} PresenceChange;
Presences *presences_new(const NodeId *own_id, const uint8_t key[EVENT_KEY_BYTES], const char *name,
                         uint64_t first_version);
void presences_free(Presences *presences);
Err presences_hear(Presences *p, const FramePresence *row, uint64_t mono_ms, bool *ret_news,
                   PresenceChange *ret_change, FramePresence *ret_before);
void presences_tell_own(Presences *p, uint64_t mono_ms, FramePresence *ret_row);
void presences_rename(Presences *p, const char *name);
void presences_leave(Presences *p);
bool presences_own_is_due(const Presences *p, uint64_t mono_ms);
bool presences_expire(Presences *p, uint64_t mono_ms, FramePresence *ret_row);
uint64_t presences_wake_at(const Presences *p);
size_t presences_count(const Presences *p);
const FramePresence *presences_at(const Presences *p, size_t index);
