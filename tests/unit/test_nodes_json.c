/* nodes.json: what is taken, what is said about the rest, and how the file is made. */
#include "io/nodes_json.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

enum { OWN_PORT = 50051 };

static const NodesJsonSelf SELF = {.port = OWN_PORT, .listen = NULL};

/* "host:port host:port", as nodes_json_parse gave them. */
static void nodes_as_text(const NodesJson *nodes, StrBuf *out)
{
    for (size_t i = 0; i < nodes->nodes_count; i++) {
        strbuf_addf(out, "%s%s:%u", i > 0 ? " " : "", nodes->nodes[i].host, nodes->nodes[i].port);
    }
}

/* ---- What is taken --------------------------------------------------------------------------- */

typedef struct TakenRow {
    const char *text;
    const char *nodes;
    size_t self_count;
    const char *warning; /* all of it; NULL where there is none */
} TakenRow;

static const TakenRow TAKEN_ROWS[] = {
    {"[]", "", 0, NULL},
    {" \r\n[ ] \n", "", 0, NULL},
    {"\xEF\xBB\xBF[{\"host\": \"a\", \"port\": 1}]", "a:1", 0, NULL},
    {"[{\"host\": \"a\", \"port\": 1}, {\"port\": 65535, \"host\": \"b.example.\"}]",
     "a:1 b.example.:65535", 0, NULL},
    {"[{\"\\u0068ost\": \"\\u0061\", \"port\": 1}]", "a:1", 0, NULL},
    {"[{\"host\": \"[2001:db8::1]\", \"port\": 1}, {\"host\": \"fe80::1%eth0\", \"port\": 2}]",
     "2001:db8::1:1 fe80::1%eth0:2", 0, NULL},

    /* This node itself. */
    {"[{\"host\": \"localhost\", \"port\": 50051}, {\"host\": \"LOCALHOST.\", \"port\": 50051},"
     " {\"host\": \"127.0.0.1\", \"port\": 50051}, {\"host\": \"127.0.1.1\", \"port\": 50051},"
     " {\"host\": \"::1\", \"port\": 50051}, {\"host\": \"[::1]\", \"port\": 50051},"
     " {\"host\": \"0.0.0.0\", \"port\": 50051}, {\"host\": \"::\", \"port\": 50051}]",
     "", 8, NULL},
    {"[{\"host\": \"localhost\", \"port\": 50052}, {\"host\": \"10.0.0.1\", \"port\": 50051}]",
     "localhost:50052 10.0.0.1:50051", 0, NULL},

    /* Twice the same. */
    {"[{\"host\": \"a.example\", \"port\": 1},\n {\"host\": \"A.Example.\", \"port\": 1}]",
     "a.example:1", 0,
     "nodes.json:2:2: entry 2 is a.example:1 once more and is ignored; take it away"},
    {"[{\"host\": \"::1\", \"port\": 7},\n{\"host\": \"localhost\", \"port\": 7}]", "::1:7", 0,
     "nodes.json:2:1: entry 2 is [::1]:7 once more and is ignored; take it away"},
    {"[{\"host\": \"127.0.0.1\", \"port\": 7}, {\"host\": \"127.0.0.2\", \"port\": 7}]",
     "127.0.0.1:7 127.0.0.2:7", 0, NULL},

    /* Keys that nobody knows. */
    {"[{\"host\": \"a\", \"port\": 1, \"name\": [{\"x\": \"]}\\\"\"}, 2]}]", "a:1", 0,
     "nodes.json:1:27: unknown key \"name\" is ignored; an entry has \"host\" and \"port\""},
    {"[\n  {\n    \"note\": {\"a\": [1, 2.5, true, null, -3e2]},\n    \"host\": \"a\",\n"
     "    \"port\": 1\n  }\n]\n",
     "a:1", 0,
     "nodes.json:3:5: unknown key \"note\" is ignored; an entry has \"host\" and \"port\""},
    {"[{\"h\xC3\xB6\xC3\xB6\": 1, \"Host\": 2, \"host\": \"a\", \"port\": 1}]", "a:1", 0,
     "nodes.json:1:3: unknown key \"h\xC3\xB6\xC3\xB6\" is ignored; an entry has \"host\" and "
     "\"port\"\n"
     "nodes.json:1:13: unknown key \"Host\" is ignored; an entry has \"host\" and \"port\""},
};

static void valid_list_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(TAKEN_ROWS) / sizeof(TAKEN_ROWS[0]); i++) {
        const TakenRow *row = &TAKEN_ROWS[i];
        NodesJson nodes = {0};
        char *error = NULL;
        Err err =
            nodes_json_parse("nodes.json", row->text, strlen(row->text), &SELF, &nodes, &error);
        if (err != ERR_OK) {
            fail_msg("%s\n%s", row->text, error);
        }
        AUTO_STRBUF StrBuf text = {0};
        nodes_as_text(&nodes, &text);
        assert_string_equal(strbuf_text(&text), row->nodes);
        assert_int_equal(nodes.self_count, row->self_count);
        strbuf_clear(&text);
        for (size_t w = 0; w < nodes.warnings_count; w++) {
            strbuf_addf(&text, "%s%s", w > 0 ? "\n" : "", nodes.warnings[w]);
        }
        assert_string_equal(strbuf_text(&text), row->warning != NULL ? row->warning : "");
        assert_false(nodes.made);
        nodes_json_done(&nodes);
    }
}

static void own_entry_depends_on_where_this_node_listens(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *host;
        bool self;
    } ROWS[] = {
        {NULL, "localhost", true},
        {NULL, "10.0.0.1", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"10.0.0.1", "localhost", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"0.0.0.0", "localhost", true},
        {"0.0.0.0", "10.0.0.1", false},
        {"::", "127.0.0.1", true},
        {"my.Example", "MY.example.", true},
        {"127.0.0.2", "127.0.0.2", true},
        {"127.0.0.2", "127.0.0.1", false},
        {"127.0.0.2", "localhost", false},
        {"127.0.0.1", "127.0.1.1", true},
        {"[2001:db8::1]", "2001:DB8::1", true},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        NodesJsonSelf self = {.port = OWN_PORT, .listen = ROWS[i].listen};
        char text[200];
        snprintf(text, sizeof(text), "[{\"host\": \"%s\", \"port\": 50051}]", ROWS[i].host);
        NodesJson nodes = {0};
        char *error = NULL;
        assert_int_equal(nodes_json_parse("nodes.json", text, strlen(text), &self, &nodes, &error),
                         ERR_OK);
        if (nodes.self_count != (ROWS[i].self ? 1 : 0)) {
            fail_msg("--listen %s, entry %s", ROWS[i].listen != NULL ? ROWS[i].listen : "(none)",
                     ROWS[i].host);
        }
        assert_int_equal(nodes.nodes_count, ROWS[i].self ? 0 : 1);
        nodes_json_done(&nodes);
    }
}

/* ---- What is refused ------------------------------------------------------------------------- */

typedef struct RefusedRow {
    const char *text;
    const char *error; /* how it starts */
} RefusedRow;

static const RefusedRow REFUSED_ROWS[] = {
    /* Not a list. */
    {"", "nodes.json:1:1: the file is empty; write a list, as in [{\"host\""},
    {" \n ", "nodes.json:1:1: the file is empty"},
    {"hello", "nodes.json:1:1: the file must hold a list, as in [{\"host\""},
    {"\n  50051", "nodes.json:2:3: the file must hold a list"},
    {"\"localhost\"", "nodes.json:1:1: the file must hold a list"},
    {"null", "nodes.json:1:1: the file must hold a list"},
    {"{}", "nodes.json:1:1: the file must hold a list, not an object; put \"[\" before"},
    {"\n {\"nodes\": []}", "nodes.json:2:2: the file must hold a list, not an object"},
    {"\xFF\xFE[\0]\0", "nodes.json:1:1: the file is UTF-16; save it as UTF-8"},

    /* Not JSON. */
    {"[", "nodes.json:1:2: not valid JSON: ']' expected near end of file; is a \"]\" or"},
    {"[{\"host\": \"a\", \"port\": 1}", "nodes.json:1:26: not valid JSON: ']' expected near end"},
    {"[{\"host\": \"a\", \"port\": 1},\n]",
     "nodes.json:2:1: not valid JSON: unexpected token near ']'; take away the comma before it"},
    {"[{\"host\": \"a\", \"port\": 1,}]",
     "nodes.json:1:26: not valid JSON: string or '}' expected near '}'; take away the comma"},
    {"[{\"host\": \"a\" \"port\": 1}]",
     "nodes.json:1:15: not valid JSON: '}' expected near '\"port\"'; put a comma before it"},
    {"[{\"host\": \"a\", \"port\": 1}\n {\"host\": \"b\", \"port\": 1}]",
     "nodes.json:2:2: not valid JSON: ']' expected near '{'; put a comma before it"},
    {"[{'host': 'a'}]", "nodes.json:1:3: not valid JSON: string or '}' expected near '''; JSON "
                        "wants double quotes"},
    {"[ // mine\n]", "nodes.json:1:3: not valid JSON: invalid token near '/'; JSON knows no "
                     "comments"},
    {"[\n# mine\n]", "nodes.json:2:1: not valid JSON: invalid token near '#'; JSON knows no "
                     "comments"},
    {"[{\"host\": \"a\", \"port\": 1, \"host\": \"b\"}]",
     "nodes.json:1:27: not valid JSON: duplicate object key near '\"host\"'; keep one of the two"},
    {"[{\"host\": \"a\", \"port\": 99999999999999999999}]",
     "nodes.json:1:24: not valid JSON: too big integer near '99999999999999999999'; a port is"},
    {"[{\"host\": \"\\u0000\", \"port\": 1}]", "nodes.json:1:11: not valid JSON: \\u0000 is not"},
    {"[{\"host\": \"a\n\", \"port\": 1}]", "nodes.json:1:1"},
    {"[{\"host\": \"\xFF\", \"port\": 1}]", "nodes.json:1:1"},
    {"[] []", "nodes.json:1:4: not valid JSON: end of file expected near '['"},

    /* Not an entry. */
    {"[\"localhost:50051\"]",
     "nodes.json:1:2: entry 1 must be an object, as in {\"host\": \"localhost\", \"port\": 50051}, "
     "not \"localhost:50051\""},
    {"[{\"host\": \"a\", \"port\": 1}, 2, {}]", "nodes.json:1:28: entry 2 must be an object"},
    {"[[\"a\", 1]]", "nodes.json:1:2: entry 1 must be an object, as in {\"host\": \"localhost\", "
                     "\"port\": 50051}, not a list"},
    {"[\n  null\n]", "nodes.json:2:3: entry 1 must be an object"},
    {"[{}]", "nodes.json:1:2: entry 1 has no \"host\"; write it as in {"},
    {"[{\"port\": 1}]", "nodes.json:1:2: entry 1 has no \"host\""},
    {"[{\"host\": \"a\", \"port\": 1},\n {\"host\": \"a\"}]",
     "nodes.json:2:2: entry 2 has no \"port\""},

    /* Not a port. */
    {"[\n  {\"host\": \"a\",\n   \"port\": 70000}\n]",
     "nodes.json:3:12: \"port\" must be 1..65535, not 70000; write the PORT that"},
    {"[{\"host\": \"a\", \"port\": 0}]", "nodes.json:1:24: \"port\" must be 1..65535, not 0; "},
    {"[{\"host\": \"a\", \"port\": -1}]", "nodes.json:1:24: \"port\" must be 1..65535, not -1; "},
    {"[{\"host\": \"a\", \"port\": 65536}]", "nodes.json:1:24: \"port\" must be 1..65535"},
    {"[{\"host\": \"a\", \"port\": \"50052\"}]",
     "nodes.json:1:24: \"port\" must be a number without quotes, as in 50051, not \"50052\""},
    {"[{\"host\": \"a\", \"port\": 1.5}]",
     "nodes.json:1:24: \"port\" must be a whole number, as in 50051, not 1.5"},
    {"[{\"host\": \"a\", \"port\": null}]",
     "nodes.json:1:24: \"port\" must be a whole number, as in 50051, not null"},
    {"[{\"host\": \"a\", \"port\": [1]}]",
     "nodes.json:1:24: \"port\" must be a whole number, as in 50051, not a list"},

    /* Not a host. */
    {"[{\"host\": 1, \"port\": 1}]",
     "nodes.json:1:11: \"host\" must be a name or address in quotes, as in \"localhost\", not 1"},
    {"[{\"host\": true, \"port\": 1}]", "nodes.json:1:11: \"host\" must be a name or address"},
    {"[{\"host\": {\"a\": 1}, \"port\": 1}]",
     "nodes.json:1:11: \"host\" must be a name or address in quotes, as in \"localhost\", not an "
     "object"},
    {"[{\"host\": \"\", \"port\": 1}]", "nodes.json:1:11: \"host\" is empty; write a host name or"},
    {"[{\"host\": \"a b\", \"port\": 1}]",
     "nodes.json:1:11: \"host\" may hold only letters, digits, \"-\", \"_\" and \".\": \"a b\""},
    {"[{\"host\": \"localhost:1\", \"port\": 1}]",
     "nodes.json:1:11: \"host\" must be without the port; that goes into \"port\": "
     "\"localhost:1\""},
    {"[{\"host\": \"1.2.3.400\", \"port\": 1}]", "nodes.json:1:11: \"host\" is not an IPv4"},

    /* A place counts characters, whatever stands before it. */
    {"[{\"x\": \"a\\\"]}\\\\\", \"h\xC3\xB6\": \"\xF0\x9F\x98\x80\", \"host\": \"a\", \"port\": "
     "0}]",
     "nodes.json:1:51: \"port\" must be"},
    {"\r\n[\r\n\t{\r\n\t\t\"host\": \"a\",\r\n\t\t\"port\": 0}]",
     "nodes.json:5:11: \"port\" must be"},
};

static void broken_list_is_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(REFUSED_ROWS) / sizeof(REFUSED_ROWS[0]); i++) {
        const RefusedRow *row = &REFUSED_ROWS[i];
        size_t len = strlen(row->text);
        NodesJson nodes = {.nodes_count = 77};
        char *error = NULL;
        Err err = nodes_json_parse("nodes.json", row->text, len, &SELF, &nodes, &error);
        if (err != ERR_INVALID || strncmp(error, row->error, strlen(row->error)) != 0) {
            fail_msg("%s\n%s: %s\nnot: %s", row->text, err_text(err), error != NULL ? error : "-",
                     row->error);
        }
        assert_null(strchr(error, '\n'));
        assert_int_equal(nodes.nodes_count, 77); /* untouched */
        mem_free(error);
    }
}

static void every_cut_of_a_list_is_answered(void **state)
{
    (void)state;
    const char *text = TAKEN_ROWS[10].text;
    for (size_t len = 0; len < strlen(text); len++) {
        char *copy = malloc(len > 0 ? len : 1);
        assert_non_null(copy);
        memcpy(copy, text, len);
        NodesJson nodes = {0};
        char *error = NULL;
        assert_int_equal(nodes_json_parse("nodes.json", copy, len, &SELF, &nodes, &error),
                         ERR_INVALID);
        assert_int_equal(strncmp(error, "nodes.json:1:", 13), 0);
        mem_free(error);
        free(copy);
    }
}

static void hostile_value_is_shown_not_executed(void **state)
{
    (void)state;
    const char *text = "[{\"host\": \"\\u001b[31m\\u202e\", \"port\": 1}]";
    NodesJson nodes = {0};
    char *error = NULL;
    assert_int_equal(nodes_json_parse("a\x1b[2J.json", text, strlen(text), &SELF, &nodes, &error),
                     ERR_INVALID);
    assert_null(strchr(error, '\x1b'));
    assert_null(strstr(error, "\xE2\x80\xAE"));
    assert_non_null(strstr(error, "<U+202E>"));
    mem_free(error);
}

static void long_value_is_cut_between_characters(void **state)
{
    (void)state;
    StrBuf text = {0};
    strbuf_add_string(&text, "[{\"host\": \"a ");
    for (int i = 0; i < 100; i++) {
        strbuf_add_string(&text, "\xE2\x82\xAC");
    }
    strbuf_add_string(&text, "\", \"port\": 1}]");
    NodesJson nodes = {0};
    char *error = NULL;
    assert_int_equal(
        nodes_json_parse("nodes.json", strbuf_text(&text), text.len, &SELF, &nodes, &error),
        ERR_INVALID);
    size_t len = strlen(error);
    assert_true(len < 200);
    assert_string_equal(error + len - 7, "\xE2\x82\xAC...\"");
    mem_free(error);
    strbuf_done(&text);
}

static void limits_are_kept(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf text = {0};
    strbuf_add_string(&text, "[{\"host\": \"localhost\", \"port\": 50051}");
    for (int i = 0; i < LINKS_MAX; i++) { /* the own entry does not count */
        strbuf_addf(&text, ",\n{\"host\": \"a\", \"port\": %d}", 1000 + i);
    }
    NodesJson nodes = {0};
    char *error = NULL;
    size_t len = text.len;
    strbuf_add_char(&text, ']');
    assert_int_equal(
        nodes_json_parse("nodes.json", strbuf_text(&text), text.len, &SELF, &nodes, &error),
        ERR_OK);
    assert_int_equal(nodes.nodes_count, LINKS_MAX);
    assert_int_equal(nodes.nodes[LINKS_MAX - 1].port, 1000 + LINKS_MAX - 1);
    nodes_json_done(&nodes);

    text.len = len;
    strbuf_add_string(&text, ",\n{\"host\": \"b\", \"port\": 1}]");
    assert_int_equal(
        nodes_json_parse("nodes.json", strbuf_text(&text), text.len, &SELF, &nodes, &error),
        ERR_LIMIT);
    assert_string_equal(error, "nodes.json:258:1: more than 256 nodes; take some away");
    mem_free(error);
}

static void flood_of_warnings_is_bounded(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf text = {0};
    strbuf_add_string(&text, "[{\"host\": \"a\", \"port\": 1");
    for (int i = 0; text.len < NODES_JSON_MAX_BYTES - 100; i++) {
        strbuf_addf(&text, ", \"k%d\": 0", i);
    }
    strbuf_add_string(&text, "}]");
    NodesJson nodes = {0};
    char *error = NULL;
    assert_int_equal(
        nodes_json_parse("nodes.json", strbuf_text(&text), text.len, &SELF, &nodes, &error),
        ERR_OK);
    assert_int_equal(nodes.warnings_count, 21);
    assert_non_null(strstr(nodes.warnings[20], " more warnings"));
    nodes_json_done(&nodes);
}

/* ---- The file -------------------------------------------------------------------------------- */

static char folder[64];

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_nodes_json.XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return rmdir(folder);
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static size_t files_in_folder(void)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count - 2; /* . and .. */
}

static void write_file(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static void missing_file_is_made_with_the_defaults(void **state)
{
    (void)state;
    const char *path = in_folder("nodes.json");
    for (int again = 0; again < 2; again++) {
        NodesJson nodes = {0};
        char *error = NULL;
        assert_int_equal(nodes_json_load(path, &SELF, &nodes, &error), ERR_OK);
        AUTO_STRBUF StrBuf text = {0};
        nodes_as_text(&nodes, &text);
        assert_string_equal(strbuf_text(&text), "localhost:50052 localhost:50053");
        assert_int_equal(nodes.self_count, 1);
        assert_int_equal(nodes.made, again == 0);
        assert_int_equal(nodes.warnings_count, 0);
        assert_int_equal(files_in_folder(), 1);
        nodes_json_done(&nodes);
    }
    char made[300] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, made, sizeof(made) - 1) > 0);
    close(fd);
    assert_string_equal(made, "[\n"
                              "    {\"host\": \"localhost\", \"port\": 50051},\n"
                              "    {\"host\": \"localhost\", \"port\": 50052},\n"
                              "    {\"host\": \"localhost\", \"port\": 50053}\n"
                              "]\n");
}

static void nodes_started_at_once_make_it_once(void **state)
{
    (void)state;
    const char *path = in_folder("nodes.json");
    for (int i = 0; i < 8; i++) {
        if (fork() == 0) {
            NodesJson nodes = {0};
            char *error = NULL;
            Err err = nodes_json_load(path, &SELF, &nodes, &error);
            _exit(err == ERR_OK && nodes.nodes_count == 2 && nodes.warnings_count == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < 8; i++) {
        int status = -1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(files_in_folder(), 1);
}

static void file_that_cannot_be_made_is_a_warning(void **state)
{
    (void)state;
    const char *path = in_folder("no/such/folder/nodes.json");
    NodesJson nodes = {0};
    char *error = NULL;
    assert_int_equal(nodes_json_load(path, &SELF, &nodes, &error), ERR_OK);
    assert_int_equal(nodes.nodes_count, 2);
    assert_false(nodes.made);
    assert_int_equal(nodes.warnings_count, 1);
    assert_non_null(strstr(nodes.warnings[0], "/nodes.json: cannot be made: No such file"));
    nodes_json_done(&nodes);
}

static void folder_in_its_place_is_an_error(void **state)
{
    (void)state;
    NodesJson nodes = {0};
    char *error = NULL;
    assert_int_equal(nodes_json_load(folder, &SELF, &nodes, &error), ERR_IO);
    assert_non_null(strstr(error, ": cannot be read: Is a directory; name a file in it"));
    mem_free(error);
}

static void dangling_link_is_an_error(void **state)
{
    (void)state;
    const char *path = in_folder("nodes.json");
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    NodesJson nodes = {0};
    char *error = NULL;
    assert_int_equal(nodes_json_load(path, &SELF, &nodes, &error), ERR_IO);
    assert_non_null(strstr(error, ": cannot be read: No such file"));
    mem_free(error);
    assert_int_equal(files_in_folder(), 1);
}

static void unreadable_file_is_an_error(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        skip(); /* root may read everything */
    }
    const char *path = in_folder("nodes.json");
    write_file(path, "[]", 2);
    assert_int_equal(chmod(path, 0), 0);
    NodesJson nodes = {0};
    char *error = NULL;
    assert_int_equal(nodes_json_load(path, &SELF, &nodes, &error), ERR_DENIED);
    mem_free(error);
}

static void large_file_is_an_error(void **state)
{
    (void)state;
    const char *path = in_folder("nodes.json");
    char *text = malloc(NODES_JSON_MAX_BYTES + 1);
    assert_non_null(text);
    memset(text, ' ', NODES_JSON_MAX_BYTES + 1);
    text[0] = '[';
    text[NODES_JSON_MAX_BYTES - 1] = ']';
    write_file(path, text, NODES_JSON_MAX_BYTES);
    NodesJson nodes = {0};
    char *error = NULL;
    assert_int_equal(nodes_json_load(path, &SELF, &nodes, &error), ERR_OK);
    nodes_json_done(&nodes);
    write_file(path, text, NODES_JSON_MAX_BYTES + 1);
    assert_int_equal(nodes_json_load(path, &SELF, &nodes, &error), ERR_LIMIT);
    assert_non_null(strstr(error, ": larger than 1048576 bytes; is it the right file?"));
    mem_free(error);
    free(text);
}

static void endless_file_is_an_error(void **state)
{
    (void)state;
    NodesJson nodes = {0};
    char *error = NULL;
    assert_int_equal(nodes_json_load("/dev/zero", &SELF, &nodes, &error), ERR_LIMIT);
    mem_free(error);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_list_is_taken),
        cmocka_unit_test(own_entry_depends_on_where_this_node_listens),
        cmocka_unit_test(broken_list_is_refused_with_its_place),
        cmocka_unit_test(every_cut_of_a_list_is_answered),
        cmocka_unit_test(hostile_value_is_shown_not_executed),
        cmocka_unit_test(long_value_is_cut_between_characters),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(flood_of_warnings_is_bounded),
        IN_FOLDER(missing_file_is_made_with_the_defaults),
        IN_FOLDER(nodes_started_at_once_make_it_once),
        IN_FOLDER(file_that_cannot_be_made_is_a_warning),
        IN_FOLDER(folder_in_its_place_is_an_error),
        IN_FOLDER(dangling_link_is_an_error),
        IN_FOLDER(unreadable_file_is_an_error),
        IN_FOLDER(large_file_is_an_error),
        cmocka_unit_test(endless_file_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
