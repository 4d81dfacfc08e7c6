/* The program: options, nodes.json, wiring, shutdown. The only file that sees everything.
 *
 *   face  <-->  node (core, bus, links)  <-->  chat servicer
 *                         loop, rpc
 *
 * It leaves in the opposite order: the face shows its last lines, the servicer ends its streams,
 * the links close, the library stops, the loop runs out of things to do. */
#include "base/log.h"
#include "base/strbuf.h"
#include "face/face.h"
#include "face/tool.h"
#include "io/chat_servicer.h"
#include "io/data_dir.h"
#include "io/host.h"
#include "io/nodes_json.h"
#include "io/process.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_IN_USE = 3 };

enum {
    NAME_LINE_MAX_BYTES = 256,
    COALESCE_MAX_MS = 5000, /* longer would look like a fault */
};

enum {
    OPTION_LISTEN = 0x100,
    OPTION_INSECURE,
    OPTION_HEADLESS,
    OPTION_JSON,
    OPTION_NO_COLOR,
    OPTION_LOG_LEVEL,
    OPTION_MAX_CLIENTS,
    OPTION_DATA,
    OPTION_COALESCE,
};

/* Each of them means: leave. */
static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNALS_COUNT = sizeof(SIGNALS) / sizeof(SIGNALS[0]) };

typedef struct Settings {
    uint16_t port; /* 0: not given yet */
    const char *nodes_path;
    const char *name; /* NULL: ask, or take $USER */
    const char *data; /* NULL: by the port */
    const char *listen;
    bool insecure;
    bool headless;
    bool json;
    bool no_color;
    uint32_t clients_max;
    uint32_t coalesce_ms;
} Settings;

typedef struct App {
    Settings settings;
    char name[MESSAGE_SENDER_MAX_BYTES + 1];
    NodesJson nodes;
    Loop *loop;
    Rpc *rpc;
    Node *node;
    ChatServicer *servicer;
    bool serving;
    Face *face;
    uv_signal_t signals[SIGNALS_COUNT];
    uv_timer_t leaving;
    int exit_code;
} App;

/* ---- options ---- */

const char *argp_program_version = "chat_node " CHAT_VERSION;

static const struct argp_option OPTIONS[] = {
    {"name", 'n', "NAME", 0, "Go by NAME (asked for on a terminal; else $USER)", 0},
    {"data", OPTION_DATA, "DIR", 0,
     "Keep the conversation in DIR (default: $XDG_DATA_HOME/chat_node/PORT)", 0},
    {"listen", OPTION_LISTEN, "ADDRESS", 0,
     "Listen on this IPv4 or IPv6 address (default: 127.0.0.1 and ::1, this machine only)", 0},
    {"insecure", OPTION_INSECURE, NULL, 0,
     "Allow --listen beyond this machine: anyone who reaches the port can read and write, and "
     "nothing is encrypted",
     0},
    {"headless", OPTION_HEADLESS, NULL, 0,
     "Read no input; run until SIGTERM or SIGINT, with messages on standard output", 0},
    {"json", OPTION_JSON, NULL, 0, "One JSON object a line, in and out", 0},
    {"no-color", OPTION_NO_COLOR, NULL, 0, "No colours (also where NO_COLOR is set)", 0},
    {"max-clients", OPTION_MAX_CLIENTS, "N", 0,
     "Serve at most N clients (open streams) at once (default 10000)", 0},
    {"coalesce", OPTION_COALESCE, "MS", 0,
     "Hold what goes to a busy node up to MS milliseconds, to send it in fewer frames (default 0)",
     0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL", 0,
     "Log to standard error: error, warning (default), info or debug", 0},
    {0},
};

static const char DOC[] =
    "A node of a group chat without a server. It links to the nodes named in NODES.JSON (default: "
    "nodes.json, made with localhost 50051, 50052 and 50053 where there is none), and whatever is "
    "typed at one is shown at all.\v"
    "Exit status: 0 left cleanly; 1 failure, or lines read from a pipe were not delivered; 2 wrong "
    "usage or configuration; 3 the address or the data directory is in use.\n\n"
    "Type /help inside for the commands. See chat_node(1) for the rest.";

static bool parse_number(const char *text, long min, long max, long *ret_value)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || errno != 0 || end == text || *end != '\0' ||
        value < min || value > max) {
        return false;
    }
    *ret_value = value;
    return true;
}

static error_t parse_argument(const char *argument, struct argp_state *state)
{
    Settings *settings = state->input;
    long port = 0;
    if (state->arg_num == 0) {
        if (!parse_number(argument, 1, UINT16_MAX, &port)) {
            argp_error(state, "the port must be a number from 1 to 65535, not \"%s\"", argument);
        }
        settings->port = (uint16_t)port;
        return 0;
    }
    if (state->arg_num == 1) {
        settings->nodes_path = argument;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    Settings *settings = state->input;
    LogLevel level = LOG_WARNING;
    const char *reason = "";
    long number = 0;
    switch (key) {
    case 'n':
        if (message_check_name(argument, strlen(argument), &reason) != ERR_OK) {
            argp_error(state, "--name: %s", reason);
        }
        settings->name = argument;
        return 0;
    case OPTION_DATA:
        settings->data = argument;
        return 0;
    case OPTION_LISTEN:
        settings->listen = argument;
        return 0;
    case OPTION_INSECURE:
        settings->insecure = true;
        return 0;
    case OPTION_HEADLESS:
        settings->headless = true;
        return 0;
    case OPTION_JSON:
        settings->json = true;
        return 0;
    case OPTION_NO_COLOR:
        settings->no_color = true;
        return 0;
    case OPTION_MAX_CLIENTS:
        if (!parse_number(argument, 1, 100000, &number)) {
            argp_error(state, "--max-clients must be a number from 1 to 100000, not \"%s\"",
                       argument);
        }
        settings->clients_max = (uint32_t)number;
        return 0;
    case OPTION_COALESCE:
        if (!parse_number(argument, 0, COALESCE_MAX_MS, &number)) {
            argp_error(state, "--coalesce must be a number from 0 to %d, not \"%s\"",
                       COALESCE_MAX_MS, argument);
        }
        settings->coalesce_ms = (uint32_t)number;
        return 0;
    case OPTION_LOG_LEVEL:
        if (!log_level_parse(argument, &level)) {
            argp_error(state, "--log-level must be error, warning, info or debug, not \"%s\"",
                       argument);
        }
        log_set_level(level);
        return 0;
    case ARGP_KEY_ARG:
        return parse_argument(argument, state);
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which port? For example: chat_node 50051");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool is_ip_address(const char *text)
{
    struct sockaddr_storage storage;
    return uv_ip4_addr(text, 1, (struct sockaddr_in *)&storage) == 0 ||
           uv_ip6_addr(text, 1, (struct sockaddr_in6 *)&storage) == 0;
}

/* The commands come from their table. */
static char *help_with_commands(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) {
        return (char *)(uintptr_t)text;
    }
    StrBuf help = {0};
    strbuf_add_string(&help, "Commands, which read or copy what a node keeps (each has its "
                             "--help):\n");
    tool_add_summary(&help);
    strbuf_addf(&help, "\n%s", text != NULL ? text : "");
    return strbuf_take(&help);
}

/* Exits where the address is none, or opens the chat to the world without a word. */
static void check_listen(Settings *settings)
{
    if (settings->listen == NULL) {
        return;
    }
    if (strcmp(settings->listen, "localhost") == 0) {
        settings->listen = NULL;
        return;
    }
    if (!is_ip_address(settings->listen)) {
        fprintf(stderr,
                "chat_node: --listen takes an IPv4 or IPv6 address of this machine, not \"%s\"\n",
                settings->listen);
        exit(EXIT_USAGE);
    }
    if (!host_is_loopback(settings->listen) && !settings->insecure) {
        fprintf(stderr,
                "chat_node: --listen %s lets anyone who reaches this machine read and write the "
                "chat, and nothing is encrypted. If that is what you want, add --insecure\n",
                settings->listen);
        exit(EXIT_USAGE);
    }
}

static Settings parse_settings(int argc, char **argv)
{
    static const struct argp parser = {.options = OPTIONS,
                                       .parser = parse_option,
                                       .args_doc = "PORT [NODES.JSON]\nCOMMAND [PORT]",
                                       .doc = DOC,
                                       .help_filter = help_with_commands};
    Settings settings = {.nodes_path = "nodes.json", .clients_max = CLIENTS_MAX_DEFAULT};
    argp_err_exit_status = EXIT_USAGE;
    error_t error = argp_parse(&parser, argc, argv, 0, NULL, &settings);
    if (error != 0) {
        fprintf(stderr, "chat_node: %s\n", strerror(error));
        exit(EXIT_USAGE);
    }
    check_listen(&settings);
    return settings;
}

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
    if (app->settings.name == NULL && has_terminal(&app->settings)) {
        ask_name(app, user_name());
        return;
    }
    const char *name = app->settings.name != NULL ? app->settings.name : user_name();
    snprintf(app->name, sizeof(app->name), "%s", name);
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

static void app_servicer_closed(void *context)
{
    App *app = context;
    node_close(app->node, app_node_closed, app);
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

static void app_load_nodes(App *app)
{
    const Settings *settings = &app->settings;
    char *error = NULL;
    Err err = nodes_json_load(settings->nodes_path,
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
    AUTO_FREE char *directory = NULL;
    char *error = NULL;
    Err err = data_dir_of(settings->data, settings->port, &directory, &error);
    if (err == ERR_OK) {
        err = node_open(app->loop, app->rpc,
                        &(NodeOptions){.name = app->name,
                                       .nodes = app->nodes.nodes,
                                       .nodes_count = app->nodes.nodes_count,
                                       .data_dir = directory,
                                       .recap = has_terminal(settings),
                                       .coalesce_ms = settings->coalesce_ms},
                        app_quit, app, &app->node, &error);
    }
    if (err != ERR_OK) {
        fprintf(stderr, "chat_node: %s\n", error);
        exit(err == ERR_IN_USE ? EXIT_IN_USE : EXIT_FAILURE);
    }
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

static void app_listen(App *app)
{
    const Settings *settings = &app->settings;
    char *text = NULL;
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
                    settings->nodes_path);
        node_notice(app->node, NOTICE_INFO, text.text);
        strbuf_clear(&text);
    }
    for (size_t i = 0; i < app->nodes.warnings_count; i++) {
        node_notice(app->node, NOTICE_WARNING, app->nodes.warnings[i]);
    }
    strbuf_addf(&text, "%s is here, on port %u, with %zu other %s to link to. /help lists commands",
                app->name, (unsigned)settings->port, app->nodes.nodes_count,
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
    App app = {.settings = parse_settings(argc, argv)};
    app_load_nodes(&app);
    choose_name(&app);
    raise_descriptor_limit();

    app.loop = loop_new();
    app_catch_signals(&app);
    app.rpc = rpc_open(app.loop);
    app_open_node(&app);
    app.servicer = chat_servicer_new(
        app.rpc, app.node, &(ChatServicerOptions){.clients_max = app.settings.clients_max});
    app_listen(&app);
    app_open_face(&app);
    app_greet(&app);
    node_start(app.node, app_serve, &app);

    loop_run(app.loop);

    node_free(app.node);
    loop_free(app.loop);
    nodes_json_done(&app.nodes);
    return app.exit_code;
}
