/*
 * For tests of imports: headquarters and a depot under the same offline keys, and what a bundle would carry from one to
 * the other. Time is that of repo_fixture.h.
 */
#ifndef MESHANICS_TESTS_IMPORT_FIXTURE_H
#define MESHANICS_TESTS_IMPORT_FIXTURE_H

#include "repo_fixture.h"
#include "tuf/repo_import.h"

#define PAIR_FILES_MAX 64

struct pair {
	struct fixture hq, depot;
	struct repo *main, *site;
};

/* The metadata of a bundle, in memory. */
struct load {
	struct tuf_blob list[PAIR_FILES_MAX];
	struct buf text[PAIR_FILES_MAX];
	char name[PAIR_FILES_MAX][80];
	unsigned count;
};

static inline void load_add(struct load *l, const char *name, struct slice text)
{
	unsigned i;

	for (i = 0; i < l->count && strcmp(l->name[i], name) != 0; i++)
		;
	REQUIRE(i < PAIR_FILES_MAX);
	if (i == l->count)
		l->text[l->count++] = BUF_INIT(FIX_FILE_MAX);
	snprintf(l->name[i], sizeof(l->name[i]), "%s", name);
	buf_clear(&l->text[i]);
	buf_put_slice(&l->text[i], text);
	l->list[i] = (struct tuf_blob){slice_str(l->name[i]), buf_slice(&l->text[i])};
}

static inline void load_release(struct load *l)
{
	unsigned i;

	for (i = 0; i < l->count; i++)
		buf_release(&l->text[i]);
	l->count = 0;
}

static inline void load_file(struct load *l, const struct fixture *f, const char *name)
{
	struct buf text = BUF_INIT(FIX_FILE_MAX);
	struct error err = ERROR_INIT;
	char path[256];

	snprintf(path, sizeof(path), "%s/repo/metadata/%s", f->home, name);
	MUST(file_read(AT_FDCWD, path, &text, &err));
	load_add(l, name, buf_slice(&text));
	buf_release(&text);
}

/* What headquarters has published, with the depot's root. */
static inline void load_all(struct load *l, struct pair *p)
{
	char name[80];
	unsigned i, bin;

	l->count = 0;
	load_add(l, "1.root.json", buf_slice(&p->depot.root_file));
	snprintf(name, sizeof(name), "%lld.targets.json", (long long)repo_targets(p->main)->head.version);
	load_file(l, &p->hq, name);
	for (i = 0; i < repo_role_count(p->main); i++) {
		const struct repo_role *role = repo_role_at(p->main, i);

		if (role->file == NULL)
			continue;
		snprintf(name, sizeof(name), "%lld.%s.json", (long long)role->version, role->name);
		load_file(l, &p->hq, name);
		for (bin = 0; role->bin_bits > 0 && bin < 1u << role->bin_bits; bin++) {
			struct repo_role read;

			repo_bin_read(p->main, role, bin, &read);
			snprintf(name, sizeof(name), "%lld.%s.json", (long long)read.version, read.name);
			load_file(l, &p->hq, name);
			repo_role_release(&read);
		}
	}
}

/* The newest root of the depot, with which it has adopted headquarters' first targets. */
static inline void pair_start_bins(struct pair *p, unsigned bins)
{
	static const uint8_t nonce[16] = {7};
	struct buf targets = BUF_INIT(FIX_FILE_MAX);
	struct error err = ERROR_INIT;
	unsigned i;

	p->main = fix_repo_bins(&p->hq, bins);
	fix_start(&p->depot, "depot-7");
	for (i = 0; i < 3; i++) {
		seckey_free(p->depot.root[i]);
		p->depot.root[i] = NULL;
		p->depot.root_signers[i] = p->hq.root_signers[i];
	}
	for (i = 0; i < 2; i++) {
		seckey_free(p->depot.targets[i]);
		p->depot.targets[i] = NULL;
		p->depot.targets_signers[i] = p->hq.targets_signers[i];
	}
	p->depot.plan.nonce = nonce;
	memcpy(p->depot.root, p->hq.root, sizeof(p->depot.root));
	memcpy(p->depot.targets, p->hq.targets, sizeof(p->depot.targets));
	fix_ceremony(&p->depot);
	buf_clear(&p->depot.targets_file);
	buf_put_slice(&p->depot.targets_file, buf_slice(&p->hq.targets_file));
	p->site = fix_open(&p->depot);
	MUST(fix_adopt(&p->depot, p->site, FIX_NOW, &err));
	buf_release(&targets);
}

static inline void pair_start(struct pair *p)
{
	pair_start_bins(p, 0);
}

static inline void pair_end(struct pair *p)
{
	memset(p->depot.root, 0, sizeof(p->depot.root));
	memset(p->depot.targets, 0, sizeof(p->depot.targets));
	repo_free(p->main);
	repo_free(p->site);
	fix_end(&p->hq);
	fix_end(&p->depot);
}

/* The bytes come to the depot, as if they had been in the bundle. */
static inline void pair_carry(struct pair *p, const char *content)
{
	struct publish_blob blob;
	struct error err = ERROR_INIT;

	MUST(fix_stage(p->site, content, &blob, &err));
}

static inline int pair_import(struct pair *p, const struct load *l, struct repo_import *m, int64_t now_s,
			      struct error *err)
{
	*m = (struct repo_import){.files = l->list, .file_count = l->count, .complete = true, .now_s = now_s};
	return repo_import(p->site, m, err);
}

/* The tree of the depot is as a client wants it. */
static inline int pair_verify(const struct pair *p, int64_t now_s, struct error *err)
{
	struct repo_check check = {.now_s = now_s};

	return repo_verify(p->depot.home, &check, err);
}

#endif
