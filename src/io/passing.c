/* The journal and the feed, joined. */
#include "io/passing.h"

struct Passing {
    Journal *journal;
    Feed *feed;
};

static void passing_release(void *context, uint64_t position, Message *message)
{
    Passing *passing = context;
    feed_add(passing->feed, position, message);
}

Passing *passing_new(Store *store)
{
    Passing *passing = mem_new(Passing);
    uint64_t position = store_position(store);
    passing->journal = journal_new(position, passing_release, passing);
    passing->feed = feed_new(store, position);
    return passing;
}

void passing_free(Passing *passing)
{
    if (passing == NULL) {
        return;
    }
    journal_free(passing->journal);
    feed_free(passing->feed);
    mem_free(passing);
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

void passing_settled(Passing *passing)
{
    journal_settle(passing->journal);
    feed_flush(passing->feed);
}
