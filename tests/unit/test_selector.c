/* Selectors: what matches, what is refused and where. */
#include "tap.h"

#include "fleet/selector.h"

static const char profile_text[] =
	"{\"model\":\"Press 9\",\"soc\":\"rk3588\",\"arch\":\"arm64\",\"os\":\"debian\",\"kernel\":\"6.1.0\",\"agent_version\":\"0.1.0\","
	"\"memory_mb\":2048,\"cores\":4,\"accelerators\":[\"npu\",\"gpu\"]}";

static int matches_profile(const char *selector, const char *profile)
{
	struct error err = ERROR_INIT;
	struct selector *s = selector_parse_text(slice_str(selector), &err);
	struct json doc = JSON_INIT;
	struct selector_subject d = {.name = SLICE_LIT("press-3"), .tags = SLICE_LIT("canary,line-2")};
	int r;

	if (s == NULL) {
		printf("# %s: %s\n", selector, err.text);
		return -1;
	}
	REQUIRE(json_parse(&doc, slice_str(profile), JSON_STRICT, &err) == 0);
	d.profile = json_root(&doc);
	r = selector_matches(s, &d);
	json_release(&doc);
	selector_free(s);
	return r;
}

static int where(const char *expression)
{
	char text[2048], *o = text;

	o += sprintf(o, "{\"where\":\"");
	for (; *expression != '\0'; expression++) {
		if (*expression == '"')
			*o++ = '\\';
		*o++ = *expression;
	}
	strcpy(o, "\"}");
	return matches_profile(text, profile_text);
}

TEST(members_narrow_each_other)
{
	CHECK_INT(matches_profile("{\"all\":true}", profile_text), 1);
	CHECK_INT(matches_profile("{\"devices\":[\"press-1\",\"press-3\",\"press-2\"]}", profile_text), 1);
	CHECK_INT(matches_profile("{\"devices\":[\"press-1\",\"press-2\"]}", profile_text), 0);
	CHECK_INT(matches_profile("{\"tags\":[\"canary\"]}", profile_text), 1);
	CHECK_INT(matches_profile("{\"tags\":[\"canary\",\"line-2\"]}", profile_text), 1);
	CHECK_INT(matches_profile("{\"tags\":[\"canary\",\"line-1\"]}", profile_text), 0);
	CHECK_INT(matches_profile("{\"tags\":[\"line\"]}", profile_text), 0);
	CHECK_INT(matches_profile("{\"tags\":[\"canary\"],\"where\":\"arch=amd64\"}", profile_text), 0);
	CHECK_INT(matches_profile("{\"tags\":[\"canary\"],\"where\":\"arch=arm64\",\"devices\":[\"press-3\"]}",
				  profile_text), 1);
}

TEST(expressions)
{
	static const struct {
		const char *text;
		int want;
	} cases[] = {
		{"arch=arm64", 1},
		{"arch=amd64", 0},
		{"arch!=amd64", 1},
		{" arch = arm64  and memory_mb>=512 ", 1},
		{"memory_mb>=2048", 1},
		{"memory_mb>2048", 0},
		{"memory_mb<=2047", 0},
		{"memory_mb<4096", 1},
		{"memory_mb!=2048", 0},
		{"cores=4", 1},
		{"model=\"Press 9\"", 1},
		{"model=Press", 0},
		{"accelerator=npu", 1},
		{"accelerator!=tpu", 1},
		{"accelerator=tpu", 0},
		{"tag=canary", 1},
		{"tag=can", 0},
		{"tag!=lab", 1},
		{"name=press-3", 1},
		{"agent=0.1.0", 1},
		{"not arch=arm64", 0},
		{"not (arch=arm64 and cores=8)", 1},
		{"arch=amd64 or arch=arm64 and cores=8", 0},
		{"(arch=amd64 or arch=arm64) and cores=4", 1},
		{"arch=arm64 or arch=amd64 and cores=8", 1},
		{"os=debian and kernel=6.1.0 and soc=rk3588", 1},
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int got = where(cases[i].text);

		if (got != cases[i].want)
			printf("# %s\n", cases[i].text);
		CHECK_INT(got, cases[i].want);
	}
}

TEST(what_is_unknown_is_not_selected)
{
	static const char *const none[] = {
		"{\"where\":\"arch=arm64\"}",	"{\"where\":\"arch!=arm64\"}", "{\"where\":\"memory_mb<100\"}",
		"{\"where\":\"memory_mb!=1\"}", "{\"where\":\"accelerator!=npu\"}",
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(none); i++) {
		CHECK_INT(matches_profile(none[i], "{}"), 0);
		CHECK_INT(matches_profile(none[i], "{\"arch\":5,\"memory_mb\":\"much\",\"accelerators\":{}}"), 0);
	}
	CHECK_INT(matches_profile("{\"where\":\"not arch=arm64\"}", "{}"), 1);
}

TEST(what_is_wrong_is_named)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"{}", "names nothing"},
		{"{\"all\":false}", "names nothing"},
		{"{\"all\":true,\"tags\":[\"a\"]}", "stands alone"},
		{"[]", "an object"},
		{"{\"group\":\"a\"}", "group"},
		{"{\"tags\":[]}", "1 to 32"},
		{"{\"tags\":[\"A b\"]}", "tag"},
		{"{\"tags\":[5]}", "tag"},
		{"{\"devices\":\"a\"}", "devices"},
		{"{\"devices\":[\"../x\"]}", "device"},
		{"{\"where\":\"\"}", "1 to 1024"},
		{"{\"where\":\"arch=\"}", "a value is wanted at character 6"},
		{"{\"where\":\"arch\"}", "= or != is wanted at character 5"},
		{"{\"where\":\"arch=arm64 tag=x\"}", "'and', 'or' or the end is wanted at character 12"},
		{"{\"where\":\"arch==arm64\"}", "a value is wanted at character 6"},
		{"{\"where\":\"colour=red\"}", "no such word"},
		{"{\"where\":\"arch<arm64\"}", "only memory_mb and cores"},
		{"{\"where\":\"cores=many\"}", "whole number"},
		{"{\"where\":\"cores=9999999999999999\"}", "whole number"},
		{"{\"where\":\"(arch=arm64\"}", "closing parenthesis"},
		{"{\"where\":\"arch=arm64)\"}", "the end is wanted"},
		{"{\"where\":\"not\"}", "is wanted at character 4"},
		{"{\"where\":\"not not arch=arm64\"}", "no such word"},
		{"{\"where\":\"model=\\\"x\"}", "not closed"},
		{"{\"where\":\"arch=arm64 and\"}", "is wanted"},
		{"{\"where\":\"arch=arm64; drop\"}", "no meaning at character 11"},
		{"{\"where\":\"arch=a\\u0000b\"}", "control"},
		{"{\"where\":\"((((((((((((((((((arch=a))))))))))))))))))\"}", "too many levels"},
	};
	struct error err = ERROR_INIT;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct selector *s = selector_parse_text(slice_str(cases[i].text), &err);

		CHECK(s == NULL);
		if (strstr(err.text, cases[i].want) == NULL)
			printf("# %s: %s\n", cases[i].text, err.text);
		CHECK(strstr(err.text, cases[i].want) != NULL);
		CHECK(error_exit_status(err.kind) == 2 || error_exit_status(err.kind) == 3);
		selector_free(s);
	}
}

TEST(an_expression_has_a_limit)
{
	struct error err = ERROR_INIT;
	char text[2048], *o = text;
	unsigned i;

	o += sprintf(o, "{\"where\":\"arch=a");
	for (i = 0; i < 40; i++)
		o += sprintf(o, " or arch=a");
	strcpy(o, "\"}");
	CHECK(selector_parse_text(slice_str(text), &err) == NULL);
	CHECK(strstr(err.text, "too long") != NULL);
}
