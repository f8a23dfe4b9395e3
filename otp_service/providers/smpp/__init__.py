"""SMPP 3.4, the protocol of carriers and large senders: the extra `otp-service[smpp]`."""
