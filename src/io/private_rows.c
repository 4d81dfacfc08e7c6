/* The frame around the rows is the same in each of these files. */
#include "io/private_rows.h"

#include "base/strbuf.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum {
    FILE_MAX_BYTES = 1024 * 1024, /* a row has some 250 bytes; names may be written in escapes */
    HEX_MAX_BYTES = 64,
    VERSION = 1,
};

void private_rows_init(PrivateRows *rows, const char *directory, const char *name, size_t max)
{
    *rows = (PrivateRows){
        .directory = mem_copy_string(directory),
        .path = private_path(directory, name),
        .name = name,
        .max = max,
    };
}

void private_rows_done(PrivateRows *rows)
{
    mem_free(TAKE(rows->directory));
    mem_free(TAKE(rows->path));
}

static Err parse(const PrivateRows *rows, const PrivateText *text, json_t **ret_root,
                 char **ret_error)
{
    json_error_t error;
    json_t *root = json_loadb(text->text, text->len, JSON_REJECT_DUPLICATES, &error);
    const json_t *items = json_object_get(root, rows->name);
    if (root == NULL) {
        *ret_error =
            strbuf_format("%s:%d:%d: %s", rows->path, error.line, error.column, error.text);
    } else if (json_integer_value(json_object_get(root, "version")) != VERSION) {
        *ret_error =
            strbuf_format("%s is of a later version of chat_node: take that one", rows->path);
    } else if (!json_is_array(items) || json_array_size(items) > rows->max) {
        *ret_error = strbuf_format("%s: it must hold a list of at most %zu %s", rows->path,
                                   rows->max, rows->name);
    } else {
        *ret_root = root;
        return ERR_OK;
    }
    json_decref(root);
    return ERR_INVALID;
}

Err private_rows_load(PrivateRows *rows, PrivateRowsTake *take, void *context, char **ret_error)
{
    bool changed = private_file_changed(rows->path, &rows->stamp);
    if (rows->loaded && !changed) {
        return ERR_OK;
    }
    PrivateText text = {0};
    json_t *root = NULL;
    Err err = private_file_read(rows->path, FILE_MAX_BYTES, &text, ret_error);
    if (err == ERR_OK) {
        err = parse(rows, &text, &root, ret_error);
        private_text_done(&text);
    } else if (err == ERR_NOT_FOUND) {
        root = json_pack("{s:[]}", rows->name);
        err = ERR_OK;
    }
    if (err == ERR_OK) {
        err = take(context, json_object_get(root, rows->name), ret_error);
    }
    json_decref(root);
    rows->loaded = err == ERR_OK;
    return err;
}

Err private_rows_save(PrivateRows *rows, json_t *items, char **ret_error)
{
    json_t *root = json_pack("{s:i, s:o}", "version", VERSION, rows->name, items);
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    rows->loaded = false;
    Err err = private_file_write(rows->path, text, strlen(text), ret_error);
    free(text); /* NOLINT: jansson's */
    return err;
}

bool private_rows_hex(const json_t *value, uint8_t *ret_data, size_t len)
{
    const char *text = json_string_value(value);
    size_t got = 0;
    return text != NULL && strlen(text) == 2 * len &&
           sodium_hex2bin(ret_data, len, text, strlen(text), NULL, &got, NULL) == 0 && got == len;
}

void private_rows_set_hex(json_t *row, const char *key, const uint8_t *data, size_t len)
{
    char hex[2 * HEX_MAX_BYTES + 1];
    assert(len <= HEX_MAX_BYTES);
    sodium_bin2hex(hex, sizeof(hex), data, len);
    json_object_set_new_nocheck(row, key, json_string_nocheck(hex));
}
