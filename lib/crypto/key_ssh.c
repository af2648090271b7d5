/* Public keys as OpenSSH writes them: RFC 4253 6.6 (RSA), RFC 5656 3.1 (ECDSA), RFC 8709 4 (Ed25519). */
#include "crypto/key_ssh.h"

#include "base/encode.h"
#include "crypto/rsa.h"

const char *ssh_key_type(enum key_scheme scheme)
{
	switch (scheme) {
	case KEY_ED25519:
		return "ssh-ed25519";
	case KEY_ECDSA_P256:
		return "ecdsa-sha2-nistp256";
	case KEY_ECDSA_P384:
		return "ecdsa-sha2-nistp384";
	case KEY_RSA_PSS_SHA256:
		return "ssh-rsa";
	case KEY_NONE:
		break;
	}
	return "none";
}

void ssh_put_string(struct buf *out, struct slice s)
{
	buf_put_u32be(out, (uint32_t)s.len);
	buf_put_slice(out, s);
}

void ssh_put_mpint(struct buf *out, struct slice magnitude)
{
	while (magnitude.len > 0 && magnitude.ptr[0] == 0)
		magnitude = slice_sub(magnitude, 1, SIZE_MAX);
	if (magnitude.len > 0 && magnitude.ptr[0] >= 0x80) {
		buf_put_u32be(out, (uint32_t)magnitude.len + 1);
		buf_put_u8(out, 0);
		buf_put_slice(out, magnitude);
	} else {
		ssh_put_string(out, magnitude);
	}
}

static void put_rsa(struct buf *out, const struct pubkey *k)
{
	struct error err = ERROR_INIT;
	struct slice n, e;

	if (rsa_parts(k, &n, &e, &err) < 0) {
		out->failed = true;	/* a key that has not passed pubkey_check */
		return;
	}
	ssh_put_mpint(out, e);
	ssh_put_mpint(out, n);
}

void pubkey_put_ssh_blob(struct buf *out, const struct pubkey *k)
{
	ssh_put_string(out, slice_str(ssh_key_type(k->scheme)));
	if (k->scheme == KEY_RSA_PSS_SHA256) {
		put_rsa(out, k);
		return;
	}
	if (k->scheme == KEY_ECDSA_P256)
		ssh_put_string(out, SLICE_LIT("nistp256"));
	else if (k->scheme == KEY_ECDSA_P384)
		ssh_put_string(out, SLICE_LIT("nistp384"));
	ssh_put_string(out, slice_of(k->data, k->len));
}

void pubkey_put_ssh(struct buf *out, const struct pubkey *k, const char *comment)
{
	struct buf blob = BUF_INIT(PUBKEY_LEN_MAX + 128);

	pubkey_put_ssh_blob(&blob, k);
	buf_put_str(out, ssh_key_type(k->scheme));
	buf_put_u8(out, ' ');
	base64_put(out, buf_slice(&blob));
	if (comment != NULL && comment[0] != '\0') {
		buf_put_u8(out, ' ');
		buf_put_str(out, comment);
	}
	out->failed |= blob.failed;
	buf_release(&blob);
}
