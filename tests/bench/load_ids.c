/* Identities in bulk: rows and certificates as an enrolment leaves them, keys in a file of the generator's own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/encode.h"
#include "control/control.h"
#include "crypto/ecdsa.h"
#include "crypto/pem.h"
#include "fleet/ca.h"
#include "fleet/enroll.h"
#include "store/certificates.h"
#include "store/devices.h"
#include "store/writer.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/rng.h"
#include "tests/bench/load.h"
#include "tuf/repo.h"

#define BATCH 1000	/* devices in one transaction */
#define SCALAR_LEN 32

/* One record of the file: length of the certificate, the key, the certificate. */
struct record_head {
	uint32_t cert_len;
	uint8_t scalar[SCALAR_LEN];
};

struct making {
	struct control *control;
	const char *prefix;
	size_t next, end;
	FILE *out;
};

static int make_row(struct db *db, int64_t device_id, const char *name, const struct pubkey *key, struct slice der,
		    int64_t now_s, struct error *err)
{
	struct certificate_row row = {.device_id = device_id, .issued_s = now_s};
	uint8_t hash[SHA256_LEN];
	struct x509 cert;

	if (x509_read(&cert, der, err) < 0)
		return -1;
	x509_fingerprint(hash, der);
	hex_encode(row.fingerprint, hash, SHA256_LEN);
	hex_encode(row.serial, cert.serial.ptr, cert.serial.len);
	sha256_of(slice_of(key->data, key->len), hash);
	hex_encode(row.key_hash, hash, SHA256_LEN);
	snprintf(row.subject, sizeof(row.subject), "%s", name);
	row.not_before_s = cert.not_before_s;
	row.not_after_s = cert.not_after_s;
	return certificate_insert(db, "device", &row, der, err);
}

static int make_one(struct db *db, struct making *m, struct error *err)
{
	const struct ca *ca = &m->control->ca[CA_DEVICE];
	const char *site = repo_site(m->control->repo);
	struct buf der = BUF_INIT(X509_SIZE_MAX);
	struct record_head head;
	char name[NAME_LEN_MAX + 1], urn[DEVICE_URN_MAX];
	int64_t now_s = clock_now_s(), id;
	struct x509_san san;
	struct pubkey key;
	int r = -1;

	snprintf(name, sizeof(name), "%s-%06zu", m->prefix, m->next);
	do
		rng_bytes(head.scalar, sizeof(head.scalar));
	while (ecdsa_public(&key, head.scalar, err) < 0);
	device_urn(urn, site, name);
	san = (struct x509_san){X509_SAN_URI, slice_str(urn)};
	if (ca_issue(ca, &der, (struct x509_spec){.org = site, .cn = name, .key = &key, .eku = X509_EKU_CLIENT,
						  .san = &san, .san_count = 1},
		     now_s, m->control->settings.certificate_life_s, err) == 0 &&
	    device_add(db, slice_str(name), now_s, &id, err) == 0 &&
	    make_row(db, id, name, &key, buf_slice(&der), now_s, err) == 0) {
		head.cert_len = (uint32_t)der.len;
		if (fwrite(&head, sizeof(head), 1, m->out) == 1 && fwrite(der.ptr, der.len, 1, m->out) == 1)
			r = 0;
		else
			error_errno(err, errno, "cannot write identities");
	}
	buf_release(&der);
	return r;
}

static int make_batch(struct db *db, void *arg, struct error *err)
{
	struct making *m = arg;
	size_t end = m->next + BATCH < m->end ? m->next + BATCH : m->end;

	for (; m->next < end; m->next++)
		if (make_one(db, m, err) < 0)
			return -1;
	return 0;
}

/* ---- a server certificate for another program ---- */

static void write_pem(const char *name, const struct buf *text)
{
	struct error err = ERROR_INIT;

	if (text->failed || file_replace(AT_FDCWD, name, 0600, buf_slice(text), &err) < 0)
		load_die("cannot write a certificate", &err);
}

/* SEC 1, C.4: version 1, the scalar, [0] prime256v1, [1] the point. */
static void put_key(struct buf *out, const uint8_t scalar[static SCALAR_LEN], const struct pubkey *key)
{
	static const uint8_t before[] = {0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20};
	static const uint8_t between[] = {0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
					  0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00};
	struct buf der = BUF_INIT(256);

	buf_put(&der, before, sizeof(before));
	buf_put(&der, scalar, SCALAR_LEN);
	buf_put(&der, between, sizeof(between));
	buf_put(&der, key->data, key->len);
	pem_put(out, "EC PRIVATE KEY", buf_slice(&der));
	buf_release(&der);
}

static void make_web(struct control *control, const char *file)
{
	const struct ca *ca = &control->ca[CA_SERVER];
	struct buf der = BUF_INIT(X509_SIZE_MAX), text = BUF_INIT(4 * X509_SIZE_MAX);
	struct error err = ERROR_INIT;
	uint8_t scalar[SCALAR_LEN], ip[16];
	char name[4096];
	struct x509_san san;
	struct pubkey key;

	do
		rng_bytes(scalar, sizeof(scalar));
	while (ecdsa_public(&key, scalar, &err) < 0);
	if (x509_san_of_host(&san, ip, "127.0.0.1", &err) < 0 ||
	    ca_issue(ca, &der, (struct x509_spec){.cn = "127.0.0.1", .key = &key, .eku = X509_EKU_SERVER, .san = &san,
						  .san_count = 1},
		     clock_now_s(), SERVER_CERT_LIFE_S, &err) < 0)
		load_die("cannot make a certificate", &err);
	pem_put(&text, X509_PEM_LABEL, buf_slice(&der));
	pem_put(&text, X509_PEM_LABEL, buf_slice(&ca->der));
	snprintf(name, sizeof(name), "%s.pem", file);
	write_pem(name, &text);
	buf_clear(&text);
	put_key(&text, scalar, &key);
	snprintf(name, sizeof(name), "%s.key", file);
	write_pem(name, &text);
	buf_release(&text);
	buf_release(&der);
}

/* ---- in bulk ---- */

void ids_make(const char *home, const char *file, size_t count, const char *prefix, const char *web)
{
	struct making m = {.prefix = prefix, .next = 1, .end = count + 1};
	struct error err = ERROR_INIT;
	struct control_settings settings;

	control_settings_default(&settings);
	if ((m.control = control_open(home, &settings, &err)) == NULL)
		load_die("cannot make devices", &err);
	if (m.control->ca == NULL || m.control->repo == NULL) {
		error_set(&err, ERR_FAILED, "'%s' has no CAs or no repository", home);
		load_die("cannot make devices", &err);
	}
	if ((m.out = fopen(file, "ae")) == NULL) {
		error_errno(&err, errno, "'%s'", file);
		load_die("cannot make devices", &err);
	}
	while (m.next < m.end)
		if (db_transact(m.control->db, make_batch, &m, &err) < 0)
			load_die("cannot make devices", &err);
	if (fclose(m.out) != 0) {
		error_errno(&err, errno, "'%s'", file);
		load_die("cannot make devices", &err);
	}
	if (web != NULL)
		make_web(m.control, web);
	control_free(m.control);
}

void ids_open(struct ids *ids, const char *file, size_t count)
{
	struct error err = ERROR_INIT;
	size_t room = 0, at = 0;
	off_t end;
	int fd = file_open(AT_FDCWD, file, O_RDONLY, 0, &err);

	if (fd < 0)
		load_die("cannot read identities", &err);
	end = lseek(fd, 0, SEEK_END);
	*ids = (struct ids){.mapped_len = (size_t)end};
	ids->mapped = mmap(NULL, ids->mapped_len, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (ids->mapped == MAP_FAILED) {
		error_errno(&err, errno, "'%s'", file);
		load_die("cannot read identities", &err);
	}
	while (at + sizeof(struct record_head) <= ids->mapped_len && (count == 0 || ids->count < count)) {
		const uint8_t *p = (const uint8_t *)ids->mapped + at;
		struct record_head head;

		memcpy(&head, p, sizeof(head));
		if (ids->count == room) {
			room = room == 0 ? 1024 : 2 * room;
			ids->list = xreallocarray(ids->list, room, sizeof(ids->list[0]));
		}
		ids->list[ids->count++] = (struct dev){
			.scalar = p + offsetof(struct record_head, scalar),
			.cert = slice_of(p + sizeof(head), head.cert_len),
		};
		at += sizeof(head) + head.cert_len;
	}
	if (ids->count == 0 || ids->count < count) {
		error_set(&err, ERR_FAILED, "'%s' holds %zu devices, not %zu", file, ids->count, count);
		load_die("cannot read identities", &err);
	}
}

void ids_close(struct ids *ids)
{
	free(ids->list);
	munmap(ids->mapped, ids->mapped_len);
}
