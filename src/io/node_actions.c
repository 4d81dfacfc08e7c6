/* Carries out what the core says. */
#include "io/node_internal.h"

#include "base/log.h"
#include "io/ignored_file.h"

static void node_answer(Action *action)
{
    NodeReceipt *receipt = action->token;
    receipt->done(receipt, action->err, action->message, action->text);
}

/* Own events go into the journal behind all that was passed before them. Others' come there once
 * they have passed the fold. */
static void node_store(Node *node, Action *action)
{
    JournalShare share = {0};
    if (action->own) {
        share = passing_share(node->passing, action->events_count);
    }
    log_writer_add(node->log_writer, action, &share);
}

void node_store_passed(Node *node)
{
    if (passing_waits(node->passing) && node->closed == NULL) {
        JournalShare share = passing_share(node->passing, 0);
        log_writer_add_share(node->log_writer, &share,
                             feed_readers(passing_feed(node->passing)) > 0);
    }
}

static void node_keep_ignored(Node *node, const char *text)
{
    AUTO_FREE char *error = NULL;
    if (ignored_file_write(node->data_dir, text, &error) != ERR_OK) {
        AUTO_STRBUF StrBuf notice = {0};
        strbuf_addf(&notice, "%s. It counts until this node leaves", error);
        node_notice(node, NOTICE_ERROR, notice.text);
    }
}

static void node_reply(const Action *action)
{
    NodeReply *reply = action->token;
    if (action->kind == ACTION_REPLY) {
        reply->line(reply, action->level, action->text);
    } else {
        reply->done(reply, action->err);
    }
}

static void node_tell(Node *node, NodeReply *reply, NoticeLevel level, const char *text,
                      int64_t wall_ms)
{
    if (reply != NULL) {
        reply->line(reply, level, text);
    } else {
        bus_notice(node->bus, level, text, wall_ms);
    }
}

static void node_invite(Node *node, const Action *action, int64_t wall_ms)
{
    AUTO_STRBUF StrBuf text = {0};
    NodeReply *reply = action->token;
    if (node_gate_invite(node->gate, action, &text) != ERR_OK) {
        node_tell(node, reply, NOTICE_ERROR, strbuf_text(&text), wall_ms);
        return;
    }
    node_tell(node, reply, NOTICE_INFO, strbuf_text(&text), wall_ms);
    strbuf_clear(&text);
    strbuf_addf(&text,
                "this line lets in one person, once, within %u h: give it to nobody else. On the "
                "other machine: chat_node join LINE",
                action->hours);
    node_tell(node, reply, NOTICE_INFO, strbuf_text(&text), wall_ms);
}

/* What is for the mesh and the store. */
static void node_do_log(Node *node, Action *action)
{
    switch (action->kind) {
    case ACTION_MESH_OPEN:
        mesh_links_open(node->mesh_links, action->link,
                        node_connection_channel(node->connections[action->link]));
        return;
    case ACTION_MESH_CLOSE:
        pace_forget(node->pace, action->mesh);
        mesh_links_close(node->mesh_links, action->mesh, action->text);
        return;
    case ACTION_FRAME:
        mesh_links_send(node->mesh_links, action->mesh, action->frame);
        return;
    case ACTION_PASSED:
        passing_take(node->passing, action);
        return;
    case ACTION_STORE:
        if (node->closed == NULL) { /* what is left after that was told to be lost */
            node_store(node, action);
        }
        return;
    case ACTION_READ:
        log_reader_read(node->log_reader, action);
        return;
    case ACTION_QUERY:
        log_reader_query(node->log_reader, action->query);
        return;
    case ACTION_CUT:
        log_writer_cut(node->log_writer, &action->stream, action->from);
        return;
    default:
        return;
    }
}

void node_do(Node *node, Action *action, const Event *event, StepResult *result)
{
    NodeConnection *connection =
        action->link < node->connections_count ? node->connections[action->link] : NULL;
    switch (action->kind) {
    case ACTION_SHOW:
        bus_show(node->bus, action->message, event->wall_ms);
        return;
    case ACTION_NOTICE:
        bus_notice(node->bus, action->level, action->text, event->wall_ms);
        return;
    case ACTION_LIST:
        bus_list(node->bus, event->wall_ms);
        return;
    case ACTION_CONNECT:
        node_connection_connect(connection, action->classic, core_name(node->core));
        return;
    case ACTION_DISCONNECT:
        node_connection_disconnect(connection);
        return;
    case ACTION_PROBE:
        node_connection_probe(connection);
        return;
    case ACTION_SEND:
        node_connection_send(connection, action->message);
        return;
    case ACTION_HISTORY:
        bus_history(node->bus, action->message, action->kept, action->text, event->wall_ms);
        return;
    case ACTION_KEPT:
        bus_kept(node->bus, action->message, action->kept, event->wall_ms);
        return;
    case ACTION_IGNORED:
        node_keep_ignored(node, action->text);
        return;
    case ACTION_ACCEPT:
    case ACTION_REJECT:
        node_answer(action);
        return;
    case ACTION_MESH_OPEN:
    case ACTION_MESH_CLOSE:
    case ACTION_FRAME:
    case ACTION_PASSED:
    case ACTION_STORE:
    case ACTION_READ:
    case ACTION_QUERY:
    case ACTION_CUT:
        node_do_log(node, action);
        return;
    case ACTION_LET_IN:
    case ACTION_TURN_AWAY:
    case ACTION_WELCOME:
    case ACTION_CUT_KEY:
    case ACTION_PROOF:
        node_gate_do(node->gate, action);
        return;
    case ACTION_REPLY:
    case ACTION_REPLIED:
        node_reply(action);
        return;
    case ACTION_INVITE:
        node_invite(node, action, event->wall_ms);
        return;
    case ACTION_QUIT:
        result->quit = true;
        result->exit_code = action->exit_code;
        return;
    }
}
