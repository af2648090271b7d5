/* PKCS#11 URIs: what is read, how it is written again, and all that is refused. */
#include "tap.h"

#include "crypto/pkcs11_uri.h"

static int parse(const char *text, struct pkcs11_uri *u, struct error *err)
{
	*err = ERROR_INIT;
	return pkcs11_uri_parse(u, slice_str(text), err);
}

TEST(uris_are_read_and_written)
{
	static const struct {
		const char *text, *canonical;
	} uris[] = {
		{"pkcs11:token=a?module-path=/m", NULL},
		{"pkcs11:serial=0123;object=k;id=%00%FF?module-path=/m&pin-source=file:/etc/pin", NULL},
		{"pkcs11:id=ab;type=private;object=a+b@c&d;token=t?pin-source=file:///p&module-path=/x%20y",
		 "pkcs11:token=t;object=a%2Bb%40c%26d;id=%61%62?module-path=/x%20y&pin-source=file:/p"},
		{"pkcs11:token=%54he%20token;model=1.0;manufacturer=Snake%20Oil?module-path=/%C3%BC",
		 "pkcs11:token=The%20token;manufacturer=Snake%20Oil;model=1.0?module-path=/%C3%BC"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(uris); i++) {
		struct buf out = BUF_INIT(PKCS11_URI_MAX);
		struct pkcs11_uri u;
		struct error err;

		CHECK_INT(parse(uris[i].text, &u, &err), 0);
		pkcs11_uri_put(&out, &u);
		CHECK_STR(buf_cstr(&out), uris[i].canonical == NULL ? uris[i].text : uris[i].canonical);
		buf_release(&out);
	}
}

TEST(wrong_uris_are_refused)
{
	static const char *const uris[] = {
		"", "pkcs11", "pkcs11:", "PKCS11:token=a?module-path=/m", "pkcs11:?module-path=/m", "pkcs11:token=a",
		"pkcs11:token=a?", "pkcs11:token=a;?module-path=/m", "pkcs11:;token=a?module-path=/m",
		"pkcs11:token=a?module-path=/m&", "pkcs11:token=a?module-path=m", "pkcs11:token=a?module-path=",
		"pkcs11:token=?module-path=/m", "pkcs11:token?module-path=/m", "pkcs11:=a?module-path=/m",
		"pkcs11:token=a;token=a?module-path=/m", "pkcs11:token=a?module-path=/m&module-path=/m",
		"pkcs11:token=a;module-path=/m",
		"pkcs11:token=a?module-path=/m&token=b", "pkcs11:token=a?module-name=softhsm",
		"pkcs11:token=a?module-path=/m&pin-value=1234", "pkcs11:token=a?module-path=/m&pin-source=|cat",
		"pkcs11:token=a?module-path=/m&pin-source=/etc/pin", "pkcs11:token=a?module-path=/m&pin-source=file:pin",
		"pkcs11:token=a?module-path=/m&pin-source=file://host/pin", "pkcs11:token=a?module-path=/m&pin-source=https://x/",
		"pkcs11:token=a;type=public?module-path=/m", "pkcs11:token=a;slot-id=1?module-path=/m",
		"pkcs11:token=a;library-version=1?module-path=/m", "pkcs11:token=a;x-vendor=1?module-path=/m",
		"pkcs11:token=a b?module-path=/m", "pkcs11:token=a%?module-path=/m", "pkcs11:token=a%4?module-path=/m",
		"pkcs11:token=a%4g?module-path=/m", "pkcs11:token=a%00?module-path=/m", "pkcs11:token=a%0A?module-path=/m",
		"pkcs11:token=%C3?module-path=/m", "pkcs11:token=%C2%85?module-path=/m", "pkcs11:token=a/b?module-path=/m",
		"pkcs11:token=\xc3\xbc?module-path=/m", "pkcs11:token=a?module-path=/m#x", "pkcs11:token=a?module-path=/m%00",
		" pkcs11:token=a?module-path=/m", "pkcs11:token=a?module-path=/m\n",
	};
	struct pkcs11_uri u;
	struct error err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(uris); i++) {
		if (parse(uris[i], &u, &err) == 0)
			printf("# accepted: %s\n", uris[i]);
		CHECK(parse(uris[i], &u, &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
}

TEST(every_field_of_a_uri_has_its_cap)
{
	static const struct {
		const char *before, *start, *after;	/* start belongs to the value */
		size_t max;
	} fields[] = {
		{"token=", "", "?module-path=/m", 32},
		{"token=t;manufacturer=", "", "?module-path=/m", 32},
		{"serial=", "", "?module-path=/m", 16},
		{"token=t;model=", "", "?module-path=/m", 16},
		{"token=t;object=", "", "?module-path=/m", PKCS11_LABEL_MAX},
		{"token=t;id=", "", "?module-path=/m", PKCS11_ID_MAX},
		{"token=t?module-path=", "/", "", PKCS11_PATH_MAX},
		{"token=t?module-path=/m&pin-source=", "file:/", "", PKCS11_PATH_MAX},
	};
	char text[PKCS11_URI_MAX + 1], fill[PKCS11_PATH_MAX + 2];
	struct pkcs11_uri u;
	struct error err;
	size_t i;

	memset(fill, 'a', sizeof(fill));
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		int n = (int)(fields[i].max - strlen(fields[i].start));

		snprintf(text, sizeof(text), "pkcs11:%s%s%.*s%s", fields[i].before, fields[i].start, n, fill, fields[i].after);
		CHECK_INT(parse(text, &u, &err), 0);
		snprintf(text, sizeof(text), "pkcs11:%s%s%.*s%s", fields[i].before, fields[i].start, n + 1, fill,
			 fields[i].after);
		CHECK_INT(parse(text, &u, &err), -1);
		CHECK_INT(err.kind, ERR_LIMIT);
	}
	memset(text, 'a', sizeof(text));
	CHECK(pkcs11_uri_parse(&u, slice_of(text, PKCS11_URI_MAX + 1), &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
}
