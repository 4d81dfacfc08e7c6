/* The ring of what is shown, and the followers' cursors. */
#include "io/bus.h"

#include <string.h>
#include <utlist.h>

enum { HELD_MAX_ITEMS = 256 };

struct Bus {
    BusItem items[BUS_MAX_ITEMS];
    uint64_t oldest; /* positions, counting from 0 for ever */
    uint64_t head;   /* of the next item */
    size_t bytes;
    bool held;
    uint64_t woken; /* the head when followers were woken last */
    Follower *waiting;
    Follower *reading;
    Follower *paced;
};

static BusItem *bus_item(Bus *bus, uint64_t position)
{
    return &bus->items[position % BUS_MAX_ITEMS];
}

static size_t item_cost(const BusItem *item)
{
    size_t cost = sizeof(*item);
    if (item->message != NULL) {
        /* The text, and its encoded form beside it. */
        cost += 2 * (item->message->content_len + strlen(item->message->sender));
    }
    return item->text != NULL ? cost + strlen(item->text) : cost;
}

static void bus_drop_oldest(Bus *bus)
{
    BusItem *item = bus_item(bus, bus->oldest++);
    bus->bytes -= item_cost(item);
    message_unref(item->message);
    mem_free(item->text);
    *item = (BusItem){0};
}

Bus *bus_new(void)
{
    return mem_new(Bus);
}

void bus_free(Bus *bus)
{
    if (bus == NULL) {
        return;
    }
    while (bus->oldest < bus->head) {
        bus_drop_oldest(bus);
    }
    mem_free(bus);
}

/* The list is in order of waiting: who has read everything again stands behind those who have
 * not been woken yet. */
static void bus_wake(Bus *bus)
{
    bus->woken = bus->head;
    while (bus->waiting != NULL && bus->waiting->cursor < bus->head) {
        Follower *follower = bus->waiting;
        DL_DELETE2(bus->waiting, follower, prev, next);
        follower->waiting = false;
        DL_APPEND2(bus->reading, follower, prev, next);
        follower->wake(follower);
    }
}

static void bus_publish(Bus *bus, BusItem item)
{
    size_t cost = item_cost(&item);
    while (bus->head > bus->oldest &&
           (bus->head - bus->oldest >= BUS_MAX_ITEMS || bus->bytes + cost > BUS_MAX_BYTES)) {
        bus_drop_oldest(bus);
    }
    *bus_item(bus, bus->head++) = item;
    bus->bytes += cost;
    if (!bus->held || bus->head - bus->woken >= HELD_MAX_ITEMS) {
        bus_wake(bus);
    }
}

void bus_hold(Bus *bus, bool held)
{
    bus->held = held;
    if (!held) {
        bus_wake(bus);
    }
}

void bus_show(Bus *bus, Message *message, int64_t wall_ms)
{
    bus_publish(bus, (BusItem){
                         .kind = BUS_MESSAGE,
                         .message = message_ref(message),
                         .wall_ms = wall_ms,
                     });
}

void bus_notice(Bus *bus, NoticeLevel level, const char *text, int64_t wall_ms)
{
    bus_publish(bus, (BusItem){
                         .kind = BUS_NOTICE,
                         .level = level,
                         .text = mem_copy_string(text),
                         .wall_ms = wall_ms,
                     });
}

void bus_list(Bus *bus, int64_t wall_ms)
{
    bus_publish(bus, (BusItem){.kind = BUS_LIST, .wall_ms = wall_ms});
}

void bus_history(Bus *bus, Message *message, Kept kept, const char *snippet, int64_t wall_ms)
{
    bus_publish(bus, (BusItem){
                         .kind = BUS_HISTORY,
                         .message = message_ref(message),
                         .kept = kept,
                         .text = snippet != NULL ? mem_copy_string(snippet) : NULL,
                         .wall_ms = wall_ms,
                     });
}

void bus_kept(Bus *bus, Message *message, Kept kept, int64_t wall_ms)
{
    bus_publish(bus, (BusItem){
                         .kind = BUS_KEPT,
                         .message = message_ref(message),
                         .kept = kept,
                         .wall_ms = wall_ms,
                     });
}

void bus_follow(Bus *bus, Follower *follower)
{
    if (follower->paced) {
        bus->paced = follower;
    }
    follower->cursor = bus->head;
    follower->waiting = true;
    DL_APPEND2(bus->waiting, follower, prev, next);
}

void bus_unfollow(Bus *bus, Follower *follower)
{
    if (bus->paced == follower) {
        bus->paced = NULL;
    }
    if (follower->waiting) {
        DL_DELETE2(bus->waiting, follower, prev, next);
    } else {
        DL_DELETE2(bus->reading, follower, prev, next);
    }
    follower->next = NULL;
    follower->prev = NULL;
}

Err bus_next(Bus *bus, Follower *follower, const BusItem **ret_item, uint64_t *ret_lost)
{
    if (follower->cursor < bus->oldest) {
        *ret_lost = bus->oldest - follower->cursor;
        follower->cursor = bus->oldest;
        return ERR_GONE;
    }
    if (follower->cursor < bus->head) {
        *ret_item = bus_item(bus, follower->cursor++);
        return ERR_OK;
    }
    if (!follower->waiting) {
        DL_DELETE2(bus->reading, follower, prev, next);
        follower->waiting = true;
        DL_APPEND2(bus->waiting, follower, prev, next);
    }
    *ret_item = NULL;
    return ERR_OK;
}

uint64_t bus_pending(const Bus *bus, const Follower *follower)
{
    return bus->head - follower->cursor;
}

uint64_t bus_paced_pending(const Bus *bus, uint64_t *ret_cursor)
{
    *ret_cursor = bus->paced != NULL ? bus->paced->cursor : bus->head;
    return bus->head - *ret_cursor;
}

bool bus_item_is_public(const BusItem *item)
{
    return item->kind == BUS_MESSAGE && item->message->kind <= MESSAGE_ACTION &&
           message_is_in_lobby(item->message);
}

bool bus_has_public(const Bus *bus, const Follower *follower)
{
    return follower->cursor >= bus->oldest && follower->cursor < bus->head &&
           bus_item_is_public(&bus->items[follower->cursor % BUS_MAX_ITEMS]);
}
