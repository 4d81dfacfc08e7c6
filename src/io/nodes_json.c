/* Reading nodes.json.
 *
 *   bytes -> jansson (syntax) -> rules (host, port, keys) -> NodesJson
 *                |                  |
 *              Place <----------- locate(element, key)
 *
 * jansson tells where a syntax error is but keeps no places of values. So a broken rule is looked
 * up again in the text by its index ("entry 2, key 1"), by a scanner that may be this small because
 * jansson has already found the text to be valid. */
#include "io/nodes_json.h"

#include "base/text.h"
#include "io/host.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

#define EXAMPLE "{\"host\": \"localhost\", \"port\": 50051}"

enum {
    /* Enough of a value to know it again in the file. */
    QUOTED_MAX_BYTES = 60,
    PORT_MAX = 65535,
    /* A screen of them; a file of another kind could give a hundred thousand. */
    WARNINGS_MAX = 20,
};

static_assert((int)HOST_MAX_BYTES == (int)LINK_HOST_MAX_BYTES, "NodeConfig holds any host");

/* One reading. */
typedef struct Reading {
    const char *name; /* of the file, as it was given */
    const char *text;
    size_t len;
    const NodesJsonSelf *self;
    NodesJson *nodes;
    char (*canonical)[HOST_MAX_BYTES + 1]; /* of each of nodes, LINKS_MAX of them */
    size_t warnings_unsaid;
    char **ret_error;
} Reading;

/* Which part of the list an error is about. */
typedef struct Part {
    size_t element;
    size_t key; /* index in the element; KEY_NONE: the element itself */
    bool value; /* the key's value, not the key */
} Part;

#define KEY_NONE SIZE_MAX

/* ---- Places ---------------------------------------------------------------------------------- */

static size_t skip_space(const char *text, size_t len, size_t at)
{
    while (at < len && strchr(" \t\r\n", text[at]) != NULL && text[at] != '\0') {
        at++;
    }
    return at;
}

/* From a value's first byte to the byte behind it. The text is valid JSON. */
static size_t skip_value(const char *text, size_t len, size_t at)
{
    size_t depth = 0;
    bool in_string = false;
    for (; at < len; at++) {
        char c = text[at];
        if (in_string) {
            if (c == '\\') {
                at++;
            } else if (c == '"') {
                in_string = false;
                if (depth == 0) {
                    return at + 1;
                }
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            if (depth <= 1) {
                return at + (depth == 1); /* a bare word ends before it */
            }
            depth--;
        } else if (depth == 0 && strchr(", \t\r\n", c) != NULL) {
            return at;
        }
    }
    return len;
}

/* The item-th value of the list that opens at `at`; an object's keys and values count alike. */
static size_t find_item(const char *text, size_t len, size_t at, size_t item)
{
    at = skip_space(text, len, at + 1);
    for (size_t i = 0; i < item && at < len; i++) {
        at = skip_value(text, len, at);
        at = skip_space(text, len, at);
        at = skip_space(text, len, at + 1); /* past the comma or colon */
    }
    return at < len ? at : len;
}

static size_t locate(const Reading *reading, const Part *part)
{
    size_t at = skip_space(reading->text, reading->len, 0);
    at = find_item(reading->text, reading->len, at, part->element);
    if (part->key != KEY_NONE) {
        at = find_item(reading->text, reading->len, at, part->key * 2 + (part->value ? 1 : 0));
    }
    return at;
}

/* "nodes.json:3:14: ". Bytes that continue a UTF-8 character make no column. */
static void add_place(StrBuf *out, const Reading *reading, size_t at)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < at && i < reading->len; i++) {
        if (reading->text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)reading->text[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    text_sanitise(out, reading->name, strlen(reading->name));
    strbuf_addf(out, ":%zu:%zu: ", line, column);
}

/* ---- What is said ---------------------------------------------------------------------------- */

static void add_quoted(StrBuf *out, const char *text, size_t len)
{
    bool cut = len > QUOTED_MAX_BYTES;
    if (cut) {
        len = QUOTED_MAX_BYTES;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80) {
            len--;
        }
    }
    strbuf_add_char(out, '"');
    text_sanitise(out, text, len);
    strbuf_add_string(out, cut ? "...\"" : "\"");
}

/* A value as a person would name it: 70000, "abc", a list. */
static void add_value(StrBuf *out, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        strbuf_add_string(out, "an object");
        break;
    case JSON_ARRAY:
        strbuf_add_string(out, "a list");
        break;
    case JSON_STRING:
        add_quoted(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        strbuf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        strbuf_addf(out, "%g", json_real_value(value));
        break;
    case JSON_TRUE:
        strbuf_add_string(out, "true");
        break;
    case JSON_FALSE:
        strbuf_add_string(out, "false");
        break;
    case JSON_NULL:
        strbuf_add_string(out, "null");
        break;
    }
}

static Err fail(const Reading *reading, Err err, StrBuf *message)
{
    *reading->ret_error = strbuf_take(message);
    return err;
}

void nodes_json_warn(NodesJson *nodes, StrBuf *message)
{
    nodes->warnings =
        mem_resize(nodes->warnings, nodes->warnings_count + 1, sizeof(*nodes->warnings));
    nodes->warnings[nodes->warnings_count++] = strbuf_take(message);
}

/* False where enough was said: then it is only counted, and need not be put into words. */
static bool may_warn(Reading *reading)
{
    if (reading->nodes->warnings_count < WARNINGS_MAX) {
        return true;
    }
    reading->warnings_unsaid++;
    return false;
}

/* ---- Syntax ---------------------------------------------------------------------------------- */

/* Where the error is: jansson's position is behind the token that it did not expect. */
static size_t syntax_place(const Reading *reading, const json_error_t *error)
{
    size_t at = error->position > 0 ? (size_t)error->position : 0;
    at = at < reading->len ? at : reading->len;
    const char *near = strstr(error->text, " near '");
    if (near == NULL) {
        return at;
    }
    near += strlen(" near '");
    size_t near_len = strlen(near);
    if (near_len < 2) {
        return at;
    }
    near_len--; /* its closing quote */
    if (near_len <= at && memcmp(reading->text + at - near_len, near, near_len) == 0) {
        return at - near_len;
    }
    return at;
}

/* The slips that people make, each with its cure; "" where none fits. before is the last byte
 * before the place that is not space. */
static const char *syntax_hint(const Reading *reading, size_t at, const char *jansson_text)
{
    char before = '\0';
    for (size_t i = at; i > 0 && before == '\0'; i--) {
        if (strchr(" \t\r\n", reading->text[i - 1]) == NULL) {
            before = reading->text[i - 1];
        }
    }
    char here = at < reading->len ? reading->text[at] : '\0';
    if (strstr(jansson_text, "duplicate object key") != NULL) {
        return "; keep one of the two";
    }
    if (before == ',' && (here == ']' || here == '}')) {
        return "; take away the comma before it";
    }
    if (here == '\'') {
        return "; JSON wants double quotes, as in \"localhost\"";
    }
    if (here == '/' || here == '#') {
        return "; JSON knows no comments, take it away";
    }
    if ((here == '{' && before == '}') || (here == '"' && strchr("\"0123456789", before) != NULL)) {
        return "; put a comma before it";
    }
    if ((here >= 'a' && here <= 'z') || (here >= 'A' && here <= 'Z')) {
        return "; names and texts stand in double quotes";
    }
    if (strstr(jansson_text, "unable to decode byte") != NULL) {
        return "; save the file as UTF-8";
    }
    if (strstr(jansson_text, "too big integer") != NULL) {
        return "; a port is 1..65535";
    }
    if (at >= reading->len) {
        return "; is a \"]\" or \"}\" missing?";
    }
    return "";
}

static Err syntax_error(const Reading *reading, const json_error_t *error)
{
    StrBuf message = {0};
    const char *text = reading->text;
    if (reading->len >= 2 &&
        (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0)) {
        add_place(&message, reading, 0);
        strbuf_add_string(&message, "the file is UTF-16; save it as UTF-8");
        return fail(reading, ERR_INVALID, &message);
    }
    size_t first = skip_space(text, reading->len, 0);
    if (first == reading->len) {
        add_place(&message, reading, 0);
        strbuf_add_string(&message, "the file is empty; write a list, as in [" EXAMPLE
                                    "], or delete the file to have it made again");
        return fail(reading, ERR_INVALID, &message);
    }
    if (text[first] != '[' && text[first] != '{') {
        add_place(&message, reading, first);
        strbuf_add_string(&message, "the file must hold a list, as in [" EXAMPLE "]");
        return fail(reading, ERR_INVALID, &message);
    }
    size_t at = syntax_place(reading, error);
    add_place(&message, reading, at);
    strbuf_add_string(&message, "not valid JSON: ");
    text_sanitise(&message, error->text, strlen(error->text));
    strbuf_add_string(&message, syntax_hint(reading, at, error->text));
    return fail(reading, ERR_INVALID, &message);
}

/* ---- Rules ----------------------------------------------------------------------------------- */

static Err bad_element(const Reading *reading, const Part *part, const char *what,
                       const json_t *value)
{
    StrBuf message = {0};
    add_place(&message, reading, locate(reading, part));
    strbuf_addf(&message, "entry %zu %s", part->element + 1, what);
    if (value != NULL) {
        strbuf_add_string(&message, ", not ");
        add_value(&message, value);
    }
    return fail(reading, ERR_INVALID, &message);
}

static Err read_host(const Reading *reading, const Part *part, const json_t *value,
                     NodeConfig *node)
{
    StrBuf message = {0};
    if (!json_is_string(value)) {
        add_place(&message, reading, locate(reading, part));
        strbuf_add_string(&message, "\"host\" must be a name or address in quotes, as in "
                                    "\"localhost\", not ");
        add_value(&message, value);
        return fail(reading, ERR_INVALID, &message);
    }
    const char *host = json_string_value(value);
    size_t len = json_string_length(value);
    const char *reason = NULL;
    Err err = host_check(host, len, &reason);
    if (err != ERR_OK) {
        add_place(&message, reading, locate(reading, part));
        strbuf_addf(&message, "\"host\" %s", reason);
        if (len > 0) {
            strbuf_add_string(&message, ": ");
            add_quoted(&message, host, len);
        }
        return fail(reading, ERR_INVALID, &message);
    }
    bool bracketed = host[0] == '[';
    size_t kept = bracketed ? len - 2 : len;
    memcpy(node->host, bracketed ? host + 1 : host, kept); /* host_check has seen to its length */
    node->host[kept] = '\0';
    return ERR_OK;
}

static Err read_port(const Reading *reading, const Part *part, const json_t *value,
                     NodeConfig *node)
{
    json_int_t port = json_is_integer(value) ? json_integer_value(value) : 0;
    if (port >= 1 && port <= PORT_MAX) {
        node->port = (uint16_t)port;
        return ERR_OK;
    }
    StrBuf message = {0};
    add_place(&message, reading, locate(reading, part));
    if (json_is_string(value)) {
        strbuf_add_string(&message, "\"port\" must be a number without quotes, as in 50051, not ");
    } else if (json_is_integer(value)) {
        strbuf_add_string(&message, "\"port\" must be 1..65535, not ");
    } else {
        strbuf_add_string(&message, "\"port\" must be a whole number, as in 50051, not ");
    }
    add_value(&message, value);
    if (json_is_integer(value)) {
        strbuf_add_string(&message, "; write the PORT that the other node was started with");
    }
    return fail(reading, ERR_INVALID, &message);
}

static Err read_entry(Reading *reading, size_t index, json_t *entry, NodeConfig *ret_node)
{
    NodeConfig node = {0};
    Part part = {.element = index, .key = KEY_NONE};
    if (!json_is_object(entry)) {
        return bad_element(reading, &part, "must be an object, as in " EXAMPLE, entry);
    }
    bool has_host = false;
    bool has_port = false;
    size_t key_index = 0; /* jansson keeps the order in which keys were written */
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(entry, key, value) {
        Part at = {.element = index, .key = key_index++, .value = true};
        Err err = ERR_OK;
        if (strcmp(key, "host") == 0) {
            has_host = true;
            err = read_host(reading, &at, value, &node);
        } else if (strcmp(key, "port") == 0) {
            has_port = true;
            err = read_port(reading, &at, value, &node);
        } else if (may_warn(reading)) {
            StrBuf message = {0};
            at.value = false;
            add_place(&message, reading, locate(reading, &at));
            strbuf_add_string(&message, "unknown key ");
            add_quoted(&message, key, strlen(key));
            strbuf_add_string(&message, " is ignored; an entry has \"host\" and \"port\"");
            nodes_json_warn(reading->nodes, &message);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    if (!has_host) {
        return bad_element(reading, &part, "has no \"host\"; write it as in " EXAMPLE, NULL);
    }
    if (!has_port) {
        return bad_element(reading, &part, "has no \"port\"; write it as in " EXAMPLE, NULL);
    }
    *ret_node = node;
    return ERR_OK;
}

/* Is that address this node? A node that listens on one loopback address only, as 127.0.0.2, is at
 * none of the others. */
static bool is_self(const NodesJsonSelf *self, const NodeConfig *node)
{
    if (node->port != self->port) {
        return false;
    }
    if (host_is_any(node->host)) {
        return true;
    }
    char host[HOST_MAX_BYTES + 1];
    host_canonical(node->host, host);
    if (self->listen == NULL) {
        return host_is_loopback(node->host);
    }
    char listen[HOST_MAX_BYTES + 1];
    host_canonical(self->listen, listen);
    if (strcmp(host, listen) == 0) {
        return true;
    }
    bool listens_on_one_loopback = host_is_loopback(listen) && strcmp(listen, "localhost") != 0;
    return host_is_loopback(node->host) && !listens_on_one_loopback;
}

/* Says that the entry names the same address as one before. */
static void warn_of_twin(Reading *reading, const Part *part, const NodeConfig *first)
{
    if (!may_warn(reading)) {
        return;
    }
    StrBuf message = {0};
    char address[LINK_HOST_MAX_BYTES + 16];
    node_config_address(first->host, first->port, address, sizeof(address));
    add_place(&message, reading, locate(reading, part));
    strbuf_addf(&message, "entry %zu is %s once more and is ignored; take it away",
                part->element + 1, address);
    nodes_json_warn(reading->nodes, &message);
}

static Err add_node(Reading *reading, size_t index, const NodeConfig *node)
{
    NodesJson *nodes = reading->nodes;
    if (is_self(reading->self, node)) {
        nodes->self_count++;
        return ERR_OK;
    }
    Part part = {.element = index, .key = KEY_NONE};
    char host[HOST_MAX_BYTES + 1];
    host_canonical(node->host, host);
    for (size_t i = 0; i < nodes->nodes_count; i++) {
        if (nodes->nodes[i].port == node->port && strcmp(reading->canonical[i], host) == 0) {
            warn_of_twin(reading, &part, &nodes->nodes[i]);
            return ERR_OK;
        }
    }
    if (nodes->nodes_count == LINKS_MAX) {
        StrBuf message = {0};
        add_place(&message, reading, locate(reading, &part));
        strbuf_addf(&message, "more than %d nodes; take some away", LINKS_MAX);
        return fail(reading, ERR_LIMIT, &message);
    }
    memcpy(reading->canonical[nodes->nodes_count], host, sizeof(host));
    nodes->nodes = mem_resize(nodes->nodes, nodes->nodes_count + 1, sizeof(*nodes->nodes));
    nodes->nodes[nodes->nodes_count++] = *node;
    return ERR_OK;
}

static Err read_list(Reading *reading, json_t *list)
{
    if (!json_is_array(list)) {
        StrBuf message = {0};
        add_place(&message, reading, skip_space(reading->text, reading->len, 0));
        strbuf_add_string(&message, "the file must hold a list, not an object; put \"[\" before "
                                    "the entries and \"]\" behind them, as in [" EXAMPLE "]");
        return fail(reading, ERR_INVALID, &message);
    }
    size_t index = 0;
    json_t *entry = NULL;
    json_array_foreach(list, index, entry) {
        NodeConfig node = {0};
        Err err = read_entry(reading, index, entry, &node);
        if (err == ERR_OK) {
            err = add_node(reading, index, &node);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    if (reading->warnings_unsaid > 0) {
        StrBuf message = {0};
        text_sanitise(&message, reading->name, strlen(reading->name));
        strbuf_addf(&message, ": %zu more warnings of these kinds", reading->warnings_unsaid);
        nodes_json_warn(reading->nodes, &message);
    }
    return ERR_OK;
}

Err nodes_json_parse(const char *name, const char *text, size_t len, const NodesJsonSelf *self,
                     NodesJson *ret_nodes, char **ret_error)
{
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* some editors put it first */
        text += 3;
        len -= 3;
    }
    NodesJson nodes = {0};
    Reading reading = {
        .name = name,
        .text = text,
        .len = len,
        .self = self,
        .nodes = &nodes,
        .ret_error = ret_error,
    };
    if (len > NODES_JSON_MAX_BYTES) {
        StrBuf message = {0};
        text_sanitise(&message, name, strlen(name));
        strbuf_addf(&message, ": larger than %d bytes; is it the right file?",
                    NODES_JSON_MAX_BYTES);
        return fail(&reading, ERR_LIMIT, &message);
    }
    json_error_t error = {0};
    json_t *list = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (list == NULL) {
        return syntax_error(&reading, &error);
    }
    reading.canonical = mem_array(LINKS_MAX, sizeof(*reading.canonical));
    Err err = read_list(&reading, list);
    mem_free(reading.canonical);
    json_decref(list);
    if (err != ERR_OK) {
        nodes_json_done(&nodes);
        return err;
    }
    *ret_nodes = nodes;
    return ERR_OK;
}

void nodes_json_done(NodesJson *nodes)
{
    for (size_t i = 0; i < nodes->warnings_count; i++) {
        mem_free(nodes->warnings[i]);
    }
    mem_free(nodes->warnings);
    mem_free(nodes->nodes);
    *nodes = (NodesJson){0};
}
