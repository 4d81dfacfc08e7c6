/* libqrencode's dots, two rows at a time. */
#include "face/qr.h"

#include <langinfo.h>
#include <qrencode.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Black on white of the 256 colours, which themes leave alone. */
static const char COLORS[] = "\033[38;5;16;48;5;231m";
static const char COLORS_END[] = "\033[0m";

/* NULL: it cannot be shown so. The line of an invitation is capitals, digits and a hyphen, which
 * the library packs two into eleven bits. */
static QRcode *encode(const char *text)
{
    return text[0] != '\0' ? QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1) : NULL;
}

static int side_of(const QRcode *code)
{
    return code->width + 2 * QR_MARGIN;
}

/* What is outside is light. */
static bool is_dark(const QRcode *code, int row, int column)
{
    row -= QR_MARGIN;
    column -= QR_MARGIN;
    return row >= 0 && row < code->width && column >= 0 && column < code->width &&
           (code->data[row * code->width + column] & 1) != 0;
}

static const char *block(bool upper, bool lower)
{
    if (upper) {
        return lower ? "\u2588" : "\u2580";
    }
    return lower ? "\u2584" : " ";
}

static void add_line(StrBuf *out, const QRcode *code, int row, bool color)
{
    strbuf_add_string(out, color ? COLORS : "");
    for (int column = 0; column < side_of(code); column++) {
        bool upper = is_dark(code, row, column);
        bool lower = is_dark(code, row + 1, column);
        /* Below the last of an odd number of rows is nothing, which is no light. */
        bool last = row + 1 == side_of(code);
        strbuf_add_string(out, color ? block(upper, lower) : block(!upper, !lower && !last));
    }
    strbuf_add_string(out, color ? COLORS_END : "");
    strbuf_add_char(out, '\n');
}

size_t qr_columns(const char *text)
{
    QRcode *code = encode(text);
    size_t columns = code != NULL ? (size_t)side_of(code) : 0;
    QRcode_free(code);
    return columns;
}

void qr_write(StrBuf *out, const char *text, bool color)
{
    QRcode *code = encode(text);
    for (int row = 0; code != NULL && row < side_of(code); row += 2) {
        add_line(out, code, row, color);
    }
    QRcode_free(code);
}

bool qr_write_for(StrBuf *out, const char *text, bool color, int fd)
{
    struct winsize size;
    size_t columns = qr_columns(text);
    if (columns == 0 || isatty(fd) == 0 || strcmp(nl_langinfo(CODESET), "UTF-8") != 0 ||
        ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col < columns) {
        return false;
    }
    qr_write(out, text, color);
    return true;
}
