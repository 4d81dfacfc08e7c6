/* Disks: what is on them, and what a crash takes. */
#include "sim_world.h"

DiskStream *disk_find(DiskStream *disk, const StreamId *id)
{
    DiskStream *stream;
    HASH_FIND(hh, disk, id, sizeof(*id), stream);
    return stream;
}

void disk_append(World *world, int at, DiskStream **disk, LogEvent *event)
{
    DiskStream *stream = disk_find(*disk, &event->fields.stream);
    if (stream == NULL) {
        stream = mem_new(DiskStream);
        stream->id = event->fields.stream;
        HASH_ADD(hh, *disk, id, sizeof(stream->id), stream);
    }
    if (event->fields.seq != stream->count + 1) {
        world_fail(world, "node %d stores number %" PRIu64 " of a stream after %zu", at,
                   event->fields.seq, stream->count);
        return;
    }
    if (stream->count == stream->cap) {
        stream->cap = stream->cap > 0 ? stream->cap * 2 : 8;
        stream->events = mem_resize(stream->events, stream->cap, sizeof(LogEvent *));
    }
    stream->events[stream->count++] = event_ref(event);
}

void disk_free(DiskStream **disk)
{
    DiskStream *stream;
    DiskStream *next;
    HASH_ITER(hh, *disk, stream, next) {
        HASH_DEL(*disk, stream);
        for (size_t i = 0; i < stream->count; i++) {
            event_unref(stream->events[i]);
        }
        mem_free(stream->events);
        mem_free(stream);
    }
}

DiskStream *disk_copy(World *world, DiskStream *disk)
{
    DiskStream *copy = NULL;
    DiskStream *stream;
    DiskStream *next;
    HASH_ITER(hh, disk, stream, next) {
        for (size_t i = 0; i < stream->count; i++) {
            disk_append(world, -1, &copy, stream->events[i]);
        }
    }
    return copy;
}

bool disk_holds(DiskStream *disk, const StreamId *id, uint64_t seq)
{
    const DiskStream *stream = disk_find(disk, id);
    return stream != NULL && stream->count >= seq;
}

void proofs_forget(Node *node)
{
    for (size_t i = 0; i < node->proofs_count; i++) {
        bytes_unref(node->proofs[i]);
    }
    node->proofs_count = 0;
}

void pending_add(Node *node, Pending *pending)
{
    Pending **last = &node->pending;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = pending;
}

static void disk_cut(DiskStream **disk, const Pending *cut)
{
    DiskStream *stream = disk_find(*disk, &cut->stream);
    while (stream != NULL && stream->count > cut->hi) {
        event_unref(stream->events[--stream->count]);
    }
    if (stream != NULL && stream->count == 0) {
        HASH_DEL(*disk, stream);
        mem_free(stream->events);
        mem_free(stream);
    }
}

void pending_free(Node *node)
{
    while (node->pending != NULL) {
        Pending *pending = node->pending;
        node->pending = pending->next;
        for (size_t i = 0; i < pending->count; i++) {
            event_unref(pending->events[i]);
        }
        mem_free(pending->events);
        mem_free(pending);
    }
    node->last_ticket = 0;
}

void disk_commit(World *world, int at, uint64_t ticket)
{
    Node *node = &world->nodes[at];
    while (node->pending != NULL && node->pending->ticket <= ticket) {
        Pending *pending = node->pending;
        node->pending = pending->next;
        if (pending->is_cut) {
            disk_cut(&node->disk, pending);
        }
        for (size_t i = 0; i < pending->count; i++) {
            disk_append(world, at, &node->disk, pending->events[i]);
            event_unref(pending->events[i]);
        }
        mem_free(pending->events);
        mem_free(pending);
    }
}
