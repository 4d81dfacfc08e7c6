/* What a data directory knows of its network. */
#include "io/network_dir.h"

#include "core/members.h"
#include "io/nodes_json.h"
#include "io/prepared_dir.h"
#include "io/private_file.h"
#include "temp_dir.h"

static NetworkFile some_network(size_t proof_len)
{
    uint8_t data[MEMBER_PROOF_MAX_BYTES];
    memset(data, 0xa5, sizeof(data));
    return (NetworkFile){.genesis = bytes_new("\0genesis\xff", 9),
                         .proof = bytes_new(data, proof_len),
                         .port = 50051,
                         .name = "ann"};
}

static void network_comes_back_as_it_was_saved(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    static const size_t lens[] = {0, 1, 500, MEMBER_PROOF_MAX_BYTES};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        char *error = NULL;
        NetworkFile saved = some_network(lens[i]);
        NetworkFile loaded = {0};
        assert_int_equal(network_file_save(dir.path, &saved, &error), ERR_OK);
        assert_int_equal(network_file_load(dir.path, &loaded, &error), ERR_OK);
        assert_int_equal(bytes_len(loaded.genesis), 9);
        assert_memory_equal(bytes_data(loaded.genesis), "\0genesis\xff", 9);
        assert_int_equal(bytes_len(loaded.proof), lens[i]);
        assert_memory_equal(bytes_data(loaded.proof), bytes_data(saved.proof), lens[i]);
        assert_int_equal(loaded.port, 50051);
        assert_string_equal(loaded.name, "ann");
        network_file_done(&saved);
        network_file_done(&loaded);
    }
    temp_dir_done(&dir);
}

static void name_that_is_missing_or_none_is_not_known(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    static const char *const names[] = {"", ", \"name\": 7", ", \"name\": \"\\u001b[2J\"",
                                        ", \"name\": \"\""};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[200];
        char *error = NULL;
        NetworkFile loaded = {0};
        snprintf(text, sizeof(text), "{\"version\": 1, \"genesis\": \"AA==\", \"proof\": \"\"%s}",
                 names[i]);
        temp_put(&dir, "network", text, 0600);
        assert_int_equal(network_file_load(dir.path, &loaded, &error), ERR_OK);
        assert_string_equal(loaded.name, "");
        network_file_done(&loaded);
    }
    temp_dir_done(&dir);
}

static void without_the_file_it_is_open_mode(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    NetworkFile network = {0};
    char *error = NULL;
    assert_int_equal(network_file_load(dir.path, &network, &error), ERR_NOT_FOUND);
    assert_int_equal(network_file_load("/nonexistent", &network, &error), ERR_NOT_FOUND);
    assert_null(error);
    temp_dir_done(&dir);
}

static void a_file_that_is_wrong_is_never_taken_for_open_mode(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    static const char *const wrong[] = {"", "{}", "{\"version\": 1, \"genesis\": \"AA==\"}",
                                        "{\"version\": 1, \"genesis\": \"!\", \"proof\": \"\"}",
                                        "{\"version\": 2, \"genesis\": \"\", \"proof\": \"\"}"};
    NetworkFile network = {0};
    char *error = NULL;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        temp_put(&dir, "network", wrong[i], 0600);
        assert_int_equal(network_file_load(dir.path, &network, &error), ERR_INVALID);
        assert_non_null(strstr(error, "/network"));
        mem_free(TAKE(error));
    }
    temp_put(&dir, "network", "{\"version\": 1, \"genesis\": \"AA==\", \"proof\": \"\"}", 0644);
    assert_int_equal(network_file_load(dir.path, &network, &error), ERR_DENIED);
    assert_non_null(strstr(error, "chmod 600"));
    mem_free(TAKE(error));
    temp_dir_done(&dir);
}

static void nodes_json_has_each_node_once_and_is_read_again(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    static const char *const nodes[] = {"192.0.2.1:1", "[2001:db8::7]:2", "192.0.2.1:1",
                                        "nonsense",    "example.org:3",   "bad host:4"};
    NodesJson read = {0};
    NodesJsonSelf self = {.port = 50051};
    char *error = NULL;
    assert_int_equal(network_write_nodes(dir.path, nodes, 6, &error), ERR_OK);
    AUTO_FREE char *path = network_nodes_path(dir.path);
    assert_int_equal(nodes_json_load(path, &self, &read, &error), ERR_OK);
    assert_int_equal(read.nodes_count, 3);
    assert_int_equal(read.warnings_count, 0);
    assert_string_equal(read.nodes[0].host, "192.0.2.1");
    assert_string_equal(read.nodes[1].host, "2001:db8::7");
    assert_int_equal(read.nodes[1].port, 2);
    assert_string_equal(read.nodes[2].host, "example.org");
    nodes_json_done(&read);
    assert_int_equal(network_write_nodes(dir.path, NULL, 0, &error), ERR_OK);
    assert_int_equal(nodes_json_load(path, &self, &read, &error), ERR_OK);
    assert_int_equal(read.nodes_count, 0);
    nodes_json_done(&read);
    temp_dir_done(&dir);
}

static void certificate_of_programs_is_made_once(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    char *error = NULL;
    char *first = NULL;
    char *second = NULL;
    assert_int_equal(network_program_pem(dir.path, &first, &error), ERR_OK);
    assert_non_null(strstr(first, "-----BEGIN PRIVATE KEY-----"));
    assert_non_null(strstr(first, "-----BEGIN CERTIFICATE-----"));
    assert_int_equal(network_program_pem(dir.path, &second, &error), ERR_OK);
    assert_string_equal(first, second);
    mem_free(first);
    mem_free(second);
    assert_int_equal(chmod(temp_file(&dir, "program.pem"), 0644), 0);
    assert_int_equal(network_program_pem(dir.path, &first, &error), ERR_DENIED);
    mem_free(error);
    temp_dir_done(&dir);
}

static void identity_is_read_and_never_made(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    char *error = NULL;
    uint8_t key[EVENT_KEY_BYTES];
    EventSigner signer;
    assert_int_equal(network_own_key(dir.path, key, &error), ERR_NOT_FOUND);
    assert_non_null(strstr(error, "no node has kept anything there yet"));
    mem_free(TAKE(error));
    assert_int_equal(temp_count(&dir), 0);
    temp_put(&dir, "identity", "0123456789abcdef0123456789abcde", 0600);
    assert_int_equal(network_own_key(dir.path, key, &error), ERR_INVALID);
    mem_free(TAKE(error));
    temp_put(&dir, "identity", "0123456789abcdef0123456789abcdef", 0600);
    assert_int_equal(network_own_key(dir.path, key, &error), ERR_OK);
    event_signer_init(&signer, (const uint8_t *)"0123456789abcdef0123456789abcdef");
    assert_memory_equal(key, signer.public_key, sizeof(key));
    event_signer_done(&signer);
    temp_dir_done(&dir);
}

static void only_an_empty_directory_becomes_a_private_nodes(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    char *error = NULL;
    PreparedDir *prepared = NULL;
    PreparedDir *second = NULL;
    uint8_t key[EVENT_KEY_BYTES];
    EventSigner signer;
    assert_int_equal(prepared_dir_open(dir.path, NULL, &prepared, &error), ERR_OK);
    assert_int_equal(prepared_dir_open(dir.path, NULL, &second, &error), ERR_IN_USE);
    mem_free(TAKE(error));
    event_signer_init(&signer, prepared_dir_seed(prepared));
    assert_int_equal(network_own_key(dir.path, key, &error), ERR_OK);
    assert_memory_equal(key, signer.public_key, sizeof(key));
    event_signer_done(&signer);
    prepared_dir_close(prepared);
    /* Again, where joining did not go well the first time. */
    assert_int_equal(prepared_dir_open(dir.path, NULL, &prepared, &error), ERR_OK);
    assert_memory_not_equal(prepared_dir_seed(prepared), (uint8_t[EVENT_SEED_BYTES]){0},
                            EVENT_SEED_BYTES);
    prepared_dir_close(prepared);
    NetworkFile network = some_network(0);
    assert_int_equal(network_file_save(dir.path, &network, &error), ERR_OK);
    network_file_done(&network);
    assert_int_equal(prepared_dir_open(dir.path, NULL, &prepared, &error), ERR_EXISTS);
    assert_non_null(strstr(error, "--data"));
    mem_free(TAKE(error));
    temp_put(&dir, "network", "{}", 0600);
    assert_int_equal(prepared_dir_open(dir.path, NULL, &prepared, &error), ERR_INVALID);
    mem_free(TAKE(error));
    temp_dir_done(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(network_comes_back_as_it_was_saved),
        cmocka_unit_test(name_that_is_missing_or_none_is_not_known),
        cmocka_unit_test(without_the_file_it_is_open_mode),
        cmocka_unit_test(a_file_that_is_wrong_is_never_taken_for_open_mode),
        cmocka_unit_test(nodes_json_has_each_node_once_and_is_read_again),
        cmocka_unit_test(certificate_of_programs_is_made_once),
        cmocka_unit_test(identity_is_read_and_never_made),
        cmocka_unit_test(only_an_empty_directory_becomes_a_private_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
