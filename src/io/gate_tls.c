/* TLS 1.3 and nothing else of OpenSSL: contexts, our certificates, whose key is at the other end,
 * and words for what fails.
 *
 * Who accepts looks at what the other side wants to speak (ALPN, RFC 7301) in its first message,
 * before anything is answered: a node and a program get different certificates. */
#include "io/gate_internal.h"

#include "base/strbuf.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

/* As it goes over the wire: each name behind its length. */
static const uint8_t ALPN_NODE[] = "\x0b"
                                   "chat_node/1";
static const uint8_t ALPN_PROGRAM[] = "\x02"
                                      "h2";
enum {
    ALPN_NODE_BYTES = sizeof(ALPN_NODE) - 1,
    ALPN_PROGRAM_BYTES = sizeof(ALPN_PROGRAM) - 1,
    /* One self-signed certificate takes 300 bytes. */
    CERTIFICATES_MAX_BYTES = 4096,
    /* Some records at once rather than one read for each head and one for each body. */
    READ_BYTES = 32 * 1024,
};

#define SUBJECT "chat_node"
#define EXPORTER_LABEL "EXPORTER-Channel-Binding" /* RFC 9266 */

/* ---- certificates ---- */

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool done = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

/* Self-signed, for ever good, and the same for everybody but for the key: it tells of no person and
 * no network. digest: NULL where the key's kind has its own. */
static X509 *certificate_new(EVP_PKEY *key, const EVP_MD *digest, bool named)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_NAME_new();
    bool done =
        certificate != NULL && name != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
        ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "20200101000000Z") == 1 &&
        ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)SUBJECT, -1, -1, 0) ==
            1 &&
        X509_set_subject_name(certificate, name) == 1 &&
        X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
        (!named || (add_extension(certificate, NID_subject_alt_name, "DNS:" SUBJECT) &&
                    add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE"))) &&
        X509_sign(certificate, key, digest) > 0;
    X509_NAME_free(name);
    if (!done) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

char *gate_program_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key != NULL ? certificate_new(key, EVP_sha256(), true) : NULL;
    BIO *out = BIO_new(BIO_s_secmem());
    char *pem = NULL;
    if (certificate != NULL && out != NULL &&
        PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 &&
        PEM_write_bio_X509(out, certificate) == 1) {
        char *data = NULL;
        long len = BIO_get_mem_data(out, &data);
        pem = mem_copy_text(data, (size_t)len);
    }
    BIO_free(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (pem == NULL) {
        fprintf(stderr, "chat_node: OpenSSL makes no certificate\n");
        abort();
    }
    return pem;
}

/* ---- who is there ---- */

static bool raw_key(X509 *certificate, uint8_t ret_key[EVENT_KEY_BYTES])
{
    EVP_PKEY *key = certificate != NULL ? X509_get0_pubkey(certificate) : NULL;
    size_t len = EVENT_KEY_BYTES;
    return key != NULL && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
           EVP_PKEY_get_raw_public_key(key, ret_key, &len) == 1 && len == EVENT_KEY_BYTES;
}

/* In place of looking for an authority: the certificate only carries the key, and the handshake
 * proves that the other side has its secret. With a point of small order anybody could prove it. */
static int verify(X509_STORE_CTX *store, void *context)
{
    (void)context;
    uint8_t key[EVENT_KEY_BYTES];
    if (raw_key(X509_STORE_CTX_get0_cert(store), key) &&
        crypto_core_ed25519_is_valid_point(key) == 1) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    X509_STORE_CTX_set_error(store, X509_V_ERR_EE_KEY_TOO_SMALL);
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    GateConn *conn = SSL_get_app_data(ssl);
    conn->words = "its certificate has no Ed25519 key, as a node's has";
    return 0;
}

/* ---- what it wants to speak ---- */

static bool offers(const uint8_t *list, size_t len, const uint8_t *name, size_t name_len)
{
    for (size_t at = 0; at < len; at += (size_t)list[at] + 1) {
        if (len - at >= name_len && memcmp(list + at, name, name_len) == 0) {
            return true;
        }
    }
    return false;
}

static int hello_refuse(GateConn *conn, int *ret_alert, int alert, const char *words)
{
    conn->words = words;
    *ret_alert = alert;
    return SSL_CLIENT_HELLO_ERROR;
}

static int hello(SSL *ssl, int *ret_alert, void *context)
{
    Gate *gate = context;
    GateConn *conn = SSL_get_app_data(ssl);
    const uint8_t *list = NULL;
    size_t len = 0;
    /* RFC 7301 section 3.1: two bytes of length before the list. */
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &list,
                                  &len) != 1 ||
        len < 2) {
        return hello_refuse(conn, ret_alert, SSL_AD_NO_APPLICATION_PROTOCOL,
                            "it is no program of this kind: it does not say what it speaks");
    }
    list += 2;
    len -= 2;
    if (offers(list, len, ALPN_NODE, ALPN_NODE_BYTES)) {
        conn->peer.kind = GATE_MEMBER;
        SSL_set_SSL_CTX(ssl, gate->of_nodes);
        SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    if (!offers(list, len, ALPN_PROGRAM, ALPN_PROGRAM_BYTES)) {
        return hello_refuse(conn, ret_alert, SSL_AD_NO_APPLICATION_PROTOCOL,
                            "it speaks what this node does not");
    }
    if (gate->of_programs == NULL || !gate->programs) {
        return hello_refuse(conn, ret_alert, SSL_AD_ACCESS_DENIED,
                            "it is a program, and there is no token for any");
    }
    conn->peer.kind = GATE_PROGRAM;
    SSL_set_SSL_CTX(ssl, gate->of_programs);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int choose(SSL *ssl, const uint8_t **ret_name, uint8_t *ret_len, const uint8_t *list,
                  unsigned len, void *context)
{
    (void)list;
    (void)len;
    (void)context;
    GateConn *conn = SSL_get_app_data(ssl);
    const uint8_t *name = conn->peer.kind == GATE_MEMBER ? ALPN_NODE : ALPN_PROGRAM;
    *ret_name = name + 1;
    *ret_len = name[0];
    return SSL_TLSEXT_ERR_OK;
}

/* ---- contexts ---- */

/* No tickets, no sessions, no early data: each connection shows its certificates. P-256 is there
 * for programs: gRPC offers nothing else. */
static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(context, 0) != 1 ||
        SSL_CTX_set1_groups_list(context, "X25519:P-256") != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(context, CERTIFICATES_MAX_BYTES);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_BYTES);
    SSL_CTX_set_cert_verify_callback(context, verify, NULL);
    return context;
}

static bool context_identify(SSL_CTX *context, X509 *certificate, EVP_PKEY *key)
{
    return certificate != NULL && key != NULL &&
           SSL_CTX_use_certificate(context, certificate) == 1 &&
           SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
}

static bool open_node_contexts(Gate *gate, const uint8_t *seed)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, EVENT_SEED_BYTES);
    X509 *certificate = key != NULL ? certificate_new(key, NULL, false) : NULL;
    gate->accepting = context_new(TLS_server_method());
    gate->of_nodes = context_new(TLS_server_method());
    gate->dialling = context_new(TLS_client_method());
    bool done = gate->accepting != NULL && gate->of_nodes != NULL && gate->dialling != NULL &&
                context_identify(gate->of_nodes, certificate, key) &&
                context_identify(gate->dialling, certificate, key) &&
                SSL_CTX_set1_sigalgs_list(gate->dialling, "ed25519") == 1 &&
                SSL_CTX_set1_client_sigalgs_list(gate->of_nodes, "ed25519") == 1 &&
                SSL_CTX_set_alpn_protos(gate->dialling, ALPN_NODE, ALPN_NODE_BYTES) == 0;
    if (done) {
        SSL_CTX_set_client_hello_cb(gate->accepting, hello, gate);
        SSL_CTX_set_alpn_select_cb(gate->accepting, choose, NULL);
        SSL_CTX_set_alpn_select_cb(gate->of_nodes, choose, NULL);
        SSL_CTX_set_verify(gate->dialling, SSL_VERIFY_PEER, NULL);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return done;
}

static bool open_program_context(Gate *gate, const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
    X509 *certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);
    gate->of_programs = context_new(TLS_server_method());
    bool done = gate->of_programs != NULL && context_identify(gate->of_programs, certificate, key);
    if (done) {
        SSL_CTX_set_alpn_select_cb(gate->of_programs, choose, NULL);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(in);
    return done;
}

Err gate_tls_open(Gate *gate, const GateOptions *options, char **ret_text)
{
    if (!open_node_contexts(gate, options->seed)) {
        char why[GATE_TEXT_MAX_BYTES];
        ERR_error_string_n(ERR_get_error(), why, sizeof(why));
        *ret_text = strbuf_format("OpenSSL does not take up TLS 1.3 with Ed25519: %s", why);
        return ERR_IO;
    }
    if (options->program_pem != NULL && !open_program_context(gate, options->program_pem)) {
        ERR_clear_error();
        *ret_text = mem_copy_string("it is no private key with its certificate in PEM; remove it, "
                                    "and another is made");
        return ERR_INVALID;
    }
    return ERR_OK;
}

void gate_tls_close(Gate *gate)
{
    SSL_CTX_free(gate->accepting);
    SSL_CTX_free(gate->of_nodes);
    SSL_CTX_free(gate->of_programs);
    SSL_CTX_free(gate->dialling);
}

/* ---- the handshake ---- */

static bool learn_peer(GateConn *conn)
{
    const uint8_t *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(conn->ssl, &name, &len);
    if (conn->peer.dialled && (len != ALPN_NODE[0] || memcmp(name, ALPN_NODE + 1, len) != 0)) {
        return false;
    }
    if (conn->peer.kind == GATE_MEMBER &&
        !raw_key(SSL_get0_peer_certificate(conn->ssl), conn->peer.key)) {
        return false;
    }
    return SSL_export_keying_material(conn->ssl, conn->peer.binding, GATE_BINDING_BYTES,
                                      EXPORTER_LABEL, strlen(EXPORTER_LABEL), NULL, 0, 0) == 1;
}

void gate_tls_handshake(GateConn *conn)
{
    ERR_clear_error();
    int result = SSL_do_handshake(conn->ssl);
    if (result == 1) {
        if (learn_peer(conn)) {
            gate_talk_begin(conn);
        } else {
            gate_conn_fail(conn, ERR_IO, "what listens there is no node of this kind");
        }
        return;
    }
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        gate_watch(conn->gate, &conn->tcp, EPOLLIN);
        break;
    case SSL_ERROR_WANT_WRITE:
        gate_watch(conn->gate, &conn->tcp, EPOLLOUT);
        break;
    default: {
        char text[GATE_TEXT_MAX_BYTES];
        gate_tls_words(conn, result, text);
        gate_conn_fail_kindly(conn, ERR_IO, text);
        break;
    }
    }
}

/* ---- words ---- */

typedef struct ReasonRow {
    int reason;
    const char *words;
} ReasonRow;

static const ReasonRow REASONS[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, "its TLS is older than 1.3"},
    {SSL_R_VERSION_TOO_LOW, "its TLS is older than 1.3"},
    {SSL_R_WRONG_VERSION_NUMBER, "it does not speak TLS"},
    {SSL_R_HTTP_REQUEST, "it speaks HTTP without TLS"},
    {SSL_R_HTTPS_PROXY_REQUEST, "it takes this node for a proxy"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "it shows no certificate"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "it does not take a node's certificate"},
    {SSL_R_BAD_SIGNATURE, "it has not the key of the certificate that it shows"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, "it does not take X25519"},
    {SSL_R_NO_SUITABLE_GROUPS, "it does not take X25519"},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, "its certificates are too long"},
    {SSL_R_UNEXPECTED_EOF_WHILE_READING, "it closed the connection"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "it refuses TLS 1.3"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "it refuses this node's way of encrypting"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "it wants a certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "it does not take the certificate"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "it does not take the certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "it does not take the certificate"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "it does not take the certificate"},
    {SSL_R_TLSV1_ALERT_DECRYPT_ERROR, "it does not take the certificate's proof"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, "it denies access"},
    {SSL_AD_REASON_OFFSET + TLS1_AD_NO_APPLICATION_PROTOCOL,
     "it is no node of this kind: it does not speak chat_node/1"},
};

static const char *reason_words(unsigned long error)
{
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) {
        return NULL;
    }
    int reason = ERR_GET_REASON(error);
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++) {
        if (REASONS[i].reason == reason) {
            return REASONS[i].words;
        }
    }
    return NULL;
}

void gate_tls_words(GateConn *conn, int result, char ret_text[GATE_TEXT_MAX_BYTES])
{
    int system = errno;
    int kind = SSL_get_error(conn->ssl, result);
    unsigned long error = ERR_get_error();
    const char *words = conn->words != NULL ? conn->words : reason_words(error);
    if (words == NULL && kind == SSL_ERROR_ZERO_RETURN) {
        words = "it closed the connection";
    }
    if (words == NULL && kind == SSL_ERROR_SYSCALL) {
        words = system != 0 ? strerror(system) : "it closed the connection";
    }
    if (words == NULL && system == ECONNRESET) {
        words = strerror(system);
    }
    if (words != NULL) {
        snprintf(ret_text, GATE_TEXT_MAX_BYTES, "%s", words);
    } else {
        const char *why = ERR_reason_error_string(error);
        snprintf(ret_text, GATE_TEXT_MAX_BYTES, "TLS: %s", why != NULL ? why : "failed");
    }
    ERR_clear_error();
}
