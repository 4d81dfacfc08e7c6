#include "core/presence.h"
#include <stdio.h>
#include <string.h>
struct Presences {
    FramePresence own;
};
Presences *presences_new(const NodeId *own_id, const uint8_t key[EVENT_KEY_BYTES], const char *name,
                         uint64_t first_version)
{
    Presences *p = mem_new(Presences);
    p->own.node_id = *own_id;
    memcpy(p->own.key, key, 32);
    snprintf(p->own.name, sizeof(p->own.name), "%s", name);
    p->own.version = first_version;
    return p;
}
void presences_free(Presences *p)
{
    mem_free(p);
}
Err presences_hear(Presences *p, const FramePresence *row, uint64_t mono_ms, bool *ret_news,
                   PresenceChange *ret_change, FramePresence *ret_before)
{
    (void)p;
    (void)row;
    (void)mono_ms;
    *ret_news = false;
    *ret_change = PRESENCE_SAME;
    memset(ret_before, 0, sizeof(*ret_before));
    return ERR_OK;
}
void presences_tell_own(Presences *p, uint64_t mono_ms, FramePresence *ret_row)
{
    (void)mono_ms;
    p->own.version++;
    *ret_row = p->own;
}
void presences_rename(Presences *p, const char *name)
{
    snprintf(p->own.name, sizeof(p->own.name), "%s", name);
}
void presences_leave(Presences *p)
{
    p->own.gone = true;
}
bool presences_own_is_due(const Presences *p, uint64_t mono_ms)
{
    (void)p;
    (void)mono_ms;
    return false;
}
bool presences_expire(Presences *p, uint64_t mono_ms, FramePresence *ret_row)
{
    (void)p;
    (void)mono_ms;
    (void)ret_row;
    return false;
}
uint64_t presences_wake_at(const Presences *p)
{
    (void)p;
    return 0;
}
size_t presences_count(const Presences *p)
{
    (void)p;
    return 1;
}
const FramePresence *presences_at(const Presences *p, size_t index)
{
    (void)index;
    return &p->own;
}
