/* What can go wrong, as one type that cannot be ignored.
 *
 * A function that can fail returns Err and leaves its ret_x outputs untouched on failure. An error
 * that a person should read travels as an Err plus a text that says what happened, to what, and
 * what to do next. */
#pragma once

/* It knows no attributes here, and moves the table's columns: */
/* clang-format off */
/* name, text in the log */
#define ERR_TABLE(X)                                                                               \
    X(ERR_OK, "ok")                                                                                \
    X(ERR_INVALID, "invalid")                 /* the caller's data breaks a rule */                \
    X(ERR_LIMIT, "limit reached")             /* a cap was hit; nothing was taken */               \
    X(ERR_NOT_FOUND, "not found")                                                                  \
    X(ERR_EXISTS, "exists already")                                                                \
    X(ERR_IN_USE, "in use")                   /* an address another process holds */               \
    X(ERR_DENIED, "permission denied")                                                             \
    X(ERR_UNAVAILABLE, "unavailable")         /* later it may work */                              \
    X(ERR_GONE, "gone")                       /* what was asked for is no longer kept */           \
    X(ERR_IO, "input or output failed")       /* errno or the text beside it says more */

#define ERR_ENUM_ROW(name, text) name,
typedef enum [[nodiscard]] Err { ERR_TABLE(ERR_ENUM_ROW) } Err;
#undef ERR_ENUM_ROW
/* clang-format on */

/* Never NULL; a static string. */
const char *err_text(Err err);
