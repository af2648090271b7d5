/* Exported audit trails, as a file from another machine; and witnessed heads. */
#include <sys/mman.h>
#include <unistd.h>

#include "fleet/audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct audit_export_report report = {.has_signature = false};
	struct error err = ERROR_INIT;
	struct audit_head head;
	int fd = memfd_create("export", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, data, size) == (ssize_t)size)
		(void)!audit_verify_export(fd, NULL, 0, &report, &err);
	if (fd >= 0)
		close(fd);
	(void)!audit_witness_parse(slice_of(data, size), &head, &err);
	return 0;
}
