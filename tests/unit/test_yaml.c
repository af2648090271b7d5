/* The configuration reader: what it takes, what it refuses, and where it says the fault is. */
#include "tap.h"

#include "base/yaml.h"

static const char *const members[] = {"name", "target", "network", NULL};
static const struct yaml_key keys[] = {
	{.key = "site", .type = YAML_STRING},
	{.key = "serve.workers", .type = YAML_INT, .min = 1, .max = 64},
	{.key = "serve.offset", .type = YAML_INT},
	{.key = "serve.listen.api", .type = YAML_STRING},
	{.key = "serve.listen.device", .type = YAML_STRING},
	{.key = "serve.public_names", .type = YAML_LIST},
	{.key = "serve.metrics", .type = YAML_BOOL},
	{.key = "agent.interval", .type = YAML_DURATION, .min = 5, .max = 86400},
	{.key = "agent.reserve", .type = YAML_SIZE},
	{.key = "relay.upstream.*", .type = YAML_STRING},
	{.key = "forward.*.target", .type = YAML_STRING},
	{.key = "mesh.devices", .type = YAML_MAPS, .members = members, .needed = 2},
	{.key = NULL},
};

static struct error err;
static struct yaml doc;

/* "" when it parses, else the error's text. */
static const char *complaint(const char *text)
{
	err = ERROR_INIT;
	if (yaml_parse(&doc, slice_str(text), "c.yaml", keys, &err) == 0)
		yaml_release(&doc);
	return err.text;
}

static const char *value(const char *key, unsigned i)
{
	const struct yaml_entry *e = yaml_find(&doc, key);

	return e == NULL || i >= e->count ? "(absent)" : e->values[i];
}

static long long number(const char *key)
{
	const struct yaml_entry *e = yaml_find(&doc, key);

	return e == NULL ? -999 : (long long)e->number;
}

TEST(yaml_reads_every_type)
{
	static const char text[] = "# a comment\n"
				   "site: depot-7\n"
				   "serve:\n"
				   "  workers: 4\n"
				   "  offset: -12\n"
				   "  listen: {api: \"127.0.0.1:9443\", device: ':9445'}\n"
				   "  public_names: [a.example, '10.0.0.1']\n"
				   "  metrics: true\n"
				   "agent:\n"
				   "  interval: 15m\n"
				   "  reserve: 2G\n"
				   "relay:\n"
				   "  upstream:\n"
				   "    one: x:1\n"
				   "    two: |\n"
				   "      y:2\n"
				   "forward:\n"
				   "  nas:\n"
				   "    target: 192.168.0.2\n";

	REQUIRE(yaml_parse(&doc, slice_str(text), "c.yaml", keys, &err) == 0);
	CHECK_INT(doc.count, 12);
	CHECK_STR(value("site", 0), "depot-7");
	CHECK_INT(number("serve.workers"), 4);
	CHECK_INT(number("serve.offset"), -12);
	CHECK_STR(value("serve.listen.api", 0), "127.0.0.1:9443");
	CHECK_STR(value("serve.public_names", 0), "a.example");
	CHECK_STR(value("serve.public_names", 1), "10.0.0.1");
	CHECK_INT(yaml_find(&doc, "serve.public_names")->count, 2);
	CHECK_INT(number("serve.metrics"), 1);
	CHECK_INT(number("agent.interval"), 900);
	CHECK_INT(number("agent.reserve"), 2147483648);
	CHECK_STR(value("relay.upstream.two", 0), "y:2\n");
	CHECK_STR(value("forward.nas.target", 0), "192.168.0.2");
	CHECK_STR(yaml_find(&doc, "forward.nas.target")->known->key, "forward.*.target");
	CHECK_INT(yaml_find(&doc, "serve.workers")->line, 4);
	CHECK_INT(yaml_find(&doc, "serve.workers")->column, 12);
	CHECK(yaml_find(&doc, "serve") == NULL);
	yaml_release(&doc);
	yaml_release(&doc);
}

TEST(yaml_reads_lists_of_maps)
{
	static const char text[] = "mesh:\n"
				   "  devices:\n"
				   "    - name: Office Printer\n"
				   "      target: 192.168.1.50\n"
				   "    - {network: 'home=2', target: \"fd00::9\", name: cam}\n"
				   "site: a\n";

	REQUIRE(yaml_parse(&doc, slice_str(text), "c.yaml", keys, &err) == 0);
	CHECK_INT(doc.count, 2);
	CHECK_INT(yaml_find(&doc, "mesh.devices")->count, 2);
	CHECK_INT(yaml_find(&doc, "mesh.devices")->line, 3);
	CHECK_STR(value("mesh.devices", 0), "Office Printer=192.168.1.50");
	CHECK_STR(value("mesh.devices", 1), "cam=fd00::9=home=2");
	CHECK_STR(value("site", 0), "a");
	yaml_release(&doc);
	CHECK_STR(complaint("mesh: {devices: []}"), "");
}

TEST(yaml_refuses_maps_that_are_not_whole)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"mesh: {devices: [{name: a}]}", "c.yaml:1:18: this one of 'mesh.devices' has no 'target'"},
		{"mesh: {devices: [{target: a}]}", "c.yaml:1:18: this one of 'mesh.devices' has no 'name'"},
		{"mesh: {devices: [{}]}", "c.yaml:1:18: this one of 'mesh.devices' has no 'name'"},
		{"mesh: {devices: [{name: a, nam: b}]}", "c.yaml:1:28: unknown key 'mesh.devices.nam'"},
		{"mesh: {devices: [{name: a, name: b}]}", "c.yaml:1:28: key 'mesh.devices.name' occurs twice"},
		{"mesh: {devices: [{name: a=b, target: c}]}", "c.yaml:1:25: 'mesh.devices.name' has a '=' in it"},
		{"mesh: {devices: [{name: \"\", target: c}]}", "c.yaml:1:25: 'mesh.devices.name' is empty"},
		{"mesh: {devices: [{name: ~, target: c}]}", "c.yaml:1:25: 'mesh.devices.name' has no value"},
		{"mesh: {devices: [{name: \"a\\0\", target: c}]}", "c.yaml:1:25: 'mesh.devices.name' has a NUL byte in it"},
		{"mesh: {devices: [{name: [a], target: c}]}", "c.yaml:1:25: 'mesh.devices.name' takes one value"},
		{"mesh: {devices: [{name: {a: b}, target: c}]}", "c.yaml:1:25: 'mesh.devices.name' takes one value"},
		{"mesh: {devices: [{[a]: b}]}", "c.yaml:1:19: a key must be one word"},
		{"mesh: {devices: [a=b]}", "c.yaml:1:18: 'mesh.devices' takes a list of sections"},
		{"mesh: {devices: [[a]]}", "c.yaml:1:18: 'mesh.devices' takes a list of sections"},
		{"mesh: {devices: a=b}", "c.yaml:1:17: 'mesh.devices' takes a list of sections, not one value"},
		{"mesh: {devices: {name: a, target: b}}",
		 "c.yaml:1:17: 'mesh.devices' takes a list of sections, not a section"},
		{"mesh: {devices: [{name: &x a, target: b}]}", "c.yaml:1:25: anchors are not allowed"},
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_STR(complaint(bad[i].text), bad[i].why);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
	CHECK_STR(complaint("mesh: {devices: [{nam: b}]}"), "c.yaml:1:19: unknown key 'mesh.devices.nam'");
	CHECK_STR(err.hint, "did you mean 'name'?");
}

TEST(yaml_takes_empty_files_sections_and_single_values_of_lists)
{
	CHECK_STR(complaint(""), "");
	CHECK_STR(complaint("# nothing\n"), "");
	CHECK_STR(complaint("---\n"), "");
	CHECK_STR(complaint("serve:\n#  workers: 4\nsite: a\n"), "");
	CHECK_STR(complaint("serve: {}\n"), "");
	CHECK_STR(complaint("serve: {public_names: []}\n"), "");
	REQUIRE(yaml_parse(&doc, SLICE_LIT("serve: {public_names: a}"), "c.yaml", keys, &err) == 0);
	CHECK_STR(value("serve.public_names", 0), "a");
	yaml_release(&doc);
	REQUIRE(yaml_parse(&doc, SLICE_LIT("site: no"), "c.yaml", keys, &err) == 0);
	CHECK_STR(value("site", 0), "no");
	yaml_release(&doc);
}

TEST(yaml_refuses_unknown_keys_and_guesses)
{
	CHECK_STR(complaint("site: a\nserve:\n  wrokers: 4\n"), "c.yaml:3:3: unknown key 'serve.wrokers'");
	CHECK_STR(err.hint, "did you mean 'serve.workers'?");
	CHECK_STR(complaint("serv:\n  workers: 4\n"), "c.yaml:1:1: unknown key 'serv'");
	CHECK_STR(err.hint, "did you mean 'serve'?");
	CHECK_STR(complaint("workers: 4\n"), "c.yaml:1:1: unknown key 'workers'");
	CHECK_STR(err.hint, "did you mean 'serve.workers'?");
	CHECK_STR(complaint("zebra: 4\n"), "c.yaml:1:1: unknown key 'zebra'");
	CHECK_STR(err.hint, "");
	CHECK_STR(complaint("serve: {listen: {api: {x: 1}}}"),
		  "c.yaml:1:23: 'serve.listen.api' takes one value, not a section");
	CHECK_STR(complaint("forward: {nas: {port: 1}}"), "c.yaml:1:17: unknown key 'forward.nas.port'");
	CHECK_STR(complaint("<<: {site: a}"), "c.yaml:1:1: key '<<' is not one word of letters, digits, _ and -");
	CHECK_STR(complaint("serve.workers: 4"),
		  "c.yaml:1:1: key 'serve.workers' is not one word of letters, digits, _ and -");
}

TEST(yaml_refuses_duplicates)
{
	CHECK_STR(complaint("site: a\nsite: b\n"), "c.yaml:2:1: key 'site' occurs twice");
	CHECK_STR(complaint("serve: {workers: 1}\nserve: {offset: 1}\n"), "c.yaml:2:1: key 'serve' occurs twice");
	CHECK_STR(complaint("serve: {workers: 1, \"workers\": 2}"), "c.yaml:1:21: key 'serve.workers' occurs twice");
}

TEST(yaml_refuses_wrong_types)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"serve: {workers: four}", "c.yaml:1:18: 'serve.workers' is 'four', not an integer"},
		{"serve: {workers: \"4\"}", "c.yaml:1:18: 'serve.workers' is '4', not an integer"},
		{"serve: {workers: 0x4}", "c.yaml:1:18: 'serve.workers' is '0x4', not an integer"},
		{"serve: {workers: 04}", "c.yaml:1:18: 'serve.workers' is '04', not an integer"},
		{"serve: {workers: 4.0}", "c.yaml:1:18: 'serve.workers' is '4.0', not an integer"},
		{"serve: {offset: -}", "c.yaml:1:17: 'serve.offset' is '-', not an integer"},
		{"serve: {offset: -0}", "c.yaml:1:17: 'serve.offset' is '-0', not an integer"},
		{"serve: {offset: 9223372036854775808}",
		 "c.yaml:1:17: 'serve.offset' is '9223372036854775808', not an integer"},
		{"serve: {workers: 65}", "c.yaml:1:18: 'serve.workers' is 65, not 1 to 64"},
		{"serve: {workers: 0}", "c.yaml:1:18: 'serve.workers' is 0, not 1 to 64"},
		{"serve: {metrics: yes}", "c.yaml:1:18: 'serve.metrics' is 'yes', not true or false"},
		{"serve: {metrics: 'true'}", "c.yaml:1:18: 'serve.metrics' is 'true', not true or false"},
		{"agent: {interval: 15x}",
		 "c.yaml:1:19: 'agent.interval' is '15x', not a duration like 90s, 15m, 12h or 30d"},
		{"agent: {interval: 1s}", "c.yaml:1:19: 'agent.interval' is 1, not 5 to 86400"},
		{"agent: {reserve: 2Q}", "c.yaml:1:18: 'agent.reserve' is '2Q', not a size like 4096, 512K or 2G"},
		{"site: [a]", "c.yaml:1:7: 'site' takes one value, not a list"},
		{"site: {a: b}", "c.yaml:1:7: 'site' takes one value, not a section"},
		{"site:\n", "c.yaml:1:6: 'site' has no value"},
		{"site: ~\n", "c.yaml:1:7: 'site' has no value"},
		{"site: \"a\\0b\"\n", "c.yaml:1:7: 'site' has a NUL byte in it"},
		{"serve: {public_names: [a, [b]]}",
		 "c.yaml:1:27: 'serve.public_names' takes a list of plain values"},
		{"serve: {public_names: [a, {b: c}]}",
		 "c.yaml:1:27: 'serve.public_names' takes a list of plain values"},
		{"serve: {public_names: [a, ~]}", "c.yaml:1:27: 'serve.public_names' has no value"},
		{"serve: 5", "c.yaml:1:8: 'serve' is a section, it takes keys below it"},
		{"serve: [workers]", "c.yaml:1:8: 'serve' is a section, it takes keys below it"},
		{"- a\n", "c.yaml:1:1: the top of the file must be keys and values"},
		{"text\n", "c.yaml:1:1: the top of the file must be keys and values"},
		{"? [a]\n: b\n", "c.yaml:1:3: a key must be one word"},
		{"\"\": b\n", "c.yaml:1:1: key '' is not one word of letters, digits, _ and -"},
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_STR(complaint(bad[i].text), bad[i].why);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
}

TEST(yaml_refuses_what_surprises)
{
	CHECK_STR(complaint("site: &x a\n"), "c.yaml:1:7: anchors are not allowed");
	CHECK_STR(complaint("serve: &x {workers: 1}\n"), "c.yaml:1:8: anchors are not allowed");
	CHECK_STR(complaint("serve: *x\n"), "c.yaml:1:8: aliases are not allowed");
	CHECK_STR(complaint("site: !!str a\n"), "c.yaml:1:7: tags are not allowed");
	CHECK_STR(complaint("serve: !x {workers: 1}\n"), "c.yaml:1:8: tags are not allowed");
	CHECK_STR(complaint("serve: {public_names: ! [a]}\n"), "c.yaml:1:23: tags are not allowed");
	CHECK_STR(complaint("site: a\n---\nsite: b\n"), "c.yaml:2:1: a second document begins");
	CHECK_STR(complaint("%YAML 1.1\n---\nsite: a\n"), "c.yaml:1:1: directives are not allowed");
	CHECK_STR(complaint("%TAG ! tag:x,1:\n---\nsite: a\n"), "c.yaml:1:1: directives are not allowed");
}

TEST(yaml_refuses_what_is_not_yaml)
{
	CHECK_STR(complaint("serve: {public_names: [a\n"), "c.yaml:2:1: did not find expected ',' or ']'");
	CHECK_STR(complaint("site: a\n\tserve: 1\n"), "c.yaml:2:1: found a tab character that violates indentation");
	CHECK_STR(complaint("site: a\n  serve: 1\n"), "c.yaml:2:8: mapping values are not allowed in this context");
	CHECK_STR(complaint("site: \"a\n"), "c.yaml:2:1: found unexpected end of stream");
	CHECK_STR(complaint("a: b\nsite: \xff\n"), "c.yaml:2:7: invalid leading UTF-8 octet");
	CHECK_STR(complaint("site: a\x01\n"), "c.yaml:1:8: control characters are not allowed");
	CHECK(yaml_parse(&doc, SLICE_LIT("\xff\xfes\0i\0"), "c.yaml", keys, &err) < 0);
}

TEST(yaml_has_caps)
{
	struct buf b = BUF_INIT(1 << 20);
	struct yaml_key any[] = {{.key = "a", .type = YAML_LIST}, {.key = "m.*", .type = YAML_STRING}, {.key = NULL}};
	struct yaml_key deep[] = {{.key = "*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*", .type = YAML_STRING}, {.key = NULL}};
	unsigned i;

	for (i = 0; i < 20000; i++)
		buf_put_str(&b, "[");
	CHECK_STR(complaint(buf_cstr(&b)), "c.yaml:1:1: the top of the file must be keys and values");
	buf_clear(&b);
	for (i = 0; i < 20; i++)
		buf_put_str(&b, "{a: ");
	CHECK(yaml_parse(&doc, buf_slice(&b), "c.yaml", deep, &err) < 0);
	CHECK_STR(err.text, "c.yaml:1:65: nested more than 16 deep");
	CHECK_INT(err.kind, ERR_LIMIT);

	buf_clear(&b);
	buf_put_str(&b, "a: [");
	for (i = 0; i < YAML_LIST_MAX; i++)
		buf_put_str(&b, "1,");
	CHECK(yaml_parse(&doc, slice_str(buf_cstr(&b)), "c.yaml", any, &err) < 0);	/* not closed */
	buf_put_str(&b, "]");
	CHECK(yaml_parse(&doc, buf_slice(&b), "c.yaml", any, &err) == 0);
	yaml_release(&doc);
	b.len--;
	buf_put_str(&b, "1]");
	CHECK(yaml_parse(&doc, buf_slice(&b), "c.yaml", any, &err) < 0);
	CHECK_STR(err.text, "c.yaml:1:2053: 'a' has more than 1024 values");

	buf_clear(&b);
	buf_put_str(&b, "m:\n");
	for (i = 0; i <= YAML_ENTRIES_MAX; i++)
		buf_printf(&b, "  k%u: x\n", i);
	CHECK(yaml_parse(&doc, buf_slice(&b), "c.yaml", any, &err) < 0);
	CHECK_STR(err.text, "c.yaml:1026:10: more than 1024 keys");

	buf_clear(&b);
	buf_put_str(&b, "m:\n  ");
	for (i = 0; i < YAML_KEY_MAX - 2; i++)
		buf_put_str(&b, "k");
	buf_put_str(&b, ": x\n");
	CHECK(yaml_parse(&doc, buf_slice(&b), "c.yaml", any, &err) == 0);
	yaml_release(&doc);
	buf_clear(&b);
	buf_put_str(&b, "m:\n  ");
	for (i = 0; i < YAML_KEY_MAX - 1; i++)
		buf_put_str(&b, "k");
	buf_put_str(&b, ": x\n");
	CHECK(yaml_parse(&doc, buf_slice(&b), "c.yaml", any, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);

	buf_clear(&b);
	while (b.len <= YAML_FILE_MAX)
		buf_put_str(&b, "# long\n");
	CHECK(yaml_parse(&doc, buf_slice(&b), "c.yaml", any, &err) < 0);
	CHECK_STR(err.text, "c.yaml: 65541 bytes, more than 65536");
	buf_release(&b);
}
