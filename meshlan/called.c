/* Names of the mesh as people write them. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "mesh/forwards.h"
#include "mesh/names.h"
#include "meshlan/meshlan.h"

#define SHOWN_LEN 256

struct slice meshlan_bare_name(struct slice word, const char *suffix)
{
	size_t n = strlen(suffix);

	if (word.len > 1 && word.ptr[word.len - 1] == '.')
		word.len--;
	if (word.len > n + 1 && word.ptr[word.len - n - 1] == '.' &&
	    strncasecmp((const char *)word.ptr + word.len - n, suffix, n) == 0)
		word.len -= n + 1;
	return word;
}

bool meshlan_is_address(struct slice word)
{
	char text[SHOWN_LEN];
	uint8_t bytes[16];

	printable(text, sizeof(text), word);
	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

int meshlan_name_parse(char out[static MESH_NAME_MAX + 1], struct slice word, const char *suffix, const char *network,
		       struct error *err)
{
	struct slice bare = meshlan_bare_name(word, suffix);
	char label[MESH_NAME_MAX + 1], shown[SHOWN_LEN];
	bool whole = bare.len + 1 < word.len;

	printable(shown, sizeof(shown), word);
	if (meshlan_is_address(word)) {
		error_set(err, ERR_USAGE, "'%s' is an address, where a name is wanted", shown);
		return error_hint(err, "'meshanics meshlan names' shows what is called how");
	}
	names_label(label, slice_str(network));
	if (label[0] != '\0')
		bare = meshlan_bare_name(bare, label);
	if (whole && slice_find(bare, '.', 0) != SIZE_MAX) {
		error_set(err, ERR_USAGE, "'%s' is no name of network '%s'", shown, network);
		return error_hint(err, "names of it end with '.%s', or with '.%s.%s'", suffix, label, suffix);
	}
	return forward_name_parse(out, bare, err);
}
