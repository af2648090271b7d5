/* Which key signs for a publisher, and who has to be who to read it. */
#include "commands/publisher_key.h"

#include <fcntl.h>
#include <stdlib.h>

#include "commands/ceremony.h"
#include "commands/keys.h"
#include "sys/file.h"
#include "sys/user.h"

static int read_also(struct publisher_key *k, struct error *err)
{
	struct ceremony_signer *list = NULL;
	unsigned i;
	int r = signers_read(k->cmd, "also-by", ONLINE_RECORD_KEYS_MAX, &list, &k->also_count, err);

	for (i = 0; r == 0 && i < k->also_count; i++)
		k->also[i] = list[i].key;
	free(list);
	return r;
}

int publisher_key_begin(struct publisher_key *k, struct cmd *cmd, struct error *err)
{
	const char *word = cmd_string(cmd, "key", NULL);

	*k = (struct publisher_key){.cmd = cmd};
	if (read_also(k, err) < 0)
		return -1;
	if (word != NULL) {
		k->given = keys_open(cmd, word, err);
		return k->given == NULL ? -1 : 0;
	}
	if (!cmd_has(cmd, "server"))
		return 0;
	error_set(err, ERR_USAGE, "--server needs --key: signing happens where the key is");
	return error_hint(err, "see 'meshanics key generate' and 'meshanics ceremony delegate'");
}

void publisher_key_terms(const struct publisher_key *k, struct publication *p)
{
	p->wary = cmd_has(k->cmd, "key") && strcmp(door_kind(p->door), "local") != 0;
	p->home = cmd_home(k->cmd);
	p->at_least = cmd_int(k->cmd, "at-least", 0);
	p->also = k->also;
	p->also_count = k->also_count;
}

/* The repository's own keys belong to the user of its control plane. */
struct seckey *publisher_key_get(void *arg, const char *publisher, struct error *err)
{
	struct publisher_key *k = arg;
	struct seckey *key = k->given;
	char owner[4096], path[4096];
	int n;

	k->given = NULL;
	if (key != NULL)
		return key;
	path_join(owner, cmd_home(k->cmd), "control");
	n = snprintf(path, sizeof(path), "%s/repo/keys/%s.key", cmd_home(k->cmd), publisher);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		error_set(err, ERR_USAGE, "the name of the home is too long");
		return NULL;
	}
	if (user_become_owner(AT_FDCWD, owner, err) < 0)
		return NULL;
	if (!file_exists(AT_FDCWD, path)) {
		error_set(err, ERR_NOT_FOUND, "this repository does not hold the key of publisher '%s'", publisher);
		error_hint(err, "sign where that key is, or name it: --key NAME");
		return NULL;
	}
	return keyfile_open(AT_FDCWD, path, SLICE_EMPTY, err);
}

void publisher_key_release(struct publisher_key *k)
{
	seckey_free(k->given);
	k->given = NULL;
}
