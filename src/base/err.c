/* The texts of Err. */
#include "base/err.h"

const char *err_text(Err err)
{
#define ERR_CASE_ROW(name, text)                                                                   \
    case name:                                                                                     \
        return text;
    switch (err) {
        ERR_TABLE(ERR_CASE_ROW)
    }
#undef ERR_CASE_ROW
    return "unknown error";
}
