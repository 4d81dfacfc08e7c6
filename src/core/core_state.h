/* What the parts of the core share. For src/core alone. */
#pragma once

#include "core/classic.h"
#include "core/core.h"
#include "core/seen.h"

enum {
    CORE_NAMES_MAX = 64, /* for completion: who spoke lately */
    /* Lines in flight get this long when a person leaves; all that waits, when a pipe ended. */
    CORE_LEAVE_MS = 1000,
    CORE_DRAIN_MS = 5000,
    /* A classic server answers keepalive pings with "too many pings"; so it is asked instead. */
    CORE_PROBE_MS = 3000,
};

struct Core {
    NodeId node_id;
    char name[MESSAGE_SENDER_MAX_BYTES + 1];
    Link *links;
    size_t links_count;
    Seen *seen;
    ClassicLines *classic_lines;
    uint64_t passed_on; /* numbers the lines this node passes on */
    char *recent_names[CORE_NAMES_MAX];
    size_t recent_count;
    bool told_alone; /* the person knows that nobody is connected */
    bool leaving;
    bool input_ended; /* the exit code counts what was not delivered */
    bool input_failed;
    uint64_t leave_at_ms;
    bool quit;
};

/* One step: what happened, and where to put what is to be done. */
typedef struct Step {
    Core *core;
    const Event *event;
    Actions *actions;
} Step;

Action *step_add(Step *step, ActionKind kind);
[[gnu::format(printf, 3, 4)]] void step_notice(Step *step, NoticeLevel level, const char *format,
                                               ...);

/* core_lines.c: what people and programs say. */
void lines_typed(Step *step);
void lines_received(Step *step);
void lines_remember_name(Core *core, const char *name);

/* core_links.c: the other nodes. */
void links_start(Step *step);
void links_answered(Step *step);
void links_down(Step *step);
void links_delivered(Step *step);
void links_refused(Step *step);
void links_timer(Step *step);
void links_retry(Step *step);
/* Queues message for every peer that should get it, and sends where that can be. */
void links_pass_on(Step *step, Message *message);
/* The next moment at which links_timer has something to do; 0: none. */
uint64_t links_wake_at(const Core *core);
bool link_counts(const Link *link); /* neither this node itself nor a twin */

/* core_leave.c: how a node goes. */
void leave_begin(Step *step, bool input_ended);
/* Ends it, if nothing is left to wait for. */
void leave_check(Step *step);
