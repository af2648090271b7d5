/*
 * Writes lib/crypto/p256_table.c by the arithmetic of BearSSL. To make it anew, from the top of the tree:
 *
 *	make build/tests/unit/p256_table && build/tests/unit/p256_table >table.c && mv table.c lib/crypto/p256_table.c
 */
#include <stdio.h>

#include <bearssl.h>

#include "crypto/p256_field.h"

static void print_number(const uint8_t p[static 32])
{
	struct fe a;

	if (fe_decode(&a, p) != 1)
		return;
	printf("{{0x%016llx, 0x%016llx, 0x%016llx, 0x%016llx}}", (unsigned long long)a.w[0], (unsigned long long)a.w[1],
	       (unsigned long long)a.w[2], (unsigned long long)a.w[3]);
}

int main(void)
{
	uint8_t scalar[32], point[65];
	unsigned i, j;

	printf("/* Multiples of the base point of P-256, as p256_point.h tells. Written by tests/unit/p256_table.c. */\n"
	       "#include \"crypto/p256_point.h\"\n\n"
	       "const struct affine p256_table[32][8] = {\n");
	for (i = 0; i < 32; i++) {
		printf("\t{\n");
		for (j = 0; j < 8; j++) {
			for (unsigned k = 0; k < 32; k++)
				scalar[k] = k == 31 - i ? (uint8_t)(j + 1) : 0;
			if (br_ec_get_default()->mulgen(point, scalar, sizeof(scalar), BR_EC_secp256r1) != sizeof(point))
				return 1;
			printf("\t\t{");
			print_number(point + 1);
			printf(",\n\t\t ");
			print_number(point + 33);
			printf("},\n");
		}
		printf("\t},\n");
	}
	printf("};\n");
	return 0;
}
