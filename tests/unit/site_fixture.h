/*
 * Headquarters in force, and the site depot-7, whose first root is made like headquarters' and kept there: what it takes
 * to make bundles. On top of repo_fixture.h.
 */
#ifndef MESHANICS_TESTS_SITE_FIXTURE_H
#define MESHANICS_TESTS_SITE_FIXTURE_H

#include "repo_fixture.h"
#include "tuf/repo_sites.h"

#define SITE_NAME "depot-7"

struct sites {
	struct fixture hq, depot;	/* depot.root_file is the site's newest root */
	struct repo *r;			/* of headquarters */
};

/* Two of the root signers answer the request for a root alone; it replaces out. */
static inline void sites_sign(struct sites *s, struct slice request, struct buf *out)
{
	struct error err = ERROR_INIT;
	struct ceremony *c = ceremony_parse(request, &err);

	REQUIRE(c != NULL);
	fix_answer(c, s->hq.root[0], FIX_NOW);
	fix_answer(c, s->hq.root[1], FIX_NOW);
	buf_clear(out);
	MUST(ceremony_finish(c, 0, FIX_NOW, out, &err));
	ceremony_free(c);
}

static inline void sites_adopt(struct sites *s)
{
	const struct slice file = buf_slice(&s->depot.root_file);
	struct error err = ERROR_INIT;
	struct repo_adoption out;

	MUST(repo_adopt(s->r, &file, 1, FIX_NOW, &out, &err));
	repo_adoption_release(&out);
}

/* With hash bins at headquarters, or 0. */
static inline void sites_start(struct sites *s, unsigned bins)
{
	static const uint8_t nonce[16] = {4, 5};
	struct buf request = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct ceremony_plan plan = {.online = &s->depot.online, .root_life_s = 365 * FIX_DAY, .now_s = FIX_NOW, .nonce = nonce};

	s->r = fix_repo_bins(&s->hq, bins);
	fix_start(&s->depot, SITE_NAME);
	plan.like = buf_slice(&s->hq.root_file);
	MUST(ceremony_new(&request, &plan, &err));
	sites_sign(s, buf_slice(&request), &s->depot.root_file);
	sites_adopt(s);
	buf_release(&request);
}

/* The site's next root, good for life_s, kept at headquarters as well. */
static inline void sites_rotate(struct sites *s, int64_t life_s)
{
	static const uint8_t nonce[16] = {6};
	struct buf request = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	const struct ceremony_rotation rotation = {
		.next = {.root = buf_slice(&s->depot.root_file), .life_s = FIX_DAY, .now_s = FIX_NOW, .nonce = nonce},
		.root_life_s = life_s};

	MUST(ceremony_rotate(&request, &rotation, &err));
	sites_sign(s, buf_slice(&request), &s->depot.root_file);
	sites_adopt(s);
	buf_release(&request);
}

static inline void sites_end(struct sites *s)
{
	repo_free(s->r);
	fix_end(&s->hq);
	fix_end(&s->depot);
}

#endif
