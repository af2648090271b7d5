/* Strategies: what is read is written, and reads back the same. */
#include <assert.h>
#include <string.h>

#include "fleet/strategy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT(STRATEGY_TEXT_MAX);
	struct json_writer w = JSON_WRITER(&text);
	struct strategy first, second;
	struct error err = ERROR_INIT;

	if (strategy_parse_text(&first, slice_of(data, size), &err) < 0)
		return 0;
	strategy_put(&w, NULL, &first);
	assert(strategy_parse_text(&second, buf_slice(&text), &err) == 0);
	assert(first.wave_count == second.wave_count && first.max_failure_rate == second.max_failure_rate);
	assert(first.min_sample == second.min_sample && first.window_s == second.window_s);
	assert(strategy_wave_size(&first, first.wave_count - 1, 1000) == 1000);
	buf_release(&text);
	return 0;
}
