/* The program: nodes.json, wiring, shutdown. The only file that sees everything.
 *
 *   face  <-->  node (core, bus, links)  <-->  chat servicer
 *                         loop, rpc
 *
 * It leaves in the opposite order: the face shows its last lines, the servicer ends its streams,
 * the links close, the library stops, the loop runs out of things to do. */
#include "base/log.h"
#include "base/strbuf.h"
#include "face/face.h"
#include "face/network_start.h"
#include "face/qr.h"
#include "face/settings.h"
#include "face/tool.h"
#include "io/chat_servicer.h"
#include "io/listen_socket.h"
#include "io/nodes_json.h"
#include "io/owner_call.h"
#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_USAGE = SETTINGS_EXIT_USAGE, EXIT_IN_USE = 3 };

enum {
    NAME_LINE_MAX_BYTES = 256,
    GATE_OTHERS_MAX = 1024, /* connections of nodes, and of those who have not passed yet */
};

/* Each of them means: leave. */
static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNALS_COUNT = sizeof(SIGNALS) / sizeof(SIGNALS[0]) };

typedef struct App {
    Settings settings;
    NetworkStart network;
    char name[MESSAGE_SENDER_MAX_BYTES + 1];
    NodesJson nodes;
    Loop *loop;
    Rpc *rpc;
    Node *node;
    Authority *authority;
    AuthorityWatcher tokens; /* of a private network */
    ChatServicer *servicer;
    bool serving;
    Face *face;
    uv_signal_t signals[SIGNALS_COUNT];
    uv_timer_t leaving;
    int exit_code;
} App;

/* ---- the name ---- */

static const char *user_name(void)
{
    const char *name = getenv("USER");
    const char *reason = "";
    if (name != NULL && message_check_name(name, strlen(name), &reason) == ERR_OK) {
        return name;
    }
    const struct passwd *entry = getpwuid(getuid());
    return entry != NULL &&
                   message_check_name(entry->pw_name, strlen(entry->pw_name), &reason) == ERR_OK
               ? entry->pw_name
               : "anonymous";
}

/* Asks until the answer is a name, or the terminal is gone. */
static void ask_name(App *app, const char *proposal)
{
    char line[NAME_LINE_MAX_BYTES];
    for (;;) {
        printf("Your name [%s]: ", proposal);
        fflush(stdout);
        if (fgets(line, sizeof(line), stdin) == NULL) {
            printf("\n");
            exit(EXIT_SUCCESS);
        }
        line[strcspn(line, "\r\n")] = '\0';
        const char *name = line[0] != '\0' ? line : proposal;
        const char *reason = "";
        if (message_check_name(name, strlen(name), &reason) == ERR_OK) {
            snprintf(app->name, sizeof(app->name), "%s", name);
            return;
        }
        printf("%s\n", reason);
    }
}

/* One that can move its cursor, that is: lines are enough for the others. */
static bool has_terminal(const Settings *settings)
{
    const char *term = getenv("TERM");
    return !settings->headless && !settings->json && isatty(STDIN_FILENO) &&
           isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

static void choose_name(App *app)
{
    const char *chosen = app->settings.name;
    if (chosen == NULL && network_start_name(&app->settings, app->name)) {
        return;
    }
    if (chosen == NULL && has_terminal(&app->settings)) {
        ask_name(app, user_name());
        return;
    }
    snprintf(app->name, sizeof(app->name), "%s", chosen != NULL ? chosen : user_name());
}

/* ---- leaving ---- */

static void app_rpc_closed(void *context)
{
    App *app = context;
    loop_stop(app->loop);
}

static void app_node_closed(void *context)
{
    App *app = context;
    rpc_close(app->rpc, app_rpc_closed, app);
}

static void app_authority_closed(void *context)
{
    App *app = context;
    node_close(app->node, app_node_closed, app);
}

static void app_servicer_closed(void *context)
{
    App *app = context;
    if (app->network.is_private) {
        authority_unwatch(app->authority, &app->tokens);
    }
    authority_close(app->authority, app_authority_closed, app);
}

static void app_face_closed(void *context)
{
    App *app = context;
    chat_servicer_close(app->servicer, app_servicer_closed, app);
}

static void app_serve(void *context)
{
    App *app = context;
    if (!app->serving) {
        app->serving = true;
        chat_servicer_start(app->servicer);
    }
}

static void app_leave(uv_timer_t *timer)
{
    App *app = timer->data;
    app_serve(app); /* what was never begun does not end in order */
    for (size_t i = 0; i < SIGNALS_COUNT; i++) {
        uv_close((uv_handle_t *)&app->signals[i], NULL);
        /* Leaving is bounded: a second Ctrl-C is not to cut it short. */
        signal(SIGNALS[i], SIG_IGN);
    }
    uv_close((uv_handle_t *)&app->leaving, NULL);
    face_close(app->face, app_face_closed, app);
}

/* The core has decided from deep inside somebody's callback: closing starts from the loop. */
static void app_quit(void *context, int exit_code)
{
    App *app = context;
    app->exit_code = exit_code;
    uv_timer_start(&app->leaving, app_leave, 0, 0);
}

static void app_signal(uv_signal_t *handle, int number)
{
    App *app = handle->data;
    log_info("%s: leaving", strsignal(number));
    node_leave(app->node);
}

/* ---- starting ---- */

static void app_catch_signals(App *app)
{
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < SIGNALS_COUNT; i++) {
        uv_signal_init(loop_uv(app->loop), &app->signals[i]);
        app->signals[i].data = app;
        uv_signal_start(&app->signals[i], app_signal, SIGNALS[i]);
    }
    uv_timer_init(loop_uv(app->loop), &app->leaving);
    app->leaving.data = app;
}

/* One that is closed at the start is given to whoever opens something first, a library before main
 * for instance, and would then be read as the keyboard. (What is marked close-on-exec was not
 * inherited.) So they are filled, and the program starts again. */
static void open_standard_descriptors(char **argv)
{
    bool filled = false;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) {
            continue;
        }
        int null = open("/dev/null", O_RDWR);
        if (null < 0 || dup2(null, fd) != fd) {
            _exit(EXIT_FAILURE); /* there is nowhere to say why */
        }
        filled = true;
    }
    if (filled) {
        execv("/proc/self/exe", argv);
        _exit(EXIT_FAILURE);
    }
}

/* Every client is a descriptor; the usual soft limit of 1,024 is for programs that use
 * select(2). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            log_warning("cannot raise the limit of open files: %s", strerror(errno));
        }
    }
}

/* The line is the answer of `init --no-start`. Where the chat follows on a terminal it stands
 * above it, with its picture; a reader of JSON or lines gets it as a notice (app_greet). */
static void show_invitation(const App *app)
{
    const Settings *settings = &app->settings;
    const char *line = app->network.invitation;
    const char *no_color = getenv("NO_COLOR");
    bool color = !settings->no_color && (no_color == NULL || no_color[0] == '\0');
    if (line == NULL || !(settings->no_start || has_terminal(settings))) {
        return;
    }
    AUTO_STRBUF StrBuf text = {0};
    strbuf_addf(&text, "%s\n", line);
    qr_write_for(&text, line, color, STDOUT_FILENO);
    fputs(text.text, stdout);
    fflush(stdout);
    fprintf(stderr,
            "-- %s was made. The line above invites one person, for 24 hours; on the other "
            "machine: chat_node join LINE\n",
            app->network.network_name);
}

/* Exits with what the documentation promises for err. */
[[gnu::noreturn]] static void fail_listen(Err err, const char *text)
{
    fprintf(stderr, "chat_node: %s\n", text);
    if (err == ERR_IN_USE) {
        exit(EXIT_IN_USE);
    }
    exit(err == ERR_INVALID ? EXIT_USAGE : EXIT_FAILURE);
}

/* All of this machine, of both kinds of IP, unless one address is named. */
static const char *private_address(const Settings *settings)
{
    return settings->listen != NULL ? settings->listen : "0.0.0.0";
}

/* An invitation lets in once: what would keep the node from starting is told before it is used. */
static void try_port(Settings *settings)
{
    if (settings->start == START_NODE || settings->no_start) {
        return;
    }
    settings_check_listen(settings, false);
    int fd = -1;
    char *text = NULL;
    Err err = listen_socket_open(private_address(settings), settings->port, &fd, &text);
    if (err != ERR_OK) {
        fail_listen(err, text);
    }
    close(fd);
}

/* Makes or joins a network where that was asked for; exits where it cannot. */
static void app_start_network(App *app)
{
    AUTO_FREE char *error = NULL;
    try_port(&app->settings);
    Err err = network_start_open(&app->settings, app->name, &app->network, &error);
    if (err != ERR_OK) {
        fprintf(stderr, "chat_node: %s\n", error);
        exit(err == ERR_IN_USE ? EXIT_IN_USE : EXIT_FAILURE);
    }
    show_invitation(app);
    settings_check_listen(&app->settings, !app->network.is_private);
}

static void app_load_nodes(App *app)
{
    const Settings *settings = &app->settings;
    char *error = NULL;
    Err err = nodes_json_load(app->network.nodes_path,
                              &(NodesJsonSelf){.port = settings->port, .listen = settings->listen},
                              &app->nodes, &error);
    if (err != ERR_OK) {
        fprintf(stderr, "chat_node: %s\n", error);
        exit(EXIT_USAGE);
    }
}

/* Exits where the data directory cannot be used. */
static void app_open_node(App *app)
{
    const Settings *settings = &app->settings;
    const NetworkStart *start = &app->network;
    char *error = NULL;
    NodeNetwork network = {.port = settings->port, .listen = settings->listen};
    if (start->is_private) {
        network.genesis = bytes_data(start->network.genesis);
        network.genesis_len = bytes_len(start->network.genesis);
        network.proof = bytes_data(start->network.proof);
        network.proof_len = bytes_len(start->network.proof);
        network.program_pem = start->program_pem;
        network.connections_max = settings->clients_max + GATE_OTHERS_MAX;
    }
    Err err = node_open(app->loop, app->rpc,
                        &(NodeOptions){.name = app->name,
                                       .name_is_default = settings->name == NULL,
                                       .nodes = app->nodes.nodes,
                                       .nodes_count = app->nodes.nodes_count,
                                       .data_dir = app->network.directory,
                                       .recap = has_terminal(settings),
                                       .coalesce_ms = settings->coalesce_ms,
                                       .network = start->is_private ? &network : NULL},
                        app_quit, app, &app->node, &error);
    if (err != ERR_OK) {
        fprintf(stderr, "chat_node: %s\n", error);
        exit(err == ERR_IN_USE ? EXIT_IN_USE : EXIT_FAILURE);
    }
}

/* Who has passed the gate talks to the services like everybody else; they see who it is. */
static void app_entered(void *context, int fd, const GatePeer *peer)
{
    App *app = context;
    RpcPeer known = {
        .kind = peer->kind == GATE_MEMBER ? RPC_PEER_MEMBER : RPC_PEER_PROGRAM,
        .dialled = peer->dialled,
        .gate_id = peer->id,
    };
    memcpy(known.key, peer->key, sizeof(known.key));
    memcpy(known.binding, peer->binding, sizeof(known.binding));
    snprintf(known.address, sizeof(known.address), "%s", peer->address);
    chat_servicer_adopt(app->servicer, fd, &known);
}

static void app_vouch(void *context, uint64_t gate_id)
{
    App *app = context;
    node_vouch(app->node, gate_id);
}

static void app_tokens_changed(AuthorityWatcher *watcher)
{
    App *app = CONTAINER_OF(watcher, App, tokens);
    node_serve_programs(app->node, authority_has_tokens(app->authority));
}

static void app_listen_private(App *app)
{
    const Settings *settings = &app->settings;
    char *text = NULL;
    Err err = node_listen(app->node, private_address(settings), app_entered, app, &text);
    if (err != ERR_OK) {
        fail_listen(err, text);
    }
    if (settings->listen == NULL &&
        node_listen(app->node, "::", app_entered, app, &text) != ERR_OK) {
        log_info("no IPv6 here: %s", text);
        mem_free(text);
    }
    app->tokens.changed = app_tokens_changed;
    authority_watch(app->authority, &app->tokens);
    app_tokens_changed(&app->tokens);
}

static void app_listen(App *app)
{
    const Settings *settings = &app->settings;
    char *text = NULL;
    if (app->network.is_private) {
        app_listen_private(app);
        return;
    }
    const char *address = settings->listen != NULL ? settings->listen : "127.0.0.1";
    Err err = chat_servicer_listen(app->servicer, address, settings->port, &text);
    if (err != ERR_OK) {
        fail_listen(err, text);
    }
    if (settings->listen != NULL) {
        return;
    }
    err = chat_servicer_listen(app->servicer, "::1", settings->port, &text);
    if (err == ERR_INVALID) {
        log_info("no IPv6 here: %s", text); /* a machine without it is no error */
        mem_free(text);
    } else if (err != ERR_OK) {
        fail_listen(err, text);
    }
}

/* A chat is one without it, too: on some file systems there are no sockets. */
static void app_listen_for_owner(App *app)
{
    AUTO_STRBUF StrBuf path = {0};
    AUTO_FREE char *text = NULL;
    strbuf_addf(&path, "%s/%s", app->network.directory, OWNER_SOCKET_NAME);
    if (chat_servicer_listen_unix(app->servicer, path.text, &text) != ERR_OK) {
        log_warning("no socket for chat_node's own commands: %s", text);
    }
}

static void app_open_face(App *app)
{
    const Settings *settings = &app->settings;
    FaceKind kind = settings->json ? FACE_JSON : FACE_LINES;
    if (has_terminal(settings)) {
        kind = FACE_TERMINAL;
    }
    const char *no_color = getenv("NO_COLOR");
    bool colorless = settings->no_color || (no_color != NULL && no_color[0] != '\0');
    app->face = face_open(kind, app->loop, app->node,
                          &(FaceOptions){.read_input = !settings->headless,
                                         .color = !colorless && isatty(STDOUT_FILENO)});
}

static void app_greet(App *app)
{
    AUTO_STRBUF StrBuf text = {0};
    const Settings *settings = &app->settings;
    if (app->nodes.made) {
        strbuf_addf(&text,
                    "%s was made, with localhost 50051, 50052 and 50053: edit it to name "
                    "your nodes",
                    app->network.nodes_path);
        node_notice(app->node, NOTICE_INFO, text.text);
        strbuf_clear(&text);
    }
    for (size_t i = 0; i < app->nodes.warnings_count; i++) {
        node_notice(app->node, NOTICE_WARNING, app->nodes.warnings[i]);
    }
    if (app->network.invitation != NULL && !has_terminal(settings)) {
        strbuf_addf(&text, "an invitation, good for one person and 24 hours: %s",
                    app->network.invitation);
        node_notice(app->node, NOTICE_INFO, text.text);
        strbuf_clear(&text);
    }
    strbuf_addf(&text, "%s is here, on port %u, with %zu other %s to link to. /help lists commands",
                node_name(app->node), (unsigned)settings->port, app->nodes.nodes_count,
                app->nodes.nodes_count == 1 ? "node" : "nodes");
    node_notice(app->node, NOTICE_INFO, text.text);
}

int main(int argc, char **argv)
{
    open_standard_descriptors(argv);
    process_keep_private();
    face_set_locale();
    if (sodium_init() < 0) {
        fprintf(stderr, "chat_node: libsodium does not start\n");
        return EXIT_FAILURE;
    }
    if (argc > 1 && tool_is_command(argv[1])) {
        return tool_main(argc, argv);
    }
    App app = {.settings = settings_parse(argc, argv)};
    choose_name(&app);
    app_start_network(&app);
    if (app.settings.no_start) {
        network_start_done(&app.network);
        return EXIT_SUCCESS;
    }
    app_load_nodes(&app);
    raise_descriptor_limit();

    app.loop = loop_new();
    app_catch_signals(&app);
    app.rpc = rpc_open(app.loop);
    app_open_node(&app);
    app.authority = authority_new(&(AuthorityOptions){.loop = app.loop,
                                                      .data_dir = app.network.directory,
                                                      .open_mode = !app.network.is_private,
                                                      .vouch = app_vouch,
                                                      .context = &app});
    app.servicer = chat_servicer_new(app.rpc, app.node,
                                     &(ChatServicerOptions){.clients_max = app.settings.clients_max,
                                                            .authority = app.authority});
    app_listen(&app);
    app_listen_for_owner(&app);
    app_open_face(&app);
    app_greet(&app);
    node_start(app.node, app_serve, &app);

    loop_run(app.loop);

    node_free(app.node);
    authority_free(app.authority);
    loop_free(app.loop);
    network_start_done(&app.network);
    nodes_json_done(&app.nodes);
    return app.exit_code;
}
