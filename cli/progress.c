/* The progress of long work, on one line of a terminal that is drawn over and wiped at the end. */
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "cli/cmd.h"
#include "sys/clock.h"

#define DRAW_EVERY_MS 100
#define BEGIN_AFTER_MS 300	/* short work draws nothing */
#define FIGURES_WIDTH 55	/* columns kept for put_figures, so that the bar does not change its width */
#define BAR_MAX 40

static unsigned terminal_width(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
		return 80;
	return w.ws_col;
}

/* " 45%  1.2 GiB of 3.0 GiB  120.0 MiB/s  12s left", as far as it is known. */
static void put_figures(struct buf *b, uint64_t done, uint64_t total, int64_t elapsed_ms)
{
	uint64_t rate = elapsed_ms <= 0 ? 0 : done * 1000 / (uint64_t)elapsed_ms;
	char text[32];

	if (total > 0)
		buf_printf(b, " %3u%%", done >= total ? 100u : (unsigned)((double)done * 100 / (double)total));
	buf_printf(b, "  %s", size_text(text, done));
	if (total > 0)
		buf_printf(b, " of %s", size_text(text, total));
	if (elapsed_ms < 1000 || rate == 0)
		return;
	buf_printf(b, "  %s/s", size_text(text, rate));
	if (total > done)
		buf_printf(b, "  %s left", duration_text(text, (int64_t)((total - done) / rate)));
}

static void put_bar(struct buf *b, uint64_t done, uint64_t total, unsigned width)
{
	unsigned i, full = done >= total ? width : (unsigned)((double)done * width / (double)total);

	buf_put_str(b, " [");
	for (i = 0; i < width; i++)
		buf_put_u8(b, i < full ? '#' : '.');
	buf_put_u8(b, ']');
}

static void draw(struct cmd *cmd, const char *what, uint64_t done, uint64_t total, int64_t now_ms)
{
	struct buf line = BUF_INIT(2048), figures = BUF_INIT(512);
	size_t width = terminal_width() - 1, used, bar;
	char name[256];

	printable(name, sizeof(name), slice_str(what));
	put_figures(&figures, done, total, now_ms - cmd->progress.started_ms);
	used = text_columns(name) + figures.len;
	bar = text_columns(name) + FIGURES_WIDTH + 3;
	bar = bar + 10 > width ? 0 : width - bar < BAR_MAX ? width - bar : BAR_MAX;
	buf_printf(&line, "\r\033[K%s", name);
	if (total > 0 && bar > 0)
		put_bar(&line, done, total, (unsigned)bar);
	if (used <= width)
		buf_put_slice(&line, buf_slice(&figures));
	if (text_columns(name) <= width) {
		fwrite(line.ptr, 1, line.len, stderr);
		fflush(stderr);
		cmd->progress.shown = true;
	}
	buf_release(&line);
	buf_release(&figures);
}

void cmd_progress(struct cmd *cmd, const char *what, uint64_t done, uint64_t total)
{
	struct progress *p = &cmd->progress;
	int64_t now_ms;

	if (cmd->quiet || !output_can_draw())
		return;
	now_ms = clock_mono_ms();
	if (p->started_ms == 0) {
		p->started_ms = now_ms;
		p->drawn_ms = now_ms + BEGIN_AFTER_MS - DRAW_EVERY_MS;
	}
	if (now_ms - p->drawn_ms < DRAW_EVERY_MS)
		return;
	p->drawn_ms = now_ms;
	draw(cmd, what, done, total, now_ms);
}

void cmd_progress_end(struct cmd *cmd)
{
	if (cmd->progress.shown)
		fputs("\r\033[K", stderr);
	cmd->progress = (struct progress){.shown = false};
}
