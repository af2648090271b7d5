/*
 * Record buffers on loan. Between two records an engine keeps nothing in its buffer: it expects the header of the next
 * record at its start (ixa, ixb, ixc) and has gathered nothing to send (oxa, oxb, oxc). Then the buffer may go to
 * another connection, and any other may take its place, since the engine derives every pointer from ibuf and obuf anew.
 *
 * BearSSL calls these fields its own. That they mean what is said here holds for 0.6, which is frozen; tls_buffer_lendable
 * looks at each new engine, and one that begins otherwise keeps its buffer; test_tls.c carries connections over from
 * one buffer to the other in every state.
 */
#include "net/tls_internal.h"

#include <assert.h>

#define HEADER_LEN 5	/* of a record */

struct tls_buffers {
	unsigned count, keep_max;
	uint8_t *free[];
};

struct tls_buffers *tls_buffers_new(unsigned keep_max)
{
	struct tls_buffers *b = xmalloc(sizeof(*b) + keep_max * sizeof(b->free[0]));

	b->count = 0;
	b->keep_max = keep_max;
	return b;
}

void tls_buffers_free(struct tls_buffers *b)
{
	if (b == NULL)
		return;
	while (b->count > 0)
		free(b->free[--b->count]);
	free(b);
}

static bool between_records(const br_ssl_engine_context *e)
{
	return e->ixa == 0 && e->ixb == 0 && e->ixc == HEADER_LEN && e->oxa == e->oxc && e->oxa < e->oxb;
}

void tls_buffer_take(struct tls *t)
{
	struct tls_buffers *b = t->buffers;

	t->buffer = b != NULL && b->count > 0 ? b->free[--b->count] : xmalloc(t->buffer_len);
	t->used_in = t->used_out = 0;
}

/* What was read or written in plain text is wiped, and no page touched for it that was not. */
static void wipe(struct tls *t)
{
	size_t shared = t->used_in > t->used_out ? t->used_in : t->used_out;

	if (t->eng->obuf == t->buffer) {
		explicit_bzero(t->buffer, shared);
	} else if (t->eng->obuf != NULL) {
		explicit_bzero(t->eng->obuf, t->used_out);
		explicit_bzero(t->buffer, t->used_in);
	}
}

void tls_buffer_give(struct tls *t)
{
	struct tls_buffers *b = t->buffers;

	if (t->buffer == NULL)
		return;
	wipe(t);
	if (b != NULL && b->count < b->keep_max)
		b->free[b->count++] = t->buffer;
	else
		free(t->buffer);
	t->buffer = NULL;
}

void tls_buffer_lendable(struct tls *t)
{
	const br_ssl_engine_context *e = t->eng;

	t->lends = e->ibuf == t->buffer && e->obuf == t->buffer && e->ibuf_len == t->buffer_len &&
		   e->obuf_len == t->buffer_len && between_records(e);
}

void tls_rest(struct tls *t)
{
	if (!t->established)
		return;
	buf_release(&t->verify.leaf);
	if (!t->lends || t->closing || t->wants != (TLS_READ | TLS_ROOM) || t->buffer == NULL ||
	    !between_records(t->eng))
		return;
	tls_buffer_give(t);
	t->eng->ibuf = t->eng->obuf = NULL;
}

void tls_wake(struct tls *t)
{
	if (t->buffer != NULL)
		return;
	tls_buffer_take(t);
	t->eng->ibuf = t->eng->obuf = t->buffer;
}
