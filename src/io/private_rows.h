/* A private file of rows in JSON, small enough to be read and written as a whole:
 *
 *   {"version": 1, NAME: [row, ...]}
 *
 * It is read again where another program has written it since. */
#pragma once

#include "io/private_file.h"

#include <jansson.h>

typedef struct PrivateRows {
    char *directory; /* owned, as path */
    char *path;
    const char *name; /* static; of the file, of the list in it, and for people */
    size_t max;       /* rows */
    PrivateStamp stamp;
    bool loaded; /* what was read last was good, and nothing has changed here since */
} PrivateRows;

void private_rows_init(PrivateRows *rows, const char *directory, const char *name, size_t max);
void private_rows_done(PrivateRows *rows);

/* Takes all rows (an array, of max at most) over; what it says of a wrong one goes to a person.
 * Valid during the call. */
typedef Err PrivateRowsTake(void *context, const json_t *items, char **ret_error);

/* Gives take what is there, where it is not what was given last; of no file, no rows. On failure
 * what was given before counts no more. ERR_INVALID: the file is not one of these; as
 * private_file_read; as take says. */
Err private_rows_load(PrivateRows *rows, PrivateRowsTake *take, void *context, char **ret_error);
/* Takes over items. What was loaded is read again the next time. As private_file_write. */
Err private_rows_save(PrivateRows *rows, json_t *items, char **ret_error);

/* Exactly so many bytes, as hexadecimal digits. */
bool private_rows_hex(const json_t *value, uint8_t *ret_data, size_t len);
/* len: 64 at most. */
void private_rows_set_hex(json_t *row, const char *key, const uint8_t *data, size_t len);
