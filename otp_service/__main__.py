"""`python -m otp_service` is `otp-service`."""

from otp_service.cli import main

main()
