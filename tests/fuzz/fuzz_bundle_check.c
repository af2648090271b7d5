/*
 * A bundle whose list is right and whose metadata is anything: checked, walked by the engine, asked for its artifacts.
 * The first byte is the kind ('s' or 'd'); each line "@NAME" begins the member of that name.
 */
#include "bundle/check.h"
#include "tests/unit/bundle_fixture.h"

#define NOW INT64_C(1795900000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The end of the member that begins at `from`: before "\n@", or of all. */
static size_t member_end(struct slice text, size_t from)
{
	size_t at;

	for (at = from; (at = slice_find(text, '\n', at)) != SIZE_MAX; at++)
		if (at + 1 < text.len && text.ptr[at + 1] == '@')
			return at;
	return text.len;
}

static void add_members(struct fixture *f, struct slice text)
{
	struct error err = ERROR_INIT;
	char name[TAR_NAME_MAX + 1];
	size_t at = 0;

	while (at < text.len && text.ptr[at] == '@' && f->count < FIXTURE_MEMBERS_MAX) {
		size_t line = slice_find(text, '\n', at), end;
		struct member *m;

		if (line == SIZE_MAX)
			line = text.len;
		snprintf(name, sizeof(name), "%.*s", (int)(line - at - 1 < TAR_NAME_MAX ? line - at - 1 : TAR_NAME_MAX),
			 (const char *)text.ptr + at + 1);
		end = line < text.len ? member_end(text, line + 1) : text.len;
		/* Artifacts are called by their content, whatever the line says. */
		m = fixture_add(f, strncmp(name, "targets/", 8) == 0 ? NULL : name,
				slice_sub(text, line + 1, end > line ? end - line - 1 : 0));
		if (member_classify(m, &err) == 0 && m->kind == MEMBER_ROOT)
			f->m.versions.root = m->version;
		else if (m->kind == MEMBER_TARGETS)
			f->m.versions.targets = m->version;
		else if (m->kind == MEMBER_SNAPSHOT)
			f->m.versions.snapshot = m->version;
		at = end + 1;
	}
}

static void walk(struct bundle_check *c)
{
	const struct tuf_options options = {.mode = TUF_MODE_IMPORT, .clock_s = NOW, .no_floor = true};
	const struct tuf_source source = {bundle_check_get, c};
	struct error err = ERROR_INIT;
	struct tuf_client *client = tuf_client_new(buf_slice(&c->root_text), &options, &err);
	unsigned i;

	if (client != NULL && tuf_drive(client, NULL, &source, &err) == 0 && bundle_check_used(c, &err) == 0)
		for (i = 0; i < c->file_count; i++)
			if (c->files[i].member.kind == MEMBER_ROLE && !c->files[i].used)
				abort();
	tuf_client_free(client);
}

static void want(const struct bundle_check *c)
{
	struct bundle_wants w = {.list = NULL};
	struct error err = ERROR_INIT;
	uint32_t i;

	if (bundle_wants_add_all(&w, c, &err) == 0 && bundle_wants_ready(&w, &err) == 0) {
		for (i = 0; i < w.count; i++)
			if (bundle_wants_find(&w, w.list[i].sha256) != &w.list[i])
				abort();
		if ((bundle_wants_lacking(&w) == NULL) != (w.count == 0) ||
		    (c->has_next && bundle_wants_take(&w, &c->next, &err) == 0 && w.count == 0))
			abort();
	}
	bundle_wants_release(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bundle_check_options o = {.look = true, .any_kind = true, .now_s = NOW};
	struct bundle_check c = BUNDLE_CHECK_INIT;
	struct buf tar = BUF_INIT(64u << 20);
	struct error err = ERROR_INIT;
	struct bundle_reader *r = NULL;
	const char *name = "fuzz";
	struct fixture f;
	int fd = -1;

	if (size == 0)
		return 0;
	fixture_init(&f, data[0] == 'd' ? BUNDLE_DEVICE : BUNDLE_SITE);
	snprintf(f.m.site, sizeof(f.m.site), "main");	/* as in the seeds */
	snprintf(f.m.origin, sizeof(f.m.origin), data[0] == 'd' ? "main" : "other");
	add_members(&f, slice_of(data + (size > 1 && data[1] == '\n' ? 2 : 1), size - (size > 1 && data[1] == '\n' ? 2 : 1)));
	if (fixture_manifest(&f, &err) == 0) {
		fixture_tar(&f, &tar);
		fd = fixture_fd(buf_slice(&tar));
		r = bundle_reader_open_fds(&fd, &name, 1, &err);
	}
	if (r != NULL && bundle_check(&c, r, &o, &err) == 0) {
		if (c.verified)
			abort();	/* without an anchor nothing is */
		if (c.root != NULL)
			walk(&c);
		want(&c);
	}
	bundle_reader_free(r);
	bundle_check_release(&c);
	fixture_release(&f);
	buf_release(&tar);
	if (fd >= 0)
		close(fd);
	return 0;
}
