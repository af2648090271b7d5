/* Descriptors: what is read back equals what was written, and what the page does not allow is refused. */
#include "tap.h"

#include "tuf/descriptor.h"

#define MIN "\"format\":1,\"kind\":\"file\",\"release\":1"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char full[] =
	"{\"format\":1,\"kind\":\"file\",\"release\":7,\"downgrade_from\":9,\"note\":\"gr\xc3\xbc\xc3\x9f\","
	"\"compatibility\":{\"arch\":[\"amd64\",\"arm64\"],\"os\":[\"debian-12\"],\"model\":[\"Pi 4\"],"
	"\"accelerators\":[\"npu\"],\"memory_min\":1048576,\"agent_min\":\"1.2.3\"},"
	"\"placement\":{\"mode\":\"0755\",\"filename\":\"plc.bin\"},"
	"\"probes\":[{\"type\":\"http\",\"target\":\"http://127.0.0.1:8080/ok\",\"timeout\":5,\"attempts\":2,\"delay\":0},"
	"{\"type\":\"tcp\",\"target\":\"[::1]:80\",\"timeout\":10,\"attempts\":3,\"delay\":2},"
	"{\"type\":\"file\",\"target\":\"/run/ok\",\"timeout\":10,\"attempts\":3,\"delay\":2},"
	"{\"type\":\"exec\",\"argv\":[\"/bin/true\",\"-x\"],\"timeout\":10,\"attempts\":3,\"delay\":2}]}";

static void check_round_trip(const char *text)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(DESCRIPTOR_SIZE_MAX);
	struct json_writer w = JSON_WRITER(&out);
	struct descriptor d;

	if (descriptor_parse_text(&d, slice_str(text), &err) < 0)
		printf("# %s: %s\n", text, err.text);
	descriptor_put(&w, NULL, &d);
	CHECK_STR(buf_cstr(&out), text);
	descriptor_release(&d);
	buf_release(&out);
}

TEST(descriptor_reads_back_what_it_writes)
{
	check_round_trip(full);
	check_round_trip("{" MIN "}");
	check_round_trip("{\"format\":1,\"kind\":\"config\",\"release\":2,\"placement\":{\"destination\":\"/etc/x.conf\","
			 "\"owner\":\"root\",\"reload_unit\":\"x.service\"}}");
	check_round_trip("{\"format\":1,\"kind\":\"container\",\"release\":2,\"placement\":{\"image\":\"sha256:" HEX64
			 "\",\"restart\":\"no\",\"network\":\"host\"}}");
	check_round_trip("{\"format\":1,\"kind\":\"agent\",\"release\":9007199254740991}");
}

TEST(descriptor_fills_in_defaults)
{
	struct error err = ERROR_INIT;
	struct descriptor d;

	REQUIRE(descriptor_parse_text(&d, SLICE_LIT("{" MIN ",\"probes\":[{\"type\":\"file\",\"target\":\"/x\"}]}"),
				      &err) == 0);
	CHECK_INT(d.placement.mode, 0644);
	CHECK_INT(d.probes[0].timeout_s, 10);
	CHECK_INT(d.probes[0].attempts, 3);
	CHECK_INT(d.probes[0].delay_s, 2);
	descriptor_release(&d);
	descriptor_release(&d);
}

/* Everything that the page does not allow, with the kind of error and a part of its text. */
static const struct {
	const char *text;
	enum error_kind kind;
	const char *says;
} refused[] = {
	{"", ERR_MALFORMED, "descriptor"},
	{"[]", ERR_MALFORMED, "format"},
	{"{}", ERR_MALFORMED, "'format' is missing"},
	{"{\"format\":2,\"kind\":\"file\",\"release\":1}", ERR_REFUSED, "format 2 is not known"},
	{"{\"format\":1,\"release\":1}", ERR_MALFORMED, "'kind' is missing"},
	{"{\"format\":1,\"kind\":\"script\",\"release\":1}", ERR_REFUSED, "unknown kind 'script'"},
	{"{\"format\":1,\"kind\":\"\",\"release\":1}", ERR_REFUSED, "unknown kind ''"},
	{"{\"format\":1,\"kind\":\"file\"}", ERR_MALFORMED, "'release' is missing"},
	{"{\"format\":1,\"kind\":\"file\",\"release\":0}", ERR_MALFORMED, "release"},
	{"{\"format\":1,\"kind\":\"file\",\"release\":-1}", ERR_MALFORMED, "release"},
	{"{\"format\":1,\"kind\":\"file\",\"release\":9007199254740992}", ERR_MALFORMED, "release"},
	{"{\"format\":1,\"kind\":\"file\",\"release\":\"1\"}", ERR_MALFORMED, "release"},
	{"{" MIN ",\"release\":2}", ERR_MALFORMED, "release"},
	{"{" MIN ",\"extra\":2}", ERR_MALFORMED, "extra"},
	{"{" MIN ",\"downgrade_from\":1}", ERR_MALFORMED, "not above release 1"},
	{"{" MIN ",\"note\":\"\"}", ERR_MALFORMED, "note"},
	{"{" MIN ",\"note\":\"a\\u0007b\"}", ERR_MALFORMED, "printable"},
	{"{" MIN ",\"note\":\"a\\u202eb\"}", ERR_MALFORMED, "printable"},
	{"{" MIN ",\"compatibility\":[]}", ERR_MALFORMED, "compatibility"},
	{"{" MIN ",\"compatibility\":{\"arch\":[]}}", ERR_MALFORMED, "0 entries"},
	{"{" MIN ",\"compatibility\":{\"arch\":[1]}}", ERR_MALFORMED, "arch"},
	{"{" MIN ",\"compatibility\":{\"archs\":[\"a\"]}}", ERR_MALFORMED, "archs"},
	{"{" MIN ",\"compatibility\":{\"memory_min\":0}}", ERR_MALFORMED, "memory_min"},
	{"{" MIN ",\"compatibility\":{\"agent_min\":\"1.2\"}}", ERR_MALFORMED, "agent_min"},
	{"{" MIN ",\"compatibility\":{\"agent_min\":\"1.2.3.4\"}}", ERR_MALFORMED, "agent_min"},
	{"{" MIN ",\"placement\":{\"mode\":\"644\"}}", ERR_MALFORMED, "mode"},
	{"{" MIN ",\"placement\":{\"mode\":\"4755\"}}", ERR_MALFORMED, "mode"},
	{"{" MIN ",\"placement\":{\"mode\":\"0888\"}}", ERR_MALFORMED, "mode"},
	{"{" MIN ",\"placement\":{\"mode\":420}}", ERR_MALFORMED, "mode"},
	{"{" MIN ",\"placement\":{\"filename\":\"../x\"}}", ERR_MALFORMED, "file name"},
	{"{" MIN ",\"placement\":{\"filename\":\"..\"}}", ERR_MALFORMED, "file name"},
	{"{" MIN ",\"placement\":{\"filename\":\"a\\u0000b\"}}", ERR_MALFORMED, "printable"},
	{"{" MIN ",\"placement\":{\"destination\":\"/etc/x\"}}", ERR_MALFORMED, "destination"},
	{"{\"format\":1,\"kind\":\"agent\",\"release\":1,\"placement\":{\"mode\":\"0644\"}}", ERR_MALFORMED, "mode"},
	{"{\"format\":1,\"kind\":\"config\",\"release\":1}", ERR_MALFORMED, "'destination' is missing"},
	{"{\"format\":1,\"kind\":\"config\",\"release\":1,\"placement\":{\"destination\":\"etc\"}}", ERR_MALFORMED,
	 "absolute"},
	{"{\"format\":1,\"kind\":\"config\",\"release\":1,\"placement\":{\"destination\":\"/etc/../x\"}}", ERR_MALFORMED,
	 "'..' part"},
	{"{\"format\":1,\"kind\":\"config\",\"release\":1,\"placement\":{\"destination\":\"/etc//x\"}}", ERR_MALFORMED,
	 "empty"},
	{"{\"format\":1,\"kind\":\"config\",\"release\":1,\"placement\":{\"destination\":\"/etc/x\",\"reload_unit\":\"a\","
	 "\"reload_argv\":[\"/b\"]}}",
	 ERR_MALFORMED, "exclude each other"},
	{"{\"format\":1,\"kind\":\"container\",\"release\":1}", ERR_MALFORMED, "'image' is missing"},
	{"{\"format\":1,\"kind\":\"container\",\"release\":1,\"placement\":{\"image\":\"latest\"}}", ERR_MALFORMED,
	 "image"},
	{"{\"format\":1,\"kind\":\"container\",\"release\":1,\"placement\":{\"image\":\"sha256:" HEX64
	 "\",\"network\":\"lan\"}}",
	 ERR_MALFORMED, "network"},
	{"{" MIN ",\"probes\":{}}", ERR_MALFORMED, "probes"},
	{"{" MIN ",\"probes\":[1]}", ERR_MALFORMED, "probe 1"},
	{"{" MIN ",\"probes\":[{\"type\":\"dns\",\"target\":\"x\"}]}", ERR_REFUSED, "unknown type 'dns'"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\"}]}", ERR_MALFORMED, "'target' is missing"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\",\"target\":\"https://x\"}]}", ERR_MALFORMED, "URL"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\",\"target\":\"http://\"}]}", ERR_MALFORMED, "URL"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\",\"target\":\"http://a b\"}]}", ERR_MALFORMED, "URL"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\",\"target\":\"http://a\",\"argv\":[\"/x\"]}]}", ERR_MALFORMED, "argv"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\",\"target\":\"http://a\",\"timeout\":0}]}", ERR_MALFORMED, "timeout"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\",\"target\":\"http://a\",\"timeout\":301}]}", ERR_MALFORMED, "timeout"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\",\"target\":\"http://a\",\"attempts\":0}]}", ERR_MALFORMED, "attempts"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\",\"target\":\"http://a\",\"attempts\":11}]}", ERR_MALFORMED, "attempts"},
	{"{" MIN ",\"probes\":[{\"type\":\"http\",\"target\":\"http://a\",\"delay\":-1}]}", ERR_MALFORMED, "delay"},
	{"{" MIN ",\"probes\":[{\"type\":\"tcp\",\"target\":\"host\"}]}", ERR_MALFORMED, "host:port"},
	{"{" MIN ",\"probes\":[{\"type\":\"tcp\",\"target\":\"::1:80\"}]}", ERR_MALFORMED, "brackets"},
	{"{" MIN ",\"probes\":[{\"type\":\"tcp\",\"target\":\"a:0\"}]}", ERR_MALFORMED, "port"},
	{"{" MIN ",\"probes\":[{\"type\":\"tcp\",\"target\":\"a:65536\"}]}", ERR_MALFORMED, "port"},
	{"{" MIN ",\"probes\":[{\"type\":\"tcp\",\"target\":\"a:99999999999999999999\"}]}", ERR_MALFORMED, "port"},
	{"{" MIN ",\"probes\":[{\"type\":\"file\",\"target\":\"x\"}]}", ERR_MALFORMED, "absolute"},
	{"{" MIN ",\"probes\":[{\"type\":\"exec\",\"target\":\"/x\"}]}", ERR_MALFORMED, "argv"},
	{"{" MIN ",\"probes\":[{\"type\":\"exec\",\"argv\":[\"sh\"]}]}", ERR_MALFORMED, "absolute"},
	{"{" MIN ",\"probes\":[{\"type\":\"exec\",\"argv\":[]}]}", ERR_MALFORMED, "argv"},
	{"{" MIN ",\"probes\":[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]}", ERR_LIMIT, "17 probes"},
};

TEST(descriptor_refuses_what_the_page_does_not_allow)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		struct error err = ERROR_INIT;
		struct descriptor d;

		if (descriptor_parse_text(&d, slice_str(refused[i].text), &err) == 0 ||
		    err.kind != refused[i].kind || strstr(err.text, refused[i].says) == NULL)
			printf("# %s\n#   gave: %s\n", refused[i].text, err.text);
		CHECK_INT(err.kind, refused[i].kind);
		CHECK(strstr(err.text, refused[i].says) != NULL);
		CHECK(d.probes == NULL && d.note == NULL);
	}
}

TEST(descriptor_stops_at_its_ceiling)
{
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT(DESCRIPTOR_SIZE_MAX + 100);
	struct descriptor d;

	buf_put_str(&b, "{" MIN "}");
	while (b.len < DESCRIPTOR_SIZE_MAX)
		buf_put_u8(&b, ' ');
	CHECK_INT(descriptor_parse_text(&d, buf_slice(&b), &err), 0);
	descriptor_release(&d);
	buf_put_u8(&b, ' ');
	CHECK_INT(descriptor_parse_text(&d, buf_slice(&b), &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_release(&b);
}

TEST(descriptor_asks_everything_of_a_device)
{
	static const char *const accelerators[] = {"gpu", "npu"};
	const struct device_profile good = {"arm64", "debian", "12", "Pi 4", accelerators, 2, 1 << 30, "1.10.0"};
	struct device_profile p;
	struct error err = ERROR_INIT;
	struct descriptor d;

	REQUIRE(descriptor_parse_text(&d, slice_str(full), &err) == 0);
	CHECK_INT(descriptor_check_device(&d, &good, &err), 0);
#define ALTERED(member, value, says)                                  \
	do {                                                          \
		p = good;                                             \
		p.member = (value);                                   \
		CHECK_INT(descriptor_check_device(&d, &p, &err), -1); \
		CHECK_INT(err.kind, ERR_REFUSED);                     \
		CHECK(strstr(err.text, says) != NULL);                \
	} while (0)
	ALTERED(arch, "armhf", "architecture is armhf");
	ALTERED(arch, NULL, "architecture is unknown");
	ALTERED(os_version_id, "11", "debian-11");
	ALTERED(os_id, NULL, "operating system");
	ALTERED(os_version_id, NULL, "operating system is debian");
	ALTERED(model, "Pi 5", "model");
	ALTERED(accelerator_count, 1, "accelerator 'npu'");
	ALTERED(memory, 1000, "memory");
	ALTERED(memory, 0, "memory");
	ALTERED(agent_version, "1.2.2", "below 1.2.3");
	ALTERED(agent_version, "0.9.9", "below 1.2.3");
	ALTERED(agent_version, NULL, "unknown");
	p = good;
	p.agent_version = "1.2.3";
	CHECK_INT(descriptor_check_device(&d, &p, &err), 0);
	p.agent_version = "2.0.0";
	CHECK_INT(descriptor_check_device(&d, &p, &err), 0);
	descriptor_release(&d);
}

TEST(release_never_goes_back_by_accident)
{
	struct descriptor d = {.kind = PAYLOAD_FILE, .release = 5};
	struct error err = ERROR_INIT;
	int64_t mark = -1;

	CHECK_INT(descriptor_check_release(&d, 0, &mark, &err), 0);
	CHECK_INT(mark, 5);
	CHECK_INT(descriptor_check_release(&d, 5, &mark, &err), 0);
	CHECK_INT(descriptor_check_release(&d, 6, &mark, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.hint, "--downgrade-from 6") != NULL);
	d.downgrade_from = 6;
	CHECK_INT(descriptor_check_release(&d, 6, &mark, &err), 0);
	CHECK_INT(mark, 5);
	CHECK_INT(descriptor_check_release(&d, 7, &mark, &err), -1);
	CHECK_INT(descriptor_check_release(&d, 4, &mark, &err), 0);
	CHECK_INT(mark, 5);
}
