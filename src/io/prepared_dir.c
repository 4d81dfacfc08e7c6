/* The store does all of it: lock, identity, log. */
#include "io/prepared_dir.h"

#include "base/strbuf.h"
#include "io/network_dir.h"
#include "io/store.h"

struct PreparedDir {
    Loop *loop;
    Store *store;
};

static Err refuse(const char *directory, const char *what, char **ret_error)
{
    *ret_error = strbuf_format("%s %s: name another directory with --data", directory, what);
    return ERR_EXISTS;
}

static Err check_no_network(const char *directory, char **ret_error)
{
    NetworkFile network = {0};
    Err err = network_file_load(directory, &network, ret_error);
    network_file_done(&network);
    if (err == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    return err == ERR_OK ? refuse(directory,
                                  "is a node's of a private network already (chat_node PORT "
                                  "starts it)",
                                  ret_error)
                         : err;
}

static void end_loop(Loop *loop)
{
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
}

static void store_closed(void *context)
{
    loop_stop(context);
}

void prepared_dir_close(PreparedDir *prepared)
{
    store_close(prepared->store, store_closed, prepared->loop);
    loop_run(prepared->loop);
    loop_free(prepared->loop);
    mem_free(prepared);
}

Err prepared_dir_open(const char *directory, PreparedDir **ret_prepared, char **ret_error)
{
    Err err = check_no_network(directory, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    Loop *loop = loop_new();
    Store *store = NULL;
    err = store_open(&(StoreOptions){.directory = directory}, loop, &store, ret_error);
    if (err != ERR_OK) {
        end_loop(loop);
        return err;
    }
    PreparedDir *prepared = mem_new(PreparedDir);
    prepared->loop = loop;
    prepared->store = store;
    size_t streams = 0;
    (void)store_heads(store, &streams);
    if (streams > 0) {
        prepared_dir_close(prepared);
        return refuse(directory,
                      "holds a conversation that was not said in a private network, and would not "
                      "be part of it",
                      ret_error);
    }
    *ret_prepared = prepared;
    return ERR_OK;
}

const uint8_t *prepared_dir_seed(const PreparedDir *prepared)
{
    return store_seed(prepared->store);
}

Loop *prepared_dir_loop(const PreparedDir *prepared)
{
    return prepared->loop;
}
