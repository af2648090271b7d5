/* Opening and closing of a control plane's home. */
#include "control/control.h"

void control_settings_default(struct control_settings *s)
{
	*s = (struct control_settings){
		.api_port = 9443,
		.repository_port = 9444,
		.device_port = 9445,
		.enroll_port = 9446,
		.heartbeat_interval_s = 60,
		.certificate_life_s = INT64_C(90) * 86400,
		.renew_grace_s = INT64_C(30) * 86400,
	};
}
