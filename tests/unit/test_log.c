/* Event lines: whole, printable, with the journal's prefix where asked for. */
#include "tap.h"

#include <errno.h>

#include "base/log.h"

static int ends[2];

static void start(bool journal, enum log_level level)
{
	REQUIRE(pipe(ends) == 0);
	log_start(ends[1], journal, level);
}

/* All that was logged since start. */
static const char *logged(void)
{
	static char text[8192];
	ssize_t n;

	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

TEST(log_lines_carry_level_and_name)
{
	start(false, LOG_LEVEL_INFO);
	log_info("update.trial", "version=%u slot=%s", 7, "a");
	log_warn("x", "%s", "");
	log_debug("hidden", "%d", 1);
	CHECK_STR(logged(), "info update.trial version=7 slot=a\nwarn x \n");
}

TEST(log_lines_for_the_journal)
{
	start(true, LOG_LEVEL_DEBUG);
	log_error("a", "b");
	log_debug("c", "d");
	CHECK_STR(logged(), "<3>a b\n<7>c d\n");
}

TEST(log_lines_cannot_be_forged)
{
	start(true, LOG_LEVEL_INFO);
	log_info("device.name", "name=%s", "x\n<3>forged\x1b[2J");
	CHECK_STR(logged(), "<6>device.name name=x\\x0a<3>forged\\x1b[2J\n");
}

TEST(log_lines_are_cut_but_end)
{
	static char huge[5000];
	const char *text;

	memset(huge, 'x', sizeof(huge) - 1);
	start(false, LOG_LEVEL_INFO);
	log_info("a", "%s", huge);
	text = logged();
	CHECK(strlen(text) > 500 && strlen(text) < 1300);
	CHECK(text[strlen(text) - 1] == '\n');
}

TEST(log_failures)
{
	struct error err = ERROR_INIT;

	start(false, LOG_LEVEL_INFO);
	error_errno(&err, ENOENT, "cannot open '%s'", "f");
	log_failure(LOG_LEVEL_WARN, "open", &err);
	error_hint(&err, "make it");
	log_failure(LOG_LEVEL_WARN, "open", &err);
	CHECK_STR(logged(), "warn open kind=failed why=\"cannot open 'f': No such file or directory\"\n"
			    "warn open kind=failed why=\"cannot open 'f': No such file or directory\" hint=\"make it\"\n");
}
