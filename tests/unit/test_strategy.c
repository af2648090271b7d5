/* Strategies: parsing by table, and the judgement by table. */
#include "tap.h"

#include "fleet/strategy.h"

TEST(a_strategy_is_read_and_written)
{
	struct error err = ERROR_INIT;
	struct strategy s, t;
	struct buf b = BUF_INIT(8192);
	struct json_writer w = JSON_WRITER(&b);

	REQUIRE(strategy_parse_text(&s, SLICE_LIT("{\"waves\":[{\"percent\":1},{\"percent\":10,\"approval\":\"manual\"},"
		"{\"percent\":100,\"approval\":\"auto\"}],\"max_failure_rate\":0.05,\"min_sample\":3,\"window\":3600}"),
		&err) == 0);
	CHECK_INT(s.wave_count, 3);
	CHECK_INT(s.waves[1].percent, 10);
	CHECK(s.waves[1].manual && !s.waves[0].manual && !s.waves[2].manual);
	CHECK_INT(s.max_failure_rate, 50000);
	CHECK_INT(s.min_sample, 3);
	CHECK_INT(s.window_s, 3600);
	strategy_put(&w, NULL, &s);
	REQUIRE(strategy_parse_text(&t, buf_slice(&b), &err) == 0);
	CHECK(t.wave_count == s.wave_count && t.max_failure_rate == s.max_failure_rate && t.window_s == s.window_s);
	buf_release(&b);
	REQUIRE(strategy_parse_text(&s, SLICE_LIT("{\"waves\":[{\"percent\":100}]}"), &err) == 0);
	CHECK_INT(s.max_failure_rate, 0);
	CHECK_INT(s.min_sample, 1);
	REQUIRE(strategy_parse_text(&s, SLICE_LIT("{\"waves\":[{\"percent\":100}],\"max_failure_rate\":1}"), &err) == 0);
	CHECK_INT(s.max_failure_rate, 1000000);
}

TEST(bad_strategies_are_named)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"[]", "an object"},
		{"{}", "waves"},
		{"{\"waves\":[]}", "1 to 32 waves"},
		{"{\"waves\":[{\"percent\":50}]}", "the last wave has 50 percent, not 100"},
		{"{\"waves\":[{\"percent\":50},{\"percent\":50},{\"percent\":100}]}", "wave 2: 50 percent does not rise"},
		{"{\"waves\":[{\"percent\":60},{\"percent\":50},{\"percent\":100}]}", "wave 2"},
		{"{\"waves\":[{\"percent\":0},{\"percent\":100}]}", "wave 1"},
		{"{\"waves\":[{\"percent\":101}]}", "wave 1"},
		{"{\"waves\":[{\"percent\":1.5},{\"percent\":100}]}", "wave 1"},
		{"{\"waves\":[{\"percent\":100,\"approval\":\"maybe\"}]}", "'auto' or 'manual'"},
		{"{\"waves\":[{\"percent\":100,\"size\":3}]}", "size"},
		{"{\"waves\":[5]}", "wave 1"},
		{"{\"waves\":[{\"percent\":100}],\"max_failure_rate\":1.01}", "between 0 and 1"},
		{"{\"waves\":[{\"percent\":100}],\"max_failure_rate\":-0.1}", "between 0 and 1"},
		{"{\"waves\":[{\"percent\":100}],\"max_failure_rate\":\"5%\"}", "not a number"},
		{"{\"waves\":[{\"percent\":100}],\"min_sample\":0}", "min_sample"},
		{"{\"waves\":[{\"percent\":100}],\"window\":-1}", "window"},
		{"{\"waves\":[{\"percent\":100}],\"speed\":1}", "speed"},
		{"{\"waves\":", "strategy"},
	};
	struct error err = ERROR_INIT;
	struct strategy s;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		err = ERROR_INIT;
		CHECK_INT(strategy_parse_text(&s, slice_str(cases[i].text), &err), -1);
		if (strstr(err.text, cases[i].want) == NULL && strcmp(cases[i].want, "strategy") != 0)
			printf("# %s: %s\n", cases[i].text, err.text);
		CHECK(strstr(err.text, cases[i].want) != NULL || strcmp(cases[i].want, "strategy") == 0);
	}
}

TEST(a_strategy_in_words)
{
	static const struct {
		const char *rate;
		int64_t want;
	} rates[] = {{"0", 0}, {"1", 1000000}, {"0.05", 50000}, {"5%", 50000}, {"2.5%", 25000}, {".1", 100000},
		     {"100%", 1000000}, {"0.000001", 1}};
	static const char *const bad_rates[] = {"", "x", "1.1", "101%", "-1", "0.05x", "5%%", "."};
	static const char *const bad_waves[] = {"", "50", "0,100", "100,100", "50,40,100", "1,101", "1;100", "1,100x",
						"1,100,", "m,100", "0001,100"};
	struct error err = ERROR_INIT;
	struct strategy s;
	unsigned i;

	REQUIRE(strategy_from_words(&s, "1,10m,100", "5%", 3, 60, &err) == 0);
	CHECK_INT(s.wave_count, 3);
	CHECK(s.waves[1].percent == 10 && s.waves[1].manual && !s.waves[2].manual);
	CHECK(s.min_sample == 3 && s.window_s == 60);
	for (i = 0; i < ARRAY_SIZE(rates); i++) {
		CHECK_INT(strategy_from_words(&s, "100", rates[i].rate, 1, 0, &err), 0);
		CHECK_INT(s.max_failure_rate, rates[i].want);
	}
	for (i = 0; i < ARRAY_SIZE(bad_rates); i++) {
		CHECK_INT(strategy_from_words(&s, "100", bad_rates[i], 1, 0, &err), -1);
		CHECK_INT(err.kind, ERR_USAGE);
	}
	for (i = 0; i < ARRAY_SIZE(bad_waves); i++) {
		CHECK_INT(strategy_from_words(&s, bad_waves[i], "0", 1, 0, &err), -1);
		CHECK_INT(err.kind, ERR_USAGE);
	}
	CHECK_INT(strategy_from_words(&s, "100", "0", 0, 0, &err), -1);
	CHECK_INT(strategy_from_words(&s, "100", "0", 1, -1, &err), -1);
}

TEST(waves_are_rounded_up)
{
	struct strategy s = {.wave_count = 3, .waves = {{1, false}, {50, false}, {100, false}}};

	CHECK_INT(strategy_wave_size(&s, 0, 3), 1);
	CHECK_INT(strategy_wave_size(&s, 1, 3), 2);
	CHECK_INT(strategy_wave_size(&s, 2, 3), 3);
	CHECK_INT(strategy_wave_size(&s, 0, 100), 1);
	CHECK_INT(strategy_wave_size(&s, 0, 101), 2);
	CHECK_INT(strategy_wave_size(&s, 0, 0), 0);
	CHECK_INT(strategy_wave_size(&s, 2, 0), 0);
}

TEST(the_judgement)
{
	static const struct {
		const char *name;
		int64_t rate, min_sample;
		struct tally t;
		enum verdict want;
	} cases[] = {
		{"nothing yet", 50000, 1, {.size = 10}, VERDICT_WAIT},
		{"empty wave", 50000, 1, {.size = 0}, VERDICT_NEXT},
		{"empty last wave", 50000, 1, {.size = 0, .last = true}, VERDICT_DONE},
		{"one of one bad", 50000, 1, {.size = 1, .bad = 1, .sample = 1, .sample_bad = 1}, VERDICT_HALT},
		{"one of one healthy", 50000, 1, {.size = 1, .healthy = 1, .sample = 1}, VERDICT_NEXT},
		{"exactly the rate", 50000, 1, {.size = 20, .healthy = 19, .bad = 1, .sample = 20, .sample_bad = 1},
			VERDICT_NEXT},
		{"above the rate", 50000, 1, {.size = 20, .healthy = 18, .bad = 2, .sample = 20, .sample_bad = 2},
			VERDICT_HALT},
		{"sample too small", 50000, 5, {.size = 20, .bad = 4, .sample = 4, .sample_bad = 4}, VERDICT_WAIT},
		{"sample large enough", 50000, 5, {.size = 20, .bad = 5, .sample = 5, .sample_bad = 5}, VERDICT_HALT},
		{"all in, sample never large enough", 50000, 5, {.size = 1, .bad = 1, .sample = 1, .sample_bad = 1},
			VERDICT_HALT},
		{"all in, bad ones outside the window", 0, 1, {.size = 2, .healthy = 1, .bad = 1, .sample = 1},
			VERDICT_HALT},
		{"healthy share reached", 100000, 1, {.size = 10, .healthy = 9, .sample = 9}, VERDICT_NEXT},
		{"healthy share not reached", 100000, 1, {.size = 10, .healthy = 8, .sample = 8}, VERDICT_WAIT},
		{"last waits for every one", 100000, 1, {.size = 10, .healthy = 9, .sample = 9, .last = true},
			VERDICT_WAIT},
		{"last is done", 100000, 1, {.size = 10, .healthy = 9, .bad = 1, .sample = 10, .sample_bad = 1,
			.last = true}, VERDICT_DONE},
		{"acknowledged ones count no more", 0, 1, {.size = 2, .healthy = 1, .bad = 1, .acknowledged_bad = 1,
			.sample = 1}, VERDICT_NEXT},
		{"all acknowledged", 0, 1, {.size = 1, .bad = 1, .acknowledged_bad = 1}, VERDICT_NEXT},
		{"bad again after resume", 0, 1, {.size = 3, .bad = 2, .acknowledged_bad = 1, .sample = 1,
			.sample_bad = 1}, VERDICT_HALT},
		{"any failure allowed", 1000000, 1, {.size = 2, .bad = 2, .sample = 2, .sample_bad = 2, .last = true},
			VERDICT_DONE},
		{"rate 0 waits for all", 0, 1, {.size = 100, .healthy = 99, .sample = 99}, VERDICT_WAIT},
	};
	char why[160];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct strategy s = {.max_failure_rate = cases[i].rate, .min_sample = cases[i].min_sample};
		enum verdict got = strategy_judge(&s, &cases[i].t, why);

		if (got != cases[i].want)
			printf("# %s: %s\n", cases[i].name, why);
		CHECK_INT(got, cases[i].want);
		CHECK(why[0] != '\0');
	}
}
