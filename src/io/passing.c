/* The journal and the feed, joined. */
#include "io/passing.h"

enum {
    /* Of as many readers, a round of writes takes longer than a commit. */
    GATHER_READERS = 32,
    GATHER_MS = 5, /* a disk may stand still */
};

struct Passing {
    Journal *journal;
    Feed *feed;
    uv_timer_t timer;
    bool gathers; /* subscribers are not woken yet: more comes from the disk */
};

static void passing_release(void *context, uint64_t position, Message *message)
{
    Passing *passing = context;
    feed_add(passing->feed, position, message);
}

Passing *passing_new(Loop *loop, Store *store)
{
    Passing *passing = mem_new(Passing);
    uint64_t position = store_position(store);
    passing->journal = journal_new(position, passing_release, passing);
    passing->feed = feed_new(store, position);
    uv_timer_init(loop_uv(loop), &passing->timer);
    passing->timer.data = passing;
    return passing;
}

static void passing_closed(uv_handle_t *timer)
{
    mem_free(timer->data);
}

void passing_free(Passing *passing)
{
    if (passing == NULL) {
        return;
    }
    journal_free(passing->journal);
    feed_free(passing->feed);
    uv_close((uv_handle_t *)&passing->timer, passing_closed);
}

Feed *passing_feed(Passing *passing)
{
    return passing->feed;
}

/* Own events have had their place since they went to the disk. */
void passing_take(Passing *passing, const Action *action)
{
    if (action->own) {
        journal_own(passing->journal, action->message);
    } else {
        journal_pass(passing->journal, &action->stream, action->from, action->message);
    }
}

bool passing_waits(const Passing *passing)
{
    return journal_waits(passing->journal);
}

JournalShare passing_share(Passing *passing, size_t own_count)
{
    return journal_take(passing->journal, own_count);
}

void passing_durable(Passing *passing, uint64_t position)
{
    journal_durable(passing->journal, position);
}

static void passing_wake(uv_timer_t *timer)
{
    Passing *passing = timer->data;
    passing->gathers = false;
    uv_timer_stop(timer);
    feed_flush(passing->feed);
}

void passing_settled(Passing *passing, bool more)
{
    journal_settle(passing->journal);
    if (more && !passing->gathers && feed_readers(passing->feed) >= GATHER_READERS) {
        passing->gathers = true;
        uv_timer_start(&passing->timer, passing_wake, GATHER_MS, 0);
    } else {
        passing_wake(&passing->timer);
    }
}
