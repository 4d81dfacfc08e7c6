/* Somebody who has copied a node's certificate, which everybody sees in a handshake, and has not
 * its key: shows the certificate, and signs with another key.
 *
 *   hostile_thief PORT CERTIFICATE.PEM      prints what became of the handshake */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 32, ANSWER_BYTES = 4096 };

static const unsigned char ALPN[] = "\x0b"
                                    "chat_node/1";

[[gnu::noreturn]] static void give_up(const char *what)
{
    fprintf(stderr, "hostile_thief: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

static X509 *read_certificate(const char *path)
{
    FILE *file = fopen(path, "r");
    X509 *certificate = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (certificate == NULL) {
        give_up(path);
    }
    fclose(file);
    return certificate;
}

/* The public half is the certificate's, so that the library takes the two for a pair; the private
 * one is random. */
static EVP_PKEY *false_key(const X509 *certificate)
{
    uint8_t public_half[KEY_BYTES];
    uint8_t private_half[KEY_BYTES];
    size_t len = sizeof(public_half);
    EVP_PKEY *key = NULL;
    if (EVP_PKEY_get_raw_public_key(X509_get0_pubkey(certificate), public_half, &len) != 1 ||
        RAND_bytes(private_half, sizeof(private_half)) != 1) {
        give_up("the certificate has no Ed25519 key");
    }
    OSSL_PARAM parts[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, public_half, KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, private_half, KEY_BYTES),
        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "ED25519", NULL);
    if (maker == NULL || EVP_PKEY_fromdata_init(maker) != 1 ||
        EVP_PKEY_fromdata(maker, &key, EVP_PKEY_KEYPAIR, parts) != 1) {
        give_up("no false key");
    }
    EVP_PKEY_CTX_free(maker);
    return key;
}

static SSL *dial(SSL_CTX *context, const char *port)
{
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%s", port);
    BIO *connection = BIO_new_connect(address);
    SSL *ssl = SSL_new(context);
    if (connection == NULL || ssl == NULL || BIO_do_connect(connection) != 1) {
        give_up("it does not connect");
    }
    SSL_set_bio(ssl, connection, connection);
    SSL_set_alpn_protos(ssl, ALPN, sizeof(ALPN) - 1);
    return ssl;
}

/* In TLS 1.3 whoever dials is done before the other has looked at its certificate: what that one
 * thought of it comes with the first byte. */
static int tell(SSL *ssl)
{
    uint8_t answer[ANSWER_BYTES];
    if (SSL_connect(ssl) != 1) {
        printf("the handshake failed: %s\n", ERR_reason_error_string(ERR_peek_error()));
        return 1;
    }
    int len = SSL_read(ssl, answer, sizeof(answer));
    if (len > 0) {
        printf("%d bytes came\n", len);
        return 0;
    }
    unsigned long error = ERR_peek_error();
    printf("it was closed: %s\n", error != 0 ? ERR_reason_error_string(error) : "no word");
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        give_up("PORT CERTIFICATE.PEM");
    }
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    X509 *certificate = read_certificate(argv[2]);
    EVP_PKEY *key = false_key(certificate);
    if (SSL_CTX_use_certificate(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(context, key) != 1) {
        give_up("the library sees that they do not belong together");
    }
    SSL *ssl = dial(context, argv[1]);
    int code = tell(ssl);
    SSL_free(ssl);
    EVP_PKEY_free(key);
    X509_free(certificate);
    SSL_CTX_free(context);
    return code;
}
