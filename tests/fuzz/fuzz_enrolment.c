/* Requests, answers and identities of enrolment by media: every input is taken for each of them. */
#include <stdlib.h>

#include "bundle/enrolment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted has the form that it is said to have. */
static void request(struct slice text)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	struct error err = ERROR_INIT;

	if (enrolment_request_parse(&q, text, &err) == 0) {
		if (q.key.scheme != KEY_ECDSA_P256 || media_name_check(slice_str(q.file), &err) < 0 || q.csr.len == 0 ||
		    (q.renew && q.root_version == 0) || (q.renew && q.present.len == 0))
			abort();
		if (enrolment_request_check(&q, &q.key, &err) == 0 && !q.renew)
			abort();
	}
	enrolment_request_release(&q);
}

static void answer(struct slice text)
{
	struct enrolment_request nobody = ENROLMENT_REQUEST_INIT;
	struct enrolment_answer a = ENROLMENT_ANSWER_INIT;
	struct error err = ERROR_INIT;

	if (enrolment_answer_parse(&a, text, &err) == 0) {
		if (a.root.len == 0 || name_check(slice_str(a.device), "device", &err) < 0 ||
		    enrolment_answer_check(&a, &nobody, &err) == 0)
			abort();
		/* As if we had asked for it: the signature is what is left. */
		memcpy(nobody.id, a.request, sizeof(nobody.id));
		memcpy(nobody.nonce, a.nonce, sizeof(nobody.nonce));
		(void)!enrolment_answer_check(&a, &nobody, &err);
	}
	enrolment_answer_release(&a);
	enrolment_request_release(&nobody);
}

static void identity(struct slice text)
{
	struct enrolment_identity i = ENROLMENT_IDENTITY_INIT;
	struct error err = ERROR_INIT;

	if (enrolment_identity_parse(&i, text, &err) == 0) {
		if (i.key == NULL)
			abort();
		request(buf_slice(&i.request));
		answer(buf_slice(&i.answer));
	}
	enrolment_identity_release(&i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct error err = ERROR_INIT;
	struct slice s = slice_of(data, size);

	if (!started && crypto_start(&err) < 0)
		abort();
	started = true;
	(void)enrolment_is_sealed(s);
	request(s);
	answer(s);
	identity(s);
	return 0;
}
