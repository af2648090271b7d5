/* `version`: which program this is, and how it was built. */
#include <stdio.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "commands/command.h"

#if defined(__x86_64__)
#define BUILD_ARCH "x86_64"
#elif defined(__aarch64__)
#define BUILD_ARCH "aarch64"
#elif defined(__arm__)
#define BUILD_ARCH "arm"
#else
#define BUILD_ARCH "unknown"
#endif

#ifdef __clang__
#define BUILD_COMPILER "clang " __clang_version__
#else
#define BUILD_COMPILER "gcc " __VERSION__
#endif

#ifdef MESHANICS_TEST
#define BUILD_TEST true
#else
#define BUILD_TEST false
#endif

static int version_json(struct cmd *cmd, const char *built)
{
	struct buf b = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&b);

	json_open_object(&w, NULL);
	json_put_string(&w, "version", MESHANICS_VERSION);
	json_put_string(&w, "built", built);
	json_put_string(&w, "arch", BUILD_ARCH);
	json_put_string(&w, "compiler", BUILD_COMPILER);
	json_put_bool(&w, "test_build", BUILD_TEST);
	json_close(&w);
	cmd_write_json(cmd, &b);
	buf_release(&b);
	return 0;
}

static int version_run(struct cmd *cmd, struct error *err)
{
	char built[TIME_TEXT_LEN];

	(void)err;
	time_text(built, MESHANICS_BUILD_TIME);
	if (cmd_json(cmd))
		return version_json(cmd, built);
	cmd_printf(cmd, "meshanics %s\n", MESHANICS_VERSION);
	if (!cmd_verbose(cmd))
		return 0;
	cmd_printf(cmd, "built     %s for %s by %s%s\n", built, BUILD_ARCH, BUILD_COMPILER,
		   BUILD_TEST ? " (test build: never for devices)" : "");
	return 0;
}

const struct command cmd_version = {
	.name = "version",
	.usage = "",
	.summary = "print the version, and with --verbose how it was built",
	.run = version_run,
};
