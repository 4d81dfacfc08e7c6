/* The -wal beside log.db: how long it is, and when it is emptied. */
#include "io/store_writer.h"

#include "base/log.h"

enum {
    WAL_PIECE_BYTES = 256 * 1024,
    /* Until the checkpoint, and what one transaction may add to that. */
    WAL_LONG_BYTES = (CHECKPOINT_PAGES + 24) * (4096 + 24),
};

static int on_wal(void *context, sqlite3 *sqlite, const char *name, int pages)
{
    (void)sqlite;
    (void)name;
    ((Writer *)context)->wal_pages = pages;
    return SQLITE_OK;
}

void wal_watch(Writer *writer)
{
    sqlite3_wal_hook(writer->db.sqlite, on_wal, writer);
}

/* A disk that is full may be too full for this and not for the next commit, whose pages come back
 * to the start of the -wal: whether writing works is for commits to tell. */
void wal_checkpoint(Writer *writer)
{
    writer->wal_pages = 0;
    int code =
        sqlite3_wal_checkpoint_v2(writer->db.sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (code != SQLITE_OK) {
        log_debug("%s: checkpoint: %s", writer->store->file, db_reason(&writer->db, code));
    }
}

/* A commit that makes the -wal longer has the file system write down its new length too: a third of
 * what it takes. So zeros are laid before it while there is time, piece by piece, as far as it
 * comes before the checkpoint; from there on it starts again at its beginning. SQLite stops reading
 * where a page has not the salt of its -wal, and zeros never have. */
static int lengthen(sqlite3_file *wal, bool *ret_long)
{
    static const uint8_t zeros[WAL_PIECE_BYTES];
    sqlite3_int64 size = 0;
    int code = wal->pMethods->xFileSize(wal, &size);
    *ret_long = size >= WAL_LONG_BYTES;
    if (code != SQLITE_OK || *ret_long) {
        return code;
    }
    code = wal->pMethods->xWrite(wal, zeros, sizeof(zeros), size);
    code = code == SQLITE_OK ? wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL) : code;
    if (code != SQLITE_OK) { /* a full disk: what there is is for the lines themselves */
        wal->pMethods->xTruncate(wal, size);
    }
    return code;
}

void wal_lengthen(Writer *writer)
{
    sqlite3_file *wal = NULL;
    int code = sqlite3_file_control(writer->db.sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    bool is_open = code == SQLITE_OK && wal != NULL && wal->pMethods != NULL;
    if (!is_open || lengthen(wal, &writer->wal_is_long) != SQLITE_OK) {
        writer->wal_is_long = true;
    }
}
