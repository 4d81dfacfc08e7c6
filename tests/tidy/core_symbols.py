#!/usr/bin/python3
"""The core is pure, and the linker says so: what its archive wants from outside is on one short
list. No clock, socket, file, thread, random number or log is.
"""

import re
import subprocess

import tree

# From the C library: memory, text, and how an assert or a hash table gives up.
ALLOWED = re.compile(
    r"^(mem(chr|cmp|cpy|mem|move|rchr|set)|str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn)"
    r"|strto(l|ul|ll|ull|imax|umax)|v?snprintf|qsort|bsearch"
    r"|malloc|calloc|realloc|reallocarray|free|abort|exit"
    r"|__(mem\w+|v?snprintf|isoc\w+)_chk|__assert_fail|__stack_chk_fail"
    r"|__ctype_b_loc|__ctype_to(lower|upper)_loc|__errno_location"
    r"|_GLOBAL_OFFSET_TABLE_"
    r"|crypto_generichash\w*|crypto_sign_(seed_keypair|detached|verify_detached)|sodium_memzero"
    r"|crypto_aead_xchacha20poly1305_ietf_(en|de)crypt|crypto_box_(easy|seed_keypair|seal_open)"
    r"|crypto_sign_ed25519_[ps]k_to_curve25519|crypto_scalarmult_base|sodium_memcmp"
    r"|crypto_hash_sha512_(init|update|final)|crypto_core_ed25519_scalar_reduce"
    r"|(protobuf_c_message|protobuf_c_empty_string|chat__)\w*)$")
# From base: all but what reaches outside.
BASE_FORBIDDEN = re.compile(r"^(log|random)_")


def symbols(archive):
    """What the archive defines, and {what it wants and does not define: who wants it}."""
    output = subprocess.run(["nm", "-A", str(archive)], check=True, capture_output=True,
                            text=True).stdout
    defined, wanted = set(), {}
    for line in output.splitlines():
        # libchat_core.a:core.c.o:0000000000000010 T core_new
        match = re.match(r"^[^:]*:([^:]*):[0-9a-f ]*\s([A-Za-z])\s(\S+)$", line)
        if not match:
            continue
        member, kind, name = match.groups()
        if kind in "Uwv":
            wanted.setdefault(name, member)
        else:
            defined.add(name)
    return defined, {name: who for name, who in wanted.items() if name not in defined}


def complaints(core, base):
    _, wanted = symbols(core)
    of_base, _ = symbols(base)
    found = []
    for name, who in sorted(wanted.items()):
        if name in of_base:
            if BASE_FORBIDDEN.match(name):
                found.append(f"core/{who[:-2]}: {name}: the core neither logs nor draws random "
                             f"numbers; those come in events")
        elif not ALLOWED.match(name):
            found.append(f"core/{who[:-2]}: {name}: the core reaches nothing outside; if it is "
                         f"pure, add it to tests/tidy/core_symbols.py")
    return found


if __name__ == "__main__":
    tree.end(complaints(tree.BUILD / "libchat_core.a", tree.BUILD / "libchat_base.a"),
             "core symbols")
