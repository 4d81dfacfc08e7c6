/* A queue of frames, mostly empty. */
#include "io/pace.h"

#include <string.h>
#include <utlist.h>

enum { LOOK_EVERY_MS = 5 };

typedef struct Frame {
    size_t mesh;
    Bytes *bytes;
    struct Frame *prev;
    struct Frame *next;
} Frame;

struct Pace {
    PaceOptions options;
    Frame *frames;
    size_t bytes;
    uv_timer_t timer;
    bool behind;
    uint64_t cursor; /* of the face, while it is behind; and when it last moved */
    uint64_t moved_ms;
};

Pace *pace_new(const PaceOptions *options)
{
    Pace *pace = mem_new(Pace);
    pace->options = *options;
    uv_timer_init(loop_uv(options->loop), &pace->timer);
    pace->timer.data = pace;
    return pace;
}

static void frame_free(Pace *pace, Frame *frame)
{
    DL_DELETE(pace->frames, frame);
    pace->bytes -= bytes_len(frame->bytes);
    bytes_unref(frame->bytes);
    mem_free(frame);
}

static void pace_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void pace_free(Pace *pace)
{
    if (pace == NULL) {
        return;
    }
    while (pace->frames != NULL) {
        frame_free(pace, pace->frames);
    }
    uv_close((uv_handle_t *)&pace->timer, pace_closed);
}

static bool must_wait(Pace *pace)
{
    uint64_t cursor = 0;
    bool was_behind = pace->behind;
    pace->behind = bus_paced_pending(pace->options.bus, &cursor) >= PACE_ITEMS;
    if (!pace->behind || pace->bytes > PACE_MAX_BYTES) {
        return false;
    }
    uint64_t now_ms = loop_mono_ms();
    if (!was_behind || cursor != pace->cursor) {
        pace->cursor = cursor;
        pace->moved_ms = now_ms;
    }
    return now_ms < pace->moved_ms + PACE_STALLED_MS;
}

static void pace_look(uv_timer_t *timer)
{
    Pace *pace = timer->data;
    while (pace->frames != NULL && !must_wait(pace)) {
        Frame *frame = pace->frames;
        Bytes *bytes = bytes_ref(frame->bytes);
        size_t mesh = frame->mesh;
        frame_free(pace, frame);
        pace->options.deliver(pace->options.context, mesh, bytes_data(bytes), bytes_len(bytes));
        bytes_unref(bytes);
    }
    if (pace->frames == NULL) {
        uv_timer_stop(timer);
    }
}

void pace_take(Pace *pace, size_t mesh, const uint8_t *data, size_t len)
{
    if (pace->frames == NULL && !must_wait(pace)) {
        pace->options.deliver(pace->options.context, mesh, data, len);
        return;
    }
    Frame *frame = mem_new(Frame);
    frame->mesh = mesh;
    frame->bytes = bytes_new(data, len);
    DL_APPEND(pace->frames, frame);
    pace->bytes += len;
    if (!uv_is_active((uv_handle_t *)&pace->timer)) {
        uv_timer_start(&pace->timer, pace_look, LOOK_EVERY_MS, LOOK_EVERY_MS);
    }
}

void pace_forget(Pace *pace, size_t mesh)
{
    Frame *frame;
    Frame *next;
    DL_FOREACH_SAFE(pace->frames, frame, next) {
        if (frame->mesh == mesh) {
            frame_free(pace, frame);
        }
    }
}
